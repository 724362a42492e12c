//! The texts that images are looked for in, each with what is special about it.

use content::Origin;

use super::found::Findings;
use super::manifest;
use super::place::{Place, Rendered as Lines};
use super::rules::Rules;
use super::yaml::{self, Node, Value};
use crate::helm::{Chart, Rendered};

/// Annotations of charts that list images.
const ANNOTATIONS: [&str; 3] = ["images", "helm.sh/images", "artifacthub.io/images"];

/// Fields of a kustomization that name files or directories.
const KUSTOMIZED: [&str; 13] = [
    "resources",
    "bases",
    "components",
    "crds",
    "patches",
    "patchesStrategicMerge",
    "patchesJson6902",
    "generators",
    "transformers",
    "validators",
    "configurations",
    "replacements",
    "openapi",
];

/// A file of manifests.
pub fn manifests(text: &str, file: &str, rules: &Rules, findings: &mut Findings) {
    manifest::manifests(text, &Place::file(file), rules, findings);
}

/// Manifests that a template became. Lines are those of the template where they can be told.
pub fn rendered(template: &str, output: &str, file: &str, rules: &Rules, findings: &mut Findings) {
    let lines = Lines::new(template, output);
    manifest::manifests(output, &Place::rendered(file, &lines), rules, findings);
}

/// Manifests that a program made of `file`; their lines are nowhere.
pub fn generated(output: &str, file: &str, rules: &Rules, findings: &mut Findings) {
    manifest::manifests(output, &Place::somewhere(file), rules, findings);
}

/// A text inside a script, which begins in `line`. It may be no manifest at all.
pub fn embedded(text: &str, file: &str, line: usize, what: &str, rules: &Rules, findings: &mut Findings) {
    let is_manifest = |document: &Node| document.get("kind").is_some() && document.get("apiVersion").is_some();
    if yaml::documents(text).is_ok_and(|documents| documents.iter().any(is_manifest)) {
        let place = Place::file(file).at_line(line, what);
        manifest::manifests(text, &place, rules, findings);
    }
}

/// The files and directories that a kustomization names. A text that is none is a mistake.
pub fn kustomization(text: &str, file: &str, findings: &mut Findings) -> Vec<String> {
    let documents = match yaml::documents(text) {
        Ok(documents) => documents,
        Err(error) => {
            let origin = Place::file(file).origin(error.line, "", "kustomization");
            findings.mistake(origin, error.reason, None);
            return Vec::new();
        }
    };
    let mut named = Vec::new();
    for document in &documents {
        for key in KUSTOMIZED {
            let value = document.get(key);
            let items = value.map(|value| match &value.value {
                Value::List(items) => items.iter().collect(),
                _ => vec![value],
            });
            for item in items.into_iter().flatten() {
                // A path by itself, or in the field of an inline patch.
                named.extend(item.text().or_else(|| item.text_of("path")).map(str::to_owned));
            }
        }
    }
    named.retain(|text| !text.contains("://") && !text.contains('\n') && !text.is_empty());
    named
}

/// What a chart says about images without being rendered: annotations, and the files of `crds/`. `path` is where it
/// lies in the context.
pub fn chart(chart: &Chart, path: &str, rules: &Rules, findings: &mut Findings) {
    let file = format!("{path}/Chart.yaml");
    for key in ANNOTATIONS {
        let Some(text) = chart.annotations().get(key) else { continue };
        let origin = |image: &str| Origin {
            file: file.clone(),
            line: None,
            what: if image.is_empty() { format!("annotation {key}") } else { format!("annotation {key}, {image}") },
            rule: "chart annotation".to_owned(),
        };
        match yaml::documents(text) {
            Ok(documents) => {
                let items = documents.iter().flat_map(|document| match &document.value {
                    Value::List(items) => items.iter().collect(),
                    _ => vec![document],
                });
                for item in items {
                    let name = item.text_of("name").unwrap_or_default();
                    if let Some(image) = item.text().or_else(|| item.text_of("image")) {
                        findings.take_text(image, origin(name));
                    }
                }
            }
            Err(error) => findings.mistake(origin(""), error.to_string(), None),
        }
    }
    for crd in chart.crds() {
        let file = in_context(&crd.path, path);
        match std::str::from_utf8(&crd.bytes) {
            Ok(text) => manifests(text, &file, rules, findings),
            Err(_not_text) => {
                let origin = Origin { file, line: None, what: String::new(), rule: "manifest".to_owned() };
                findings.mistake(origin, "it is not UTF-8 text", None);
            }
        }
    }
}

/// A chart that was rendered.
pub struct ChartOutput<'a> {
    /// The chart.
    pub chart: &'a Chart,
    /// Where it lies in the context.
    pub path: &'a str,
    /// What its templates became.
    pub rendered: &'a [Rendered],
}

/// What a chart's templates ask for.
pub fn chart_output(output: &ChartOutput<'_>, rules: &Rules, findings: &mut Findings) {
    for template in output.rendered {
        let file = in_context(&template.template, output.path);
        match output.chart.template_source(&template.template) {
            Some(source) => rendered(source, &template.text, &file, rules, findings),
            None => generated(&template.text, &file, rules, findings),
        }
    }
}

/// A path as Helm prints it (`app/templates/x.yaml`), below where the chart lies.
fn in_context(helm_path: &str, path: &str) -> String {
    match helm_path.split_once('/') {
        Some((_, rest)) => format!("{path}/{rest}"),
        None => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discover::Ignore;

    #[test]
    fn kustomizations_name_their_files() {
        let text = "resources: [a.yaml, ../base, https://x/y]\npatches:\n- path: p.yaml\n- patch: |\n    a: b\npatchesStrategicMerge:\n- |\n  kind: X\n  a: 1\nopenapi: {path: o.json}\n";
        let mut findings = Findings::new(Ignore::default());
        assert_eq!(kustomization(text, "k", &mut findings), ["a.yaml", "../base", "p.yaml", "o.json"]);
    }

    #[test]
    fn texts_in_scripts_are_manifests_or_nothing() {
        let mut findings = Findings::new(Ignore::default());
        let rules = Rules::builtin().unwrap();
        embedded(
            "apiVersion: v1\nkind: Pod\nspec: {containers: [{image: a:1}]}\n",
            "x.sh",
            10,
            "",
            &rules,
            &mut findings,
        );
        embedded("just: [text\n", "x.sh", 20, "", &rules, &mut findings);
        let found: Vec<_> = findings.images().map(|f| (f.reference.familiar(), f.origins[0].line)).collect();
        assert_eq!(found, [("a:1".to_owned(), Some(12))]);
        assert_eq!(findings.mistakes().count(), 0);
    }
}
