//! Base64, base32 and checksums.

use base64::Engine;
use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};

use super::super::value::Value;
use super::{Builtin, bytes, from_bytes, row, text};

pub(crate) const TABLE: &[Builtin] = &[
    row("b64enc", "s", |_, a| Ok(Value::from(STANDARD.encode(bytes(a, 0))))),
    row("b64dec", "s", |_, a| Ok(base64_decode(text(a, 0)))),
    row("b32enc", "s", |_, a| Ok(Value::from(base32_encode(&bytes(a, 0))))),
    row("b32dec", "s", |_, a| Ok(base32_decode(text(a, 0)))),
    row("sha1sum", "s", |_, a| Ok(Value::from(hex::encode(Sha1::digest(bytes(a, 0)))))),
    row("sha256sum", "s", |_, a| Ok(Value::from(hex::encode(Sha256::digest(bytes(a, 0)))))),
    row("sha512sum", "s", |_, a| Ok(Value::from(hex::encode(Sha512::digest(bytes(a, 0)))))),
    row("adler32sum", "s", |_, a| Ok(Value::from(adler32(&bytes(a, 0)).to_string()))),
];

const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// Go skips line breaks, and answers a mistake with its message as the text.
fn base64_decode(source: &str) -> Value {
    let clean: String = source.chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
    let lenient = GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true);
    match GeneralPurpose::new(&alphabet::STANDARD, lenient).decode(&clean) {
        Ok(bytes) => from_bytes(&bytes),
        Err(error) => {
            let at = match error {
                base64::DecodeError::InvalidByte(at, _) | base64::DecodeError::InvalidLastSymbol(at, _) => at,
                _ => clean.len() / 4 * 4,
            };
            Value::from(format!("illegal base64 data at input byte {at}"))
        }
    }
}

fn base32_encode(bytes: &[u8]) -> String {
    let mut out = String::new();
    for chunk in bytes.chunks(5) {
        let mut group = [0u8; 8];
        group[..chunk.len()].copy_from_slice(chunk);
        let bits = u64::from_be_bytes(group) >> 24;
        let symbols = (chunk.len() * 8).div_ceil(5);
        for i in 0..8 {
            let index = (bits >> (35 - 5 * i)) & 31;
            out.push(if i < symbols { char::from(ALPHABET[index as usize]) } else { '=' });
        }
    }
    out
}

fn base32_decode(source: &str) -> Value {
    let clean: Vec<u8> = source.bytes().filter(|b| !matches!(b, b'\r' | b'\n')).collect();
    let body = clean.len() - clean.iter().rev().take_while(|b| **b == b'=').count();
    let mut out = Vec::new();
    let (mut bits, mut count) = (0u32, 0);
    for (at, byte) in clean[..body].iter().enumerate() {
        let Some(index) = ALPHABET.iter().position(|a| a == byte) else {
            return Value::from(format!("illegal base32 data at input byte {at}"));
        };
        bits = (bits << 5) | index as u32;
        count += 5;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count) as u8);
            bits &= (1 << count) - 1;
        }
    }
    let padding = clean.len() - body;
    if !clean.len().is_multiple_of(8) || !matches!(padding, 0 | 1 | 3 | 4 | 6) {
        return Value::from(format!("illegal base32 data at input byte {}", clean.len()));
    }
    from_bytes(&out)
}

fn adler32(bytes: &[u8]) -> u32 {
    const MODULUS: u32 = 65_521;
    let (a, b) = bytes.iter().fold((1u32, 0u32), |(a, b), byte| {
        let a = (a + u32::from(*byte)) % MODULUS;
        (a, (b + a) % MODULUS)
    });
    (b << 16) | a
}
