//! One auth file: JSON of docker's shape, read and changed without losing what others put there.
//!
//! ```json
//! {"auths": {"hub.example/team": {"auth": "base64 of user:password"}}, "credHelpers": {"host": "name"}, "credsStore": "name"}
//! ```

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::{Credentials, Secret};

/// What docker writes as the user of an identity token.
const NOBODY: &str = "00000000-0000-0000-0000-000000000000";

/// The contents of an auth file.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Document(Map<String, Value>);

impl Document {
    /// Reads a file's text; an empty one holds nothing.
    ///
    /// # Errors
    /// What is wrong, with positions but without contents.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Ok(Self::default());
        }
        let wrong = |error: serde_json::Error| {
            format!("it is not an auth file (line {}, column {})", error.line(), error.column())
        };
        let map: Map<String, Value> = serde_json::from_slice(bytes).map_err(wrong)?;
        for key in ["auths", "credHelpers"] {
            if map.get(key).is_some_and(|value| !value.is_object() && !value.is_null()) {
                return Err(format!("it is not an auth file: `{key}` is not an object"));
            }
        }
        Ok(Self(map))
    }

    /// The text, as docker and podman write it.
    pub(super) fn bytes(&self) -> serde_json::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let formatter = serde_json::ser::PrettyFormatter::with_indent(b"\t");
        serde::Serialize::serialize(&self.0, &mut serde_json::Serializer::with_formatter(&mut bytes, formatter))?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// Keys as written, and their entries.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.object("auths").map(|(key, value)| (key.as_str(), value))
    }

    /// Keys as written, and the helpers for them.
    pub(super) fn helpers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.object("credHelpers").filter_map(|(key, value)| Some((key.as_str(), value.as_str()?)))
    }

    /// The helper for everything else.
    pub(super) fn store(&self) -> Option<&str> {
        self.0.get("credsStore").and_then(Value::as_str).filter(|name| !name.is_empty())
    }

    fn object(&self, key: &str) -> impl Iterator<Item = (&String, &Value)> {
        self.0.get(key).and_then(Value::as_object).into_iter().flatten()
    }

    /// Replaces the entry of a key; none leaves an empty one, which says that a helper has it.
    ///
    /// # Errors
    /// As [`Document::parse`].
    pub(super) fn set(&mut self, key: &str, credentials: Option<&Credentials>) -> Result<(), String> {
        self.remove(&normal_key(key));
        let entry = match credentials {
            None => json!({}),
            Some(Credentials::Password { user, password }) => {
                json!({"auth": STANDARD.encode(format!("{user}:{}", password.reveal()))})
            }
            Some(Credentials::Identity(token)) => {
                json!({"auth": STANDARD.encode(format!("{NOBODY}:")), "identitytoken": token.reveal()})
            }
        };
        let auths = self.0.entry("auths").or_insert_with(|| json!({}));
        if auths.is_null() {
            *auths = json!({});
        }
        let auths = auths.as_object_mut().ok_or("it is not an auth file: `auths` is not an object")?;
        auths.insert(key.to_owned(), entry);
        Ok(())
    }

    /// Removes the entries that a key in its normal form means; whether there were some.
    pub(super) fn remove(&mut self, key: &str) -> bool {
        let Some(auths) = self.0.get_mut("auths").and_then(Value::as_object_mut) else { return false };
        let before = auths.len();
        auths.retain(|other, _| normal_key(other) != key);
        auths.len() != before
    }
}

/// The key of an auth file as `host[/path]`; docker's historical URL of Docker Hub is `docker.io`.
pub(super) fn normal_key(key: &str) -> String {
    let bare = key.trim_start_matches("https://").trim_start_matches("http://").trim_end_matches('/');
    let bare = bare.strip_suffix("/v1").or_else(|| bare.strip_suffix("/v2")).unwrap_or(bare);
    match bare {
        "index.docker.io" | "registry-1.docker.io" => "docker.io".to_owned(),
        other => other.to_owned(),
    }
}

/// The credentials of an entry; none if it has none.
///
/// # Errors
/// When the entry cannot be decoded.
pub(super) fn decode(entry: &Value) -> Result<Option<Credentials>, String> {
    let text = |key: &str| entry.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    if let Some(token) = text("identitytoken") {
        return Ok(Some(Credentials::Identity(Secret::new(token))));
    }
    if let (Some(user), Some(password)) = (text("username"), text("password")) {
        return Ok(Some(Credentials::Password { user: user.to_owned(), password: Secret::new(password) }));
    }
    let Some(auth) = text("auth") else { return Ok(None) };
    let wrong = || "an `auth` entry is not base64 of user:password".to_owned();
    let text = STANDARD.decode(auth).ok().and_then(|raw| String::from_utf8(raw).ok()).ok_or_else(wrong)?;
    let (user, password) = text.split_once(':').ok_or_else(wrong)?;
    let password = Secret::new(password.trim_end_matches('\0'));
    Ok(Some(Credentials::Password { user: user.to_owned(), password }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_ours_stays() {
        let text = br#"{"auths":{"https://hub.example/v2/":{"auth":"YTox"},"quay.io":{"auth":"Yjoy","email":"x@y"}},
            "HttpHeaders":{"User-Agent":"x"},"credHelpers":{"gcr.io":"gcloud"},"psFormat":"{{.ID}}"}"#;
        let mut document = Document::parse(text).unwrap();
        let password = Credentials::Password { user: "me".to_owned(), password: Secret::new("a:b") };
        document.set("hub.example", Some(&password)).unwrap();
        let again = Document::parse(&document.bytes().unwrap()).unwrap();
        assert_eq!(again, document);
        let keys: Vec<&str> = again.entries().map(|(key, _)| key).collect();
        assert_eq!(keys, ["hub.example", "quay.io"]);
        let entry = again.entries().next().unwrap().1;
        assert_eq!(decode(entry).unwrap(), Some(password));
        let text = String::from_utf8(again.bytes().unwrap()).unwrap();
        for part in ["x@y", "HttpHeaders", "gcloud", "psFormat"] {
            assert!(text.contains(part), "{part}");
        }
    }

    #[test]
    fn keys_have_a_normal_form() {
        for (key, want) in [
            ("hub.example:5000", "hub.example:5000"),
            ("https://hub.example/v2/", "hub.example"),
            ("http://hub.example/", "hub.example"),
            ("https://index.docker.io/v1/", "docker.io"),
            ("hub.example/team/app", "hub.example/team/app"),
        ] {
            assert_eq!(normal_key(key), want, "{key}");
        }
    }
}
