//! `helm install`, `upgrade` and `template`, as they stand in commands.

use content::Origin;

use super::shell::{Certainty, Word};

/// A chart that a command installs, and what it is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HelmCall {
    /// The chart: a path, `oci://…`, a URL, or `REPOSITORY/CHART`.
    pub chart: String,
    /// The release's name; empty when the command makes one up.
    pub release: String,
    /// The namespace, if one is given.
    pub namespace: Option<String>,
    /// The Kubernetes version, if one is given.
    pub kube_version: Option<String>,
    /// Further API versions.
    pub api_versions: Vec<String>,
    /// Files of values, in order.
    pub values: Vec<String>,
    /// `--set`, in order.
    pub set: Vec<String>,
    /// `--set-string`, in order.
    pub set_string: Vec<String>,
    /// `--set-json`, in order.
    pub set_json: Vec<String>,
    /// `--set-file`, in order.
    pub set_file: Vec<String>,
    /// `--set-literal`, in order.
    pub set_literal: Vec<String>,
    /// The address of a repository that the chart comes from.
    pub repository: Option<String>,
    /// Words whose values cannot be known before the command runs; they are left out of the above.
    pub unknown: Vec<String>,
    /// The command.
    pub origin: Origin,
}

/// Flags that are read.
const READ: [&str; 13] = [
    "-f",
    "--values",
    "--set",
    "--set-string",
    "--set-json",
    "--set-file",
    "--set-literal",
    "-n",
    "--namespace",
    "--kube-version",
    "-a",
    "--api-versions",
    "--repo",
];

/// Flags that take a value, besides those that are read.
const VALUED: [&str; 38] = [
    "--version",
    "--timeout",
    "--description",
    "--post-renderer",
    "--post-renderer-args",
    "--name-template",
    "--username",
    "--password",
    "--ca-file",
    "--cert-file",
    "--key-file",
    "--keyring",
    "--kube-context",
    "--kubeconfig",
    "--kube-apiserver",
    "--kube-as-group",
    "--kube-as-user",
    "--kube-ca-file",
    "--kube-tls-server-name",
    "--kube-token",
    "--history-max",
    "--labels",
    "-l",
    "--output",
    "-o",
    "--output-dir",
    "--show-only",
    "-s",
    "--burst-limit",
    "--qps",
    "--registry-config",
    "--repository-cache",
    "--repository-config",
    "--content-cache",
    "--server-side",
    "--destination",
    "-d",
    "--cascade",
];

impl HelmCall {
    /// Reads the words behind `helm`; none when they install no chart.
    pub(crate) fn parse(words: &[Word], origin: Origin) -> Option<Self> {
        let mut call = Self::empty(origin);
        let mut plain: Vec<&Word> = Vec::new();
        let mut generates_name = false;
        let mut rest = words.iter();
        while let Some(word) = rest.next() {
            let text = word.text.as_str();
            if !text.starts_with('-') || text == "-" {
                plain.push(word);
                continue;
            }
            let (flag, value) = split_flag(text);
            let value = match value {
                Some(value) => Some(Word { text: value.to_owned(), certainty: word.certainty }),
                None if READ.contains(&flag) || VALUED.contains(&flag) => rest.next().cloned(),
                None => None,
            };
            generates_name |= matches!(flag, "-g" | "--generate-name");
            if let Some(value) = value.filter(|_| READ.contains(&flag)) {
                call.put(flag, value);
            }
        }
        let (verb, plain) = plain.split_first()?;
        if !matches!(verb.text.as_str(), "install" | "upgrade" | "template") {
            return None;
        }
        let (release, chart) = match plain {
            [chart] if generates_name || verb.text == "template" => (None, chart),
            [release, chart, ..] => (Some(release), chart),
            _ => return None,
        };
        if chart.certainty == Certainty::Unknown {
            call.unknown.push(chart.text.clone());
        }
        call.chart.clone_from(&chart.text);
        call.release = release.map(|word| word.text.clone()).unwrap_or_default();
        Some(call)
    }

    fn empty(origin: Origin) -> Self {
        Self {
            chart: String::new(),
            release: String::new(),
            namespace: None,
            kube_version: None,
            api_versions: Vec::new(),
            values: Vec::new(),
            set: Vec::new(),
            set_string: Vec::new(),
            set_json: Vec::new(),
            set_file: Vec::new(),
            set_literal: Vec::new(),
            repository: None,
            unknown: Vec::new(),
            origin,
        }
    }

