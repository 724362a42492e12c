//! Lines of lists, and names of images inside longer texts.

use oci::Reference;

/// A line without its comment: `#` at the beginning or behind white space begins one. White space around is gone.
pub(crate) fn without_comment(line: &str) -> &str {
    let line = line.trim();
    if line.starts_with('#') {
        return "";
    }
    let comment = line.char_indices().zip(line.chars().skip(1));
    let start = comment.into_iter().find(|((_, c), next)| c.is_whitespace() && *next == '#');
    start.map_or(line, |((at, _), _)| line[..at].trim_end())
}

/// A text without one pair of quotes around it.
pub(crate) fn unquoted(text: &str) -> &str {
    let inside = |quote: char| text.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
    inside('"').or_else(|| inside('\'')).unwrap_or(text)
}

/// A text that is the name of an image beyond doubt where images are expected: it has a tag or a digest.
pub(crate) fn definite(text: &str) -> Option<Reference> {
    let reference = text.parse::<Reference>().ok()?;
    (reference.tag().is_some() || reference.digest().is_some()).then_some(reference)
}

/// The names of images in a value that lists them: `a:1,b:2`, `x=a:1 y=b:2`, one a line.
pub(crate) fn listed(text: &str) -> Vec<Reference> {
    let ends = |c: char| c.is_whitespace() || matches!(c, ',' | ';' | '"' | '\'');
    let words = text.split(ends).filter(|word| !word.is_empty());
    words.filter_map(|word| definite(word.rsplit('=').next().unwrap_or(word))).collect()
}

/// Registries that everybody knows: what stands behind them is an image, even without a tag.
const REGISTRIES: &[&str] = &[
    "docker.io",
    "quay.io",
    "ghcr.io",
    "gcr.io",
    "registry.k8s.io",
    "k8s.gcr.io",
    "mcr.microsoft.com",
    "public.ecr.aws",
    "nvcr.io",
    "docker.elastic.co",
    "registry.gitlab.com",
    "registry.cn-hangzhou.aliyuncs.com",
    "container-registry.oracle.com",
    "registry.redhat.io",
    "registry.access.redhat.com",
    "icr.io",
    "cgr.dev",
    "lscr.io",
    "xpkg.upbound.io",
];

/// Endings of registries that people have of their own at large providers.
const PROVIDERS: &[&str] = &[".gcr.io", ".pkg.dev", ".azurecr.io", ".aliyuncs.com", ".icr.io"];

/// Whether a registry serves images to everybody.
pub(crate) fn is_well_known(registry: &str) -> bool {
    // Most hosts of Amazon's serve something else.
    let is_amazons = registry.contains(".dkr.ecr.") && registry.contains(".amazonaws.com");
    REGISTRIES.contains(&registry) || is_amazons || PROVIDERS.iter().any(|end| registry.ends_with(end))
}

/// The names of images that a text seems to hold, among other things. A guess: for reports.
pub(crate) fn guessed(text: &str) -> Vec<Reference> {
    if let Some(reference) = guess_whole(text) {
        return vec![reference];
    }
    let ends = |c: char| c.is_whitespace() || "\"'`,;=()[]{}<>|".contains(c);
    text.split(ends).filter(|word| word.len() > 6 && word.contains('/')).filter_map(guess_word).collect()
}

/// A whole value: `team/app:v1` suffices.
fn guess_whole(text: &str) -> Option<Reference> {
    if text.len() > 300 || text.contains(|c: char| c.is_whitespace()) {
        return None;
    }
    let reference = definite(text)?;
    let is_plain = text.contains('/') && !is_port(&reference);
    // A repository's name has letters; `10/20:30` has not.
    let has_letters = reference.repository().bytes().any(|b| b.is_ascii_lowercase());
    (is_plain && has_letters).then_some(reference)
}

