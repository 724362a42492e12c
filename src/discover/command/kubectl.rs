//! `kubectl apply`, `run`, `set image` and the like, as they stand in commands.

use super::shell::Word;

/// A call of kubectl: its words by what they are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct KubectlCall<'a> {
    /// What is neither a flag nor a flag's value: the verb, then what it is about.
    pub(crate) plain: Vec<&'a str>,
    /// Flags by their long names, with their values, in order.
    flags: Vec<(&'a str, &'a str)>,
}

/// Letters of flags that take a value, with their long names.
const LETTERS: [(char, &str); 10] = [
    ('f', "--filename"),
    ('k', "--kustomize"),
    ('n', "--namespace"),
    ('l', "--selector"),
    ('o', "--output"),
    ('s', "--server"),
    ('c', "--container"),
    ('v', "--v"),
    ('r', "--replicas"),
    ('p', "--patch"),
];

/// Flags that take the next word for a value where none is behind `=`, besides those with letters.
const VALUED: [&str; 48] = [
    "--image",
    "--kubeconfig",
    "--context",
    "--cluster",
    "--user",
    "--token",
    "--as",
    "--as-group",
    "--as-uid",
    "--username",
    "--password",
    "--certificate-authority",
    "--client-certificate",
    "--client-key",
    "--tls-server-name",
    "--cache-dir",
    "--request-timeout",
    "--profile",
    "--profile-output",
    "--vmodule",
    "--field-manager",
    "--field-selector",
    "--prune-allowlist",
    "--prune-whitelist",
    "--timeout",
    "--grace-period",
    "--template",
    "--raw",
    "--env",
    "--port",
    "--labels",
    "--annotations",
    "--restart",
    "--overrides",
    "--override-type",
    "--pod-running-timeout",
    "--image-pull-policy",
    "--schedule",
    "--from",
    "--from-file",
    "--from-literal",
    "--from-env-file",
    "--target",
    "--copy-to",
    "--set-image",
    "--subresource",
    "--type",
    "--patch-file",
];

impl<'a> KubectlCall<'a> {
    /// Reads the words behind `kubectl`. What stands behind `--` is a container's.
    pub(crate) fn parse(words: &'a [Word]) -> Self {
        let mut call = Self::default();
        let mut rest = words.iter().map(|word| word.text.as_str()).take_while(|word| *word != "--");
        while let Some(word) = rest.next() {
            if !word.starts_with('-') || word == "-" {
                call.plain.push(word);
                continue;
            }
            let (flag, value) = split_flag(word);
            let takes_one = VALUED.contains(&flag) || LETTERS.iter().any(|(_, long)| *long == flag);
            let value = value.or_else(|| if takes_one { rest.next() } else { None });
            call.flags.push((flag, value.unwrap_or_default()));
        }
        call
    }

    /// The values of a flag, cut at commas; standard input is none.
    pub(crate) fn paths(&self, flag: &str) -> impl Iterator<Item = &'a str> {
        self.values(flag).flat_map(|value| value.split(',')).filter(|path| !path.is_empty() && *path != "-")
    }

    /// Whether it applies what it is given on its standard input.
    pub(crate) fn reads_input(&self) -> bool {
        self.values("--filename").flat_map(|value| value.split(',')).any(|path| path == "-")
    }

    /// The values of a flag.
    pub(crate) fn values(&self, flag: &str) -> impl Iterator<Item = &'a str> {
        self.flags.iter().filter(move |(name, _)| *name == flag).map(|(_, value)| *value)
    }
}

/// `--flag=value`, `-fvalue`, `-Rf`, or a flag alone.
fn split_flag(word: &str) -> (&str, Option<&str>) {
    if word.starts_with("--") {
        return match word.split_once('=') {
            Some((flag, value)) => (flag, Some(value)),
            None => (word, None),
        };
    }
    for (at, letter) in word.char_indices().skip(1) {
        if let Some((_, long)) = LETTERS.iter().find(|(short, _)| *short == letter) {
            let value = &word[at + letter.len_utf8()..];
            return (long, (!value.is_empty()).then(|| value.trim_start_matches('=')));
        }
    }
    (word, None)
}

#[cfg(test)]
mod tests {
    use super::super::shell::{Dialect, Variables, parse};
    use super::*;

    #[test]
    fn flags_are_read_wherever_they_stand() {
        for (text, plain, files) in [
            ("apply -f a.yaml,b -f c", "apply", "a.yaml b c"),
            ("-n ns apply -f a", "apply", "a"),
            ("--kubeconfig /x/admin.conf --namespace=ns apply --server-side -f a", "apply", "a"),
            ("apply -Rf a", "apply", "a"),
            ("apply -fa", "apply", "a"),
            ("apply -f=a --filename b --filename=c", "apply", "a b c"),
            ("create -f - -v 6 --dry-run=client -o yaml", "create", ""),
            ("run x --image=a:1 -it -- sh -f c", "run x", ""),
            ("set image deploy/x c=a:1 -n ns", "set image deploy/x c=a:1", ""),
        ] {
            let found = parse(text, Dialect::Script, &mut Variables::new());
            let call = KubectlCall::parse(&found.commands[0].words);
            assert_eq!(call.plain.join(" "), plain, "{text}");
            assert_eq!(call.paths("--filename").collect::<Vec<_>>().join(" "), files, "{text}");
        }
    }
}
