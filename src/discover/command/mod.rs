//! Commands of an image and of its scripts: which charts they install, with which values, and which manifests they
//! apply.

pub(crate) mod helm;
mod kubectl;
pub(crate) mod shell;

use content::Origin;

use super::found::{Findings, From};
use super::text::{definite, guessed};
use helm::HelmCall;
use kubectl::KubectlCall;
use shell::{Certainty, Dialect, Input, Simple, Variables, Word};

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

/// Programs that run the one that follows, with their flags that take a word.
const WRAPPERS: [(&str, &[&str]); 11] = [
    ("sudo", &["-u", "-g", "-h", "-p", "-C", "-T"]),
    ("env", &["-u", "-C", "-S"]),
    ("timeout", &["-k", "-s"]),
    ("nice", &["-n"]),
    ("ionice", &["-c", "-n"]),
    ("xargs", &["-I", "-n", "-P", "-L", "-d", "-a"]),
    ("exec", &["-a"]),
    ("command", &[]),
    ("nohup", &[]),
    ("eval", &[]),
    ("time", &["-f", "-o"]),
];

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
            let Some((_, valued)) = WRAPPERS.iter().find(|(name, _)| *name == first.text) else { break };
            // What stands between a wrapper and its program are flags and assignments, and how long a timeout is.
            let mut skipped = 0;
            while let Some(word) = rest.get(skipped).filter(|it| it.text.starts_with('-') || it.text.contains('=')) {
                skipped += 1 + usize::from(valued.contains(&word.text.as_str()));
            }
            skipped += usize::from(first.text == "timeout");
            words = &rest[skipped.min(rest.len())..];
        }
        let Some((program, rest)) = words.split_first() else { return };
        let name = program.text.rsplit('/').next().unwrap_or_default();
        match name {
            "helm" | "helm3" | "helm4" => match HelmCall::parse(rest, self.origin(command, "helm command")) {
                Some(call) => self.asked.charts.push(call),
                None => self.guess(command),
            },
            "kubectl" | "k3s" | "k" => self.kubectl(rest, command),
            "kustomize" => {
                if let [verb, directory, ..] = &KubectlCall::parse(rest).plain[..]
                    && *verb == "build"
                {
                    let wanted = self.wanted(directory, command);
                    self.asked.kustomizations.push(wanted);
                }
            }
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
        let call = KubectlCall::parse(words);
        match call.plain.as_slice() {
            ["apply" | "create" | "replace", ..] => {
                let files: Vec<Wanted> = call.paths("--filename").map(|path| self.wanted(path, command)).collect();
                let built: Vec<Wanted> = call.paths("--kustomize").map(|path| self.wanted(path, command)).collect();
                self.asked.manifests.extend(files);
                self.asked.kustomizations.extend(built);
                if call.reads_input() {
                    self.input(command);
                }
            }
            ["kustomize", directory, ..] => {
                let wanted = self.wanted(directory, command);
                self.asked.kustomizations.push(wanted);
            }
            ["set", "image", changes @ ..] => {
                let images = changes.iter().filter_map(|word| word.split_once('='));
                images.for_each(|(_, image)| self.take(image, command));
            }
            _ => {}
        }
        if let Some("run" | "create" | "debug") = call.plain.first().copied() {
            call.values("--image").for_each(|image| self.take(image, command));
        }
        self.guess(command);
    }

    fn wanted(&self, path: &str, command: &Simple) -> Wanted {
        Wanted { path: path.to_owned(), origin: self.origin(command, "kubectl command"), arguments: Vec::new() }
    }

    /// What a command is given to apply on its standard input. Here-documents are looked at by themselves.
    fn input(&mut self, command: &Simple) {
        let files: Vec<&str> = match &command.input {
            None => Vec::new(),
            Some(Input::File(path)) => vec![path],
            Some(Input::Pipe(words)) => {
                let program = words.first().map_or("", |word| word.text.rsplit('/').next().unwrap_or_default());
                match program {
                    "cat" => {
                        words[1..].iter().map(|word| word.text.as_str()).filter(|it| !it.starts_with('-')).collect()
                    }
                    // Their own calls say what they print.
                    "helm" | "helm3" | "helm4" | "kubectl" | "k3s" | "k" | "kustomize" | "echo" | "printf" => {
                        Vec::new()
                    }
                    _ => {
                        let text = format!("`{program}` makes what is applied here; its images are not known");
                        self.findings.note(self.origin(command, "kubectl command"), text);
                        Vec::new()
                    }
                }
            }
        };
        let files: Vec<Wanted> = files.into_iter().map(|path| self.wanted(path, command)).collect();
        self.asked.manifests.extend(files);
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
                    self.command(&Simple { line: command.line, ..inner });
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
                    kubectl -n ns apply -f manifests/a.yaml,manifests/b -R; kubectl apply -k overlay\n\
                    sudo -u root nice -n 5 timeout -k 1 5m bash -x scripts/install.sh one $(A)\n\
                    ./run.sh\n\
                    kubectl set image deploy/x c=nginx:2\n\
                    kubectl run t --image=busybox --restart=Never\n\
                    sh -c 'helm install y ./charts/y'\n\
                    crictl pull quay.io/x/y:1\n\
                    cat a.yaml b.yaml | kubectl apply -f - && kubectl apply -f - < c.yaml\n\
                    kustomize build over | kubectl apply -f -; kubectl kustomize under | kubectl apply -f -\n\
                    sed s/A/B/ d.yaml |\n kubectl apply -f -\n";
        let place = CommandPlace { file: "Kubefile", line: 10, what: "CMD" };
        let mut variables: Variables = [("A".to_owned(), Some("1".to_owned()))].into();
        let mut findings = Findings::new(Ignore::default());
        let asked = command(text, place, &mut variables, &mut findings);
        let charts: Vec<_> = asked.charts.iter().map(|call| (call.chart.as_str(), call.origin.line)).collect();
        assert_eq!(charts, [("charts/app", Some(10)), ("./charts/y", Some(16))]);
        assert_eq!(asked.charts[0].set, ["a=1,b=2"]);
        let paths = |wanted: &[Wanted]| wanted.iter().map(|w| w.path.clone()).collect::<Vec<_>>();
        assert_eq!(paths(&asked.manifests), ["manifests/a.yaml", "manifests/b", "a.yaml", "b.yaml", "c.yaml"]);
        assert_eq!(paths(&asked.kustomizations), ["overlay", "over", "under"]);
        let notes: Vec<_> = findings.notes().map(|note| (note.origin.line, note.text.as_str())).collect();
        assert_eq!(notes, [(Some(21), "`sed` makes what is applied here; its images are not known")]);
        assert_eq!(paths(&asked.scripts), ["scripts/install.sh", "./run.sh"]);
        assert_eq!(asked.scripts[0].arguments, ["one", "1"]);
        let images: Vec<_> = findings.images().map(|f| f.reference.familiar()).collect();
        assert_eq!(images, ["busybox:latest", "nginx:2"]);
        let likely: Vec<_> = findings.likely().map(|f| f.reference.familiar()).collect();
        assert_eq!(likely, ["quay.io/x/y:1"]);
    }
}
