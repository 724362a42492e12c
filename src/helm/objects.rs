//! What templates see beside values: `.Chart`, `.Files`, `.Capabilities`, with their fields and methods.

use std::any::Any;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value as Json;

use super::ChartFile;
use super::capabilities::{API_VERSIONS, HELM_VERSION, KubeVersion};
use super::glob::Glob;
use super::metadata::{Dependency, Metadata};
use super::tree::Node;
use crate::template::{Bytes, CallError, Element, List, Map, Numbers, Object, Value, yaml_of};

type Answer = Option<Result<Value, CallError>>;

/// One field of a Go struct.
struct Field {
    name: &'static str,
    /// What the encoders call it; such a field is left out when it is empty.
    json: Option<&'static str>,
    value: Value,
}

/// Fields of Go that the encoders write even when they are empty.
const ALWAYS: [&str; 1] = ["Repository"];

/// A Go struct: fields by name, encoded under the names of its JSON tags.
pub(crate) struct Struct {
    type_name: &'static str,
    fields: Vec<Field>,
    /// Its `String` method and what it answers, for structs that have one.
    text: Option<String>,
}

impl Struct {
    fn value(type_name: &'static str, fields: Vec<Field>) -> Value {
        Value::Object(Rc::new(Self { type_name, fields, text: None }))
    }
}

impl Object for Struct {
    fn type_name(&self) -> &str {
        self.type_name
    }

    fn field(&self, name: &str) -> Option<Value> {
        self.fields.iter().find(|field| field.name == name).map(|field| field.value.clone())
    }

    fn call(&self, name: &str, args: &[Value]) -> Answer {
        match (name, args, &self.text) {
            ("String" | "GitVersion", [], Some(text)) => Some(Ok(Value::string(text.as_str()))),
            _ => None,
        }
    }

    fn display(&self) -> String {
        if let Some(text) = &self.text {
            return text.clone();
        }
        let shown: Vec<String> = self.fields.iter().map(|field| crate::template::display(&field.value)).collect();
        format!("{{{}}}", shown.join(" "))
    }

