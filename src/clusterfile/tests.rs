//! What reading and writing Clusterfiles promises.

use super::*;
use crate::cluster::{FileChange, Role, Strategy};

const WHOLE: &str = "\
# my cluster
apiVersion: apps.sealos.io/v1beta1
kind: Cluster
metadata:
  name: prod
spec:
  image:
  - labring/kubernetes:v1.29.9
  - labring/helm:v3.8.2
  ssh:
    user: admin
    passwd: 012345
    pk: /root/.ssh/id_ed25519
    port: 2222
  hosts:
  - ips:
    - 10.0.0.1
    - 10.0.0.2-10.0.0.3
    roles: [master, amd64]
  - ips: ['[fd00::1]:22', node-4]
    roles: [node, registry]
    env:
    - criData=/data
    ssh:
      user: root
      pkData: |
        -----BEGIN
        x
  env:
  - A=b,c \"d\"
---
apiVersion: apps.sealos.io/v1beta1
kind: Config
metadata:
  name: calico
spec:
  match: labring/helm:v3.8.2
  path: manifests/calico.yaml
  strategy: merge
  data: |
    spec:
      cidr: {{ not a template any more }}
---
# kubeadm's
apiVersion: kubeadm.k8s.io/v1beta3
kind: ClusterConfiguration
networking:
  podSubnet: 10.160.0.0/12
";

fn parse(text: &str) -> Result<Clusterfile, ClusterfileError> {
    Clusterfile::parse(text, &|sealed| sealed.strip_prefix("sealed:").map(|text| text.chars().rev().collect()))
}

fn seal(text: &str) -> String {
    format!("sealed:{}", text.chars().rev().collect::<String>())
}

#[test]
fn every_document_and_field_is_read() {
    let file = parse(WHOLE).unwrap();
    assert_eq!(file.notes, []);
    let cluster = &file.cluster;
    assert_eq!(cluster.name.to_string(), "prod");
    assert_eq!(cluster.images, ["labring/kubernetes:v1.29.9", "labring/helm:v3.8.2"]);
    let hosts: Vec<_> = cluster.hosts.iter().map(|host| host.address.to_string()).collect();
    assert_eq!(hosts, ["10.0.0.1:2222", "10.0.0.2:2222", "10.0.0.3:2222", "[fd00::1]:22", "node-4:2222"]);
    assert_eq!(cluster.env, ["A=b,c \"d\""]);
    assert_eq!(cluster.first_master().unwrap().address.to_string(), "10.0.0.1:2222");
    let registries: Vec<_> = cluster.registries().iter().map(|host| host.address.to_string()).collect();
    assert_eq!(registries, ["[fd00::1]:22", "node-4:2222"]);
    let last = &cluster.hosts[4];
    assert!(last.is(&Role::Node) && !last.is(&Role::Master));
    assert_eq!(last.env, ["criData=/data"]);
    let ssh = cluster.ssh_of(last);
    assert_eq!(ssh.user.as_deref(), Some("root"));
    assert_eq!(ssh.key, None, "a host's own key takes the place of the cluster's");
    assert_eq!(ssh.key_data.unwrap().reveal(), "-----BEGIN\nx\n");
    assert_eq!(ssh.password.unwrap().reveal(), "012345", "a number is the text that it was written as");
    let [FileChange { name, image, path, data, strategy }] = cluster.configs.as_slice() else { panic!() };
    assert_eq!((name.as_str(), image.as_deref()), ("calico", Some("labring/helm:v3.8.2")));
    assert_eq!((path.as_str(), *strategy), ("manifests/calico.yaml", Strategy::Merge));
    assert!(data.contains("{{ not a template any more }}"));
    assert_eq!(file.documents("ClusterConfiguration").unwrap()[0]["networking"]["podSubnet"], "10.160.0.0/12");
}

