//! Stand-ins for the functions of charts that need a clock, randomness, keys or a network.
//!
//! Each answers with something of the right shape that depends only on how often stand-ins were asked before in this
//! rendering, and on the arguments: two renderings of a chart are equal, two passwords in it are not. It is 1970. None
//! of it is a secret or a certificate that anything would accept: what is rendered here is read, not installed.

use std::any::Any;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use crate::template::{CallError, Object, Provider, Time, Value, display};

type Answer = Result<Value, CallError>;

const DIGITS: &[u8] = b"0123456789";
const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const BCRYPT: &[u8] = b"./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
/// The longest text a stand-in makes.
const MAX_LENGTH: i64 = 1 << 20;

/// The functions and how often they were asked.
#[derive(Default)]
pub(crate) struct StandIns {
    asked: AtomicU64,
}

impl Provider for StandIns {
    fn call(&self, function: &str, args: &[Value]) -> Option<Answer> {
        if function == "now" {
            return Some(Ok(Time { seconds: 0, nanos: 0, offset: 0 }.into()));
        }
        let number = self.asked.fetch_add(1, Ordering::Relaxed);
        let mut seed = format!("{function} {number}");
        for arg in args {
            seed.push(' ');
            seed.push_str(&display(arg));
        }
        answer(function, args, &Noise(seed))
    }
}

/// Bytes that look random and follow from a seed.
struct Noise(String);

impl Noise {
    fn bytes(&self, count: usize) -> Vec<u8> {
        let blocks = (0u64..).flat_map(|block| Sha256::digest(format!("{block} {}", self.0)));
        blocks.take(count).collect()
    }

    fn text(&self, count: usize, alphabet: &[u8]) -> String {
        self.bytes(count).into_iter().map(|byte| char::from(alphabet[usize::from(byte) % alphabet.len()])).collect()
    }
}

fn text(args: &[Value], index: usize) -> &str {
    args.get(index).and_then(Value::as_str).unwrap_or("")
}

fn length(args: &[Value]) -> Result<usize, CallError> {
    let count = args.first().and_then(Value::as_int).unwrap_or(0);
    usize::try_from(count)
        .ok()
        .filter(|_| count <= MAX_LENGTH)
        .ok_or_else(|| CallError::argument(format!("a length of {count} is not between 0 and {MAX_LENGTH}")))
}

fn answer(function: &str, args: &[Value], noise: &Noise) -> Option<Answer> {
    let letters_and_digits = [LETTERS, DIGITS].concat();
    let drawn = |alphabet: &[u8]| length(args).map(|count| Value::from(noise.text(count, alphabet)));
    Some(match function {
        "randAlphaNum" => drawn(&letters_and_digits),
        "randAlpha" => drawn(LETTERS),
        "randNumeric" => drawn(DIGITS),
        "randAscii" => drawn(&(b' '..=b'~').collect::<Vec<u8>>()),
        "randBytes" => length(args).map(|count| Value::from(STANDARD.encode(noise.bytes(count)))),
        "randInt" => between(args, noise),
        "shuffle" => Ok(Value::from(shuffled(text(args, 0), noise))),
        "uuidv4" => Ok(Value::from(uuid(noise))),
        "getHostByName" => Ok(Value::string("")),
        "bcrypt" => Ok(Value::from(bcrypt(noise))),
        "htpasswd" => match text(args, 0) {
            user if user.contains(':') => Ok(Value::from(format!("invalid username: {user}"))),
            user => Ok(Value::from(format!("{user}:{}", bcrypt(noise)))),
        },
        "derivePassword" => Ok(Value::from(password(text(args, 1), noise))),
        "genPrivateKey" => Ok(private_key(text(args, 0), noise)),
        "genCA" | "genSelfSignedCert" | "genSignedCert" => Ok(certificate(noise, None)),
        "genCAWithKey" => Ok(certificate(noise, Some(text(args, 2)))),
        "genSelfSignedCertWithKey" => Ok(certificate(noise, Some(text(args, 4)))),
        "genSignedCertWithKey" => Ok(certificate(noise, Some(text(args, 5)))),
        "buildCustomCert" => custom(text(args, 0), text(args, 1)),
        "encryptAES" => Ok(Value::from(STANDARD.encode(format!("{MARK}{}", text(args, 1))))),
        "decryptAES" => decrypted(text(args, 1)),
        _ => return None,
    })
}

