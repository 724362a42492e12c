//! Charts written for this test, in `testdata/helm/charts`: each uses a corner of Helm, and both must make the same of
//! it, byte for byte. Those below `wrong/` must be refused by both.
//!
//! A chart is one text: lines of options, then files, each after a line `-- PATH --`. `-- PACK.tgz!PATH --` is a file
//! inside a packed chart, `-- PATH base64 --` one given in base64.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use content::tar::{Entry, EntryKind, TarWriter};
use flate2::write::GzEncoder;
use sealos::helm::{self, Chart, ChartFile, Ignore, RenderOptions, Stage, Values, ValuesFile};
use serde_json::{Value as Json, json};

use crate::oracle::ask;

/// A chart and what it is rendered with.
#[derive(Clone, Debug, Default)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) files: BTreeMap<String, Vec<u8>>,
    pub(crate) options: RenderOptions,
    set: Vec<(String, String)>,
}

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/helm/charts")
}

/// All charts of a directory, by name.
pub(crate) fn cases(below: &str) -> Vec<Case> {
    let mut paths: Vec<PathBuf> =
        fs::read_dir(directory().join(below)).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    paths.sort();
    paths.iter().map(|path| parse(path)).collect()
}

fn parse(path: &Path) -> Case {
    let text = fs::read_to_string(path).unwrap();
    let mut case = Case { name: path.file_stem().unwrap().to_string_lossy().into_owned(), ..Case::default() };
    let mut packs: BTreeMap<String, Vec<(String, Vec<u8>)>> = BTreeMap::new();
    let mut parts = text.split("\n-- ");
    let mut head = parts.next().unwrap_or_default();
    let first = head.strip_prefix("-- ");
    if first.is_some() {
        head = "";
    }
    let mut values = Vec::new();
    for line in head.lines() {
        let (word, rest) = line.split_once(": ").unwrap_or((line, ""));
        let options = &mut case.options;
        match word {
            "kube" => options.kube_version = rest.to_owned(),
            "api" => options.api_versions.push(rest.to_owned()),
            "upgrade" => options.stage = Stage::Upgrade,
            "values" => values.push(rest.to_owned()),
            "set" | "set-string" | "set-json" | "set-file" | "set-literal" => {
                case.set.push((word.to_owned(), rest.to_owned()));
            }
            _ => {}
        }
    }
    for part in first.into_iter().chain(parts) {
        let (name, body) = part.split_once(" --\n").or_else(|| part.split_once(" --")).unwrap();
        let (name, bytes) = match name.strip_suffix(" base64") {
            Some(name) => (name, STANDARD.decode(body.trim()).unwrap()),
            // A backslash at the end takes back the line break.
            None => (name, body.strip_suffix('\\').map_or_else(|| format!("{body}\n"), str::to_owned).into_bytes()),
        };
        let bytes = if bytes == b"\n" { Vec::new() } else { bytes };
        match name.split_once('!') {
            Some((pack, inside)) => packs.entry(pack.to_owned()).or_default().push((inside.to_owned(), bytes)),
            None => drop(case.files.insert(name.to_owned(), bytes)),
        }
    }
    for (pack, files) in packs {
        case.files.insert(pack, packed(&files));
    }
    case.options.values = values_of(&mut case, &values);
    case
}

fn values_of(case: &mut Case, files: &[String]) -> Values {
    let mut values = Values::default();
    for name in files {
        let text = String::from_utf8(case.files.remove(name).unwrap()).unwrap();
        values.files.push(ValuesFile { name: name.clone(), text });
    }
    for (flag, text) in &case.set {
        let texts = match flag.as_str() {
            "set" => &mut values.set,
            "set-string" => &mut values.set_string,
            "set-json" => &mut values.set_json,
            "set-file" => &mut values.set_file,
            _ => &mut values.set_literal,
        };
        texts.push(text.clone());
    }
    for name in values.wanted_files().unwrap() {
        values.set_files.push(ValuesFile { text: format!("text of {name}"), name });
    }
    values
}

