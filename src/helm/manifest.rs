//! Rendered texts cut into documents, sorted as `helm template` prints them: ordinary objects by kind, then hooks.

use regex::Regex;
use serde_json::Value as Json;

use super::{ChartError, Rendered};
use crate::yaml::{self, Numbers, YamlError};

/// One document of a rendered template.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    /// The template it comes from.
    pub template: String,
    /// Its text, without separators.
    pub text: String,
    /// What it says; whole numbers are whole.
    pub value: Json,
    /// The hooks that Helm runs it for, such as `pre-install` or `test`; empty for an ordinary object.
    pub hooks: Vec<String>,
}

impl Manifest {
    /// The object's kind; empty when it names none.
    pub fn kind(&self) -> &str {
        self.value.get("kind").and_then(Json::as_str).unwrap_or_default()
    }

    /// Whether it is a test of the release.
    pub fn is_test(&self) -> bool {
        self.hooks.iter().any(|hook| hook == "test")
    }
}

/// The order in which Helm installs kinds; others follow by name.
const ORDER: [&str; 36] = [
    "PriorityClass",
    "Namespace",
    "NetworkPolicy",
    "ResourceQuota",
    "LimitRange",
    "PodSecurityPolicy",
    "PodDisruptionBudget",
    "ServiceAccount",
    "Secret",
    "SecretList",
    "ConfigMap",
    "StorageClass",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "CustomResourceDefinition",
    "ClusterRole",
    "ClusterRoleList",
    "ClusterRoleBinding",
    "ClusterRoleBindingList",
    "Role",
    "RoleList",
    "RoleBinding",
    "RoleBindingList",
    "Service",
    "DaemonSet",
    "Pod",
    "ReplicationController",
    "ReplicaSet",
    "Deployment",
    "HorizontalPodAutoscaler",
    "StatefulSet",
    "Job",
    "CronJob",
    "IngressClass",
    "Ingress",
    "APIService",
];

const HOOKS: [&str; 9] = [
    "pre-install",
    "post-install",
    "pre-delete",
    "post-delete",
    "pre-upgrade",
    "post-upgrade",
    "pre-rollback",
    "post-rollback",
    "test",
];

/// Cuts rendered templates into their documents, in the order `helm template` prints them: by kind, hooks last. A hook
/// that Helm does not know is left out, as Helm leaves it out.
///
/// # Errors
/// A document that is not YAML.
pub fn manifests(rendered: &[Rendered]) -> Result<Vec<Manifest>, ChartError> {
    let Ok(separator) = Regex::new(r"(?:^|\s*\n)---\s*") else { return Ok(Vec::new()) };
    let mut in_order: Vec<&Rendered> = rendered.iter().collect();
    in_order.sort_by(|a, b| a.template.cmp(&b.template));
    let (mut objects, mut hooks) = (Vec::new(), Vec::new());
    for one in in_order {
        let text = one.text.trim();
        for document in separator.split(text).map(str::trim).filter(|document| !document.is_empty()) {
            let line = 1 + one.text[..offset(&one.text, document)].matches('\n').count();
            match read(one, document, line)? {
                Some(manifest) if manifest.hooks.is_empty() => objects.push(manifest),
                Some(manifest) => hooks.push(manifest),
                None => {}
            }
        }
    }
    objects.sort_by(|a, b| rank(a.kind()).cmp(&rank(b.kind())));
    hooks.sort_by(|a, b| rank(a.kind()).cmp(&rank(b.kind())));
    objects.append(&mut hooks);
    Ok(objects)
}

/// Where a part of a text begins in it.
fn offset(text: &str, part: &str) -> usize {
    (part.as_ptr() as usize).saturating_sub(text.as_ptr() as usize).min(text.len())
}

fn rank(kind: &str) -> (usize, &str) {
    match ORDER.iter().position(|known| *known == kind) {
        Some(position) => (position, ""),
        None => (ORDER.len(), kind),
    }
}

fn read(from: &Rendered, text: &str, line: usize) -> Result<Option<Manifest>, ChartError> {
    let wrong = |mut source: YamlError| {
        source.line += line - 1;
        let chart = super::chart_of(&from.template).to_owned();
        ChartError::Manifest { chart, template: from.template.clone(), source }
    };
    let value = yaml::first(text, Numbers::Exact).map_err(wrong)?;
    if !(value.is_object() || value.is_null()) {
        let reason = "an object of Kubernetes is a map, and this is none".to_owned();
        return Err(wrong(YamlError { line: 1, column: 1, reason }));
    }
    let annotation = value.pointer("/metadata/annotations/helm.sh~1hook").and_then(yaml::text_of);
    let mut hooks = Vec::new();
    if let Some(annotation) = annotation {
        for hook in annotation.split(',') {
            let hook = match hook.trim().to_lowercase().as_str() {
                "test-success" => "test".to_owned(),
                hook => hook.to_owned(),
            };
            if !HOOKS.contains(&hook.as_str()) {
                return Ok(None);
            }
            hooks.push(hook);
        }
    }
    Ok(Some(Manifest { template: from.template.clone(), text: text.to_owned(), value, hooks }))
}
