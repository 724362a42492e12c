//! What a 401 asks for, and what a token server answers.
//!
//! Source: OCI distribution specification "Authentication" by reference to Docker's token authentication.

use std::collections::BTreeMap;

use serde::Deserialize;

/// What a `WWW-Authenticate` header asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Challenge {
    /// User name and password with every request.
    Basic,
    /// A token from `realm`.
    Bearer {
        /// The URL of the token server.
        realm: String,
        /// The name that the registry has there.
        service: Option<String>,
        /// What access is needed.
        scope: Option<String>,
    },
}

/// What a token server answers.
#[derive(Deserialize)]
pub(crate) struct TokenAnswer {
    #[serde(default)]
    token: Option<String>,
    #[serde(default)]
    access_token: Option<String>,
    #[serde(default)]
    expires_in: Option<u64>,
}

impl TokenAnswer {
    /// The token, under either of its two names.
    pub(crate) fn token(&self) -> Option<&str> {
        let token = [&self.token, &self.access_token].into_iter().flatten().find(|token| !token.is_empty());
        token.map(String::as_str)
    }

    /// How many seconds it is good for; one minute if the server does not say.
    pub(crate) fn seconds(&self) -> u64 {
        self.expires_in.filter(|seconds| *seconds > 0).unwrap_or(60)
    }
}

impl Challenge {
    /// What the server asks of everybody.
    pub(crate) fn without_scope(self) -> Self {
        match self {
            Self::Bearer { realm, service, .. } => Self::Bearer { realm, service, scope: None },
            other => other,
        }
    }

    /// The best challenge of a header: Bearer before Basic; none when neither is offered.
    pub(crate) fn parse(header: &str) -> Option<Self> {
        let mut best = None;
        for (scheme, parameters) in challenges(header) {
            match scheme.to_ascii_lowercase().as_str() {
                "bearer" => {
                    if let Some(realm) = parameters.get("realm") {
                        return Some(Self::Bearer {
                            realm: realm.clone(),
                            service: parameters.get("service").cloned(),
                            scope: parameters.get("scope").cloned(),
                        });
                    }
                }
                "basic" => best = Some(Self::Basic),
                _ => {}
            }
        }
        best
    }
}

/// Splits `Scheme a="b", c=d, Scheme2 e="f"` (RFC 9110, section 11.6.1).
fn challenges(header: &str) -> Vec<(String, BTreeMap<String, String>)> {
    let mut found: Vec<(String, BTreeMap<String, String>)> = Vec::new();
    let mut rest = header.trim();
    while !rest.is_empty() {
        let end = rest.find([' ', '=', ',']).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        let after = after.trim_start();
        if let Some(value) = after.strip_prefix('=') {
            let (value, tail) = value_of(value.trim_start());
            if let Some((_, parameters)) = found.last_mut() {
                parameters.insert(word.to_ascii_lowercase(), value);
            }
            rest = tail;
        } else {
            if !word.is_empty() {
                found.push((word.to_owned(), BTreeMap::new()));
            }
            rest = after;
        }
        rest = rest.trim_start_matches([',', ' ']);
    }
    found
}

/// A quoted string or a token, and what follows it.
fn value_of(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ' ']).unwrap_or(text.len());
        return (text[..end].to_owned(), &text[end..]);
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, c)) = characters.next() {
        match c {
            '"' => return (value, &quoted[at + 1..]),
            '\\' => value.extend(characters.next().map(|(_, c)| c)),
            c => value.push(c),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_are_read_as_servers_write_them() {
        let bearer = |realm: &str, service: Option<&str>, scope: Option<&str>| {
            Some(Challenge::Bearer {
                realm: realm.to_owned(),
                service: service.map(str::to_owned),
                scope: scope.map(str::to_owned),
            })
        };
        for (header, want) in [
            (
                r#"Bearer realm="https://auth.example/token",service="registry.example",scope="repository:a/b:pull,push""#,
                bearer("https://auth.example/token", Some("registry.example"), Some("repository:a/b:pull,push")),
            ),
            (r#"Basic realm="Registry""#, Some(Challenge::Basic)),
            (r#"basic"#, Some(Challenge::Basic)),
            (r#"Basic realm="x", Bearer realm="https://t/""#, bearer("https://t/", None, None)),
            (r#"bearer realm=https://t/ , service = s"#, bearer("https://t/", Some("s"), None)),
            (r#"Bearer realm="a\"b""#, bearer("a\"b", None, None)),
            ("Negotiate", None),
            ("Bearer", None),
            ("", None),
            (",,, =\"", None),
        ] {
            assert_eq!(Challenge::parse(header), want, "{header}");
        }
    }
}
