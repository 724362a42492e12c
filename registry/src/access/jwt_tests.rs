//! Tokens of openssl and of this program, right and wrong in every way.

use std::fs;
use std::path::Path;
use std::process::Command;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proptest::prelude::*;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
};
use serde_json::{Value, json};

use super::jwt::{Claims, Expected, LIMIT, TokenError, encode, verify};
use super::keys::{KeyError, KeySet, PublicKey};
use super::scope::Actions;

const NOW: i64 = 1_800_000_000;

fn expected() -> Expected {
    Expected { issuer: "us".to_owned(), audience: "hub".to_owned(), leeway: 60 }
}

fn claims() -> Value {
    json!({ "iss": "us", "sub": "anna", "aud": "hub", "exp": NOW + 300, "nbf": NOW, "access":
        [{ "type": "repository", "name": "team/app", "actions": ["pull", "push"] }] })
}

/// Joins a header and claims and signs them.
fn token(header: &Value, claims: &Value, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(header), part(claims));
    let signature = sign(signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// A key pair of P-256, the key set with its public half, and its signer.
fn own() -> (KeySet, impl Fn(&[u8]) -> Vec<u8>) {
    let random = SystemRandom::new();
    let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref(), &random).unwrap();
    let keys = KeySet::of(PublicKey::p256(pair.public_key().as_ref().to_vec(), "k1".to_owned()));
    (keys, move |message: &[u8]| pair.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec())
}

fn openssl(dir: &Path, args: &[&str]) {
    let output = Command::new("openssl").args(args).current_dir(dir).output().expect("openssl is installed");
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn tokens_signed_by_openssl_are_verified_with_pem_keys_and_certificates() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    for (algorithm, new, digest) in [
        ("RS256", &["rsa", "-pkeyopt", "rsa_keygen_bits:2048"][..], &["-sha256"][..]),
        ("RS512", &["rsa", "-pkeyopt", "rsa_keygen_bits:3072"], &["-sha512"]),
        ("PS256", &["rsa"], &["-sha256", "-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:32"]),
    ] {
        openssl(at, &[&["genpkey", "-out", "key", "-algorithm"][..], new].concat());
        openssl(at, &["pkey", "-in", "key", "-pubout", "-out", "public"]);
        openssl(at, &["req", "-x509", "-key", "key", "-subj", "/CN=issuer", "-out", "certificate"]);
        openssl(at, &["rsa", "-in", "key", "-RSAPublicKey_out", "-out", "pkcs1"]);
        let sign = |message: &[u8]| {
            fs::write(at.join("message"), message).unwrap();
            openssl(at, &[&["dgst", "-sign", "key", "-out", "signature"][..], digest, &["message"]].concat());
            fs::read(at.join("signature")).unwrap()
        };
        let text = token(&json!({ "alg": algorithm, "kid": "AAAA:BBBB" }), &claims(), sign);
        for file in ["public", "certificate", "pkcs1"] {
            let keys = KeySet::parse(&fs::read(at.join(file)).unwrap()).unwrap();
            let claims = verify(text.as_bytes(), &keys, &expected(), NOW).unwrap();
            assert_eq!(claims.actions("team/app"), Actions::PULL.or(Actions::PUSH), "{algorithm} {file}");
        }
        assert_eq!(KeySet::parse(&fs::read(at.join("key")).unwrap()), Err(KeyError::Private));
    }
    for (algorithm, curve, signing) in
        [("ES256", "P-256", &ECDSA_P256_SHA256_FIXED_SIGNING), ("ES384", "P-384", &ECDSA_P384_SHA384_FIXED_SIGNING)]
    {
        openssl(at, &["genpkey", "-algorithm", "EC", "-pkeyopt", &format!("ec_paramgen_curve:{curve}"), "-out", "key"]);
        openssl(at, &["pkey", "-in", "key", "-pubout", "-out", "public"]);
        openssl(at, &["pkcs8", "-topk8", "-nocrypt", "-in", "key", "-outform", "DER", "-out", "der"]);
        let random = SystemRandom::new();
        let pair = EcdsaKeyPair::from_pkcs8(signing, &fs::read(at.join("der")).unwrap(), &random).unwrap();
        let keys = KeySet::parse(&fs::read(at.join("public")).unwrap()).unwrap();
        let right = |message: &[u8]| pair.sign(&random, message).unwrap().as_ref().to_vec();
        let text = token(&json!({ "alg": algorithm }), &claims(), right);
        assert!(verify(text.as_bytes(), &keys, &expected(), NOW).is_ok(), "{algorithm}");
        let wrong = token(&json!({ "alg": algorithm }), &claims(), |_| vec![7; 64]);
        assert_eq!(verify(wrong.as_bytes(), &keys, &expected(), NOW), Err(TokenError::Signature), "{algorithm}");
    }
    openssl(at, &["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024", "-out", "key"]);
    openssl(at, &["pkey", "-in", "key", "-pubout", "-out", "public"]);
    assert_eq!(KeySet::parse(&fs::read(at.join("public")).unwrap()), Err(KeyError::Weak(1)));
}

