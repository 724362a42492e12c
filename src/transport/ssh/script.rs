//! How a command crosses an SSH connection.
//!
//! An exec request takes one string, which the user's login shell reads, and which everybody on the host can see among
//! the processes. So the string is fixed: it starts a shell that reads a script of known length from its input. The
//! script holds the environment, the directory and the arguments, each quoted once, here; what follows it on the input
//! is the program's own.
//!
//! ```text
//! exec:  [sudo …] /bin/sh -c 'skip to the mark; eval "$(dd … )"'
//! input: [password]  MARK  script  the program's input
//! stdout, stderr: whatever a login shell prints  MARK  the program's output
//! ```

use crate::transport::Command;

/// How a command becomes root's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Become {
    /// The user is root.
    Already,
    /// By sudo, which does not ask.
    Sudo,
    /// By sudo, which asks for the user's password.
    SudoWithPassword,
}

/// A command as it crosses the connection.
pub(super) struct Remote {
    /// What the exec request holds.
    pub(super) line: String,
    /// What goes before the program's own input.
    pub(super) head: Vec<u8>,
    /// What stands in front of the program's output, on a line.
    pub(super) mark: String,
}

/// Puts a text into single quotes.
pub(super) fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// Variables that some shells do not let anybody set.
const READ_ONLY: [&str; 6] = ["UID", "EUID", "PPID", "BASHOPTS", "SHELLOPTS", "BASH_VERSINFO"];

/// Whether a shell can have a variable of this name and value.
fn can_export(name: &str) -> bool {
    let first = name.chars().next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    first && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') && !READ_ONLY.contains(&name)
}

/// Writes a command down. `mark` is a word that no program prints; `password` is sudo's.
pub(super) fn remote(command: &Command, become_root: Become, password: &str, mark: &str) -> Remote {
    let script = script(command, mark);
    let sudo = match become_root {
        Become::Already => "",
        Become::Sudo => "sudo -n -- ",
        Become::SudoWithPassword => "sudo -S -p '' -- ",
    };
    // `read` and `dd bs=1` take no byte too many.
    let line = format!(
        "exec {sudo}/bin/sh -c 'while IFS= read -r l; do case $l in {mark}) break;; esac; done; \
         eval \"$(dd bs=1 count={} 2>/dev/null)\"'",
        script.len()
    );
    let mut head = Vec::new();
    if become_root == Become::SudoWithPassword {
        head.extend_from_slice(password.as_bytes());
        head.push(b'\n');
    }
    head.extend_from_slice(format!("{mark}\n").as_bytes());
    head.extend_from_slice(script.as_bytes());
    Remote { line, head, mark: mark.to_owned() }
}

/// The script: tells its process group, then becomes the program.
fn script(command: &Command, mark: &str) -> String {
    // The process group is kept as $1: no variable of ours can meet one of the command's.
    let mut lines = vec![
        "read -r p c s pp g r </proc/self/stat; set -- \"$g\"; unset p c s pp g r".to_owned(),
        "for d in /usr/local/sbin /usr/local/bin /usr/sbin /usr/bin /sbin /bin; do \
         case :$PATH: in *:$d:*) ;; *) PATH=$PATH:$d;; esac; done; export PATH; unset d l"
            .to_owned(),
    ];
    let (known, odd): (Vec<_>, Vec<_>) = command.env.iter().partition(|(name, _)| can_export(name));
    lines.extend(known.iter().map(|(name, value)| format!("export {name}={}", quote(value))));
    if let Some(cwd) = &command.cwd {
        let cwd = quote(&cwd.to_string_lossy());
        lines.push(format!("cd -- {cwd} 2>/dev/null || {{ echo {mark} directory >&2; exit 126; }}"));
    }
    let program = quote(command.argv.first().map_or("", String::as_str));
    lines.push(format!("command -v -- {program} >/dev/null 2>&1 || {{ echo {mark} program >&2; exit 127; }}"));
    lines.push(format!("echo {mark} \"$1\" >&2; echo {mark}"));
    let mut words = vec!["exec".to_owned()];
    if !odd.is_empty() {
        words.push("env".to_owned());
        words.extend(odd.iter().map(|(name, value)| quote(&format!("{name}={value}"))));
    }
    words.extend(command.argv.iter().map(|word| quote(word)));
    words.extend(command.stdin.is_none().then(|| "</dev/null".to_owned()));
    lines.push(words.join(" "));
    lines.join("\n") + "\n"
}

/// Holds back output up to the mark's line.
pub(super) struct Gate {
    mark: Vec<u8>,
    pending: Option<Vec<u8>>,
    /// What stood behind the mark on its line.
    pub(super) said: Option<String>,
}

impl Gate {
    pub(super) fn new(mark: &str) -> Self {
        Self { mark: mark.as_bytes().to_vec(), pending: Some(Vec::new()), said: None }
    }

