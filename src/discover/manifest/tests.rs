//! What manifests give: the traps of text searches, and the shapes of custom resources.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::*;
use crate::discover::Ignore;

fn find(text: &str) -> Findings {
    let mut findings = Findings::new(Ignore::default());
    manifests(text, &Place::file("m.yaml"), &Rules::builtin().unwrap(), &mut findings);
    findings
}

/// Names with the lines of their origins, and the rule of the first.
fn images(findings: &Findings) -> Vec<String> {
    let one = |found: &super::super::Found| {
        let lines: Vec<_> = found.origins.iter().map(|o| o.line.map_or("?".to_owned(), |l| l.to_string())).collect();
        format!("{} {} {}", found.reference.familiar(), lines.join(","), found.origins[0].rule)
    };
    findings.images().map(one).collect()
}

fn likely(findings: &Findings) -> Vec<String> {
    findings.likely().map(|found| found.reference.familiar()).collect()
}

const HEX: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

#[test]
fn pods_are_found_however_they_are_written() {
    for (text, want) in [
        (
            "kind: Pod\napiVersion: v1\nspec:\n  containers:\n  - name: a\n    image: nginx:1 # trailing\n",
            &["nginx:1 6 pod"][..],
        ),
        ("kind: Pod\napiVersion: v1\nspec: {containers: [{image: 'nginx'}]}\n", &["nginx:latest 3 pod"]),
        (
            "{\"kind\":\"Pod\",\"apiVersion\":\"v1\",\n\"spec\":{\"containers\":[{\"image\" : \"a/b:1\"}]}}",
            &["a/b:1 2 pod"],
        ),
        (
            "kind: Pod\napiVersion: v1\nspec:\n  initContainers:\n  - image : a:1\n  ephemeralContainers: [{image: b:2}]\n  containers: []\n",
            &["a:1 5 pod", "b:2 6 pod"],
        ),
        (
            "kind: Pod\napiVersion: v1\nspec:\n  containers: [{image: a:1}]\n  volumes:\n  - name: v\n    image:\n      reference: c/d:3\n",
            &["c/d:3 8 pod", "a:1 4 pod"],
        ),
        (
            "kind: CronJob\napiVersion: batch/v1\nspec:\n  jobTemplate:\n    spec:\n      template:\n        spec:\n          containers:\n          - image: >-\n              long/name:1\n",
            &["long/name:1 10 pod"],
        ),
        (
            "kind: List\napiVersion: v1\nitems:\n- kind: PodTemplate\n  apiVersion: v1\n  template: {spec: {containers: [{image: a:1}]}}\n- kind: Job\n  apiVersion: batch/v1\n  spec: {template: {spec: {containers: [{image: a:1}]}}}\n",
            &["a:1 6,9 pod"],
        ),
        ("kind: PodList\napiVersion: v1\nitems:\n- spec: {containers: [{image: a:1}]}\n", &["a:1 4 pod"]),
        (
            "kind: Deployment\napiVersion: apps/v1\nmetadata: {name: x}\nspec: {template: {spec: {containers: [{name: c, image: ''}]}}}\n",
            &[],
        ),
        (
            "apiVersion: v1\nkind: Pod\nx: &c {image: a:1}\nspec: {containers: [*c, {<<: *c, name: z}]}\n",
            &["a:1 3,3 pod"],
        ),
        ("kind: Gateway\napiVersion: x.example/v1\nspec: {template: {spec: {containers: [{image: auto}]}}}\n", &[]),
    ] {
        assert_eq!(images(&find(text)), want, "{text}");
    }
    let text =
        format!("kind: Pod\napiVersion: v1\nspec: {{containers: [{{image: 'a:1@{HEX}'}}, {{image: 'b@{HEX}'}}]}}\n");
    assert_eq!(images(&find(&text)), [format!("a:1@{HEX} 3 pod"), format!("b@{HEX} 3 pod")]);
}

#[test]
fn two_hosts_are_two_images() {
    let text = "kind: Pod\napiVersion: v1\nspec: {containers: [{image: quay.io/a/b:1}, {image: a/b:1}, {image: docker.io/a/b:1}]}";
    assert_eq!(images(&find(text)), ["a/b:1 3 pod", "quay.io/a/b:1 3 pod"]);
}

#[test]
fn a_container_without_a_valid_image_is_a_mistake() {
    for image in ["IMAGE_PLACEHOLDER", "$(IMAGE)", "{{ .x }}", "a b"] {
        let text = format!("kind: Pod\napiVersion: v1\nspec:\n  containers:\n  - image: \"{image}\"\n");
        let findings = find(&text);
        let mistakes: Vec<_> = findings.mistakes().collect();
        assert_eq!((mistakes.len(), mistakes[0].origin.line), (1, Some(5)), "{image}");
    }
    let broken = find("kind: Pod\nspec: [\n");
    assert_eq!(broken.mistakes().next().and_then(|mistake| mistake.origin.line), Some(2));
}