#[test]
fn tokens_are_verified_with_a_jwks_document_by_key_id() {
    let pair =
        Ed25519KeyPair::from_pkcs8(Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap().as_ref()).unwrap();
    let x = URL_SAFE_NO_PAD.encode(pair.public_key().as_ref());
    let other = URL_SAFE_NO_PAD.encode([9; 32]);
    let document = json!({ "keys": [
        { "kty": "OKP", "crv": "Ed25519", "x": other, "kid": "old" },
        { "kty": "OKP", "crv": "Ed25519", "x": x, "kid": "new", "use": "sig", "alg": "EdDSA" },
        { "kty": "oct-like", "kid": "unknown kinds are passed over" },
        { "kty": "RSA", "use": "enc", "kid": "for encryption" },
    ] });
    let keys = KeySet::parse(document.to_string().as_bytes()).unwrap();
    let sign = |message: &[u8]| pair.sign(message).as_ref().to_vec();
    for (kid, want) in [
        (json!("new"), Ok(())),
        (json!(null), Ok(())),
        (json!("old"), Err(TokenError::Signature)),
        (json!("other"), Err(TokenError::UnknownKey)),
    ] {
        let text = token(&json!({ "alg": "EdDSA", "kid": kid }), &claims(), sign);
        assert_eq!(verify(text.as_bytes(), &keys, &expected(), NOW).map(drop), want, "{kid}");
    }
    for (text, want) in [
        ("", KeyError::Form),
        ("hello", KeyError::Form),
        ("{\"keys\": []}", KeyError::None),
        ("{\"keys\": [{\"kty\": \"EC\", \"crv\": \"P-256\", \"x\": \"AA\", \"y\": \"AA\"}]}", KeyError::Damaged(1)),
        ("{\"keys\": [{\"kty\": \"OKP\", \"crv\": \"Ed25519\", \"d\": \"AA\"}]}", KeyError::Private),
        ("-----BEGIN PUBLIC KEY-----\n!!!\n-----END PUBLIC KEY-----", KeyError::Damaged(1)),
        ("-----BEGIN PUBLIC KEY-----\nAAAA\n", KeyError::Damaged(1)),
        ("-----BEGIN SOMETHING-----\nAAAA\n-----END SOMETHING-----", KeyError::None),
    ] {
        assert_eq!(KeySet::parse(text.as_bytes()), Err(want), "{text}");
    }
    assert!(matches!(KeySet::parse(b"{\"keys\": 1}"), Err(KeyError::Json(_))));
}

