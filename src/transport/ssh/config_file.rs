//! What `~/.ssh/config` says about a host: OpenSSH's `ssh_config(5)`, as far as it is about reaching hosts.
//!
//! The first value that is found for a host counts, keys add up. `Match` understands `all`, `host`, `originalhost` and
//! `user`; a block with any other condition (`exec`, …) is passed over.

use std::path::{Path, PathBuf};

/// Files that include each other are not followed deeper.
const DEPTH: usize = 8;

/// What a file says about one host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostSettings {
    /// The name or address to connect to.
    pub host_name: Option<String>,
    /// The user.
    pub user: Option<String>,
    /// The port.
    pub port: Option<u16>,
    /// Private keys, in the order in which they are tried.
    pub identity_files: Vec<PathBuf>,
    /// Whether keys of the agent that are not among those files are left alone.
    pub identities_only: Option<bool>,
    /// The agent's socket; `none` is no agent.
    pub identity_agent: Option<String>,
    /// Hosts to go through, as they are written; `none` is none.
    pub proxy_jump: Option<String>,
    /// A program to connect with.
    pub proxy_command: Option<String>,
    /// Where the keys of hosts are kept.
    pub known_hosts: Option<String>,
    /// What happens with hosts whose key is not known.
    pub strict: Option<String>,
    /// The name under which the host's key is kept.
    pub host_key_alias: Option<String>,
}

/// A configuration file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SshConfig {
    lines: Vec<Line>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Line {
    keyword: String,
    arguments: Vec<String>,
}

impl SshConfig {
    /// Reads a file's text; `include` gives the texts of the files that an `Include` names.
    pub fn parse(text: &str, include: &dyn Fn(&str) -> Vec<String>) -> Self {
        let mut lines = Vec::new();
        read(text, include, DEPTH, &mut lines);
        Self { lines }
    }

    /// What it says about a host, as the user calls it.
    pub fn lookup(&self, host: &str, user: Option<&str>, home: Option<&Path>) -> HostSettings {
        let mut found = HostSettings::default();
        let mut applies = true;
        for Line { keyword, arguments } in &self.lines {
            match keyword.as_str() {
                "host" => applies = matches(arguments, host),
                "match" => applies = condition(arguments, host, found.user.as_deref().or(user)),
                _ if applies => found.take(keyword, arguments, home),
                _ => {}
            }
        }
        if let Some(name) = &mut found.host_name {
            *name = name.replace("%h", host).replace("%%", "%");
        }
        found
    }
}

fn read(text: &str, include: &dyn Fn(&str) -> Vec<String>, depth: usize, lines: &mut Vec<Line>) {
    for line in text.lines() {
        let Some((keyword, arguments)) = words(line) else { continue };
        if keyword == "include" {
            for text in arguments.iter().filter(|_| depth > 0).flat_map(|pattern| include(pattern)) {
                read(&text, include, depth - 1, lines);
            }
        } else {
            lines.push(Line { keyword, arguments });
        }
    }
}

/// A line's keyword in lower case and its arguments without quotes; none for comments and empty lines.
fn words(line: &str) -> Option<(String, Vec<String>)> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return None;
    }
    let end = line.find(|c: char| c.is_whitespace() || c == '=').unwrap_or(line.len());
    let (keyword, rest) = line.split_at(end);
    let rest = rest.trim_start();
    let rest = rest.strip_prefix('=').unwrap_or(rest).trim_start();
    if keyword.eq_ignore_ascii_case("proxycommand") {
        return Some((keyword.to_ascii_lowercase(), vec![rest.to_owned()]));
    }
    let (mut arguments, mut word, mut quoted, mut some) = (Vec::new(), String::new(), false, false);
    for c in rest.chars() {
        match c {
            '"' => (quoted, some) = (!quoted, true),
            c if c.is_whitespace() && !quoted => {
                if some {
                    arguments.push(std::mem::take(&mut word));
                    some = false;
                }
            }
            '#' if !quoted && !some => break,
            c => {
                word.push(c);
                some = true;
            }
        }
    }
    if some {
        arguments.push(word);
    }
    Some((keyword.to_ascii_lowercase(), arguments))
}

/// Whether one of the patterns fits and none with `!` does.
pub(super) fn matches(patterns: &[String], name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let mut any = false;
    for pattern in patterns {
        match pattern.strip_prefix('!') {
            Some(pattern) if fits(&pattern.to_ascii_lowercase(), &name) => return false,
            None if fits(&pattern.to_ascii_lowercase(), &name) => any = true,
            _ => {}
        }
    }
    any
}

