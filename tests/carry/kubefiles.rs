//! Recipes as people write them for sealos: what their commands install, with which values.

use crate::sandbox::Sandbox;

const CHART: &[u8] = b"apiVersion: v2\nname: web\nversion: 1.0.0\nappVersion: \"9\"\n";
const VALUES: &[u8] = b"image: {registry: docker.io, repository: team/web, tag: \"\"}\nmetrics: {enabled: false, image: r.example/metrics:1}\n";
const TEMPLATE: &[u8] = b"apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: {{ .Release.Name }}}\nspec:\n  template:\n    spec:\n      containers:\n      - name: web\n        image: \"{{ .Values.image.registry }}/{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}\"\n{{- if .Values.metrics.enabled }}\n      - name: metrics\n        image: {{ .Values.metrics.image }}\n{{- end }}\n";

const FILES: [(&str, &[u8]); 3] =
    [("charts/web/Chart.yaml", CHART), ("charts/web/values.yaml", VALUES), ("charts/web/templates/d.yaml", TEMPLATE)];

fn list(kubefile: &str, more: &[(&str, &[u8])]) -> (String, String) {
    let sandbox = Sandbox::new();
    let context = sandbox.context("app", kubefile, &[&FILES[..], more].concat());
    let said = sandbox.sealos(&["images", "list", &context]);
    assert_eq!(said.code, Some(0), "{kubefile}: {}", said.stderr);
    (said.stdout, said.stderr)
}

#[test]
fn values_that_commands_pass_decide() {
    for (kubefile, more, want) in [
        // No command installs it: its own values.
        ("FROM scratch\nCOPY . .\n", &[][..], "docker.io/team/web:9\n"),
        // Values beside the chart.
        ("FROM scratch\nCOPY . .\n", &[("charts/web.values.yaml", b"metrics: {enabled: true}\n".as_slice())], "r.example/metrics:1\ndocker.io/team/web:9\n"),
        // JSON CMD with variables of ENV.
        (
            "FROM scratch\nENV tag=2.1 metrics=true\nCOPY charts charts\nCOPY registry registry\nCMD [\"helm upgrade --install web charts/web --namespace web --create-namespace --set image.tag=$(tag),metrics.enabled=$(metrics)\"]\n",
            &[],
            "r.example/metrics:1\ndocker.io/team/web:2.1\n",
        ),
        // ENV over several lines, with defaults; shell CMD; flags in a variable.
        (
            "FROM scratch\nARG VERSION\nENV NAME=web \\\n    TAG=${VERSION:-3.0} \\\n    OPTS=\"--set image.registry=quay.io --wait\"\nCOPY charts charts\nCMD cp opt/helm /usr/bin/ && helm upgrade -i ${NAME} ./charts/web $OPTS --set-string image.tag=${TAG}\n",
            &[],
            "quay.io/team/web:3.0\n",
        ),
        // A values file, copied elsewhere.
        (
            "FROM scratch\nCOPY charts charts\nCOPY etc/prod.yaml values/prod.yaml\nCMD [\"helm upgrade -i web charts/web -f values/prod.yaml\"]\n",
            &[("etc/prod.yaml", b"image: {repository: prod/web, tag: p}\n")],
            "docker.io/prod/web:p\n",
        ),
        // A script of the context.
        (
            "FROM scratch\nENV TAG=4\nCOPY . .\nCMD [\"bash scripts/install.sh prod\"]\n",
            &[("scripts/install.sh", b"#!/bin/bash\nset -e\nENVIRONMENT=${1:-dev}\nHELM_OPTS=${HELM_OPTS:-\"--set image.tag=$TAG\"}\nif [ \"$ENVIRONMENT\" = prod ]; then\n  helm upgrade -i web charts/web ${HELM_OPTS} --set image.repository=$ENVIRONMENT/web\nfi\n")],
            "docker.io/prod/web:4\n",
        ),
        // Two releases of one chart.
        (
            "FROM scratch\nCOPY . .\nCMD [\"helm install a charts/web --set image.tag=a\", \"helm install b charts/web --set image.tag=b\"]\n",
            &[],
            "docker.io/team/web:a\ndocker.io/team/web:b\n",
        ),
        // Manifests that a command applies from anywhere, and from its own text.
        (
            "FROM scratch\nCOPY deploy deploy\nCMD [\"kubectl apply -f deploy/\", \"helm install web charts/web\"]\n",
            &[("deploy/pod.yaml", b"apiVersion: v1\nkind: Pod\nspec: {containers: [{image: 'r.example/pod:1'}]}\n")],
            "docker.io/team/web:9\nr.example/pod:1\n",
        ),
        // The same with kubectl's flags in front, as scripts have it.
        (
            "FROM scratch\nCOPY deploy deploy\nCMD kubectl --kubeconfig /etc/kubernetes/admin.conf -n web apply -Rf deploy\n",
            &[("deploy/a/pod.yaml", b"apiVersion: v1\nkind: Pod\nspec: {containers: [{image: 'r.example/pod:1'}]}\n")],
            "docker.io/team/web:9\nr.example/pod:1\n",
        ),
        // A script's own text, with its arguments, and a loop.
        (
            "FROM scratch\nENV TAG=7\nCOPY . .\nCMD [\"bash install.sh $(TAG)\"]\n",
            &[
                ("install.sh", b"K=\"kubectl -n web\"\ncat <<EOF | $K apply -f -\napiVersion: v1\nkind: Pod\nspec: {containers: [{image: 'r.example/here:$1'}]}\nEOF\nfor f in more/*.yml; do\n  $K apply -f \"$f\"\ndone\n".as_slice()),
                ("more/x.yml", b"apiVersion: v1\nkind: Pod\nspec: {containers: [{image: 'r.example/loop:1'}]}\n"),
            ],
            "docker.io/team/web:9\nr.example/here:7\nr.example/loop:1\n",
        ),
        // On standard input, and by a pattern.
        (
            "FROM scratch\nCOPY . .\nCMD [\"cat deploy/a.yaml | kubectl apply -f -\", \"kubectl apply -f 'more/x-*.yml'\"]\n",
            &[
                ("deploy/a.yaml", b"apiVersion: v1\nkind: Pod\nspec: {containers: [{image: 'r.example/a:1'}]}\n".as_slice()),
                ("more/x-1.yml", b"apiVersion: v1\nkind: Pod\nspec: {containers: [{image: 'r.example/b:1'}]}\n"),
                ("more/y-1.yml", b"apiVersion: v1\nkind: Pod\nspec: {containers: [{image: 'r.example/c:1'}]}\n"),
            ],
            "docker.io/team/web:9\nr.example/a:1\nr.example/b:1\n",
        ),
    ] {
        let mut got: Vec<String> = list(kubefile, more).0.lines().map(str::to_owned).collect();
        let mut want: Vec<&str> = want.lines().collect();
        got.sort();
        want.sort_unstable();
        assert_eq!(got, want, "{kubefile}");
    }
}

