//! Commands of an image and of its scripts: which charts they install, with which values, and which manifests they
//! apply.

pub(crate) mod helm;
pub(crate) mod shell;

use content::Origin;

use super::found::{Findings, From};
use super::text::{definite, guessed};
use helm::HelmCall;
use shell::{Certainty, Dialect, Simple, Variables, Word};

/// What a text of commands asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// Charts that are installed.
    pub charts: Vec<HelmCall>,
    /// Manifests that are applied: files and directories.
    pub manifests: Vec<Wanted>,
    /// Kustomizations that are applied.
    pub kustomizations: Vec<Wanted>,
    /// Scripts that are run.
    pub scripts: Vec<Wanted>,
    /// Texts given to commands in place of a file, with the line they begin in.
    pub documents: Vec<(usize, String)>,
}

/// A path that a command names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The path, as the command has it.
    pub path: String,
    /// The command.
    pub origin: Origin,
    /// Further words (of a script).
    pub arguments: Vec<String>,
}

/// Where a text of commands stands.
#[derive(Clone, Copy, Debug)]
pub struct CommandPlace<'a> {
    /// The file.
    pub file: &'a str,
    /// The line of its first line, from 1.
    pub line: usize,
    /// What it is, such as `CMD`.
    pub what: &'a str,
}

/// Reads a command of an image, whose environment is `variables`.
pub fn command(text: &str, place: CommandPlace<'_>, variables: &mut Variables, findings: &mut Findings) -> Asked {
    read(text, Dialect::Image, place, variables, findings)
}

/// Reads a script that a command runs.
pub fn script(text: &str, place: CommandPlace<'_>, variables: &mut Variables, findings: &mut Findings) -> Asked {
    read(text, Dialect::Script, place, variables, findings)
}

fn read(
    text: &str,
    dialect: Dialect,
    place: CommandPlace<'_>,
    variables: &mut Variables,
    findings: &mut Findings,
) -> Asked {
    let cut = shell::parse(text, dialect, variables);
    let mut reader = Reader { place, findings, asked: Asked::default() };
    for command in &cut.commands {
        reader.command(command);
    }
    reader.asked.documents = cut.documents.into_iter().map(|(line, text)| (place.line + line - 1, text)).collect();
    reader.asked
}

/// Programs that run the one that follows.
const WRAPPERS: [&str; 9] = ["sudo", "env", "exec", "command", "nohup", "nice", "eval", "time", "xargs"];

struct Reader<'a> {
    place: CommandPlace<'a>,
    findings: &'a mut Findings,
    asked: Asked,
}

