//! `RUN --mount=…` and `RUN --device=…`: comma-separated `key=value` fields, quoted as in CSV.

use super::mount_fields::{boolean, bytes, fields};
use super::suggest::nearest;

/// A `--mount`: as written while it holds variables, typed otherwise and once expanded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunMount {
    /// Holds variables.
    Written(String),
    /// Ready to be mounted.
    Ready(Box<Mount>),
}

/// What is mounted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MountKind {
    /// Files of the context, a stage or an image.
    #[default]
    Bind,
    /// A directory kept between builds.
    Cache,
    /// Memory.
    Tmpfs,
    /// A secret, as a file or variable.
    Secret,
    /// The agent's socket.
    Ssh,
}

impl MountKind {
    const WORDS: [(&'static str, Self); 5] = [
        ("bind", Self::Bind),
        ("cache", Self::Cache),
        ("tmpfs", Self::Tmpfs),
        ("secret", Self::Secret),
        ("ssh", Self::Ssh),
    ];

    /// The word in `type=`.
    pub fn word(self) -> &'static str {
        Self::WORDS.iter().find(|(_, kind)| *kind == self).map_or("bind", |(word, _)| word)
    }
}

/// Who may use a cache at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sharing {
    /// Everybody at once.
    Shared,
    /// A second build gets another one.
    Private,
    /// A second build waits.
    Locked,
}

/// A mount.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Mount {
    /// `type`.
    pub kind: MountKind,
    /// `from`: a stage or image.
    pub from: Option<String>,
    /// `source`, `src`.
    pub source: Option<String>,
    /// `target`, `dst`, `destination`.
    pub target: Option<String>,
    /// `readonly`, `ro`, and the opposites `readwrite`, `rw`. Caches and memory are writable unless said otherwise.
    pub read_only: bool,
    /// `size` in bytes (tmpfs).
    pub size: Option<u64>,
    /// `id`.
    pub id: Option<String>,
    /// `sharing` (cache).
    pub sharing: Option<Sharing>,
    /// `required` (secret, ssh).
    pub required: bool,
    /// `env` (secret): the variable; an empty name means the default one.
    pub env: Option<String>,
    /// `mode`.
    pub mode: Option<u32>,
    /// `uid`.
    pub uid: Option<u32>,
    /// `gid`.
    pub gid: Option<u32>,
}

/// `RUN --device`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Device {
    /// The name.
    pub name: String,
    /// Whether the build fails without it.
    pub required: bool,
}

/// Why a mount or device cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the fields are said by each variant's text")]
pub enum MountError {
    /// No fields, or quotes that do not fit.
    #[error("its quotes do not fit or it is empty")]
    Quotes,
    /// A key that does not exist.
    #[error("there is no key `{key}`")]
    UnknownKey { key: String },
    /// A key without value.
    #[error("`{field}` is not `key=value`")]
    NotPair { field: String },
    /// A type that does not exist.
    #[error("there is no type `{word}`")]
    UnknownType { word: String },
    /// A value out of its set.
    #[error("`{value}` is no value for `{key}`")]
    Value { key: String, value: String },
    /// A key that the type does not have.
    #[error("the type `{kind}` has no `{key}`")]
    NotForType { key: &'static str, kind: &'static str },
    /// A secret without a name.
    #[error("a secret needs an `id`, `source` or `target`")]
    NamelessSecret,
    /// `source` and `id` of one secret.
    #[error("`source` and `id` of a secret are the same thing; give one")]
    SourceAndId,
    /// A variable in `from`.
    #[error("`from` cannot hold a variable")]
    VariableInFrom,
}

impl MountError {
    /// A way out, where one is known.
    pub fn help(&self) -> Option<String> {
        let near = match self {
            Self::UnknownKey { key } => nearest(key, KEYS.iter().copied()),
            Self::UnknownType { word } => nearest(word, MountKind::WORDS.iter().map(|(word, _)| *word)),
            Self::Value { key, value } if key == "sharing" => nearest(value, ["shared", "private", "locked"]),
            Self::VariableInFrom => return Some("name a stage with `FROM $VARIABLE AS name`".to_owned()),
            _ => None,
        };
        near.map(|word| format!("did you mean `{word}`?"))
    }
}

const KEYS: [&str; 19] = [
    "type",
    "from",
    "source",
    "target",
    "readonly",
    "id",
    "sharing",
    "required",
    "size",
    "mode",
    "uid",
    "gid",
    "src",
    "dst",
    "destination",
    "ro",
    "rw",
    "readwrite",
    "env",
];

impl Mount {
    /// Reads a mount; `expand` is applied to every value, never to keys.
    pub(crate) fn read<E: From<MountError>>(text: &str, expand: &dyn Fn(&str) -> Result<String, E>) -> Result<Self, E> {
        let mut mount = Self::default();
        let mut read_only = None;
        for field in fields(text).ok_or(MountError::Quotes)? {
            let (key, value) = match field.split_once('=') {
                Some((key, value)) => (key.to_lowercase(), Some(expand(value)?)),
                None => (field.to_lowercase(), None),
            };
            match value {
                Some(value) => mount.set(&key, value, &mut read_only)?,
                None => mount.set_bare(&key, &field, &mut read_only)?,
            }
        }
        mount.read_only = read_only.unwrap_or(!matches!(mount.kind, MountKind::Cache | MountKind::Tmpfs));
        mount.check()?;
        Ok(mount)
    }

