//! What the comparison with Helm does not say: stand-ins, determinism, limits, malformed charts.

use std::collections::BTreeSet;

use proptest::prelude::{ProptestConfig, any, prop, proptest};

use super::{Chart, ChartError, ChartFile, Ignore, Kind, MAX_FILE, RenderOptions, Values, manifests, render};

fn file(path: &str, text: &str) -> ChartFile {
    ChartFile { path: path.to_owned(), bytes: text.as_bytes().to_vec() }
}

fn chart(files: &[(&str, &str)]) -> Result<Chart, ChartError> {
    let own = [file("Chart.yaml", "apiVersion: v2\nname: app\nversion: 1.0.0\n")];
    Chart::load(own.into_iter().chain(files.iter().map(|(path, text)| file(path, text))))
}

/// What one template becomes.
fn template(text: &str) -> Result<String, String> {
    let chart = chart(&[("templates/x.yaml", text)]).map_err(|error| error.to_string())?;
    render(&chart, &RenderOptions::default()).map(|mut all| all.remove(0).text).map_err(|error| error.to_string())
}

#[test]
fn stand_ins_have_the_shape_of_what_they_stand_for() {
    for (text, pattern) in [
        ("{{ randAlphaNum 12 }}", "^[A-Za-z0-9]{12}$"),
        ("{{ randAlpha 5 }} {{ randNumeric 5 }} {{ randAscii 9 | len }}", "^[A-Za-z]{5} [0-9]{5} 9$"),
        ("{{ randBytes 12 }} {{ randBytes 12 | b64dec | len }}", "^[A-Za-z0-9+/]{16} 12$"),
        ("{{ randInt 10 20 }}", "^1[0-9]$"),
        ("{{ uuidv4 }}", "^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$"),
        ("{{ shuffle \"abc\" | len }} {{ shuffle \"abc\" | splitList \"\" | sortAlpha | join \"\" }}", "^3 abc$"),
        ("{{ bcrypt \"x\" }}", r"^\$2a\$10\$[./A-Za-z0-9]{53}$"),
        ("{{ htpasswd \"ann\" \"x\" }}", r"^ann:\$2a\$10\$[./A-Za-z0-9]{53}$"),
        (
            "{{ derivePassword 1 \"long\" \"p\" \"u\" \"s\" | len }} {{ derivePassword 1 \"pin\" \"p\" \"u\" \"s\" }}",
            "^14 [0-9]{4}$",
        ),
        (
            "{{ genPrivateKey \"rsa\" }}",
            "^-----BEGIN RSA PRIVATE KEY-----\n(?:[A-Za-z0-9+/=]{1,64}\n)+-----END RSA PRIVATE KEY-----\n$",
        ),
        (
            "{{ genPrivateKey \"ecdsa\" }}{{ genPrivateKey \"nope\" }}",
            "^-----BEGIN EC PRIVATE KEY-----(?s:.*)Unknown type nope$",
        ),
        (
            "{{ $ca := genCA \"ca\" 365 }}{{ $c := genSignedCert \"x\" nil (list \"a.b\") 365 $ca }}{{ $ca.Cert }}{{ $c.Key }}",
            "^-----BEGIN CERTIFICATE-----\n(?s:.*)-----END CERTIFICATE-----\n-----BEGIN RSA PRIVATE KEY-----",
        ),
        ("{{ (genSelfSignedCert \"x\" (list) (list) 1).Cert | b64enc | len }}", "^[0-9]{4}$"),
        ("{{ $k := genPrivateKey \"rsa\" }}{{ eq (genCAWithKey \"x\" 1 $k).Key $k }}", "^true$"),
        ("{{ (buildCustomCert (b64enc \"c\") (b64enc \"k\")).Cert }}", "^c$"),
        ("{{ encryptAES \"k\" \"text\" | decryptAES \"k\" }}", "^text$"),
        (
            "{{ now | date \"2006-01-02\" }} {{ now.Year }} {{ ago now }} {{ date \"2006\" \"\" }}",
            "^1970-01-01 1970 0s 1970$",
        ),
        ("[{{ getHostByName \"localhost\" }}] {{ lookup \"v1\" \"Pod\" \"a\" \"b\" }}", r"^\[\] map\[\]$"),
    ] {
        let made = template(text).expect(text);
        let regex = regex::Regex::new(pattern).expect(pattern);
        assert!(regex.is_match(&made), "{text}: {made:?}");
    }
}

