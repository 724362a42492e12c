//! The configuration of several images as one.
//!
//! Later images win: variables, labels, the user and so on. Lists of commands are put one after the other; each element
//! of them is one command, so that nothing has to be quoted and nothing is lost to a shell.

use std::collections::BTreeMap;

use oci::RuntimeConfig;

use super::commands::{commands, shell};
use super::{ClusterError, ImageKind, label};

/// Label keys that say what kind of image it is, without their prefix.
const KIND_KEYS: [&str; 3] = ["type", "version", "distribution"];

/// Makes one configuration of several, first to last.
///
/// The kind of a rootfs stays one: what is merged into a cluster is still a cluster. `PATH` is dropped: it is for a
/// container, and the commands run on a host.
///
/// # Errors
/// When an image has a kind that is not known.
pub fn merge(configs: &[&RuntimeConfig]) -> Result<RuntimeConfig, ClusterError> {
    let mut merged = RuntimeConfig::default();
    for config in configs {
        merged.labels.extend(config.labels.clone());
        merged.exposed_ports.extend(config.exposed_ports.clone());
        merged.volumes.extend(config.volumes.clone());
        merged.extra.extend(config.extra.clone());
        merged.on_build.extend(config.on_build.iter().cloned());
        for line in config.env.iter().filter(|line| name(line) != "PATH") {
            match merged.env.iter_mut().find(|known| name(known) == name(line)) {
                Some(known) => known.clone_from(line),
                None => merged.env.push(line.clone()),
            }
        }
        for (mine, theirs) in [(&mut merged.user, &config.user), (&mut merged.working_dir, &config.working_dir)] {
            if !theirs.is_empty() {
                mine.clone_from(theirs);
            }
        }
        merged.stop_signal = config.stop_signal.clone().or(merged.stop_signal);
        merged.healthcheck = config.healthcheck.clone().or(merged.healthcheck);
    }
    keep_rootfs(&mut merged.labels, configs)?;
    add_commands(&mut merged, configs);
    Ok(merged)
}

fn name(line: &str) -> &str {
    line.split('=').next().unwrap_or_default()
}

/// What says that it is a rootfs, and of which Kubernetes, is the rootfs' own.
fn keep_rootfs(labels: &mut BTreeMap<String, String>, configs: &[&RuntimeConfig]) -> Result<(), ClusterError> {
    let mut rootfs = None;
    for config in configs {
        if ImageKind::of(&config.labels)? == ImageKind::Rootfs {
            rootfs = Some(config);
        }
    }
    let Some(rootfs) = rootfs else { return Ok(()) };
    for key in KIND_KEYS {
        for name in [format!("sealos.io.{key}"), format!("apps.sealos.io/{key}")] {
            labels.remove(&name);
        }
        if let Some((name, value)) = label(&rootfs.labels, key) {
            labels.insert(name, value.to_owned());
        }
    }
    Ok(())
}

/// The lists as they are where all images have the same shell; else plain commands, each for the shell of its image.
fn add_commands(merged: &mut RuntimeConfig, configs: &[&RuntimeConfig]) {
    let all = |list: fn(&RuntimeConfig) -> &Option<Vec<String>>| {
        let whole: Vec<String> = configs.iter().flat_map(|config| list(config).iter().flatten().cloned()).collect();
        (!whole.is_empty()).then_some(whole)
    };
    let first = configs.first().map(|config| shell(config)).unwrap_or_default();
    if configs.iter().all(|config| shell(config) == first) {
        merged.shell = configs.first().and_then(|config| config.shell.clone());
        merged.entrypoint = all(|config| &config.entrypoint);
        merged.cmd = all(|config| &config.cmd);
        return;
    }
    let usual = shell(&RuntimeConfig::default());
    let mut lines = Vec::new();
    for config in configs {
        let own = shell(config);
        for command in commands(config, None) {
            lines.push(if own == usual { command } else { call(&own, &command) });
        }
    }
    merged.cmd = (!lines.is_empty()).then_some(lines);
}

/// A command for another shell, as a command for the usual one.
fn call(shell: &[String], command: &str) -> String {
    let words = shell.iter().map(String::as_str).chain([command]);
    words.map(|word| format!("'{}'", word.replace('\'', r"'\''"))).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    fn image(env: &[&str], cmd: &[&str], labels: &[(&str, &str)]) -> RuntimeConfig {
        let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        RuntimeConfig { env: list(env), cmd: Some(list(cmd)), labels, ..RuntimeConfig::default() }
    }

    #[test]
    fn nothing_is_lost_to_spaces_dollars_and_quotes() {
        let first = image(&["A=one two", "B=$x \"y\" 'z'", "PATH=/bin"], &["echo \"$A\" '$B'; ls"], &[]);
        let second = image(&["A=three=3", "C="], &["helm install --set a=\"b c\" $(NAME)"], &[]);
        let merged = merge(&[&first, &second]).unwrap();
        assert_eq!(merged.env, ["A=three=3", "B=$x \"y\" 'z'", "C="]);
        assert_eq!(merged.cmd, Some(list(&["echo \"$A\" '$B'; ls", "helm install --set a=\"b c\" $(NAME)"])));
        assert_eq!(commands(&merged, None), merged.cmd.unwrap());
    }

    #[test]
    fn entrypoints_and_commands_are_put_one_after_the_other() {
        let shell_form = image(&[], &["/bin/sh", "-c", "a; b"], &[]);
        let mut both = image(&[], &["c"], &[]);
        both.entrypoint = Some(list(&["e"]));
        let merged = merge(&[&shell_form, &both]).unwrap();
        assert_eq!(merged.entrypoint, Some(list(&["e"])));
        assert_eq!(merged.cmd, Some(list(&["/bin/sh", "-c", "a; b", "c"])));
        assert_eq!(merge(&[&image(&[], &[], &[])]).unwrap().cmd, None);
    }

    #[test]
    fn a_shell_of_its_own_stays_with_its_commands() {
        let mut bash = image(&[], &["/bin/bash", "-euc", "echo 'it''s'"], &[]);
        bash.shell = Some(list(&["/bin/bash", "-euc"]));
        let merged = merge(&[&image(&[], &["plain"], &[]), &bash]).unwrap();
        assert_eq!(merged.shell, None);
        let quoted = r"'/bin/bash' '-euc' 'echo '\''it'\'''\''s'\'''";
        assert_eq!(merged.cmd, Some(list(&["plain", quoted])));
        assert_eq!(merge(&[&bash, &bash]).unwrap().shell, bash.shell);
    }

    #[test]
    fn the_last_label_wins_but_a_rootfs_stays_one() {
        let rootfs = image(&[], &[], &[("sealos.io.type", "rootfs"), ("sealos.io.version", "v1beta1"), ("k", "1")]);
        let app = image(&[], &[], &[("apps.sealos.io/type", "application"), ("sealos.io.version", "v2"), ("k", "2")]);
        for order in [[&rootfs, &app], [&app, &rootfs]] {
            let merged = merge(&order).unwrap();
            assert_eq!(ImageKind::of(&merged.labels).unwrap(), ImageKind::Rootfs);
            assert_eq!(merged.labels["sealos.io.version"], "v1beta1");
            assert!(!merged.labels.contains_key("apps.sealos.io/type"));
        }
        assert_eq!(merge(&[&rootfs, &app]).unwrap().labels["k"], "2");
        let odd = image(&[], &[], &[("sealos.io.type", "rootsf")]);
        assert!(merge(&[&odd, &app]).is_err());
    }
}
