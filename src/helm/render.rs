//! One rendering: values are laid over each other, scopes made, templates run in Helm's order.
//!
//! It happens on a thread with a stack of its own, so that templates may include each other as deep as Helm allows;
//! nothing of it outlives the call.

use std::rc::Rc;
use std::sync::Arc;

use serde_json::Value as Json;

use super::capabilities::KubeVersion;
use super::coalesce::{Mode, coalesced, values};
use super::objects::{self, Files};
use super::options::{RenderOptions, Stage};
use super::stand_ins::StandIns;
use super::tree::Node;
use super::{Chart, ChartError, ChartFile, Rendered, schema};
use crate::template::{self, Engine, Limits, Map, Set, Template, TemplateError, Value, version_satisfies};

/// Address space for the rendering thread; only what is used of it takes memory.
const STACK: usize = 256 << 20;
/// How deep templates, pipelines and actions may nest together: as many includes as Helm allows, in bodies of the usual
/// depth.
const DEPTH: usize = 5000;

/// How many steps a chart may take: a hundred times what the largest public charts take.
const STEPS: u64 = 30_000_000;
/// How many bytes a chart's templates may write together; the largest public charts write two million.
const OUTPUT: u64 = 64 << 20;

/// Renders every template of a chart and of its enabled subcharts, without notes.
///
/// # Errors
/// See [`ChartError`]; one of a template names chart, template and line.
pub fn render(chart: &Chart, options: &RenderOptions) -> Result<Vec<Rendered>, ChartError> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("helm".to_owned()).stack_size(STACK);
        let running = thread.spawn_scoped(scope, || rendered(chart, options)).map_err(|_refused| ChartError::Thread)?;
        match running.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

fn rendered(chart: &Chart, options: &RenderOptions) -> Result<Vec<Rendered>, ChartError> {
    if chart.metadata.is_library() {
        return Err(ChartError::Library { chart: chart.name().to_owned() });
    }
    let kube = KubeVersion::parse(&options.kube_version)?;
    let given = values(&options.values.merged()?);
    let root = Node::resolved(chart, &given)?;
    let all = coalesced(&root, &given, Mode::Coalesce)?;
    check_schemas(&root, &all)?;
    let constraint = &chart.metadata.kube_version;
    if !constraint.is_empty() && !version_satisfies(&kube.version, constraint).unwrap_or(false) {
        return Err(ChartError::Kubernetes {
            chart: chart.name().to_owned(),
            constraint: constraint.clone(),
            version: kube.version,
        });
    }
    let shared =
        Shared { release: release(options), capabilities: objects::capabilities(&kube, &options.api_versions) };
    let mut sources = Vec::new();
    shared.scope(&root, &Paths::root(&root), &all, &mut sources);
    run(sources)
}

fn release(options: &RenderOptions) -> Value {
    let install = options.stage == Stage::Install;
    let fields = [
        ("Name", Value::string(options.release_name.as_str())),
        ("Namespace", Value::string(options.namespace.as_str())),
        ("IsInstall", Value::Bool(install)),
        ("IsUpgrade", Value::Bool(!install)),
        ("Revision", Value::Int(1)),
        ("Service", Value::string("Helm")),
    ];
    Value::Map(fields.into_iter().map(|(name, value)| (Rc::from(name), value)).collect())
}

/// Holds the values of each chart against its schema.
fn check_schemas(root: &Node<'_>, values: &Map) -> Result<(), ChartError> {
    let mut failures = Vec::new();
    let mut pending = vec![(root, values.clone())];
    while let Some((node, values)) = pending.pop() {
        if let Some(text) = &node.chart.schema {
            let values = Value::Map(values.clone()).to_json().unwrap_or(Json::Null);
            let found = schema::check(&node.name, text, &values)?;
            failures.extend(found.into_iter().map(|failure| format!("`{}` {failure}", node.name)));
        }
        for child in &node.children {
            match values.get(&child.name) {
                Some(Value::Map(below)) => pending.push((child, below)),
                None | Some(Value::Null) => {}
                Some(_) => return Err(ChartError::SubchartValues { name: child.name.clone() }),
            }
        }
    }
    if failures.is_empty() { Ok(()) } else { Err(ChartError::Schema { failures }) }
}

/// What every template sees alike.
struct Shared {
    release: Value,
    capabilities: Value,
}

/// One template file and what it sees.
struct Source {
    path: String,
    file: Arc<ChartFile>,
    base: Rc<str>,
    scope: Map,
}