/// A word of a longer text: with a registry and a tag, a known registry, or a digest.
fn guess_word(word: &str) -> Option<Reference> {
    let word = word.trim_end_matches(['.', ':']);
    let word = word.strip_prefix("docker://").unwrap_or(word);
    let reference = word.parse::<Reference>().ok()?;
    if !word.contains('/') || is_port(&reference) {
        return None;
    }
    let registry = reference.registry();
    let is_known = is_well_known(registry);
    let is_written = word.starts_with(registry);
    let is_named = reference.tag().is_some() && is_written && registry.contains('.');
    (reference.digest().is_some() || is_named || is_known && is_written && word.contains('/')).then_some(reference)
}

/// `svc.namespace.svc/path:8080`: an address inside a cluster. Elsewhere a number behind a path is a tag: reporting too
/// much costs a line, reporting too little an image.
fn is_port(reference: &Reference) -> bool {
    let digits = |tag: &str| tag.len() >= 2 && tag.len() <= 5 && tag.bytes().all(|b| b.is_ascii_digit());
    let is_inside = [".svc", ".local", ".internal"].iter().any(|end| reference.registry().ends_with(end));
    is_inside && reference.digest().is_none() && reference.tag().is_some_and(digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn comments_and_quotes_are_taken_off() {
        for (line, want) in [
            ("  nginx:1  ", "nginx:1"),
            ("nginx:1 # web", "nginx:1"),
            ("nginx:1\t#web", "nginx:1"),
            ("# nginx:1", ""),
            ("#nginx", ""),
            ("a#b", "a#b"),
            ("\"nginx:1\"", "nginx:1"),
            ("'nginx:1'  # x", "nginx:1"),
            ("\"nginx:1", "\"nginx:1"),
            ("", ""),
        ] {
            assert_eq!(unquoted(without_comment(line)), want, "{line}");
        }
    }

    #[test]
    fn guesses_are_images_more_often_than_not() {
        let digest = format!("use quay.io/a/b@{DIGEST} here");
        for (text, want) in [
            ("quay.io/team/app:v1", &["quay.io/team/app:v1"][..]),
            ("team/app:v1", &["team/app:v1"]),
            ("--sidecar=quay.io/a/b:2,x", &["quay.io/a/b:2"]),
            ("run docker.io/library/nginx now.", &["docker.io/library/nginx"]),
            (digest.as_str(), &[&digest[4..digest.len() - 5]]),
            ("{\"image\":\"hub.example/a/b:1.2\"}", &["hub.example/a/b:1.2"]),
            ("on 1.dkr.ecr.eu-west-1.amazonaws.com/app now", &["1.dkr.ecr.eu-west-1.amazonaws.com/app"]),
            ("eks.amazonaws.com/compute-type", &[]),
            ("nginx:1", &[]),
            ("host.example:8080", &[]),
            ("svc.ns.svc/path:8080", &[]),
            ("quay.io/prometheus/postgres:15", &["quay.io/prometheus/postgres:15"]),
            ("docker run hub.example/postgres:15 x", &["hub.example/postgres:15"]),
            ("https://example.com/a/b:1", &[]),
            ("a/b", &[]),
            ("10/20:30", &[]),
            ("apps/v1", &[]),
            ("text/html; charset=utf-8", &[]),
            ("/var/lib/x:/var/lib/y:ro", &[]),
            ("12:30:45", &[]),
        ] {
            let found: Vec<String> = guessed(text).iter().map(|r| r.familiar()).collect();
            let want: Vec<String> = want.iter().map(|w| w.parse::<Reference>().unwrap().familiar()).collect();
            assert_eq!(found, want, "{text}");
        }
    }

    #[test]
    fn lists_in_values_are_split() {
        let text = "3.7.0=quay.io/strimzi/kafka:0.41\n3.6.0=quay.io/strimzi/kafka:0.40, x; \"a/b:1\"";
        let found: Vec<String> = listed(text).iter().map(|r| r.familiar()).collect();
        assert_eq!(found, ["quay.io/strimzi/kafka:0.41", "quay.io/strimzi/kafka:0.40", "a/b:1"]);
    }
}