#[test]
fn what_is_stored_is_read_back_with_every_document_and_no_secret_in_clear() {
    let mut file = parse(WHOLE).unwrap();
    file.status = Status {
        phase: Some(Phase::Success),
        created: Some("2030-01-02T03:04:05Z".into()),
        mounts: vec![Installed {
            name: "prod-0011".into(),
            kind: "application".into(),
            image_name: "labring/helm:v3.8.2".into(),
            image_digest: Some("sha256:00".into()),
            mount_point: "/var/lib".into(),
            env: vec!["PASSWORD=hush=1".into()],
            commands: vec!["helm upgrade".into()],
        }],
        revision: 7,
    };
    let stored = file.to_text(&seal).unwrap();
    for secret in ["012345", "BEGIN", "hush"] {
        assert!(!stored.contains(secret), "{stored}");
    }
    for kept in ["{{ not a template any more }}", "# kubeadm's", "podSubnet: 10.160.0.0/12", "spec:\n      cidr"] {
        assert!(stored.contains(kept), "{stored}");
    }
    let again = parse(&stored).unwrap();
    assert_eq!(again.status, file.status);
    assert_eq!(again.cluster.image_env["labring/helm:v3.8.2"], ["PASSWORD=hush=1"]);
    assert_eq!(again.cluster.image_cmd["labring/helm:v3.8.2"], ["helm upgrade"]);
    let (image_env, image_cmd) = (again.cluster.image_env.clone(), again.cluster.image_cmd.clone());
    let expected = Cluster { image_env, image_cmd, ..file.cluster };
    assert_eq!(again.cluster, expected);
    assert_eq!(again.to_text(&seal).unwrap(), stored, "storing is stable");

    let elsewhere = Clusterfile::parse(&stored, &|_| None).unwrap();
    let sealed: Vec<_> = elsewhere.notes.iter().map(ToString::to_string).collect();
    assert_eq!(sealed.len(), 3, "{sealed:?}");
    assert_eq!(elsewhere.cluster.ssh.password, None);
    assert!(elsewhere.to_text(&seal).unwrap().contains(&seal("012345")), "what cannot be opened is kept");
}

#[test]
fn fields_nobody_knows_are_told_with_line_and_suggestion_and_kept() {
    let text = "\
apiVersion: apps.sealos.io/v1beta1
kind: Cluster
metadata:
  name: c
  annotations: {a: b}
spec:
  images: [a]
  hosts:
  - ips: [10.0.0.1]
    role: [master]
    something: {}
---
kind: Infra
x: 1
";
    let file = parse(text).unwrap();
    let notes: Vec<_> = file.notes.iter().map(ToString::to_string).collect();
    assert_eq!(
        notes,
        [
            "line 7: there is no field `spec.images`; it is ignored (did you mean `image`?)",
            "line 10: there is no field `spec.hosts[0].role`; it is ignored (did you mean `roles`?)",
            "line 11: there is no field `spec.hosts[0].something`; it is ignored",
            "line 13: documents of the kind `Infra` mean nothing here; it is kept",
        ]
    );
    let stored = file.to_text(&seal).unwrap();
    assert!(stored.contains("images:") && stored.contains("kind: Infra") && stored.contains("a: b"), "{stored}");
}