/// `*` is any text, `?` any character.
fn fits(pattern: &str, name: &str) -> bool {
    match pattern.chars().next() {
        None => name.is_empty(),
        Some('*') => {
            let rest = &pattern[1..];
            let ends = name.char_indices().map(|(at, _)| at).chain([name.len()]);
            ends.into_iter().any(|at| fits(rest, &name[at..]))
        }
        Some(wanted) => {
            let mut chars = name.chars();
            let next = chars.next();
            next.is_some_and(|c| wanted == '?' || wanted == c) && fits(&pattern[wanted.len_utf8()..], chars.as_str())
        }
    }
}

fn condition(arguments: &[String], host: &str, user: Option<&str>) -> bool {
    let mut rest = arguments.iter();
    while let Some(word) = rest.next() {
        let mut list = || rest.next().map(|list| list.split(',').map(str::to_owned).collect::<Vec<_>>());
        let holds = match word.to_ascii_lowercase().as_str() {
            "all" => true,
            "host" | "originalhost" => list().is_some_and(|list| matches(&list, host)),
            "user" => list().is_some_and(|list| user.is_some_and(|user| matches(&list, user))),
            _ => false,
        };
        if !holds {
            return false;
        }
    }
    true
}

impl HostSettings {
    fn take(&mut self, keyword: &str, arguments: &[String], home: Option<&Path>) {
        let Some(first) = arguments.first().filter(|first| !first.is_empty()) else { return };
        let set = |field: &mut Option<String>| {
            field.get_or_insert_with(|| first.clone());
        };
        match keyword {
            "hostname" => set(&mut self.host_name),
            "user" => set(&mut self.user),
            "port" => self.port = self.port.or(first.parse().ok()),
            "identityfile" if !first.eq_ignore_ascii_case("none") => self.identity_files.push(in_home(first, home)),
            "identitiesonly" => {
                self.identities_only.get_or_insert(first.eq_ignore_ascii_case("yes"));
            }
            "identityagent" => set(&mut self.identity_agent),
            "proxyjump" => set(&mut self.proxy_jump),
            "proxycommand" => set(&mut self.proxy_command),
            "userknownhostsfile" => set(&mut self.known_hosts),
            "stricthostkeychecking" => set(&mut self.strict),
            "hostkeyalias" => set(&mut self.host_key_alias),
            _ => {}
        }
    }
}

/// A path with `~` and `%d` for the home.
pub(super) fn in_home(path: &str, home: Option<&Path>) -> PathBuf {
    let rest = path.strip_prefix("~/").or_else(|| path.strip_prefix("%d/"));
    match (rest, home) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => PathBuf::from(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "\
# mine
Include conf.d/*
Host bastion
    HostName 10.0.0.254
    User jumper
Host 10.0.0.* !10.0.0.9 \"node-?\"
  User=admin
  Port 2222
  IdentityFile ~/.ssh/cluster
  ProxyJump bastion
Match host db user postgres
  Port 5
Match exec \"true\" all
  Port 6
HOST *
  IdentityFile \"%d/.ssh/my key\"
  IdentitiesOnly yes
  User late # a comment
";

    #[test]
    fn the_first_value_counts_and_keys_add_up() {
        let include = |pattern: &str| {
            assert_eq!(pattern, "conf.d/*");
            vec!["Host inner\nHostName %h.example\nProxyCommand ssh -W %h:%p x # y\n".to_owned()]
        };
        let config = SshConfig::parse(FILE, &include);
        let home = Some(Path::new("/h"));
        let node = config.lookup("10.0.0.1", None, home);
        assert_eq!((node.user.as_deref(), node.port), (Some("admin"), Some(2222)));
        assert_eq!(node.identity_files, [Path::new("/h/.ssh/cluster"), Path::new("/h/.ssh/my key")]);
        assert_eq!((node.proxy_jump.as_deref(), node.identities_only), (Some("bastion"), Some(true)));
        assert_eq!(config.lookup("NODE-7", None, home).port, Some(2222));
        for other in ["10.0.0.9", "node-77", "10x0x0x1"] {
            assert_eq!(config.lookup(other, None, home).user.as_deref(), Some("late"), "{other}");
        }
        assert_eq!(config.lookup("bastion", None, home).host_name.as_deref(), Some("10.0.0.254"));
        let inner = config.lookup("inner", None, home);
        assert_eq!(inner.host_name.as_deref(), Some("inner.example"));
        assert_eq!(inner.proxy_command.as_deref(), Some("ssh -W %h:%p x # y"));
        assert_eq!(config.lookup("db", Some("postgres"), home).port, Some(5));
        assert_eq!(config.lookup("db", Some("root"), home).port, None);
    }
}