#[test]
fn variables_arguments_and_annotations_are_read_by_rule() {
    let text = "kind: Deployment\napiVersion: apps/v1\nspec:\n  template:\n    metadata: {annotations: {sidecar.istio.io/proxyImage: istio/proxyv2:1}}\n    spec:\n      containers:\n      - image: op:1\n        env:\n        - {name: RELATED_IMAGE_X, value: 'q/x:1'}\n        - {name: OTHER, value: 'q/y:1'}\n        - {name: IMAGE_PULL_POLICY, value: Always}\n        - name: STRIMZI_KAFKA_IMAGES\n          value: |\n            3.6=s/kafka:3.6\n            3.7=s/kafka:3.7\n        args:\n        - --prometheus-config-reloader=r/reloader:1\n        - --acme-http01-solver-image=q/solver:1\n        - -shell-image\n        - b/sh:1\n        - --listen=host:80\n";
    let findings = find(text);
    assert_eq!(
        images(&findings),
        [
            "b/sh:1 21 image argument",
            "istio/proxyv2:1 5 istio injection annotation",
            "op:1 8 pod",
            "q/solver:1 19 image argument",
            "q/x:1 10 image variable",
            "r/reloader:1 18 prometheus-operator argument",
            "s/kafka:3.6 15 image variable",
            "s/kafka:3.7 15 image variable",
        ]
    );
    assert_eq!(likely(&findings), ["q/y:1"]);
}

#[test]
fn custom_resources_are_read_by_rule() {
    let cr = |api: &str, kind: &str, spec: &str| {
        format!("apiVersion: {api}\nkind: {kind}\nmetadata: {{name: n}}\nspec: {spec}\n")
    };
    for (text, want) in [
        (cr("monitoring.coreos.com/v1", "Prometheus", "{image: q/p, thanos: {image: q/t:1}}"), &["q/p:latest", "q/t:1"][..]),
        (cr("monitoring.coreos.com/v1", "Prometheus", "{version: v2.53.0}"), &["quay.io/prometheus/prometheus:v2.53.0"]),
        (cr("monitoring.coreos.com/v1", "Prometheus", "{baseImage: q/p, version: v2}"), &["q/p:v2"]),
        (cr("elasticsearch.k8s.elastic.co/v1", "Elasticsearch", "{version: 8.1.0}"), &["docker.elastic.co/elasticsearch/elasticsearch:8.1.0"]),
        (cr("beat.k8s.elastic.co/v1beta1", "Beat", "{version: 8.1.0, type: filebeat}"), &["docker.elastic.co/beats/filebeat:8.1.0"]),
        (cr("kafka.strimzi.io/v1beta2", "Kafka", "{kafka: {image: q/k}, entityOperator: {topicOperator: {image: q/t}}}"), &["q/k:latest", "q/t:latest"]),
        (cr("postgresql.cnpg.io/v1", "Cluster", "{imageName: ghcr.io/cnpg/postgresql:16}"), &["ghcr.io/cnpg/postgresql:16"]),
        (cr("tekton.dev/v1", "Task", "{steps: [{image: a:1}, {image: $(params.x)}], sidecars: [{image: b}]}"), &["a:1", "b:latest"]),
        (cr("argoproj.io/v1alpha1", "Workflow", "{templates: [{container: {image: a}}, {script: {image: b:1}}, {container: {image: '{{x}}'}}]}"), &["a:latest", "b:1"]),
        (cr("argoproj.io/v1alpha1", "Rollout", "{template: {spec: {containers: [{image: a:1}]}}}"), &["a:1"]),
        (cr("serving.knative.dev/v1", "Service", "{template: {spec: {containers: [{image: a}]}}}"), &["a:latest"]),
        (cr("kubevirt.io/v1", "VirtualMachine", "{template: {spec: {volumes: [{containerDisk: {image: q/fedora}}]}}}"), &["q/fedora:latest"]),
        (cr("cdi.kubevirt.io/v1beta1", "DataVolume", "{source: {registry: {url: 'docker://q/disk:1'}}}"), &["q/disk:1"]),
        (cr("ceph.rook.io/v1", "CephCluster", "{cephVersion: {image: quay.io/ceph/ceph:v18}}"), &["quay.io/ceph/ceph:v18"]),
        (cr("install.istio.io/v1alpha1", "IstioOperator", "{hub: gcr.io/istio, tag: 1.22.0}"), &["gcr.io/istio/pilot:1.22.0", "gcr.io/istio/proxyv2:1.22.0"]),
        (cr("nvidia.com/v1", "ClusterPolicy", "{driver: {repository: nvcr.io/nvidia, image: driver, version: '550'}}"), &["nvcr.io/nvidia/driver:550"]),
        (cr("minio.min.io/v2", "Tenant", "{image: q/minio, sideCarImage: q/side:1}"), &["q/minio:latest", "q/side:1"]),
        (cr("app.redislabs.com/v1", "RedisEnterpriseCluster", "{redisEnterpriseImageSpec: {repository: r/r, versionTag: 7.4}}"), &["r/r:7.4"]),
        (cr("acme.example/v1", "Widget", "{image: q/w:1, server: {image: {registry: h.example, repository: a/b, tag: 1.20}}, initImage: i/i:1}"), &["i/i:1", "q/w:1", "h.example/a/b:1.20"]),
        (cr("acme.example/v1", "Machine", "{image: ubuntu-22.04, size: big}"), &[]),
        (cr("kyverno.io/v1", "ClusterPolicy", "{rules: [{validate: {pattern: {spec: {containers: [{image: 'a:1'}]}}}}]}"), &[]),
        (cr("apiextensions.k8s.io/v1", "CustomResourceDefinition", "{properties: {image: {type: string, description: 'such as q/x:1'}}}"), &[]),
        ("apiVersion: longhorn.io/v1beta2\nkind: Setting\nmetadata: {name: default-engine-image}\nvalue: l/engine:1\n".to_owned(), &["l/engine:1"]),
    ] {
        let findings = find(&text);
        let names: Vec<String> = findings.images().map(|found| found.reference.familiar()).collect();
        assert_eq!(names, want, "{text}");
        assert_eq!(findings.mistakes().count(), 0, "{text}");
    }
}