/// What a chart is called in the paths of its templates.
struct Paths {
    /// With aliases.
    own: String,
    /// By the names of the charts. Helm calls what lies in a chart that was taken under an alias by these, when the
    /// chart itself declares no dependencies.
    loaded: String,
    is_root: bool,
}

impl Paths {
    fn root(node: &Node<'_>) -> Self {
        Self { own: node.name.clone(), loaded: node.name.clone(), is_root: true }
    }

    /// The paths of a child of the chart that these are the paths of.
    fn child(&self, parent: &Node<'_>, child: &Node<'_>) -> Self {
        let declares = parent.chart.metadata.dependencies.is_some();
        let (own, loaded) = match (parent.taken, declares) {
            (true, false) => (&self.loaded, &self.loaded),
            (true, true) => (&self.own, &self.loaded),
            (false, _) => (&self.own, &self.own),
        };
        Self {
            own: format!("{own}/charts/{}", child.name),
            loaded: format!("{loaded}/charts/{}", child.chart.name()),
            is_root: false,
        }
    }
}

impl Shared {
    /// Makes the scope of a chart and of its subcharts, and collects their templates.
    fn scope(&self, node: &Node<'_>, paths: &Paths, values: &Map, sources: &mut Vec<Source>) -> Map {
        let path = &paths.own;
        let subcharts = Map::new();
        let fields = [
            ("Chart", objects::chart(node, paths.is_root)),
            ("Files", Files::value(&node.chart.files)),
            ("Release", self.release.clone()),
            ("Capabilities", self.capabilities.clone()),
            ("Values", Value::Map(values.clone())),
            ("Subcharts", Value::Map(subcharts.clone())),
        ];
        let scope: Map = fields.into_iter().map(|(name, value)| (Rc::from(name), value)).collect();
        for child in &node.children {
            let below = match values.get(&child.name) {
                Some(Value::Map(below)) => below,
                _ => Map::new(),
            };
            let scope = self.scope(child, &paths.child(node, child), &below, sources);
            subcharts.insert(child.name.as_str(), Value::Map(scope));
        }
        let base: Rc<str> = format!("{path}/templates").into();
        let library = node.chart.metadata.is_library();
        for file in node.chart.templates.iter().filter(|file| !library || is_partial(&file.path)) {
            sources.push(Source {
                path: format!("{path}/{}", file.path),
                file: Arc::clone(file),
                base: Rc::clone(&base),
                scope: scope.clone(),
            });
        }
        scope
    }
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

fn is_partial(path: &str) -> bool {
    file_name(path).starts_with('_')
}

/// Runs the templates: deeper ones first, and what is defined later replaces what was defined earlier.
fn run(mut sources: Vec<Source>) -> Result<Vec<Rendered>, ChartError> {
    let depth = |path: &str| path.matches('/').count();
    sources.sort_by(|a, b| (depth(&b.path), &b.path).cmp(&(depth(&a.path), &a.path)));
    // Of two templates of one name, Helm knows the later one.
    sources.reverse();
    let mut names = std::collections::BTreeSet::new();
    sources.retain(|source| names.insert(source.path.clone()));
    sources.reverse();
    let mut set = Set::default();
    for source in &sources {
        let text = String::from_utf8_lossy(&source.file.bytes);
        set.add(Template::parse(&source.path, &text).map_err(failed)?);
    }
    let mut engine = Engine::new(template::Mode::Helm);
    engine.limits = Limits { depth: DEPTH, steps: STEPS, output: OUTPUT };
    engine.provider(Arc::new(StandIns::default()));
    let mut session = engine.session(&set).map_err(failed)?;
    let mut rendered = Vec::new();
    for source in &sources {
        if is_partial(&source.path) || file_name(&source.path) == "NOTES.txt" {
            continue;
        }
        let own = [("Name", Value::string(source.path.as_str())), ("BasePath", Value::String(Rc::clone(&source.base)))];
        source.scope.insert("Template", Value::Map(own.into_iter().map(|(k, v)| (Rc::from(k), v)).collect()));
        let text = session.render(&source.path, &Value::Map(source.scope.clone())).map_err(failed)?;
        rendered.push(Rendered { template: source.path.clone(), text });
    }
    rendered.sort_by(|a, b| a.template.cmp(&b.template));
    Ok(rendered)
}

fn failed(source: TemplateError) -> ChartError {
    ChartError::Template { chart: super::chart_of(&source.location.file).to_owned(), source }
}
