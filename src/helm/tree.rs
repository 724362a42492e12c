//! The charts that are rendered: which dependencies are enabled, under which names, with which imported values.
//!
//! Conditions, tags, aliases and `import-values` are followed as Helm follows them; what is disabled is not here.

use serde_json::Value as Json;

use super::ChartError;
use super::chart::Chart;
use super::coalesce::{Mode, coalesced, deep_copy, leaf, table, tables, values};
use super::metadata::Dependency;
use crate::template::{Map, Value, version_satisfies};

/// One chart of a rendering.
pub(crate) struct Node<'c> {
    pub(crate) chart: &'c Chart,
    /// The alias it was taken under, or the chart's own name.
    pub(crate) name: String,
    /// Whether a dependency of the parent asks for it.
    pub(crate) taken: bool,
    pub(crate) values: Map,
    pub(crate) children: Vec<Node<'c>>,
    /// The dependencies of the chart that are enabled; names are the aliases.
    pub(crate) dependencies: Option<Vec<Dependency>>,
}

/// A dependency and whether conditions and tags leave it in.
struct Wish {
    dependency: Dependency,
    enabled: bool,
}

impl<'c> Node<'c> {
    fn new(chart: &'c Chart, name: &str, taken: bool) -> Self {
        Self {
            chart,
            name: name.to_owned(),
            taken,
            values: values(&chart.values),
            children: chart.dependencies.iter().map(|sub| Self::new(sub, sub.name(), false)).collect(),
            dependencies: chart.metadata.dependencies.clone(),
        }
    }

    /// The tree of a chart, with what the given values enable.
    pub(crate) fn resolved(chart: &'c Chart, given: &Map) -> Result<Self, ChartError> {
        let missing: Vec<String> = chart
            .metadata
            .dependencies
            .iter()
            .flatten()
            .filter(|wanted| !chart.dependencies.iter().any(|sub| sub.name() == wanted.name))
            .map(|wanted| wanted.name.clone())
            .collect();
        if !missing.is_empty() {
            return Err(ChartError::MissingDependency { chart: chart.name().to_owned(), missing });
        }
        let mut root = Self::new(chart, chart.name(), false);
        root.enable(given, "")?;
        root.import_values()?;
        Ok(root)
    }

    fn enable(&mut self, given: &Map, path: &str) -> Result<(), ChartError> {
        let Some(wanted) = self.dependencies.take() else { return Ok(()) };
        self.rename(&wanted);
        let mut wishes: Vec<Wish> = wanted
            .into_iter()
            .map(|mut dependency| {
                if !dependency.alias.is_empty() {
                    dependency.name = dependency.alias.clone();
                }
                Wish { dependency, enabled: true }
            })
            .collect();
        let all = coalesced(self, given, Mode::Coalesce)?;
        by_tags(&mut wishes, &all);
        by_conditions(&mut wishes, &all, path);
        let removed = |name: &str| wishes.iter().any(|wish| !wish.enabled && wish.dependency.name == name);
        self.children.retain(|child| !removed(&child.name));
        for child in &mut self.children {
            let below = format!("{path}{}.", child.name);
            child.enable(&all, &below)?;
        }
        let disabled: Vec<String> = wishes.iter().filter(|w| !w.enabled).map(|w| w.dependency.name.clone()).collect();
        let left = wishes.into_iter().map(|wish| wish.dependency);
        let left: Vec<_> = left.filter(|dependency| !disabled.contains(&dependency.name)).collect();
        self.dependencies = Some(left).filter(|left| !left.is_empty());
        Ok(())
    }

    /// The children under the names that the dependencies give them; those that no dependency asks for stay.
    fn rename(&mut self, wanted: &[Dependency]) {
        let fits = |chart: &Chart, dependency: &Dependency| {
            chart.name() == dependency.name && compatible(&dependency.version, chart.version())
        };
        let charts: Vec<&'c Chart> = self.children.iter().map(|child| child.chart).collect();
        self.children.retain(|child| !wanted.iter().any(|dependency| fits(child.chart, dependency)));
        for dependency in wanted {
            if let Some(chart) = charts.iter().find(|chart| fits(chart, dependency)) {
                let name = if dependency.alias.is_empty() { &dependency.name } else { &dependency.alias };
                self.children.push(Self::new(chart, name, true));
            }
        }
    }

    /// Takes what dependencies export into the values of their parents, from the leaves up.
    fn import_values(&mut self) -> Result<(), ChartError> {
        for child in &mut self.children {
            child.import_values()?;
        }
        if self.dependencies.is_none() {
            return Ok(());
        }
        let all = coalesced(self, &Map::new(), Mode::Merge)?;
        let imported = Map::new();
        for dependency in self.dependencies.iter().flatten() {
            for import in &dependency.import_values {
                let (child, parent) = match import {
                    Json::String(name) => (format!("exports.{name}"), ".".to_owned()),
                    Json::Object(map) => (shown(map.get("child")), shown(map.get("parent"))),
                    _ => continue,
                };
                if let Some(found) = table(&all, &format!("{}.{child}", dependency.name)) {
                    tables(&imported, &placed(&parent, found), Mode::Merge);
                }
            }
        }
        let own = deep_copy(&all);
        tables(&own, &imported, Mode::Merge);
        self.values = own;
        Ok(())
    }
}

/// What Go's `%v` makes of a field of `import-values`.
fn shown(value: Option<&Json>) -> String {
    value.and_then(crate::yaml::text_of).unwrap_or_else(|| "<nil>".to_owned())
}

/// The table at the end of a path of new tables; `.` is the table itself.
fn placed(path: &str, table: Map) -> Map {
    if path == "." {
        return table;
    }
    path.split('.').rev().fold(table, |below, key| [(key.into(), Value::Map(below))].into_iter().collect())
}

fn compatible(constraint: &str, version: &str) -> bool {
    version_satisfies(version, constraint).unwrap_or(false)
}

fn by_tags(wishes: &mut [Wish], values: &Map) {
    let Some(tags) = table(values, "tags") else { return };
    for wish in wishes {
        let said = |wanted| {
            wish.dependency.tags.iter().any(|tag| matches!(tags.get(tag), Some(Value::Bool(b)) if b == wanted))
        };
        wish.enabled = said(true) || !said(false);
    }
}

/// The first condition that is true or false decides.
fn by_conditions(wishes: &mut [Wish], values: &Map, path: &str) {
    for wish in wishes {
        let conditions = wish.dependency.condition.trim().split(',').filter(|condition| !condition.is_empty());
        for condition in conditions {
            if let Some(Value::Bool(enabled)) = leaf(values, &format!("{path}{condition}")) {
                wish.enabled = enabled;
                break;
            }
        }
    }
}
