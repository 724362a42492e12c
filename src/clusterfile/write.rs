//! [`Clusterfile`] -> text: as it is stored, and as `sealos gen` writes it.

use serde_json::{Map, Value as Json, json};

use crate::cluster::{Cluster, Host, Secret, Ssh};
use crate::clusterfile::{API, Clusterfile, ClusterfileError, SEALED, Seal};

impl Clusterfile {
    /// The text as it is stored: secrets are sealed, other documents are word for word.
    ///
    /// # Errors
    /// When a text in it cannot be written as YAML.
    pub fn to_text(&self, seal: &Seal<'_>) -> Result<String, ClusterfileError> {
        let mut tree = match &self.tree {
            Json::Object(map) => map.clone(),
            _ => Map::new(),
        };
        tree.insert("apiVersion".to_owned(), json!(API));
        tree.insert("kind".to_owned(), json!("Cluster"));
        let metadata = object(&mut tree, "metadata");
        metadata.insert("name".to_owned(), json!(self.cluster.name.to_string()));
        if let Some(created) = &self.status.created {
            metadata.insert("creationTimestamp".to_owned(), json!(created));
        }
        put_spec(object(&mut tree, "spec"), &self.cluster, seal);
        self.put_status(&mut tree, seal);
        let line = 1;
        let mut text = serde_saphyr::to_string(&Json::Object(tree))
            .map_err(|error| ClusterfileError::Yaml { line, reason: error.to_string() })?;
        for document in &self.others {
            text.push_str("---\n");
            text.push_str(&document.text);
            if !text.ends_with('\n') {
                text.push('\n');
            }
        }
        Ok(text)
    }

    fn put_status(&self, tree: &mut Map<String, Json>, seal: &Seal<'_>) {
        let Some(phase) = self.status.phase else { return };
        let status = object(tree, "status");
        let mounts = self.status.mounts.iter().map(|mount| {
            let mut sealed = mount.clone();
            for line in &mut sealed.env {
                if let Some((name, value)) = line.split_once('=') {
                    *line = format!("{name}={}", seal(value));
                }
            }
            json!(sealed)
        });
        status.insert("mounts".to_owned(), mounts.collect());
        status.insert("phase".to_owned(), json!(phase));
        status.insert("revision".to_owned(), json!(self.status.revision));
    }
}

/// The text of a cluster that was never made, secrets in clear: for a file of its user.
///
/// # Errors
/// When a text in it cannot be written as YAML.
pub fn generate(cluster: &Cluster) -> Result<String, ClusterfileError> {
    let file = Clusterfile { cluster: cluster.clone(), ..Clusterfile::default() };
    file.to_text(&str::to_owned)
}

fn object<'a>(map: &'a mut Map<String, Json>, key: &str) -> &'a mut Map<String, Json> {
    let entry = map.entry(key).or_insert_with(|| Json::Object(Map::new()));
    if !entry.is_object() {
        *entry = Json::Object(Map::new());
    }
    match entry {
        Json::Object(map) => map,
        _ => unreachable!("it was made an object"),
    }
}

/// Sets a field, or takes it away where there is nothing to say.
fn put(map: &mut Map<String, Json>, key: &str, value: Option<Json>) {
    match value {
        Some(value) => drop(map.insert(key.to_owned(), value)),
        None => drop(map.remove(key)),
    }
}

fn texts(list: &[String]) -> Option<Json> {
    (!list.is_empty()).then(|| json!(list))
}

fn put_spec(spec: &mut Map<String, Json>, cluster: &Cluster, seal: &Seal<'_>) {
    put(spec, "image", texts(&cluster.images));
    put(spec, "env", texts(&cluster.env));
    put(spec, "command", texts(&cluster.command));
    let mut ssh = object(spec, "ssh").clone();
    put_ssh(&mut ssh, &cluster.ssh, seal);
    put(spec, "ssh", (!ssh.is_empty()).then_some(Json::Object(ssh)));
    let mut groups: Vec<Map<String, Json>> = Vec::new();
    let mut last: Option<&Host> = None;
    for host in &cluster.hosts {
        let address = json!(host.address.to_string());
        let same = |other: &Host| (&other.roles, &other.env, &other.ssh) == (&host.roles, &host.env, &host.ssh);
        match (groups.last_mut().and_then(|group| group.get_mut("ips")), last.filter(|other| same(other))) {
            (Some(Json::Array(ips)), Some(_)) => ips.push(address),
            _ => groups.push(group(host, &address, seal)),
        }
        last = Some(host);
    }
    put(spec, "hosts", (!groups.is_empty()).then(|| json!(groups)));
}

fn group(host: &Host, address: &Json, seal: &Seal<'_>) -> Map<String, Json> {
    let mut group = Map::new();
    group.insert("ips".to_owned(), json!([address]));
    let roles: Vec<&str> = host.roles.iter().map(crate::cluster::Role::as_str).collect();
    group.insert("roles".to_owned(), json!(roles));
    put(&mut group, "env", texts(&host.env));
    let mut ssh = Map::new();
    put_ssh(&mut ssh, &host.ssh, seal);
    put(&mut group, "ssh", (!ssh.is_empty()).then_some(Json::Object(ssh)));
    group
}

fn put_ssh(map: &mut Map<String, Json>, ssh: &Ssh, seal: &Seal<'_>) {
    put(map, "user", ssh.user.as_ref().map(|user| json!(user)));
    put(map, "pk", ssh.key.as_ref().map(|key| json!(key.to_string_lossy())));
    put(map, "pkName", ssh.key_name.as_ref().map(|name| json!(name)));
    put(map, "port", ssh.port.map(|port| json!(port)));
    let mut secret = |key: &str, value: Option<&Secret>| {
        // What another machine sealed cannot be read here, and is kept.
        let kept = map.get(key).filter(|old| old.as_str().is_some_and(|old| old.starts_with(SEALED))).cloned();
        put(map, key, value.map(|value| json!(seal(value.reveal()))).or(kept));
    };
    secret("passwd", ssh.password.as_ref());
    secret("pkData", ssh.key_data.as_ref());
    secret("pkPasswd", ssh.passphrase.as_ref());
}