#[test]
fn what_an_operator_chooses_is_said() {
    let notes = |text: &str| find(text).notes().map(ToString::to_string).collect::<Vec<_>>();
    let text = "apiVersion: monitoring.coreos.com/v1\nkind: Prometheus\nmetadata: {name: p}\nspec: {}\n";
    assert!(notes(text)[0].starts_with("m.yaml:1 (Prometheus p): it names no image"));
    let text = "apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nspec: {values: {image: {repository: a/b, tag: c}}}\n";
    assert_eq!(notes(text).len(), 1);
    assert_eq!(images(&find(text)), ["a/b:c 3 field"]);
}

#[test]
fn config_maps_and_secrets_are_opened() {
    let text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata:\n  pod.yaml: |\n    # helper\n    apiVersion: v1\n    kind: Pod\n    spec:\n      containers:\n      - image: busybox\n  config.json: '{\"image\": \"q/x:1\", \"n\": 1}'\n  values: |\n    image:\n      repository: a/b\n      tag: v1\n    mode: fast\n  template: |\n    {{ if .x }}\n    image: \"t/t:1\"  # why\n    other: {{ .y }}\n  ROOK_CSI_CEPH_IMAGE: q/csi:1\n  script: run q.example/s/s:1 and a/b:2\n  tag: busybox\n";
    let findings = find(text);
    assert_eq!(
        images(&findings),
        ["a/b:v1 15 field", "busybox:latest 11 pod", "q/csi:1 22 image variable", "q/x:1 12 field", "t/t:1 20 line"]
    );
    assert_eq!(likely(&findings), ["q.example/s/s:1"]);
    let packed = STANDARD.encode("apiVersion: v1\nkind: Pod\nspec: {containers: [{image: s/s:1}]}\n");
    let text =
        format!("apiVersion: v1\nkind: Secret\ndata:\n  a: {packed}\nstringData: {{b: \"image: s/t:1\\nx: y\"}}\n");
    assert_eq!(images(&find(&text)), ["s/s:1 4 pod", "s/t:1 5 field"]);
}

#[test]
fn strings_that_look_like_images_are_reported_and_not_taken() {
    let text = "apiVersion: acme.example/v1\nkind: Widget\nspec:\n  runner: q.example/team/runner:1.2\n  endpoint: host.example:8080\n  path: /a/b:ro\n  nested: [{any: ghcr.io/x/y}]\n  description: like ghcr.io/x/z:1\nstatus: {image: old/one:1}\n";
    let findings = find(text);
    assert!(images(&findings).is_empty());
    assert_eq!(likely(&findings), ["ghcr.io/x/y:latest", "q.example/team/runner:1.2"]);
}

