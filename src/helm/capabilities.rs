//! What `.Capabilities` says: the Kubernetes version asked for, and the API versions that Helm knows by itself.

use super::ChartError;

/// The Helm whose behaviour is followed here.
pub(crate) const HELM_VERSION: &str = "v3.22.0";

/// The API versions of Kubernetes, those that are gone included: `helm template` answers for all it was built with.
pub(crate) const API_VERSIONS: &[&str] = &[
    "v1",
    "admissionregistration.k8s.io/v1",
    "admissionregistration.k8s.io/v1alpha1",
    "admissionregistration.k8s.io/v1beta1",
    "internal.apiserver.k8s.io/v1alpha1",
    "apps/v1",
    "apps/v1beta1",
    "apps/v1beta2",
    "authentication.k8s.io/v1",
    "authentication.k8s.io/v1alpha1",
    "authentication.k8s.io/v1beta1",
    "authorization.k8s.io/v1",
    "authorization.k8s.io/v1beta1",
    "autoscaling/v1",
    "autoscaling/v2",
    "batch/v1",
    "batch/v1beta1",
    "certificates.k8s.io/v1",
    "certificates.k8s.io/v1beta1",
    "certificates.k8s.io/v1alpha1",
    "coordination.k8s.io/v1alpha2",
    "coordination.k8s.io/v1beta1",
    "coordination.k8s.io/v1",
    "discovery.k8s.io/v1",
    "discovery.k8s.io/v1beta1",
    "events.k8s.io/v1",
    "events.k8s.io/v1beta1",
    "extensions/v1beta1",
    "flowcontrol.apiserver.k8s.io/v1",
    "flowcontrol.apiserver.k8s.io/v1beta1",
    "flowcontrol.apiserver.k8s.io/v1beta2",
    "flowcontrol.apiserver.k8s.io/v1beta3",
    "lifecycle.k8s.io/v1alpha1",
    "networking.k8s.io/v1",
    "networking.k8s.io/v1beta1",
    "node.k8s.io/v1",
    "node.k8s.io/v1alpha1",
    "node.k8s.io/v1beta1",
    "policy/v1",
    "policy/v1beta1",
    "rbac.authorization.k8s.io/v1",
    "rbac.authorization.k8s.io/v1beta1",
    "rbac.authorization.k8s.io/v1alpha1",
    "resource.k8s.io/v1",
    "resource.k8s.io/v1beta2",
    "resource.k8s.io/v1beta1",
    "resource.k8s.io/v1alpha3",
    "scheduling.k8s.io/v1alpha3",
    "scheduling.k8s.io/v1beta1",
    "scheduling.k8s.io/v1",
    "storage.k8s.io/v1beta1",
    "storage.k8s.io/v1",
    "storage.k8s.io/v1alpha1",
    "storagemigration.k8s.io/v1",
    "storagemigration.k8s.io/v1beta1",
    "apiextensions.k8s.io/v1beta1",
    "apiextensions.k8s.io/v1",
];

/// A Kubernetes version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KubeVersion {
    /// With `v`, such as `v1.34.0`.
    pub(crate) version: String,
    pub(crate) major: String,
    pub(crate) minor: String,
}

impl KubeVersion {
    /// Reads two or more numbers with dots between them; what comes after them is left out, as Helm does.
    pub(crate) fn parse(text: &str) -> Result<Self, ChartError> {
        let bad = || ChartError::KubeVersion { text: text.to_owned() };
        let body = text.trim_start();
        let body = body.strip_prefix('v').unwrap_or(body);
        let numbers = &body[..body.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(body.len())];
        // A dot that no number follows begins what is left out.
        let numbers = numbers.split("..").next().unwrap_or_default().trim_end_matches('.');
        let parts: Option<Vec<String>> =
            numbers.split('.').map(|part| part.parse::<u64>().ok().map(|number| number.to_string())).collect();
        match parts.as_deref() {
            Some([major, minor, ..]) if major.len() == numbers.find('.').unwrap_or(0) => {
                let (major, minor) = (major.clone(), minor.clone());
                Ok(Self { version: format!("v{}", parts.unwrap_or_default().join(".")), major, minor })
            }
            _ => Err(bad()),
        }
    }
}
