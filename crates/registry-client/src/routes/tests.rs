//! Tables of configuration files and where they send a repository.

use std::fs;

use super::*;

fn conf(text: &str) -> Conf {
    let mut conf = Conf::default();
    conf.add(text).unwrap();
    conf
}

/// Options that look into nobody's directories.
fn options(hosts: Option<&Path>) -> ClientOptions {
    ClientOptions {
        certificate_dirs: Vec::new(),
        hosts_dirs: hosts.map(Path::to_owned).into_iter().collect(),
        ..ClientOptions::default()
    }
}

/// The places that a name is read from, in order, as `scheme://host/v2/repository`.
fn places(conf: &Conf, options: &ClientOptions, name: &str) -> Vec<String> {
    let routes = find(conf, options, &name.parse().unwrap()).unwrap();
    routes.read.iter().map(shown).collect()
}

fn shown(end: &Endpoint) -> String {
    let scheme = match end.scheme {
        Scheme::Https => "https",
        Scheme::Http => "http",
        Scheme::Either => "either",
    };
    let namespace = end.namespace.as_ref().map(|ns| format!("?ns={ns}")).unwrap_or_default();
    format!("{scheme}://{}{}{}{namespace}", end.host, end.path, end.repository)
}

const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

#[test]
fn without_configuration_a_registry_is_asked_itself() {
    for (name, want) in [
        ("nginx", "https://registry-1.docker.io/v2/library/nginx"),
        ("hub.example:5000/a/b", "https://hub.example:5000/v2/a/b"),
        ("localhost:5000/a", "either://localhost:5000/v2/a"),
        ("127.0.0.1:5000/a", "either://127.0.0.1:5000/v2/a"),
        ("[::1]:5000/a", "either://[::1]:5000/v2/a"),
        ("localhost.example/a", "https://localhost.example/v2/a"),
    ] {
        assert_eq!(places(&Conf::default(), &options(None), name), [want], "{name}");
    }
    let lax = ClientOptions { tls: Tls::Skip, ..options(None) };
    assert_eq!(places(&Conf::default(), &lax, "hub.example/a"), ["either://hub.example/v2/a"]);
}

#[test]
fn mirrors_are_asked_in_their_order_and_the_registry_last() {
    let conf = conf(
        r#"
        [[registry]]
        prefix = "docker.io"
        location = "docker.io"
        [[registry.mirror]]
        location = "one.example/hub"
        [[registry.mirror]]
        location = "two.example:5000"
        insecure = true
        pull-from-mirror = "digest-only"
        [[registry.mirror]]
        location = "three.example"
        pull-from-mirror = "tag-only"

        [[registry]]
        location = "quay.io/team"
        mirror-by-digest-only = true
        [[registry.mirror]]
        location = "four.example/team"
        "#,
    );
    for (name, want) in [
        (
            "nginx:1".to_owned(),
            vec![
                "https://one.example/v2/hub/library/nginx",
                "https://three.example/v2/library/nginx",
                "https://registry-1.docker.io/v2/library/nginx",
            ],
        ),
        (
            format!("nginx@{DIGEST}"),
            vec![
                "https://one.example/v2/hub/library/nginx",
                "either://two.example:5000/v2/library/nginx",
                "https://registry-1.docker.io/v2/library/nginx",
            ],
        ),
        ("quay.io/team/app:1".to_owned(), vec!["https://quay.io/v2/team/app"]),
        (format!("quay.io/team/app@{DIGEST}"), vec!["https://four.example/v2/team/app", "https://quay.io/v2/team/app"]),
        ("quay.io/other/app:1".to_owned(), vec!["https://quay.io/v2/other/app"]),
    ] {
        assert_eq!(places(&conf, &options(None), &name), want, "{name}");
    }
}

#[test]
fn the_longest_prefix_counts() {
    let conf = conf(
        r#"
        [[registry]]
        prefix = "*.example.com"
        insecure = true
        [[registry]]
        prefix = "a.example.com/team"
        location = "b.example.com/moved/team"
        [[registry]]
        prefix = "hub.example:5000"
        location = "other.example"
        [[registry]]
        prefix = "bad.example/secret"
        blocked = true
        [[registry]]
        prefix = "*.wild.example"
        location = "all.example/mirrored"
        "#,
    );
    for (name, want) in [
        ("a.example.com/x", "either://a.example.com/v2/x"),
        ("a.b.example.com:5000/x", "either://a.b.example.com:5000/v2/x"),
        ("example.com/x", "https://example.com/v2/x"),
        ("badexample.com/x", "https://badexample.com/v2/x"),
        ("a.example.com/team/app", "https://b.example.com/v2/moved/team/app"),
        ("a.example.com/teams/app", "either://a.example.com/v2/teams/app"),
        ("hub.example:5000/x/y", "https://other.example/v2/x/y"),
        ("hub.example/x/y", "https://hub.example/v2/x/y"),
        ("bad.example/public", "https://bad.example/v2/public"),
        ("a.wild.example/x", "https://all.example/v2/mirrored/x"),
    ] {
        assert_eq!(places(&conf, &options(None), name), [want], "{name}");
    }
    let error = find(&conf, &options(None), &"bad.example/secret/x".parse().unwrap()).unwrap_err();
    assert!(error.to_string().contains("blocked"), "{error}");
}