#[test]
fn a_token_that_is_wrong_in_any_way_is_refused() {
    use TokenError as E;
    let (keys, sign) = own();
    let with = |key: &str, value: Value| {
        let mut changed = claims();
        changed[key] = value;
        changed
    };
    for (header, claims, want) in [
        (json!({ "alg": "ES256" }), claims(), Ok(())),
        (json!({ "alg": "ES256", "kid": "k1", "typ": "at+jwt" }), claims(), Ok(())),
        (json!({ "alg": "ES256" }), with("aud", json!(["other", "hub"])), Ok(())),
        (json!({ "alg": "ES256" }), with("exp", json!(NOW - 59)), Ok(())),
        (json!({ "alg": "ES256" }), with("exp", json!(1.9e9)), Ok(())),
        (json!({ "alg": "ES256" }), with("access", json!(null)), Ok(())),
        (json!({ "alg": "none" }), claims(), Err(E::Algorithm)),
        (json!({ "alg": "None" }), claims(), Err(E::Algorithm)),
        (json!({ "alg": "HS256" }), claims(), Err(E::Algorithm)),
        (json!({ "alg": "" }), claims(), Err(E::Algorithm)),
        (json!({}), claims(), Err(E::Malformed)),
        (json!([]), claims(), Err(E::Malformed)),
        (json!({ "alg": "RS256" }), claims(), Err(E::Signature)),
        (json!({ "alg": "EdDSA" }), claims(), Err(E::Signature)),
        (json!({ "alg": "ES256", "kid": "k2" }), claims(), Err(E::UnknownKey)),
        (json!({ "alg": "ES256", "crit": ["b64"] }), claims(), Err(E::Critical)),
        (json!({ "alg": "ES256" }), with("iss", json!("them")), Err(E::Issuer)),
        (json!({ "alg": "ES256" }), with("aud", json!("other")), Err(E::Audience)),
        (json!({ "alg": "ES256" }), with("aud", json!([])), Err(E::Audience)),
        (json!({ "alg": "ES256" }), with("aud", json!(null)), Err(E::Audience)),
        (json!({ "alg": "ES256" }), with("exp", json!(NOW - 60)), Err(E::Expired)),
        (json!({ "alg": "ES256" }), with("exp", json!(null)), Err(E::Expired)),
        (json!({ "alg": "ES256" }), with("exp", json!("tomorrow")), Err(E::Malformed)),
        (json!({ "alg": "ES256" }), with("exp", json!(i64::MIN)), Err(E::Expired)),
        (json!({ "alg": "ES256" }), with("nbf", json!(NOW + 61)), Err(E::Early)),
        (json!({ "alg": "ES256" }), with("nbf", json!(1e300)), Err(E::Early)),
        (json!({ "alg": "ES256" }), with("access", json!("all")), Err(E::Malformed)),
        (json!({ "alg": "ES256" }), json!("text"), Err(E::Malformed)),
    ] {
        let text = token(&header, &claims, &sign);
        assert_eq!(verify(text.as_bytes(), &keys, &expected(), NOW).map(drop), want, "{header} {claims}");
    }
    let right = token(&json!({ "alg": "ES256" }), &claims(), &sign);
    let (signed, signature) = right.rsplit_once('.').unwrap();
    for (text, want) in [
        ("", E::Malformed),
        ("a.b", E::Malformed),
        ("a.b.c", E::Malformed),
        ("a.b.c.d", E::Malformed),
        (signed, E::Malformed),
        (&format!("{signed}."), E::Signature),
        (&format!("{signed}.{signature}=="), E::Malformed),
        (&format!("{right}.{right}"), E::Signature),
        (&format!("{signed}.{}", signature.replace(&signature[..4], "AAAA")), E::Signature),
        (&"a".repeat(LIMIT + 1), E::TooLong),
    ] {
        assert_eq!(verify(text.as_bytes(), &keys, &expected(), NOW), Err(want), "{text}");
    }
    assert_eq!(verify(right.as_bytes(), &own().0, &expected(), NOW), Err(E::Signature), "somebody else's key");
}

proptest! {
    #[test]
    fn what_is_signed_is_read_and_one_changed_character_is_noticed(
        sub in "[a-z]{0,9}", name in "[a-z/]{1,20}", exp in NOW..NOW + 1000, at in 0_usize..10_000, by in "[A-Za-z0-9_.-]",
    ) {
        let (keys, sign) = own();
        let mut claims = Claims { iss: "us".to_owned(), sub, aud: vec!["hub".to_owned()], exp: Some(exp), ..Claims::default() };
        claims.access.push(super::jwt::Access { kind: "repository".to_owned(), name: name.clone(), actions: vec!["delete".to_owned()] });
        let text = encode::<()>("ES256", "k1", &claims, |message| Ok(sign(message))).unwrap();
        let read = verify(text.as_bytes(), &keys, &expected(), NOW).unwrap();
        prop_assert_eq!(read.actions(&name), Actions::DELETE);
        prop_assert_eq!(&read, &claims);
        let at = at % text.len();
        let changed = format!("{}{by}{}", &text[..at], &text[at + 1..]);
        // The last character of base64 holds bits that are not part of the value.
        if changed != text && at + 1 < text.len() {
            prop_assert!(verify(changed.as_bytes(), &keys, &expected(), NOW).is_err());
        }
    }

    #[test]
    fn no_bytes_make_the_readers_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), text in "[-A-Za-z0-9_.{}\":,]{0,300}") {
        let (keys, _) = own();
        for input in [&bytes[..], text.as_bytes()] {
            prop_assert!(verify(input, &keys, &expected(), NOW).is_err());
            prop_assert!(KeySet::parse(input).is_err());
        }
        let body = base64::engine::general_purpose::STANDARD.encode(&bytes);
        let pem = format!("-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----");
        prop_assert!(KeySet::parse(pem.as_bytes()).is_err());
    }
}