#[test]
fn a_chart_renders_the_same_every_time_and_no_two_secrets_are_alike() {
    let text = "{{ range until 50 }}{{ randAlphaNum 16 }} {{ uuidv4 }}\n{{ end }}";
    let first = template(text).expect("renders");
    assert_eq!(first, template(text).expect("renders"));
    let words: BTreeSet<&str> = first.split_whitespace().collect();
    assert_eq!(words.len(), 100);
}

#[test]
fn what_does_not_end_is_refused_and_names_the_template() {
    for (text, expected) in [
        ("{{ define \"a\" }}{{ include \"a\" . }}{{ end }}{{ include \"a\" . }}", "deeper"),
        ("{{ define \"a\" }}{{ template \"a\" . }}{{ end }}{{ template \"a\" . }}", "deeper"),
        (
            "{{ define \"a\" }}{{ if true }}{{ range until 1 }}{{ with $ }}{{ print (include \"a\" (dict \"x\" (list .))) }}{{ end }}{{ end }}{{ end }}{{ end }}{{ include \"a\" . }}",
            "deeper",
        ),
        ("{{ $t := \"{{ tpl .t . }}\" }}{{ tpl $t (dict \"t\" $t) }}", "deeper"),
        ("{{ range until 100 }}{{ repeat 1000000 \"x\" }}{{ end }}", "bytes"),
    ] {
        let error = template(text).expect_err(text);
        assert!(error.starts_with("chart `app`: app/templates/x.yaml"), "{text}: {error}");
        assert!(error.contains(expected), "{text}: {error}");
    }
}

#[test]
fn includes_may_nest_as_deep_as_helm_lets_them() {
    let text = "{{ define \"a\" }}{{ if gt (int .n) 0 }}{{ include \"a\" (dict \"n\" (sub .n 1)) }}{{ end }}{{ .n }} {{ end }}{{ include \"a\" (dict \"n\" 900) }}";
    assert!(template(text).expect("renders").ends_with(" 899 900 "));
}

#[test]
fn manifests_come_in_the_order_of_installation_and_say_where_yaml_is_wrong() {
    let text = "kind: Deployment\n---\nkind: Namespace\n---\nkind: Job\nmetadata: {annotations: {helm.sh/hook: pre-install}}\n---\nkind: Zoo\n";
    let chart = chart(&[("templates/x.yaml", text)]).expect("a chart");
    let all = manifests(&render(&chart, &RenderOptions::default()).expect("renders")).expect("YAML");
    let kinds: Vec<_> = all.iter().map(|manifest| (manifest.kind(), manifest.hooks.len())).collect();
    assert_eq!(kinds, [("Namespace", 0), ("Deployment", 0), ("Zoo", 0), ("Job", 1)]);

    let wrong = super::Rendered { template: "app/templates/x.yaml".into(), text: "a: 1\n---\nb:\n  c: [\n".into() };
    let error = manifests(&[wrong]).expect_err("not YAML").to_string();
    assert!(
        error.starts_with(
            "the template `app/templates/x.yaml` of the chart `app` does not make what Kubernetes takes: line "
        ),
        "{error}"
    );
    assert!(error.contains("line 4") || error.contains("line 5"), "{error}");
}