#[test]
fn what_cannot_be_known_is_said() {
    for (command, part) in [
        ("helm install x oci://r.example/charts/x", "over the network"),
        ("helm install x stable/x --repo https://r.example", "over the network"),
        ("helm install x bitnami/x", "not in the context"),
        ("kubectl apply -f https://r.example/m.yaml", "fetched when this runs"),
        ("helm install web charts/web --set image.tag=$(date +%s)", "cannot be known"),
        ("kubectl apply -f $WHERE/x.yaml", "which file `${WHERE}/x.yaml` is cannot be known"),
        ("sed s/a/b/ x.yaml | kubectl apply -f -", "`sed` makes what is applied here"),
        ("crictl pull r.example/extra:1", "not carried, though it looks like an image: r.example/extra:1"),
    ] {
        let (_, stderr) = list(&format!("FROM scratch\nCOPY . .\nCMD [\"{command}\"]\n"), &[]);
        assert!(stderr.contains(part), "{command}: {stderr}");
        assert!(stderr.contains("Kubefile:3"), "{command}: {stderr}");
    }
}

#[test]
fn a_file_that_a_command_names_and_that_is_not_there_is_a_mistake() {
    let sandbox = Sandbox::new();
    let kubefile = "FROM scratch\nCOPY . .\nCMD [\"helm install web charts/web -f prod.yaml\"]\n";
    let context = sandbox.context("app", kubefile, &FILES);
    let said = sandbox.sealos(&["images", "list", &context]);
    assert_eq!(said.code, Some(1));
    assert!(said.stderr.contains("Kubefile:3") && said.stderr.contains("prod.yaml"), "{}", said.stderr);
}
