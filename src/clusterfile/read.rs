//! Documents -> [`Clusterfile`].

use std::collections::BTreeSet;

use crate::cluster::{Address, Cluster, FileChange, Host, Role, Secret, Ssh, Strategy};
use crate::clusterfile::document::{Document, split};
use crate::clusterfile::node::Node;
use crate::clusterfile::{Clusterfile, ClusterfileError, Installed, Note, Open, SEALED, Status, schema};

/// Kinds that kubeadm reads.
const FOREIGN: [&str; 5] = [
    "InitConfiguration",
    "ClusterConfiguration",
    "JoinConfiguration",
    "KubeProxyConfiguration",
    "KubeletConfiguration",
];

pub(super) fn read(text: &str, open: &Open<'_>) -> Result<Clusterfile, ClusterfileError> {
    let mut file = Clusterfile::default();
    let mut found: Option<u64> = None;
    for text in split(text) {
        let document = Document::parse(text)?;
        if document.kind != "Cluster" {
            other(&mut file, document)?;
            continue;
        }
        let line = document.node.line;
        if let Some(first) = found.replace(line) {
            return Err(ClusterfileError::TwoClusters { line, first });
        }
        version(&document, "Cluster")?;
        file.notes.extend(schema::check(&document.node, schema::CLUSTER)?);
        let reader = Reader { open, notes: Vec::new() };
        reader.cluster(&document.node, &mut file)?;
    }
    if found.is_none() {
        return Err(ClusterfileError::NoCluster);
    }
    let unknown = unmatched(&file);
    file.notes.extend(unknown);
    Ok(file)
}

pub(super) fn extend(file: &mut Clusterfile, text: &str) -> Result<(), ClusterfileError> {
    for text in split(text) {
        let document = Document::parse(text)?;
        if document.kind == "Cluster" {
            return Err(ClusterfileError::TwoClusters { line: document.node.line, first: 1 });
        }
        other(file, document)?;
    }
    Ok(())
}

fn version(document: &Document, kind: &'static str) -> Result<(), ClusterfileError> {
    match document.api.as_str() {
        super::API => Ok(()),
        api => Err(ClusterfileError::Version { line: document.node.line, api: api.to_owned(), kind }),
    }
}

/// Takes a document that is not the cluster's. Of two `Config` documents with one name the later one counts.
fn other(file: &mut Clusterfile, document: Document) -> Result<(), ClusterfileError> {
    let Document { text, node, kind, .. } = &document;
    match kind.as_str() {
        "Config" => {
            version(&document, "Config")?;
            file.notes.extend(schema::check(node, schema::CONFIG)?);
            let change = file_change(node)?;
            match file.cluster.configs.iter_mut().find(|known| known.name == change.name) {
                Some(known) => *known = change,
                None => file.cluster.configs.push(change),
            }
        }
        // k3s's configuration has no kind.
        "" => {}
        kind if FOREIGN.contains(&kind) => {}
        kind => file.notes.push(Note::UnknownDocument { line: node.line, kind: kind.to_owned() }),
    }
    if !file.others.contains(text) {
        file.others.push(document.text);
    }
    Ok(())
}

fn file_change(node: &Node) -> Result<FileChange, ClusterfileError> {
    let line = node.at(&["spec"]).unwrap_or(node).line;
    let missing = |path: &str| ClusterfileError::Missing { line, path: path.to_owned() };
    let path = node.text_at(&["spec", "path"]).ok_or_else(|| missing("spec.path"))?;
    let inside = path.trim_start_matches("./").trim_start_matches('/').trim_end_matches('/').to_owned();
    if inside.is_empty() || inside.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err(ClusterfileError::OutsidePath { line, path });
    }
    let strategy = match node.text_at(&["spec", "strategy"]).as_deref() {
        Some("merge") => Strategy::Merge,
        Some("insert") => Strategy::Insert,
        Some("append") => Strategy::Append,
        _ => Strategy::Override,
    };
    Ok(FileChange {
        name: node.text_at(&["metadata", "name"]).ok_or_else(|| missing("metadata.name"))?,
        image: node.text_at(&["spec", "match"]),
        path: inside,
        data: node.at(&["spec", "data"]).and_then(Node::text).unwrap_or_default(),
        strategy,
    })
}

/// Notes about changes of files for images that nobody has.
fn unmatched(file: &Clusterfile) -> Vec<Note> {
    let cluster = &file.cluster;
    let known = |image: &String| cluster.images.contains(image) || cluster.images.is_empty();
    let lost = cluster.configs.iter().filter_map(|change| {
        let image = change.image.clone().filter(|image| !known(image))?;
        Some(Note::NoSuchImage { line: 1, config: change.name.clone(), image })
    });
    lost.collect()
}

struct Reader<'a> {
    open: &'a Open<'a>,
    notes: Vec<Note>,
}