#[test]
fn missing_dependencies_and_versions_come_with_a_way_out() {
    let text = "apiVersion: v2\nname: app\nversion: 1.0.0\ndependencies: [{name: db, version: '*'}]\n";
    let chart = Chart::load([file("Chart.yaml", text)]).expect("a chart");
    let error = render(&chart, &RenderOptions::default()).expect_err("no db");
    assert_eq!(error.to_string(), "the chart `app` needs the dependency `db`, which is not in `charts/`");
    assert_eq!(error.help().as_deref(), Some("run `helm dependency build` in the chart's directory"));
    let options = RenderOptions { kube_version: "soon".to_owned(), ..RenderOptions::default() };
    let error = render(&super::tests::chart(&[]).expect("a chart"), &options).expect_err("no version");
    assert_eq!(error.to_string(), "`soon` is no Kubernetes version");
}

#[test]
fn charts_nested_without_end_are_refused() {
    let path = |depth: usize| format!("{}Chart.yaml", "charts/a/".repeat(depth));
    let files = (0..200).map(|depth| file(&path(depth), "apiVersion: v2\nname: a\nversion: 1.0.0\n"));
    let error = Chart::load(files).expect_err("too deep").to_string();
    assert!(error.contains("lies more than 32 charts deep"), "{error}");
}

#[test]
fn yaml_bombs_are_refused() {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for i in 1..10 {
        bomb.push_str(&format!("a{i}: &a{i} [{}]\n", vec![format!("*a{}", i - 1); 10].join(", ")));
    }
    let error = chart(&[("values.yaml", &bomb)]).expect_err("a bomb").to_string();
    assert!(error.contains("`values.yaml` of the chart") && error.contains("aliases repeat"), "{error}");
    let text = format!("{{{{ fromYaml {bomb:?} }}}}");
    assert!(template(&text).expect("Helm hands mistakes back").contains("aliases repeat"));
}

