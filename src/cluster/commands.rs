//! Which shell commands an image runs.

use oci::RuntimeConfig;

/// The shell of the shell form when the image does not name one.
const DEFAULT_SHELL: [&str; 2] = ["/bin/sh", "-c"];

/// The program and flags that a command line of the image is given to: the image's SHELL, else `/bin/sh -c`.
pub fn shell(config: &RuntimeConfig) -> Vec<String> {
    match config.shell.as_deref() {
        Some(shell) if !shell.is_empty() => shell.to_vec(),
        _ => DEFAULT_SHELL.map(str::to_owned).to_vec(),
    }
}

/// The commands of an image, each for a shell: the elements of ENTRYPOINT, then those of `cmd` or else of CMD.
///
/// The shell form of CMD and ENTRYPOINT is stored with the shell in front of it (`/bin/sh`, `-c`, text); that sequence
/// is dropped. It is dropped wherever it stands as a whole, because images that were merged from others hold their
/// lists one after the other. A `-c` or a `/bin/sh` by itself is a command like any other: the Go sealos drops these
/// words one by one, so that a command that is just `/bin/sh` vanishes. Elements of white space only run nothing and
/// are left out.
///
/// Source: sealos' behaviour for cluster images; OCI image specification, config.md, `Entrypoint` and `Cmd`.
pub fn commands(config: &RuntimeConfig, cmd: Option<&[String]>) -> Vec<String> {
    let own = shell(config);
    let entrypoint = config.entrypoint.as_deref().unwrap_or_default();
    let cmd = cmd.or(config.cmd.as_deref()).unwrap_or_default();
    let mut commands = without_shell(entrypoint, &own);
    commands.extend(without_shell(cmd, &own));
    commands
}

fn without_shell(list: &[String], own: &[String]) -> Vec<String> {
    let mut rest = list;
    let mut commands = Vec::new();
    while let Some((first, tail)) = rest.split_first() {
        let prefix = if rest.starts_with(own) {
            own.len()
        } else if rest.len() > 1 && rest[0] == DEFAULT_SHELL[0] && rest[1] == DEFAULT_SHELL[1] {
            DEFAULT_SHELL.len()
        } else {
            0
        };
        if prefix > 0 {
            rest = &rest[prefix..];
            continue;
        }
        if !first.trim().is_empty() {
            commands.push(first.clone());
        }
        rest = tail;
    }
    commands
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(words: &[&str]) -> Option<Vec<String>> {
        Some(words.iter().map(|word| (*word).to_owned()).collect())
    }

    #[test]
    fn each_element_is_a_command_and_the_shell_form_is_one() {
        for (entrypoint, cmd, want) in [
            (None, None, &[][..]),
            (None, list(&["a b", "c"]), &["a b", "c"]),
            (list(&["e"]), list(&["c"]), &["e", "c"]),
            (None, list(&["/bin/sh", "-c", "a; b"]), &["a; b"]),
            (list(&["/bin/sh", "-c", "e"]), list(&["/bin/sh", "-c", "c"]), &["e", "c"]),
            (None, list(&["/bin/sh", "-c", "a", "/bin/sh", "-c", "b"]), &["a", "b"]),
            (None, list(&["/bin/sh"]), &["/bin/sh"]),
            (None, list(&["a", "-c"]), &["a", "-c"]),
            (None, list(&["-c", "/bin/sh"]), &["-c", "/bin/sh"]),
            (None, list(&["", " \n", "a"]), &["a"]),
        ] {
            let config = RuntimeConfig { entrypoint: entrypoint.clone(), cmd: cmd.clone(), ..RuntimeConfig::default() };
            assert_eq!(commands(&config, None), want, "{entrypoint:?} {cmd:?}");
        }
    }

    #[test]
    fn a_given_command_replaces_cmd_and_not_entrypoint() {
        let config = RuntimeConfig { entrypoint: list(&["e"]), cmd: list(&["c"]), ..RuntimeConfig::default() };
        assert_eq!(commands(&config, list(&["x", "y"]).as_deref()), ["e", "x", "y"]);
        assert_eq!(commands(&config, Some(&[])), ["e"]);
    }

    #[test]
    fn the_shell_of_the_image_is_dropped_and_used() {
        let bash = list(&["/bin/bash", "-euc"]);
        let config =
            RuntimeConfig { cmd: list(&["/bin/bash", "-euc", "c"]), shell: bash.clone(), ..RuntimeConfig::default() };
        assert_eq!(commands(&config, None), ["c"]);
        assert_eq!(Some(shell(&config)), bash);
        assert_eq!(shell(&RuntimeConfig::default()), ["/bin/sh", "-c"]);
    }
}