    fn set_bare(&mut self, key: &str, field: &str, read_only: &mut Option<bool>) -> Result<(), MountError> {
        match key {
            "readonly" | "ro" => *read_only = Some(true),
            "readwrite" | "rw" => *read_only = Some(false),
            "required" => self.set_required(true)?,
            _ if KEYS.contains(&key) => return Err(MountError::NotPair { field: field.to_owned() }),
            _ => return Err(MountError::UnknownKey { key: key.to_owned() }),
        }
        Ok(())
    }

    fn set(&mut self, key: &str, value: String, read_only: &mut Option<bool>) -> Result<(), MountError> {
        let some = |value: String| Some(value).filter(|value| !value.is_empty());
        let invalid = |value: &str| MountError::Value { key: key.to_owned(), value: value.to_owned() };
        let number = |value: &str| value.parse::<u32>().map_err(|_not_a_number| invalid(value));
        match key {
            "type" => {
                let found = MountKind::WORDS.iter().find(|(word, _)| value.eq_ignore_ascii_case(word));
                self.kind = found.ok_or(MountError::UnknownType { word: value })?.1;
            }
            "from" => self.from = some(value),
            "source" | "src" => self.source = some(value),
            "target" | "dst" | "destination" => self.target = some(value),
            "readonly" | "ro" => *read_only = Some(boolean(&value).ok_or_else(|| invalid(&value))?),
            "readwrite" | "rw" => *read_only = Some(!boolean(&value).ok_or_else(|| invalid(&value))?),
            "required" => self.set_required(boolean(&value).ok_or_else(|| invalid(&value))?)?,
            "size" if self.kind == MountKind::Tmpfs => self.size = Some(bytes(&value).ok_or_else(|| invalid(&value))?),
            "size" => return Err(MountError::NotForType { key: "size", kind: self.kind.word() }),
            "id" => self.id = some(value),
            "sharing" => {
                self.sharing = Some(match value.to_lowercase().as_str() {
                    "shared" => Sharing::Shared,
                    "private" => Sharing::Private,
                    "locked" => Sharing::Locked,
                    _ => return Err(invalid(&value)),
                });
            }
            "mode" => {
                let digits = value.bytes().all(|digit| digit.is_ascii_digit());
                let mode = u32::from_str_radix(&value, 8).ok().filter(|_| digits);
                self.mode = Some(mode.ok_or_else(|| invalid(&value))?);
            }
            "uid" => self.uid = Some(number(&value)?),
            "gid" => self.gid = Some(number(&value)?),
            "env" => self.env = Some(value),
            _ => return Err(MountError::UnknownKey { key: key.to_owned() }),
        }
        Ok(())
    }

    fn set_required(&mut self, required: bool) -> Result<(), MountError> {
        if !matches!(self.kind, MountKind::Secret | MountKind::Ssh) {
            return Err(MountError::NotForType { key: "required", kind: self.kind.word() });
        }
        self.required = required;
        Ok(())
    }

    /// What depends on several fields.
    fn check(&self) -> Result<(), MountError> {
        let kind = self.kind.word();
        let refuse = |key, given: bool| if given { Err(MountError::NotForType { key, kind }) } else { Ok(()) };
        if matches!(self.kind, MountKind::Bind | MountKind::Tmpfs) {
            refuse("mode", self.mode.is_some())?;
            refuse("uid", self.uid.is_some())?;
            refuse("gid", self.gid.is_some())?;
        }
        if self.kind != MountKind::Cache {
            refuse("sharing", self.sharing.is_some())?;
        }
        if self.kind == MountKind::Secret {
            refuse("from", self.from.is_some())?;
            if self.source.is_none() && self.target.is_none() && self.id.is_none() {
                return Err(MountError::NamelessSecret);
            }
            if self.source.is_some() && self.id.is_some() {
                return Err(MountError::SourceAndId);
            }
        }
        Ok(())
    }
}

impl Device {
    /// Reads a device: `name`, `name=…`, `required`, `required=…`.
    pub(crate) fn read(text: &str) -> Result<Self, MountError> {
        let mut device = Self::default();
        for field in fields(text).ok_or(MountError::Quotes)? {
            let (key, value) = field.split_once('=').map_or((field.as_str(), None), |(key, v)| (key, Some(v)));
            match (key.to_lowercase().as_str(), value) {
                ("required", None) => device.required = true,
                ("required", Some(value)) => {
                    let invalid = || MountError::Value { key: key.to_owned(), value: value.to_owned() };
                    device.required = boolean(value).ok_or_else(invalid)?;
                }
                ("name", Some(name)) if device.name.is_empty() => name.clone_into(&mut device.name),
                ("name", Some(name)) => {
                    return Err(MountError::Value { key: key.to_owned(), value: name.to_owned() });
                }
                _ if device.name.is_empty() => device.name.clone_from(&field),
                (_, None) => return Err(MountError::NotPair { field }),
                (key, Some(_)) => return Err(MountError::UnknownKey { key: key.to_owned() }),
            }
        }
        Ok(device)
    }
}
