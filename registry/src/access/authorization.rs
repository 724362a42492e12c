//! The `Authorization` header (RFC 9110 §11.6.2): `Basic` (RFC 7617) and `Bearer` (RFC 6750).
//!
//! What is wrong is an error and never "no credentials": a client that tried to log in is not served as anonymous.

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::secret::Secret;

/// Padding may be missing: several clients leave it out.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The longest header that is looked at, in bytes. Tokens with many scopes reach a few KiB.
pub const LIMIT: usize = 16 << 10;

/// Who a client says it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credentials {
    /// A name and a password.
    Basic {
        /// The name; never empty, without control characters.
        user: String,
        /// What proves it.
        password: Secret,
    },
    /// A token.
    Bearer(Secret),
}

/// Why a header is not understood. It never repeats what the header holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthorizationError {
    /// Neither `Basic` nor `Bearer`.
    #[error("the scheme of the Authorization header is neither Basic nor Bearer")]
    Scheme,
    /// Not base64, no colon, no name, a control character.
    #[error("the Basic credentials are not a name and a password in base64")]
    Basic,
    /// A token with characters that no token has.
    #[error("the Bearer token holds characters that a token cannot have")]
    Bearer,
    /// Longer than [`LIMIT`].
    #[error("the Authorization header is longer than {LIMIT} bytes")]
    TooLong,
}

/// Reads the value of the header.
///
/// # Errors
/// When it is neither of the two schemes or not well formed.
pub fn parse(value: &[u8]) -> Result<Credentials, AuthorizationError> {
    if value.len() > LIMIT {
        return Err(AuthorizationError::TooLong);
    }
    let value = value.trim_ascii();
    let end = value.iter().position(|byte| *byte == b' ').unwrap_or(value.len());
    let (scheme, rest) = (&value[..end], value[end..].trim_ascii());
    match () {
        () if scheme.eq_ignore_ascii_case(b"basic") => basic(rest),
        () if scheme.eq_ignore_ascii_case(b"bearer") => bearer(rest),
        () => Err(AuthorizationError::Scheme),
    }
}

fn basic(encoded: &[u8]) -> Result<Credentials, AuthorizationError> {
    let decoded = BASE64.decode(encoded).map_err(|_error| AuthorizationError::Basic)?;
    let decoded = Secret::new(decoded);
    let bytes = decoded.expose();
    let colon = bytes.iter().position(|byte| *byte == b':').ok_or(AuthorizationError::Basic)?;
    let user = std::str::from_utf8(&bytes[..colon]).map_err(|_error| AuthorizationError::Basic)?;
    let password = &bytes[colon + 1..];
    // bcrypt ends at a NUL, so a password with one would match a shorter one.
    if user.is_empty() || user.chars().any(char::is_control) || password.contains(&0) {
        return Err(AuthorizationError::Basic);
    }
    Ok(Credentials::Basic { user: user.to_owned(), password: Secret::new(password.to_vec()) })
}

fn bearer(token: &[u8]) -> Result<Credentials, AuthorizationError> {
    // token68 of RFC 9110.
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(byte);
    if token.is_empty() || !token.iter().all(allowed) {
        return Err(AuthorizationError::Bearer);
    }
    Ok(Credentials::Bearer(Secret::new(token.to_vec())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn basic_of(user: &str, password: &str) -> Result<Credentials, AuthorizationError> {
        Ok(Credentials::Basic { user: user.to_owned(), password: password.into() })
    }

    #[test]
    fn headers_are_read_as_clients_write_them() {
        use AuthorizationError as E;
        for (text, want) in [
            ("Basic bWU6aHVudGVyMg==", basic_of("me", "hunter2")),
            ("basic   bWU6aHVudGVyMg==  ", basic_of("me", "hunter2")),
            ("Basic bWU6aHVudGVyMg", basic_of("me", "hunter2")),
            ("Basic bWU6", basic_of("me", "")),
            ("Basic bWU6YTpi", basic_of("me", "a:b")),
            ("Bearer abc.def-_~+/=", Ok(Credentials::Bearer("abc.def-_~+/=".into()))),
            ("BEARER a", Ok(Credentials::Bearer("a".into()))),
            ("", Err(E::Scheme)),
            ("Digest username=x", Err(E::Scheme)),
            ("bWU6aHVudGVyMg==", Err(E::Scheme)),
            ("Basic", Err(E::Basic)),
            ("Basic !!!", Err(E::Basic)),
            ("Basic bWU=", Err(E::Basic)),
            ("Basic OnB3", Err(E::Basic)),
            ("Basic bQBlOnB3", Err(E::Basic)),
            ("Basic bWU6cAB3", Err(E::Basic)),
            ("Basic /zpwdw==", Err(E::Basic)),
            ("Bearer", Err(E::Bearer)),
            ("Bearer a b", Err(E::Bearer)),
            ("Bearer \"a\"", Err(E::Bearer)),
        ] {
            assert_eq!(parse(text.as_bytes()), want, "{text}");
        }
        assert_eq!(parse(&[b'a'; LIMIT + 1]), Err(E::TooLong));
    }

    proptest! {
        #[test]
        fn what_a_client_encodes_is_what_is_read(user in "[^:\\p{Cc}]{1,40}", password in "[^\\x00]{0,80}") {
            let header = format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}")));
            prop_assert_eq!(parse(header.as_bytes()), basic_of(&user, &password));
        }

        #[test]
        fn no_header_makes_it_panic_or_tells_its_secret(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Err(error) = parse(&bytes) {
                prop_assert!(error.to_string().len() < 100);
            }
        }
    }
}