    fn put(&mut self, flag: &str, value: Word) {
        if value.certainty == Certainty::Unknown {
            self.unknown.push(format!("{flag} {}", value.text));
            return;
        }
        let text = value.text;
        match flag {
            "-f" | "--values" => self.values.extend(text.split(',').map(str::to_owned)),
            "--set" => self.set.push(text),
            "--set-string" => self.set_string.push(text),
            "--set-json" => self.set_json.push(text),
            "--set-file" => self.set_file.push(text),
            "--set-literal" => self.set_literal.push(text),
            "-n" | "--namespace" => self.namespace = Some(text),
            "--kube-version" => self.kube_version = Some(text),
            "-a" | "--api-versions" => self.api_versions.extend(text.split(',').map(str::to_owned)),
            "--repo" => self.repository = Some(text),
            _ => {}
        }
    }

    /// Whether the chart comes over the network when the command runs.
    pub fn is_remote(&self) -> bool {
        let schemes = ["oci://", "http://", "https://"];
        self.repository.is_some() || schemes.iter().any(|scheme| self.chart.starts_with(scheme))
    }
}

/// `--flag=value`, `-fvalue`, or a flag alone.
fn split_flag(text: &str) -> (&str, Option<&str>) {
    if text.starts_with("--") {
        return match text.split_once('=') {
            Some((flag, value)) => (flag, Some(value)),
            None => (text, None),
        };
    }
    let has_value = ["-f", "-n", "-a", "-l", "-o", "-s"].iter().any(|flag| text.starts_with(flag));
    match has_value && text.len() > 2 {
        true => (&text[..2], Some(text[2..].trim_start_matches('='))),
        false => (text, None),
    }
}

#[cfg(test)]
mod tests {
    use super::super::shell::{Dialect, Variables, parse};
    use super::*;

    fn read(text: &str) -> Option<HelmCall> {
        let found = parse(text, Dialect::Script, &mut Variables::new());
        let origin = Origin { file: "f".into(), line: None, what: String::new(), rule: String::new() };
        HelmCall::parse(&found.commands[0].words[1..], origin)
    }

    #[test]
    fn calls_are_read_however_they_are_written() {
        let call = read(
            "helm -n=ns upgrade --install --wait app --timeout 5m ./c -fa.yaml -f b.yaml,c.yaml --values=d.yaml \
             --set a=b --set-string c=1,d=2 --set-json 'e={\"f\":1}' --set-file g=h --set-literal i=j --kube-version 1.30 \
             -a x/v1 --api-versions y/v1,z/v1 --create-namespace --set k=$K --version 1.2",
        )
        .unwrap();
        assert_eq!((call.release.as_str(), call.chart.as_str(), call.namespace.as_deref()), ("app", "./c", Some("ns")));
        assert_eq!(call.values, ["a.yaml", "b.yaml", "c.yaml", "d.yaml"]);
        assert_eq!((&call.set[..], &call.set_string[..]), (&["a=b".to_owned()][..], &["c=1,d=2".to_owned()][..]));
        assert_eq!(
            (&call.set_json[0][..], &call.set_file[0][..], &call.set_literal[0][..]),
            ("e={\"f\":1}", "g=h", "i=j")
        );
        assert_eq!((call.kube_version.as_deref(), call.api_versions.len()), (Some("1.30"), 3));
        assert_eq!(call.unknown, ["--set k=${K}"]);
        assert!(!call.is_remote());
    }

    #[test]
    fn what_is_installed_is_told_from_what_is_not() {
        for (text, want) in [
            ("helm install -g ./c", Some("./c")),
            ("helm template ./c", Some("./c")),
            ("helm template x ./c", Some("./c")),
            ("helm install x oci://r/c", Some("oci://r/c")),
            ("helm uninstall x", None),
            ("helm repo add a https://b", None),
            ("helm version", None),
            ("helm", None),
            ("helm upgrade x", None),
        ] {
            assert_eq!(read(text).map(|call| call.chart).as_deref(), want, "{text}");
        }
        assert!(read("helm install x oci://r/c").unwrap().is_remote());
        assert!(read("helm install x c --repo https://r").unwrap().is_remote());
    }
}