#[test]
fn later_files_go_before_earlier_ones() {
    let mut conf = conf(
        "unqualified-search-registries = ['quay.io']\n[[registry]]\nlocation = 'a.example'\n\
         [aliases]\n'app' = 'quay.io/team/app'\n'gone' = 'quay.io/x'\n",
    );
    conf.add(
        "[[registry]]\nlocation = 'a.example'\nblocked = true\n[aliases]\n'app' = 'hub.example/app'\n'gone' = ''\n",
    )
    .unwrap();
    assert_eq!(conf.rules.len(), 1);
    assert!(conf.rules[0].blocked);
    let names =
        |text: &str| -> Vec<String> { candidates(&conf, text).unwrap().iter().map(oci::Reference::normal).collect() };
    for (written, want) in [
        ("app:v1", vec!["hub.example/app:v1"]),
        ("gone", vec!["quay.io/gone:latest"]),
        ("team/x", vec!["quay.io/team/x:latest"]),
        ("hub.example/x", vec!["hub.example/x:latest"]),
        ("localhost/x", vec!["localhost/x:latest"]),
        ("docker.io/x", vec!["docker.io/library/x:latest"]),
    ] {
        assert_eq!(names(written), want, "{written}");
    }
    conf.add("unqualified-search-registries = ['hub.example', 'docker.io']").unwrap();
    let all: Vec<String> = candidates(&conf, "x:1").unwrap().iter().map(oci::Reference::normal).collect();
    assert_eq!(all, ["hub.example/x:1", "docker.io/library/x:1"]);
    let none: Vec<String> = candidates(&Conf::default(), "x").unwrap().iter().map(oci::Reference::normal).collect();
    assert_eq!(none, ["docker.io/library/x:latest"]);
}

#[test]
fn what_cannot_be_understood_is_an_error() {
    for text in [
        "[[registry]]\n",
        "[[registry]]\nprefix = '*.a.example/x'\n",
        "[[registry]]\nlocation = 'a'\n[[registry.mirror]]\nlocation = ''\n",
        "[[registry]]\nlocation = 'a'\nmirror-by-digest-only = true\n[[registry.mirror]]\nlocation = 'b'\npull-from-mirror = 'tag-only'\n",
        "[registries.search]\nregistries = ['docker.io']\n",
        "[[registry]]\nlocation = 'a'\n[[registry.mirror]]\nlocation = 'b'\npull-from-mirror = 'never'\n",
        "not toml",
    ] {
        assert!(Conf::default().add(text).is_err(), "{text}");
    }
}

/// A directory `certs.d` with one file for a host.
fn hosts(name: &str, text: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join(name)).unwrap();
    fs::write(dir.path().join(name).join("hosts.toml"), text).unwrap();
    dir
}

#[test]
fn hosts_toml_is_read_as_containerd_reads_it() {
    let text = r#"
        server = "https://registry-1.docker.io"

        [host."https://z.example"]
        capabilities = ["pull", "resolve"]
        ca = "z.crt"
        dial_timeout = "1s"
        [host."https://z.example".header]
        x-one = "1"
        x-two = ["2", "3"]

        [host."http://a.example:5000/prefix/v2"]
        capabilities = ["pull"]
        override_path = true
        skip_verify = true

        [host."https://p.example/some"]
        capabilities = ["push"]
        client = [["p.cert", "p.key"]]
        "#;
    let dir = hosts("docker.io", text);
    let routes = find(&Conf::default(), &options(Some(dir.path())), &"nginx".parse().unwrap()).unwrap();
    let all: Vec<String> = routes.read.iter().map(shown).collect();
    assert_eq!(
        all,
        [
            "https://z.example/v2/library/nginx?ns=docker.io",
            "http://a.example:5000/prefix/v2/library/nginx?ns=docker.io",
            "https://registry-1.docker.io/v2/library/nginx",
        ]
    );
    let [first, second, own] = &routes.read[..] else { unreachable!("there are three") };
    assert_eq!(first.trust.authorities, [dir.path().join("docker.io/z.crt")]);
    assert_eq!(first.connect, Duration::from_secs(1));
    let headers: Vec<(&str, &str)> = first.headers.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
    assert_eq!(headers, [("x-one", "1"), ("x-two", "2, 3")]);
    assert_eq!((first.login.as_str(), own.login.as_str()), ("z.example", "docker.io"));
    assert_eq!((second.trust.tls, second.roles.resolve, second.roles.pull), (Tls::Skip, false, true));
    assert!(own.own && !first.own && !second.own);
    assert_eq!(
        shown(&routes.write),
        "https://p.example/v2/some/library/nginx?ns=docker.io".replace("/v2/some", "/some/v2")
    );
    let at = |name: &str| dir.path().join("docker.io").join(name);
    assert_eq!(routes.write.trust.client, Some((at("p.cert"), at("p.key"))));
}

#[test]
fn hosts_are_found_by_name_with_port_and_by_default() {
    let mirror = "[host.\"https://m.example\"]\n";
    for (directory, name, want) in [
        ("hub.example:5000", "hub.example:5000/a", "https://m.example/v2/a?ns=hub.example:5000"),
        ("hub.example_5000_", "hub.example:5000/a", "https://m.example/v2/a?ns=hub.example:5000"),
        ("_default", "hub.example/a", "https://m.example/v2/a?ns=hub.example"),
        ("other.example", "hub.example/a", "https://hub.example/v2/a"),
    ] {
        let dir = hosts(directory, mirror);
        assert_eq!(places(&Conf::default(), &options(Some(dir.path())), name)[0], want, "{directory}");
    }
    let dir = hosts("hub.example", "[host.\"ftp://m.example\"]\n");
    let error = find(&Conf::default(), &options(Some(dir.path())), &"hub.example/a".parse().unwrap()).unwrap_err();
    assert!(error.to_string().contains("hosts.toml"), "{error}");
}