    fn data(&self) -> Option<Value> {
        let kept = self
            .fields
            .iter()
            .filter(|field| field.json.is_none() || field.value.truth() || ALWAYS.contains(&field.name));
        Some(Value::Map(kept.map(|field| (field.json.unwrap_or(field.name).into(), field.value.clone())).collect()))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

fn text(name: &'static str, json: &'static str, value: &str) -> Field {
    Field { name, json: Some(json), value: Value::string(value) }
}

fn texts(name: &'static str, json: &'static str, values: &[String]) -> Field {
    Field { name, json: Some(json), value: Value::strings(values.iter().map(String::as_str)) }
}

/// `.Chart`.
pub(crate) fn chart(node: &Node<'_>, is_root: bool) -> Value {
    let mut fields = metadata(&node.chart.metadata, &node.name, node.dependencies.as_deref().unwrap_or_default());
    let embedded = metadata(&node.chart.metadata, &node.name, node.dependencies.as_deref().unwrap_or_default());
    fields.push(Field { name: "IsRoot", json: None, value: Value::Bool(is_root) });
    Value::Object(Rc::new(ChartObject {
        all: Struct { type_name: "struct { chart.Metadata; IsRoot bool }", fields, text: None },
        metadata: Struct::value("chart.Metadata", embedded),
    }))
}

/// A struct that embeds another: its fields are also its own.
struct ChartObject {
    all: Struct,
    metadata: Value,
}

impl Object for ChartObject {
    fn type_name(&self) -> &str {
        self.all.type_name()
    }

    fn field(&self, name: &str) -> Option<Value> {
        if name == "Metadata" { Some(self.metadata.clone()) } else { self.all.field(name) }
    }

    fn call(&self, name: &str, args: &[Value]) -> Answer {
        match (name, args) {
            ("Validate", []) => Some(Ok(Value::Null)),
            _ => None,
        }
    }

    fn display(&self) -> String {
        let is_root = self.all.field("IsRoot").unwrap_or(Value::Bool(false));
        format!("{{{} {}}}", crate::template::display(&self.metadata), crate::template::display(&is_root))
    }

    fn data(&self) -> Option<Value> {
        self.all.data()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

fn metadata(metadata: &Metadata, name: &str, dependencies: &[Dependency]) -> Vec<Field> {
    let maintainers = metadata.maintainers.iter().map(|m| {
        let fields = vec![text("Name", "name", &m.name), text("Email", "email", &m.email), text("URL", "url", &m.url)];
        Struct::value("*chart.Maintainer", fields)
    });
    let annotations: BTreeMap<Rc<str>, Value> =
        metadata.annotations.iter().map(|(k, v)| (k.as_str().into(), Value::string(v.as_str()))).collect();
    vec![
        text("Name", "name", name),
        text("Home", "home", &metadata.home),
        texts("Sources", "sources", &metadata.sources),
        text("Version", "version", &metadata.version),
        text("Description", "description", &metadata.description),
        texts("Keywords", "keywords", &metadata.keywords),
        Field { name: "Maintainers", json: Some("maintainers"), value: Value::list(maintainers.collect()) },
        text("Icon", "icon", &metadata.icon),
        text("APIVersion", "apiVersion", &metadata.api_version),
        text("Condition", "condition", &metadata.condition),
        text("Tags", "tags", &metadata.tags),
        text("AppVersion", "appVersion", &metadata.app_version),
        Field { name: "Deprecated", json: Some("deprecated"), value: Value::Bool(metadata.deprecated) },
        Field {
            name: "Annotations",
            json: Some("annotations"),
            value: Value::Map(Map::of(Element::String, annotations)),
        },
        text("KubeVersion", "kubeVersion", &metadata.kube_version),
        Field {
            name: "Dependencies",
            json: Some("dependencies"),
            value: Value::list(dependencies.iter().map(dependency).collect()),
        },
        text("Type", "type", &metadata.kind),
    ]
}

fn dependency(dependency: &Dependency) -> Value {
    let imports = dependency.import_values.iter().map(|import| match import {
        // Helm rewrites both forms to this one.
        Json::String(name) => pair(&format!("exports.{name}"), "."),
        import => Value::from_json(import, Numbers::Float),
    });
    Struct::value(
        "*chart.Dependency",
        vec![
            text("Name", "name", &dependency.name),
            text("Version", "version", &dependency.version),
            text("Repository", "repository", &dependency.repository),
            text("Condition", "condition", &dependency.condition),
            texts("Tags", "tags", &dependency.tags),
            Field { name: "Enabled", json: Some("enabled"), value: Value::Bool(true) },
            Field { name: "ImportValues", json: Some("import-values"), value: Value::list(imports.collect()) },
            text("Alias", "alias", &dependency.alias),
        ],
    )
}

fn pair(child: &str, parent: &str) -> Value {
    let pair = [("child", child), ("parent", parent)].map(|(k, v)| (Rc::from(k), Value::string(v)));
    Value::Map(Map::of(Element::String, pair.into_iter().collect()))
}

/// `.Capabilities`.
pub(crate) fn capabilities(kube: &KubeVersion, extra: &[String]) -> Value {
    let plain = |name: &'static str, value: Value| Field { name, json: None, value };
    let version = Struct {
        type_name: "chartutil.KubeVersion",
        fields: vec![
            plain("Version", Value::string(kube.version.as_str())),
            plain("Major", Value::string(kube.major.as_str())),
            plain("Minor", Value::string(kube.minor.as_str())),
        ],
        text: Some(kube.version.clone()),
    };
    let apis = API_VERSIONS.iter().copied().chain(extra.iter().map(String::as_str));
    let helm = vec![
        text("Version", "version", HELM_VERSION),
        text("GitCommit", "git_commit", ""),
        text("GitTreeState", "git_tree_state", ""),
        text("GoVersion", "go_version", ""),
    ];
    Struct::value(
        "*chartutil.Capabilities",
        vec![
            plain("KubeVersion", Value::Object(Rc::new(version))),
            plain("APIVersions", Value::Object(Rc::new(ApiVersions(Value::strings(apis))))),
            plain("HelmVersion", Struct::value("version.BuildInfo", helm)),
        ],
    )
}

/// `.Capabilities.APIVersions`: a list with `Has`.
struct ApiVersions(Value);

impl Object for ApiVersions {
    fn type_name(&self) -> &str {
        "chartutil.VersionSet"
    }

    fn kind(&self) -> &'static str {
        "slice"
    }

    fn field(&self, _name: &str) -> Option<Value> {
        None
    }

    fn call(&self, name: &str, args: &[Value]) -> Answer {
        match (name, args, &self.0) {
            ("Has", [Value::String(wanted)], Value::List(list)) => {
                let found = list.items().iter().any(|version| version.as_str() == Some(wanted));
                Some(Ok(Value::Bool(found)))
            }
            ("Has", [other], _) => Some(Err(CallError::WrongType { expected: "string", got: other.type_name() })),
            ("Has", args, _) => Some(Err(CallError::ArgumentCount { want: "1".to_owned(), got: args.len() })),
            _ => None,
        }
    }

    fn display(&self) -> String {
        crate::template::display(&self.0)
    }

    fn data(&self) -> Option<Value> {
        Some(self.0.clone())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// `.Files`: the chart's files that are nothing else, or those of them that a pattern chose.
pub(crate) struct Files(Vec<Arc<ChartFile>>);

impl Files {
    pub(crate) fn value(files: &[Arc<ChartFile>]) -> Value {
        Value::Object(Rc::new(Self(files.to_vec())))
    }

    fn bytes(&self, path: &str) -> Option<&[u8]> {
        self.0.iter().find(|file| file.path == path).map(|file| file.bytes.as_slice())
    }

    /// A YAML map from the last part of each path to what `show` makes of the file.
    fn mapped(&self, show: impl Fn(&[u8]) -> Value) -> Value {
        let name = |path: &str| Rc::from(path.rsplit('/').next().unwrap_or(path));
        let map: Map = self.0.iter().map(|file| (name(&file.path), show(&file.bytes))).collect();
        Value::from(yaml_of(&Value::Map(map)))
    }
}

impl Object for Files {
    fn type_name(&self) -> &str {
        "engine.files"
    }

    fn kind(&self) -> &'static str {
        "map"
    }

    fn field(&self, name: &str) -> Option<Value> {
        self.bytes(name).map(|bytes| Value::Object(Rc::new(Bytes(bytes.into()))))
    }

    fn call(&self, name: &str, args: &[Value]) -> Answer {
        let wanted = match (name, args) {
            ("AsConfig", []) => return Some(Ok(self.mapped(|bytes| Bytes(bytes.into()).as_text()))),
            ("AsSecrets", []) => return Some(Ok(self.mapped(|bytes| Value::from(STANDARD.encode(bytes))))),
            ("Get" | "GetBytes" | "Glob" | "Lines", [Value::String(path)]) => path,
            ("Get" | "GetBytes" | "Glob" | "Lines", [other]) => {
                return Some(Err(CallError::WrongType { expected: "string", got: other.type_name() }));
            }
            ("Get" | "GetBytes" | "Glob" | "Lines", args) => {
                return Some(Err(CallError::ArgumentCount { want: "1".to_owned(), got: args.len() }));
            }
            _ => return None,
        };
        let bytes = Bytes(self.bytes(wanted).unwrap_or_default().into());
        Some(Ok(match name {
            "Get" => bytes.as_text(),
            "GetBytes" => Value::Object(Rc::new(bytes)),
            "Glob" => {
                let glob = Glob::new(wanted);
                Value::Object(Rc::new(Self(self.0.iter().filter(|f| glob.matches(&f.path)).cloned().collect())))
            }
            _ => lines(&bytes),
        }))
    }

    fn display(&self) -> String {
        self.data().map_or_else(String::new, |data| crate::template::display(&data))
    }

    fn data(&self) -> Option<Value> {
        let entry = |file: &Arc<ChartFile>| {
            (Rc::from(file.path.as_str()), Value::Object(Rc::new(Bytes(file.bytes.as_slice().into()))))
        };
        Some(Value::Map(self.0.iter().map(entry).collect()))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// A file's lines; a line break at its end begins no further one.
fn lines(bytes: &Bytes) -> Value {
    let text = bytes.as_text();
    let text = text.as_str().unwrap_or_default();
    if text.is_empty() {
        return Value::List(List::of(Element::String, Vec::new()));
    }
    Value::strings(text.strip_suffix('\n').unwrap_or(text).split('\n'))
}