impl Reader<'_> {
    fn origin(&self, command: &Simple, rule: &str) -> Origin {
        Origin {
            file: self.place.file.to_owned(),
            line: Some(self.place.line + command.line.max(1) - 1),
            what: self.place.what.to_owned(),
            rule: rule.to_owned(),
        }
    }

    fn command(&mut self, command: &Simple) {
        let mut words = &command.words[..];
        while let Some((first, rest)) = words.split_first() {
            let is_wrapper = WRAPPERS.contains(&first.text.as_str());
            let is_timeout = first.text == "timeout";
            // What stands between a wrapper and its program are flags and assignments.
            match is_wrapper || is_timeout {
                true => {
                    let skip = rest.iter().take_while(|word| word.text.starts_with('-') || word.text.contains('='));
                    words = &rest[(skip.count() + usize::from(is_timeout)).min(rest.len())..];
                }
                false => break,
            }
        }
        let Some((program, rest)) = words.split_first() else { return };
        let name = program.text.rsplit('/').next().unwrap_or_default();
        match name {
            "helm" | "helm3" | "helm4" => match HelmCall::parse(rest, self.origin(command, "helm command")) {
                Some(call) => self.asked.charts.push(call),
                None => self.guess(command),
            },
            "kubectl" | "k3s" | "k" => self.kubectl(rest, command),
            "sh" | "bash" | "ash" | "dash" | "source" | "." => self.shell(rest, command),
            _ if program.text.contains('/') && program.certainty == Certainty::Known => {
                self.script(program, rest, command);
                self.guess(command);
            }
            _ => self.guess(command),
        }
    }

    fn kubectl(&mut self, words: &[Word], command: &Simple) {
        let words = match words.first() {
            Some(word) if word.text == "kubectl" => &words[1..],
            _ => words,
        };
        let verb = words.iter().map(|word| word.text.as_str()).find(|word| !word.starts_with('-'));
        let mut rest = words;
        while let Some((word, after)) = rest.split_first() {
            rest = after;
            let (flag, value) = match word.text.split_once('=') {
                Some((flag, value)) if flag.starts_with('-') => (flag, Some(value)),
                _ => (word.text.as_str(), after.first().map(|next| next.text.as_str())),
            };
            let values = value.unwrap_or_default().split(',').filter(|path| !path.is_empty() && *path != "-");
            let wanted = |path: &str, rule: &str| Wanted {
                path: path.to_owned(),
                origin: self.origin(command, rule),
                arguments: Vec::new(),
            };
            match (verb, flag) {
                (Some("apply" | "create" | "replace"), "-f" | "--filename") => {
                    let found: Vec<Wanted> = values.map(|path| wanted(path, "kubectl command")).collect();
                    self.asked.manifests.extend(found);
                }
                (Some("apply" | "create" | "replace"), "-k" | "--kustomize") => {
                    let found: Vec<Wanted> = values.map(|path| wanted(path, "kubectl command")).collect();
                    self.asked.kustomizations.extend(found);
                }
                (Some("run" | "create" | "debug"), "--image") => self.take(value.unwrap_or_default(), command),
                (Some("set"), _) if words.iter().any(|word| word.text == "image") => {
                    if let Some((_, image)) = word.text.split_once('=').filter(|(name, _)| !name.starts_with('-')) {
                        self.take(image, command);
                    }
                }
                _ => {}
            }
        }
        self.guess(command);
    }

    fn take(&mut self, image: &str, command: &Simple) {
        let is_known = !image.contains(['$', '`']);
        if let (true, Ok(reference)) = (is_known, image.parse()) {
            self.findings.take(reference, From::Registry, self.origin(command, "kubectl command"));
        }
    }

    fn shell(&mut self, words: &[Word], command: &Simple) {
        // `sh -c TEXT` is commands again; its words are cut already as far as they are known.
        let is_text = words.iter().take_while(|word| word.text.starts_with('-')).any(|word| word.text.contains('c'));
        let at = words.iter().position(|word| !word.text.starts_with('-'));
        let Some((program, rest)) = at.and_then(|at| words[at..].split_first()) else { return };
        match is_text {
            true => {
                let cut = shell::parse(&program.text, Dialect::Script, &mut Variables::new());
                for inner in cut.commands {
                    self.command(&Simple { line: command.line, words: inner.words });
                }
            }
            false => self.script(program, rest, command),
        }
    }

    fn script(&mut self, program: &Word, rest: &[Word], command: &Simple) {
        if program.certainty == Certainty::Known {
            let arguments = rest.iter().map(|word| word.text.clone()).collect();
            let origin = self.origin(command, "script");
            self.asked.scripts.push(Wanted { path: program.text.clone(), origin, arguments });
        }
    }

    fn guess(&mut self, command: &Simple) {
        for word in &command.words {
            let whole = definite(&word.text).filter(|_| word.text.contains('/'));
            let found = whole.map_or_else(|| guessed(&word.text), |reference| vec![reference]);
            for reference in found {
                self.findings.report(reference, self.origin(command, "guess"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discover::Ignore;

    #[test]
    fn commands_name_charts_manifests_scripts_and_images() {
        let text = "cp opt/helm /usr/bin/ && helm upgrade -i app charts/app -n ns -f charts/app.values.yaml --set a=$(A),b=2 --wait\n\
                    kubectl apply -f manifests/a.yaml,manifests/b -R; kubectl apply -k overlay\n\
                    sudo timeout 5m bash -x scripts/install.sh one $(A)\n\
                    ./run.sh\n\
                    kubectl set image deploy/x c=nginx:2\n\
                    kubectl run t --image=busybox --restart=Never\n\
                    sh -c 'helm install y ./charts/y'\n\
                    crictl pull quay.io/x/y:1\n";
        let place = CommandPlace { file: "Kubefile", line: 10, what: "CMD" };
        let mut variables: Variables = [("A".to_owned(), Some("1".to_owned()))].into();
        let mut findings = Findings::new(Ignore::default());
        let asked = command(text, place, &mut variables, &mut findings);
        let charts: Vec<_> = asked.charts.iter().map(|call| (call.chart.as_str(), call.origin.line)).collect();
        assert_eq!(charts, [("charts/app", Some(10)), ("./charts/y", Some(16))]);
        assert_eq!(asked.charts[0].set, ["a=1,b=2"]);
        let paths = |wanted: &[Wanted]| wanted.iter().map(|w| w.path.clone()).collect::<Vec<_>>();
        assert_eq!(paths(&asked.manifests), ["manifests/a.yaml", "manifests/b"]);
        assert_eq!(paths(&asked.kustomizations), ["overlay"]);
        assert_eq!(paths(&asked.scripts), ["scripts/install.sh", "./run.sh"]);
        assert_eq!(asked.scripts[0].arguments, ["one", "1"]);
        let images: Vec<_> = findings.images().map(|f| f.reference.familiar()).collect();
        assert_eq!(images, ["busybox:latest", "nginx:2"]);
        let likely: Vec<_> = findings.likely().map(|f| f.reference.familiar()).collect();
        assert_eq!(likely, ["quay.io/x/y:1"]);
    }
}