#[test]
fn helmignore_has_rules_of_its_own() {
    let ignore = Ignore::parse("\u{feff}# c\n\n*.txt\n/top\ndir/\na/b\n[x-z]?\n!keep*\n").expect("rules");
    for (path, kind, expected) in [
        ("keep.txt", Kind::File, true),
        ("keep.yaml", Kind::File, false),
        ("top", Kind::File, true),
        ("a/b", Kind::File, true),
        ("x1", Kind::File, true),
        ("other.yaml", Kind::File, true),
        ("keep", Kind::Directory, false),
    ] {
        assert_eq!(ignore.ignores(path, kind), expected, "{path}");
    }
    let plain = Ignore::default();
    assert!(plain.ignores("templates/.x", Kind::File) && !plain.ignores("templates/x", Kind::File));
    for wrong in ["**/x", "[", "a[", "\\"] {
        assert!(Ignore::parse(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn set_file_texts_are_cut_into_keys_and_files() {
    let mut values = Values { set_file: vec!["a=x,b.c=y\\,z".to_owned()], ..Values::default() };
    assert_eq!(values.wanted_files().expect("paths"), ["x", "y,z"]);
    assert!(values.merged().expect_err("not read").to_string().contains("the file `x` was not read"));
    for name in ["x", "y,z"] {
        values.set_files.push(super::ValuesFile { name: name.to_owned(), text: format!("<{name}>") });
    }
    let pairs = values.file_pairs().expect("pairs");
    assert_eq!(pairs, [("a".to_owned(), "<x>"), ("b.c".to_owned(), "<y,z>")]);
}

#[test]
fn packed_charts_are_bounded_and_stay_in_their_directory() {
    use std::io::Write as _;
    let pack = |entries: &[(&str, u64, &[u8])]| {
        let mut tar = Vec::new();
        for (path, size, bytes) in entries {
            let mut header = [0u8; 512];
            header[..path.len()].copy_from_slice(path.as_bytes());
            header[100..107].copy_from_slice(b"0000644");
            header[124..135].copy_from_slice(format!("{size:011o}").as_bytes());
            header[156] = b'0';
            header[257..265].copy_from_slice(b"ustar\x0000");
            header[148..156].fill(b' ');
            let sum: u32 = header.iter().map(|b| u32::from(*b)).sum();
            header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
            tar.extend_from_slice(&header);
            tar.extend_from_slice(bytes);
            tar.resize(tar.len().next_multiple_of(512), 0);
        }
        tar.resize(tar.len() + 1024, 0);
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&tar).and_then(|()| gzip.finish()).expect("memory")
    };
    let chart: &[u8] = b"apiVersion: v2\nname: app\nversion: 1.0.0\n";
    let whole = ("app/Chart.yaml", chart.len() as u64, chart);
    assert!(Chart::unpack(pack(&[whole]).as_slice()).is_ok());
    for (entries, expected) in [
        (vec![whole, ("app/../../evil", 0, b"".as_slice())], ".."),
        (vec![("Chart.yaml", chart.len() as u64, chart)], "outside"),
        (vec![whole, ("app//etc/passwd", 0, b"".as_slice())], "outside"),
        (vec![whole, ("app/big", MAX_FILE + 1, b"".as_slice())], "larger than"),
        (vec![whole, ("app/short", 5000, b"x".as_slice())], ""),
        (vec![], "no files"),
    ] {
        let error = Chart::unpack(pack(&entries).as_slice()).expect_err(expected).to_string();
        assert!(error.starts_with("cannot unpack the chart: ") && error.contains(expected), "{expected}: {error}");
    }
    for bytes in [b"".as_slice(), b"not gzip", &pack(&[whole])[..40]] {
        assert!(Chart::unpack(bytes).is_err());
    }
}

#[test]
fn a_bomb_of_a_packed_chart_is_not_unpacked_whole() {
    use std::io::Write as _;
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    let mut header = [0u8; 512];
    header[..5].copy_from_slice(b"app/x");
    header[100..107].copy_from_slice(b"0000644");
    header[124..135].copy_from_slice(format!("{:011o}", 4u64 << 20).as_bytes());
    header[156] = b'0';
    header[257..265].copy_from_slice(b"ustar\x0000");
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|b| u32::from(*b)).sum();
    header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    let zeros = vec![0u8; 4 << 20];
    for _ in 0..40 {
        gzip.write_all(&header).and_then(|()| gzip.write_all(&zeros)).expect("memory");
    }
    let packed = gzip.finish().expect("memory");
    assert!(packed.len() < 1 << 20, "{} bytes of a bomb", packed.len());
    let error = Chart::unpack(packed.as_slice()).expect_err("a bomb").to_string();
    assert!(error.contains("larger than"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn no_files_make_the_loader_panic(files in prop::collection::vec((
        prop::sample::select(vec![
            "Chart.yaml", "values.yaml", "requirements.yaml", "Chart.lock", "values.schema.json", ".helmignore", "templates/x.yaml", "templates/_x.tpl",
            "charts/a/Chart.yaml", "charts/a/values.yaml", "charts/a/templates/y.yaml", "charts/b.tgz", "charts/README", "crds/x.yaml", "x/../y", "/abs", "",
        ]),
        prop::sample::select(vec![
            "apiVersion: v2\nname: app\nversion: 1.0.0\n", "apiVersion: v1\nname: a\nversion: 1.0.0\n", "name: [", "- a", "a: {b: {c: 1}}\n", "null", "{\"type\": \"object\"}",
            "dependencies: [{name: a, version: '*', alias: b, condition: 'a.b,c', tags: [t], import-values: [x, {child: y, parent: z}]}]\n", "{{ .Values }}", "{{ include \"x\" . }}", "{{", "!\n*\n",
            "apiVersion: v2\nname: app\nversion: 1.0.0\ndependencies: [{name: a, version: '>0', import-values: [1, null, {child: 1}]}, {name: a, version: '1', alias: c}]\ntype: library\n", "global: 1\na: null\n", "a: 1\nglobal: {x: {y: 1}}\n",
        ]),
    ), 0..10)) {
        if let Ok(chart) = Chart::load(files.iter().map(|(path, text)| file(path, text))) {
            drop(render(&chart, &RenderOptions::default()));
        }
    }

    #[test]
    fn no_bytes_make_the_unpacker_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        drop(Chart::unpack(bytes.as_slice()));
    }
}