/// What charts and operators of the field hide from a search for `image:`.
#[test]
fn names_in_parts_in_scripts_and_in_configuration_are_found() {
    let config =
        |name: &str, data: &str| format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata:\n{data}");
    let container =
        |more: &str| format!("apiVersion: v1\nkind: Pod\nspec:\n  containers:\n  - name: c\n    image: op:1\n{more}");
    for (title, text, want) in [
        (
            "istio's injector",
            config("istio-sidecar-injector", "  values: |\n    {\"global\": {\"hub\": \"docker.io/istio\",\n      \"tag\": \"1.22.0\", \"proxy\": {\"image\": \"proxyv2\"}}}\n"),
            &["docker.io/istio/proxyv2:1.22.0 6 istio injection"][..],
        ),
        (
            "trivy-operator",
            config("t", "  trivy.repository: ghcr.io/aquasecurity/trivy\n  trivy.tag: 0.50.1\n  node.collector.imageRef: ghcr.io/aquasecurity/collector:1\n"),
            &["ghcr.io/aquasecurity/collector:1 7 field", "ghcr.io/aquasecurity/trivy:0.50.1 5 pair"],
        ),
        (
            "velero's helper",
            config("v", "  image: velero/velero-restore-helper:v1.10\n"),
            &["velero/velero-restore-helper:v1.10 5 field"],
        ),
        (
            "GitLab's runner",
            config("g", "  config.toml: |\n    [[runners]]\n    url = \"https://gitlab.example:443\"\n    [runners.kubernetes]\n    image = \"ubuntu:22.04\"\n    helper_image = 'gitlab/helper:1' # why\n"),
            &["gitlab/helper:1 10 line", "ubuntu:22.04 9 line"],
        ),
        (
            "JupyterHub",
            config("j", "  values.yaml: |\n    singleuser:\n      image: {name: jupyterhub/k8s-singleuser-sample, tag: 3.3.0}\n"),
            &["jupyterhub/k8s-singleuser-sample:3.3.0 7 field"],
        ),
        (
            "Airflow",
            container("    env:\n    - {name: AIRFLOW__KUBERNETES__WORKER_CONTAINER_REPOSITORY, value: apache/airflow}\n    - {name: AIRFLOW__KUBERNETES__WORKER_CONTAINER_TAG, value: 2.8.1}\n"),
            &["apache/airflow:2.8.1 8 pair", "op:1 6 pod"],
        ),
        (
            "sources are no images",
            container("    env:\n    - {name: GIT_REPOSITORY, value: github.com/team/app}\n    - {name: GIT_TAG, value: v1}\n"),
            &["op:1 6 pod"],
        ),
        (
            "Consul",
            container("    command:\n    - /bin/sh\n    - -ec\n    - |\n      consul-k8s-control-plane inject-connect \\\n        -consul-image=\"hashicorp/consul:1.18\" \\\n        -other-image hashicorp/other:1\n"),
            &["hashicorp/consul:1.18 12 image argument", "hashicorp/other:1 13 image argument", "op:1 6 pod"],
        ),
        ("a flag with one dash", container("    args: [-image=a/b:1, --worker.image, a/c:1]\n"), &["a/b:1 7 image argument", "a/c:1 7 image argument", "op:1 6 pod"]),
        (
            "linkerd's annotations",
            "apiVersion: v1\nkind: Namespace\nmetadata:\n  annotations:\n    config.linkerd.io/proxy-image: cr.l5d.io/linkerd/proxy\n    config.linkerd.io/proxy-version: edge-24.1\n".to_owned(),
            &["cr.l5d.io/linkerd/proxy:edge-24.1 5 pair"],
        ),
        (
            "other annotations",
            "apiVersion: operators.coreos.com/v1alpha1\nkind: ClusterServiceVersion\nmetadata:\n  annotations: {containerImage: quay.io/op/op:1, x.example/agent-image: a/b:2, x.example/pull: Always}\n".to_owned(),
            &["a/b:2 4 image annotation", "quay.io/op/op:1 4 image annotation"],
        ),
        (
            "older shapes of values",
            "apiVersion: acme.example/v1\nkind: Widget\nspec:\n  a: {image: team/a, imageTag: 1}\n  b: {imageRepository: team/b, imageTag: 2, imageRegistry: r.example}\n  c: {image: team/c, tag: 3}\n  d: {image: 'team/d:4', tag: 5}\n".to_owned(),
            &["r.example/team/b:2 5 field", "team/a:1 4 field", "team/c:3 6 field", "team/d:4 7 field"],
        ),
    ] {
        let findings = find(&text);
        let mut found = images(&findings);
        found.sort();
        assert_eq!(found, want, "{title}: {text}");
        assert_eq!(findings.mistakes().count(), 0, "{title}");
    }
}