/// A `.tgz` of files.
pub(crate) fn packed(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut tar = TarWriter::new(GzEncoder::new(Vec::new(), flate2::Compression::fast()));
    for (path, bytes) in files {
        let entry = Entry {
            path: path.clone().into_bytes(),
            kind: EntryKind::File { size: bytes.len() as u64 },
            mode: 0o644,
            uid: 0,
            gid: 0,
            mtime: 0,
            xattrs: BTreeMap::new(),
        };
        tar.append(&entry, &mut bytes.as_slice()).unwrap();
    }
    tar.finish().unwrap().finish().unwrap()
}

fn question(case: &Case) -> Json {
    // Helm reads a directory with .helmignore; its library is given the files that are left.
    let ignore = case.files.get(".helmignore").map(|bytes| Ignore::parse(&String::from_utf8_lossy(bytes)).unwrap());
    let ignore = ignore.unwrap_or_default();
    let kept = case.files.iter().filter(|(path, _)| !ignore.leaves_out(path));
    let files: BTreeMap<&String, String> = kept.map(|(path, bytes)| (path, STANDARD.encode(bytes))).collect();
    let values = &case.options.values;
    let texts: Vec<&str> = values.files.iter().map(|file| file.text.as_str()).collect();
    let order = ["set-json", "set", "set-string", "set-file", "set-literal"];
    let set: Vec<_> = order.iter().flat_map(|flag| case.set.iter().filter(move |(own, _)| own == flag)).collect();
    json!({
        "ask": "render", "files": files, "values_files": texts, "set": set, "kube": case.options.kube_version,
        "apis": case.options.api_versions, "upgrade": case.options.stage == Stage::Upgrade,
    })
}

fn ours(case: &Case) -> Result<BTreeMap<String, String>, String> {
    let files = case.files.iter().map(|(path, bytes)| ChartFile { path: path.clone(), bytes: bytes.clone() });
    let chart = Chart::load(files).map_err(|error| error.to_string())?;
    let rendered = helm::render(&chart, &case.options).map_err(|error| error.to_string())?;
    Ok(rendered.into_iter().map(|one| (one.template, one.text)).collect())
}

#[test]
fn every_corner_of_helm_renders_as_helm_renders_it() {
    let cases = cases("");
    assert!(cases.len() >= 20, "{} charts", cases.len());
    let answers = ask(&cases.iter().map(question).collect::<Vec<_>>());
    let mut wrong = Vec::new();
    for (case, theirs) in cases.iter().zip(answers) {
        match (ours(case), theirs.error) {
            (Ok(ours), None) => {
                for (template, text) in &theirs.rendered {
                    let own = ours.get(template).map_or("(not rendered)", String::as_str);
                    if own != text {
                        wrong.push(format!("{} {template}\n--- helm\n{text}\n--- ours\n{own}\n", case.name));
                    }
                }
                let more: Vec<_> = ours.keys().filter(|name| !theirs.rendered.contains_key(*name)).collect();
                if !more.is_empty() {
                    wrong.push(format!("{}: {more:?} rendered only here", case.name));
                }
            }
            (Err(_), Some(_)) if matches!(case.name.as_str(), "wrong-kube" | "schema-refused") => {}
            (ours, theirs) => wrong.push(format!("{}:\n  helm: {theirs:?}\n  ours: {ours:?}", case.name)),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn charts_that_helm_refuses_are_refused_with_a_reason() {
    let cases = cases("wrong");
    assert!(cases.len() >= 25, "{} charts", cases.len());
    let answers = ask(&cases.iter().map(question).collect::<Vec<_>>());
    let mut shown = String::new();
    for (case, theirs) in cases.iter().zip(answers) {
        assert!(theirs.error.is_some(), "{}: Helm takes it", case.name);
        let reason = ours(case).expect_err(&case.name);
        shown.push_str(&format!("{}\n{}\n\n", case.name, reason));
    }
    let golden = directory().join("wrong/reasons.golden");
    if std::env::var_os("BLESS").is_some() {
        fs::write(&golden, &shown).unwrap();
    }
    assert_eq!(shown, fs::read_to_string(&golden).unwrap_or_default(), "BLESS=1 rewrites {}", golden.display());
}