fn between(args: &[Value], noise: &Noise) -> Answer {
    let bound = |index: usize| args.get(index).and_then(Value::as_int).unwrap_or(0);
    let (low, high) = (bound(0), bound(1));
    let width = u64::try_from(i128::from(high) - i128::from(low)).ok().filter(|width| *width > 0);
    let Some(width) = width else { return Err(CallError::argument("invalid argument to Intn")) };
    let drawn = noise.bytes(8).into_iter().fold(0u64, |all, byte| all << 8 | u64::from(byte)) % width;
    Ok(Value::Int(i64::try_from(i128::from(low) + i128::from(drawn)).unwrap_or(low)))
}

fn shuffled(text: &str, noise: &Noise) -> String {
    let mut chars: Vec<char> = text.chars().collect();
    for (i, byte) in noise.bytes(chars.len()).into_iter().enumerate().skip(1) {
        chars.swap(i, usize::from(byte) % (i + 1));
    }
    chars.into_iter().collect()
}

fn uuid(noise: &Noise) -> String {
    let mut bytes = noise.bytes(16);
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = hex::encode(bytes);
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

fn bcrypt(noise: &Noise) -> String {
    format!("$2a$10${}", noise.text(53, BCRYPT))
}

/// A password of the length that the kind of `derivePassword` has.
fn password(kind: &str, noise: &Noise) -> String {
    let count = match kind {
        "maximum" => 20,
        "long" => 14,
        "medium" | "basic" => 8,
        "short" | "pin" => 4,
        _ => return format!("cannot find password template {kind}"),
    };
    let alphabet = if kind == "pin" { DIGITS.to_vec() } else { [LETTERS, DIGITS].concat() };
    noise.text(count, &alphabet)
}

fn pem(label: &str, noise: &Noise, size: usize) -> String {
    let encoded = STANDARD.encode(Noise(format!("{label} {}", noise.0)).bytes(size));
    let lines: Vec<&str> =
        (0..encoded.len()).step_by(64).map(|at| &encoded[at..(at + 64).min(encoded.len())]).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

fn private_key(kind: &str, noise: &Noise) -> Value {
    Value::from(match kind {
        "" | "rsa" => pem("RSA PRIVATE KEY", noise, 1190),
        "dsa" => pem("DSA PRIVATE KEY", noise, 830),
        "ecdsa" => pem("EC PRIVATE KEY", noise, 121),
        "ed25519" => pem("PRIVATE KEY", noise, 48),
        other => format!("Unknown type {other}"),
    })
}

fn certificate(noise: &Noise, key: Option<&str>) -> Value {
    let key = key.map_or_else(|| pem("RSA PRIVATE KEY", noise, 1190), str::to_owned);
    Value::Object(Rc::new(Certificate { cert: pem("CERTIFICATE", noise, 780), key }))
}

fn custom(cert: &str, key: &str) -> Answer {
    let decoded = |what: &str, text: &str| {
        let bytes = STANDARD.decode(text.replace(['\r', '\n'], ""));
        bytes
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .map_err(|_unreadable| CallError::argument(format!("unable to decode base64 {what}")))
    };
    Ok(Value::Object(Rc::new(Certificate { cert: decoded("certificate", cert)?, key: decoded("private key", key)? })))
}

/// What tells a text of our own `encryptAES`.
const MARK: &str = "not encrypted: ";

fn decrypted(text: &str) -> Answer {
    let plain = STANDARD.decode(text).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    match plain.as_deref().and_then(|plain| plain.strip_prefix(MARK)) {
        Some(plain) => Ok(Value::string(plain)),
        None => Err(CallError::Unavailable { why: "nothing is decrypted while charts are only read" }),
    }
}

/// What `genCA` and its like answer.
struct Certificate {
    cert: String,
    key: String,
}

impl Object for Certificate {
    fn type_name(&self) -> &str {
        "sprig.certificate"
    }

    fn field(&self, name: &str) -> Option<Value> {
        match name {
            "Cert" => Some(Value::string(self.cert.as_str())),
            "Key" => Some(Value::string(self.key.as_str())),
            _ => None,
        }
    }

    fn call(&self, _name: &str, _args: &[Value]) -> Option<Answer> {
        None
    }

    fn display(&self) -> String {
        format!("{{{} {}}}", self.cert, self.key)
    }

    fn data(&self) -> Option<Value> {
        let fields = [("Cert", &self.cert), ("Key", &self.key)];
        Some(Value::Map(fields.iter().map(|(name, text)| (Rc::from(*name), Value::string(text.as_str()))).collect()))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