    /// What came before the mark, while it has not come.
    pub(super) fn held(&self) -> String {
        self.pending.as_deref().map(|held| String::from_utf8_lossy(held).trim().to_owned()).unwrap_or_default()
    }

    /// Takes bytes; what is behind the mark's line is handed on.
    pub(super) fn take<'a>(&mut self, bytes: &'a [u8], rest: &'a mut Vec<u8>) -> &'a [u8] {
        let Some(mut held) = self.pending.take() else { return bytes };
        held.extend_from_slice(bytes);
        let mut start = 0;
        while let Some(length) = held[start..].iter().position(|byte| *byte == b'\n') {
            let line = &held[start..start + length];
            if let Some(said) = line.strip_prefix(self.mark.as_slice()) {
                self.said = Some(String::from_utf8_lossy(said).trim().to_owned());
                *rest = held.split_off(start + length + 1);
                return rest;
            }
            start += length + 1;
        }
        // Of noise without end, only the last is kept.
        if held.len() > 64 << 10 {
            held.drain(..held.len() - (32 << 10));
        }
        self.pending = Some(held);
        &[]
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::process::{Command as Process, Stdio};

    use proptest::prelude::*;

    use super::*;

    /// Runs what an SSH server would: the login shell with the line, and the input.
    fn run(shell: &str, command: &Command, noise: &str) -> (Vec<u8>, Vec<u8>, Option<i32>) {
        let remote = remote(command, Become::Already, "", "MARK-7");
        let mut child = Process::new(shell)
            .args(["-c", &format!("{noise}{}", remote.line)])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = remote.head;
        input.extend(command.stdin.iter().flatten());
        child.stdin.take().unwrap().write_all(&input).unwrap();
        let output = child.wait_with_output().unwrap();
        let (mut gate, mut rest) = (Gate::new("MARK-7"), Vec::new());
        let out = gate.take(&output.stdout, &mut rest).to_vec();
        assert!(gate.said.is_some() || !output.status.success(), "{output:?}");
        let (mut gate, mut rest) = (Gate::new("MARK-7"), Vec::new());
        let err = gate.take(&output.stderr, &mut rest).to_vec();
        (out, err, output.status.code())
    }

    fn command(argv: &[&str]) -> Command {
        Command { argv: argv.iter().map(|word| (*word).to_owned()).collect(), ..Command::default() }
    }

    #[test]
    fn the_line_is_fixed_and_holds_no_argument_and_no_value() {
        let mut with = command(&["login", "hush-argument"]);
        with.env.insert("PASSWORD".into(), "hush-value".into());
        for become_root in [Become::Already, Become::Sudo, Become::SudoWithPassword] {
            let remote = remote(&with, become_root, "hush-password", "MARK");
            assert!(!remote.line.contains("hush"), "{}", remote.line);
        }
    }

    #[test]
    fn any_login_shell_and_any_noise_lead_to_the_program() {
        for shell in ["sh", "bash"] {
            let mut cat = command(&["cat"]);
            cat.stdin = Some(b"MARK-7\nx".to_vec());
            assert_eq!(run(shell, &cat, "echo welcome; ").0, b"MARK-7\nx");
            let (_, _, code) = run(shell, &command(&["/no/such"]), "");
            assert_eq!(code, Some(127));
        }
    }

    #[test]
    fn names_that_no_shell_can_have_arrive_too() {
        let mut env = command(&["env", "-0"]);
        for (name, value) in [("o.dd", "a 'b'"), ("UID", "7"), ("p", "1"), ("g", "2"), ("l", "3")] {
            env.env.insert(name.into(), value.into());
        }
        for shell in ["sh", "bash"] {
            let out = String::from_utf8(run(shell, &env, "").0).unwrap();
            for want in ["o.dd=a 'b'", "UID=7", "p=1", "g=2", "l=3"] {
                assert!(out.split('\0').any(|line| line == want), "{want}: {out:?}");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
        #[test]
        fn arguments_values_and_input_arrive_as_they_are(
            words in prop::collection::vec("[^\0]{0,12}", 0..4),
            value in "[^\0]{0,20}",
            input in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let mut command = command(&[
                "sh", "-c", "for w; do printf '%s\\0' \"$w\"; done; printf '%s\\0' \"$V\"; cat", "sh",
            ]);
            command.argv.extend(words.clone());
            command.env.insert("V".into(), value.clone());
            command.stdin = Some(input.clone());
            let (out, _, code) = run("sh", &command, "");
            prop_assert_eq!(code, Some(0));
            let mut want: Vec<u8> = words.iter().flat_map(|word| [word.as_bytes(), b"\0"].concat()).collect();
            want.extend([value.as_bytes(), b"\0"].concat());
            want.extend(&input);
            prop_assert_eq!(out, want);
        }
    }
}