impl Reader<'_> {
    fn cluster(mut self, node: &Node, file: &mut Clusterfile) -> Result<(), ClusterfileError> {
        let name = node.at(&["metadata", "name"]);
        let missing = || ClusterfileError::Missing { line: node.line, path: "metadata.name".to_owned() };
        let text = name.and_then(Node::text).ok_or_else(missing)?;
        let line = name.map_or(node.line, |name| name.line);
        let name = text.parse().map_err(|source| ClusterfileError::Cluster { line, source })?;
        let mut images = node.texts_at(&["spec", "image"]);
        let mut seen = BTreeSet::new();
        images.retain(|image| seen.insert(image.clone()));
        let ssh = self.ssh(node.at(&["spec", "ssh"]), "spec.ssh");
        let hosts = self.hosts(node.items_at(&["spec", "hosts"]), &ssh)?;
        let env = node.texts_at(&["spec", "env"]);
        self.check_env(node.items_at(&["spec", "env"]))?;
        let configs = std::mem::take(&mut file.cluster.configs);
        let command = node.texts_at(&["spec", "command"]);
        file.cluster = Cluster { name, images, hosts, env, ssh, command, configs, ..Cluster::default() };
        file.status = self.status(node);
        for mount in &file.status.mounts {
            if !mount.env.is_empty() {
                file.cluster.image_env.insert(mount.image_name.clone(), mount.env.clone());
            }
            if !mount.commands.is_empty() {
                file.cluster.image_cmd.insert(mount.image_name.clone(), mount.commands.clone());
            }
        }
        file.tree = node.to_json();
        file.notes.append(&mut self.notes);
        Ok(())
    }

    fn check_env(&self, items: &[Node]) -> Result<(), ClusterfileError> {
        for item in items {
            let text = [item.text().unwrap_or_default()];
            let checked = crate::cluster::Environment::default().overlaid(&text);
            checked.map_err(|source| ClusterfileError::Cluster { line: item.line, source })?;
        }
        Ok(())
    }

    fn hosts(&mut self, groups: &[Node], cluster: &Ssh) -> Result<Vec<Host>, ClusterfileError> {
        let mut hosts: Vec<Host> = Vec::new();
        let mut seen = BTreeSet::new();
        for (number, group) in groups.iter().enumerate() {
            let ssh = self.ssh(group.get("ssh"), &format!("spec.hosts[{number}].ssh"));
            let port = ssh.over(cluster).port_or_default();
            let roles: BTreeSet<Role> = group.texts_at(&["roles"]).into_iter().map(Role::from).collect();
            let env = group.texts_at(&["env"]);
            self.check_env(group.items_at(&["env"]))?;
            for item in group.items_at(&["ips"]) {
                let failed = |source| ClusterfileError::Address { line: item.line, source };
                for address in Address::parse_item(&item.text().unwrap_or_default()).map_err(failed)? {
                    let address = address.at_port(port);
                    if !seen.insert(address.clone()) {
                        return Err(failed(crate::cluster::AddressError::Twice(address)));
                    }
                    let (roles, env, ssh) = (roles.clone(), env.clone(), ssh.clone());
                    hosts.push(Host { address, roles, env, ssh });
                }
            }
        }
        Ok(hosts)
    }

    fn ssh(&mut self, node: Option<&Node>, path: &str) -> Ssh {
        let Some(node) = node else { return Ssh::default() };
        let mut secret = |key: &str| {
            let text = node.text_at(&[key])?;
            let line = node.get(key).map_or(node.line, |node| node.line);
            self.opened(text, line, &format!("{path}.{key}")).map(Secret::new)
        };
        Ssh {
            password: secret("passwd"),
            key_data: secret("pkData"),
            passphrase: secret("pkPasswd"),
            user: node.text_at(&["user"]),
            key: node.text_at(&["pk"]).map(Into::into),
            key_name: node.text_at(&["pkName"]),
            // The Go sealos writes 0 for a port that nobody said.
            port: node.text_at(&["port"]).and_then(|text| text.parse().ok()).filter(|port| *port != 0),
        }
    }

    /// A text that may be sealed, in clear; none if it cannot be opened here.
    fn opened(&mut self, text: String, line: u64, path: &str) -> Option<String> {
        if !text.starts_with(SEALED) {
            return Some(text);
        }
        let opened = (self.open)(&text);
        if opened.is_none() {
            self.notes.push(Note::Sealed { line, path: path.to_owned() });
        }
        opened
    }

    fn status(&mut self, node: &Node) -> Status {
        let mounts = node.items_at(&["status", "mounts"]).iter().enumerate().map(|(number, mount)| {
            let word = |key: &str| mount.text_at(&[key]).unwrap_or_default();
            let env = mount.items_at(&["env"]).iter().filter_map(|item| {
                let text = item.text()?;
                let (name, value) = text.split_once('=')?;
                let path = format!("status.mounts[{number}].env.{name}");
                let value = self.opened(value.to_owned(), item.line, &path)?;
                Some(format!("{name}={value}"))
            });
            Installed {
                env: env.collect(),
                commands: mount.texts_at(&["commands"]),
                name: word("name"),
                kind: word("type"),
                image_name: word("imageName"),
                image_digest: mount.text_at(&["imageDigest"]),
                mount_point: word("mountPoint"),
            }
        });
        let phase = node.text_at(&["status", "phase"]);
        Status {
            mounts: mounts.collect(),
            phase: phase.and_then(|text| serde_json::from_value(text.into()).ok()),
            created: node.text_at(&["metadata", "creationTimestamp"]),
            revision: node.text_at(&["status", "revision"]).and_then(|text| text.parse().ok()).unwrap_or_default(),
        }
    }
}
