//! The names in a client's certificate. Whether it is to be trusted was found out before, by TLS.

use std::sync::Arc;
use std::time::SystemTime;

use x509_cert::Certificate;
use x509_cert::der::Decode;
use x509_cert::der::asn1::Ia5String;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

use crate::gate::{Identity, Proof};

/// Who has a certificate: called by its common name, or by the first of its alternative names; none when it has no name
/// at all.
#[must_use]
pub fn holder(der: &[u8]) -> Option<Identity> {
    let certificate = Certificate::from_der(der).ok()?;
    let body = certificate.tbs_certificate();
    let common = body.subject().common_name().ok().flatten().map(|name| name.value().into_owned());
    let mut names: Vec<String> = common.into_iter().collect();
    if let Ok(Some((_critical, SubjectAltName(alternative)))) = body.get_extension::<SubjectAltName>() {
        names.extend(alternative.iter().filter_map(text));
    }
    names.retain(|name| !name.is_empty() && !name.chars().any(char::is_control));
    let name: Arc<str> = names.first()?.as_str().into();
    Some(Identity { name, proof: Proof::Certificate(names.into()) })
}

/// Until when a certificate is valid.
#[must_use]
pub fn valid_until(der: &[u8]) -> Option<SystemTime> {
    let certificate = Certificate::from_der(der).ok()?;
    Some(SystemTime::UNIX_EPOCH + certificate.tbs_certificate().validity().not_after.to_unix_duration())
}

fn text(name: &GeneralName) -> Option<String> {
    let of = |text: &Ia5String| Some(text.to_string());
    match name {
        GeneralName::DnsName(name) | GeneralName::Rfc822Name(name) | GeneralName::UniformResourceIdentifier(name) => {
            of(name)
        }
        GeneralName::IpAddress(bytes) => match bytes.as_bytes() {
            bytes if bytes.len() == 4 => {
                <[u8; 4]>::try_from(bytes).ok().map(|b| std::net::Ipv4Addr::from(b).to_string())
            }
            bytes => <[u8; 16]>::try_from(bytes).ok().map(|b| std::net::Ipv6Addr::from(b).to_string()),
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::access::keys::blocks;
    use proptest::prelude::*;

    fn certificate(subject: &str, alternative: &str) -> Vec<u8> {
        let dir = tempfile::tempdir().unwrap();
        let mut command = Command::new("openssl");
        command.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "9"]);
        command.args(["-subj", subject, "-keyout"]).arg(dir.path().join("key"));
        if !alternative.is_empty() {
            command.args(["-addext", &format!("subjectAltName={alternative}")]);
        }
        let output = command.output().expect("openssl is installed");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let pem = String::from_utf8(output.stdout).unwrap();
        blocks(&pem).next().unwrap().1.unwrap()
    }

    #[test]
    fn a_holder_is_called_by_the_common_name_or_the_first_alternative() {
        for (subject, alternative, name, all) in [
            ("/O=ops/CN=anna", "", Some("anna"), &["anna"][..]),
            (
                "/CN=node-7",
                "DNS:node-7.example,IP:10.0.0.7,email:ops@example,URI:spiffe://example/node/7",
                Some("node-7"),
                &["node-7", "node-7.example", "10.0.0.7", "ops@example", "spiffe://example/node/7"],
            ),
            ("/O=ops", "IP:::1,DNS:b", Some("::1"), &["::1", "b"]),
            ("/O=ops", "", None, &[]),
        ] {
            let der = certificate(subject, alternative);
            let who = holder(&der);
            assert_eq!(who.as_ref().map(|who| &*who.name), name, "{subject}");
            if let Some(Identity { proof: Proof::Certificate(names), .. }) = who {
                assert_eq!(&*names, all, "{subject}");
            }
            let days = valid_until(&der).unwrap().duration_since(SystemTime::now()).unwrap().as_secs() / 86_400;
            assert!((8..=9).contains(&days), "{days}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(holder(&bytes).is_none());
        }
    }
}