#[test]
fn what_is_wrong_is_refused_with_its_line() {
    let with = |spec: &str| format!("apiVersion: {API}\nkind: Cluster\nmetadata: {{name: c}}\nspec:\n{spec}");
    let config = |spec: &str| format!("{}---\napiVersion: {API}\nkind: Config\n{spec}", with("  image: [a]\n"));
    for (text, want) in [
        (String::new(), "there is no document of the kind Cluster"),
        ("a: 1\n".into(), "there is no document of the kind Cluster"),
        ("a: [\n".into(), "this is no valid YAML"),
        (with("  image: a\n"), "line 5: `spec.image` has to be a list of texts"),
        (with("  image: [1.10]\n"), "line 5: `spec.image[0]` has to be a text; put it in quotes"),
        (with("  ssh: {passwd: 1e3}\n"), "line 5: `spec.ssh.passwd` has to be a text; put it in quotes"),
        (with("  ssh: {port: 70000}\n"), "line 5: `spec.ssh.port` has to be a port number"),
        (with("  hosts:\n  - ips: [10.0.0]\n"), "line 6: `10.0.0` is no host"),
        (with("  hosts:\n  - ips: [a, 'a:22']\n"), "line 6: `a:22` is listed twice"),
        (with("  env: [A]\n"), "line 5: `A` is not an environment variable"),
        (with("  env: [SEALOS_SYS_X=1]\n"), "line 5: `SEALOS_SYS_X` cannot be set"),
        (with("").replace("name: c", "name: C"), "line 3: `C` cannot be the name of a cluster"),
        (with("").replace("{name: c}", "{}"), "line 1: `metadata.name` is missing"),
        (with("").replace("v1beta1", "v2"), "line 1: `apps.sealos.io/v2` is no known version of Cluster"),
        (format!("{0}---\n{0}", with("  image: [a]\n")), "line 7: a second document of the kind Cluster"),
        (config("metadata: {name: x}\nspec: {data: a}\n"), "line 10: `spec.path` is missing"),
        (config("metadata: {name: x}\nspec: {path: ../a}\n"), "line 10: `../a` is no path inside an image"),
        (config("metadata: {name: x}\nspec: {path: a, strategy: add}\n"), "line 10: `spec.strategy` has to be one of"),
    ] {
        let error = parse(&text).unwrap_err().to_string();
        assert!(error.contains(want), "{text}\n{error}");
    }
}

#[test]
fn of_two_configs_with_one_name_the_later_one_counts() {
    let config = |data: &str| {
        format!("---\napiVersion: {API}\nkind: Config\nmetadata: {{name: x}}\nspec: {{path: a, data: {data}}}\n")
    };
    let cluster = format!("apiVersion: {API}\nkind: Cluster\nmetadata: {{name: c}}\n");
    let mut file = parse(&format!("{cluster}{}", config("one"))).unwrap();
    file.extend(&config("two")).unwrap();
    file.extend(&config("two")).unwrap();
    assert_eq!(file.cluster.configs.len(), 1);
    assert_eq!(file.cluster.configs[0].data, "two");
    assert!(file.extend(&cluster).is_err());
}

#[test]
fn a_file_is_rendered_once_with_values_and_environment() {
    let mut values = Values::default();
    values.add_file("values.yaml", "name: prod\nips: [10.0.0.1, 10.0.0.2]\n").unwrap();
    values.set("ips[1]=10.0.0.9,port=2222").unwrap();
    let environment = Environment::of_image(&["USERNAME=admin".to_owned()]);
    let text = "name: {{ .Values.name }}\nips: {{ .Values.ips | toJson }}\nport: {{ .Values.port }}\n\
                user: {{ env \"USERNAME\" }}-{{ expandenv \"$USERNAME!\" }}\ndns: {{ ipAt \"10.96.0.0/22\" 10 }}\n";
    let got = render("Clusterfile", text, &values, &environment).unwrap();
    assert_eq!(got, "name: prod\nips: [\"10.0.0.1\",\"10.0.0.9\"]\nport: 2222\nuser: admin-admin!\ndns: 10.96.0.10\n");
    let error = render("Clusterfile", "{{ .Values.none }}", &Values::default(), &environment).unwrap_err();
    assert!(matches!(error, ClusterfileError::Template(_)));
}

#[test]
fn a_cluster_is_written_for_its_user_in_clear() {
    let cluster = parse(WHOLE).unwrap().cluster;
    let text = generate(&cluster).unwrap();
    assert!(!text.contains("status") && text.contains("012345"), "{text}");
    let again = parse(&text).unwrap();
    assert_eq!(again.cluster, Cluster { configs: Vec::new(), ..cluster });
}

#[test]
fn the_schema_knows_every_field() {
    let schema = json_schema();
    let cluster = &schema["oneOf"][0]["properties"];
    assert_eq!(
        cluster["spec"]["properties"]["hosts"]["items"]["properties"]["ssh"]["properties"]["port"]["maximum"],
        65535
    );
    assert_eq!(schema["oneOf"][1]["properties"]["spec"]["properties"]["strategy"]["enum"][1], "merge");
}
