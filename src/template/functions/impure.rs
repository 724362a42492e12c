//! Functions that need a clock, randomness, a network or an environment: they come from the engine's `Provider`, or
//! are an error that says what is missing. `lookup` alone has an answer of its own: nothing found, as `helm template`.

use super::super::error::CallError;
use super::super::exec::Exec;
use super::super::value::{Map, Value};
use super::{Answer, Builtin, row};

pub(crate) const CLOCK: &str =
    "it needs a clock, and this rendering has none (the result must depend on the input alone)";
const RANDOM: &str = "it needs randomness, and this rendering has none (the result must depend on the input alone)";
const ENVIRONMENT: &str = "it reads the environment of the process, and this rendering has none";
const NETWORK: &str = "it asks the network, and this rendering has none";
const KEYS: &str = "it makes or uses keys, and this rendering has no source of them";

/// A row whose function is asked of the provider under its own name.
macro_rules! provided {
    ($name:literal, $signature:literal, $why:expr) => {
        row($name, $signature, |exec, args| provided(exec, $name, args, $why))
    };
}

pub(crate) const TABLE: &[Builtin] = &[
    provided!("now", "", CLOCK),
    provided!("env", "s", ENVIRONMENT),
    provided!("expandenv", "s", ENVIRONMENT),
    provided!("getHostByName", "s", NETWORK),
    provided!("randAlphaNum", "i", RANDOM),
    provided!("randAlpha", "i", RANDOM),
    provided!("randAscii", "i", RANDOM),
    provided!("randNumeric", "i", RANDOM),
    provided!("randBytes", "i", RANDOM),
    provided!("randInt", "ii", RANDOM),
    provided!("shuffle", "s", RANDOM),
    provided!("uuidv4", "", RANDOM),
    provided!("bcrypt", "s", RANDOM),
    provided!("htpasswd", "ss", RANDOM),
    provided!("genPrivateKey", "s", KEYS),
    provided!("derivePassword", "issss", KEYS),
    provided!("buildCustomCert", "ss", KEYS),
    provided!("genCA", "si", KEYS),
    provided!("genCAWithKey", "sis", KEYS),
    provided!("genSelfSignedCert", "saai", KEYS),
    provided!("genSelfSignedCertWithKey", "saais", KEYS),
    provided!("genSignedCert", "saaia", KEYS),
    provided!("genSignedCertWithKey", "saaias", KEYS),
    provided!("encryptAES", "ss", KEYS),
    provided!("decryptAES", "ss", KEYS),
    row("lookup", "ssss", |exec, args| match ask(exec, "lookup", args) {
        Some(answer) => answer,
        None => Ok(Value::Map(Map::new())),
    }),
];

pub(crate) fn ask(exec: &Exec<'_>, name: &str, args: &[Value]) -> Option<Answer> {
    exec.engine.provider.as_ref().and_then(|p| p.call(name, args))
}

fn provided(exec: &Exec<'_>, name: &str, args: &[Value], why: &'static str) -> Answer {
    ask(exec, name, args).unwrap_or(Err(CallError::Unavailable { why }))
}
