//! What a client is told about logging in (RFC 9110 §11.6.1, RFC 6750 §3, the distribution project's token
//! specification).

use super::guard::Guard;
use super::scope::{Actions, Scope};
use crate::gate::{Need, Verdict};
use crate::http::Head;

impl Guard {
    pub(super) fn challenge(&self, head: &Head<'_>, needs: &[Need<'_>], error: Option<&str>, text: &str) -> Verdict {
        Verdict::Challenge { offers: self.ways_in(head, needs, error), text: text.to_owned() }
    }

    /// How one can log in. Clients of a registry take the first scheme that they know, so there is one: tokens where
    /// they are issued, else passwords. Browsers are asked for a password.
    pub(super) fn ways_in(&self, head: &Head<'_>, needs: &[Need<'_>], error: Option<&str>) -> Vec<String> {
        let is_protocol = head.path == "/v2" || head.path.starts_with("/v2/");
        match self.bearer(head, needs, error) {
            Some(bearer) if is_protocol || self.users.is_none() => vec![bearer],
            _ if self.users.is_some() => vec![self.basic()],
            _ => Vec::new(),
        }
    }

    /// The offer of a password.
    pub(super) fn basic(&self) -> String {
        format!("Basic realm=\"{}\", charset=\"UTF-8\"", quoted(&self.options.realm))
    }

    fn bearer(&self, head: &Head<'_>, needs: &[Need<'_>], error: Option<&str>) -> Option<String> {
        let (realm, service) = match (&self.issuer, &self.options.external) {
            (Some(issuer), _) => (format!("{}/token", self.url(head)), issuer.get().options().service.clone()),
            (None, Some(external)) => (external.realm.clone()?, external.service.clone()),
            (None, None) => return None,
        };
        let mut offer = format!("Bearer realm=\"{}\",service=\"{}\"", quoted(&realm), quoted(&service));
        let scopes = scopes(needs);
        if !scopes.is_empty() {
            offer.push_str(&format!(",scope=\"{}\"", quoted(&scopes.join(" "))));
        }
        if let Some(error) = error {
            offer.push_str(&format!(",error=\"{error}\""));
        }
        Some(offer)
    }

    /// How this client reaches the registry.
    fn url(&self, head: &Head<'_>) -> String {
        if let Some(url) = &self.options.url {
            return url.trim_end_matches('/').to_owned();
        }
        let in_a_host = |c: char| c.is_ascii_alphanumeric() || ".-_:[]%".contains(c);
        let host = head.headers.get("host").filter(|host| !host.is_empty() && host.chars().all(in_a_host));
        format!("{}://{}", if head.is_secure { "https" } else { "http" }, host.unwrap_or("localhost"))
    }
}

/// The scopes that a token for these needs has.
fn scopes(needs: &[Need<'_>]) -> Vec<String> {
    let mut scopes: Vec<Scope> = Vec::new();
    for need in needs {
        match need {
            Need::Catalog => scopes.push(Scope::Catalog),
            Need::Repository { name, action } => {
                // Who pushes looks at what is there already.
                let wanted = match Actions::from(*action) {
                    Actions::PUSH => Actions::PULL.or(Actions::PUSH),
                    other => other,
                };
                let same = scopes.iter_mut().find_map(|scope| match scope {
                    Scope::Repository { name: other, actions } if other == name => Some(actions),
                    _ => None,
                });
                match same {
                    Some(actions) => *actions = actions.or(wanted),
                    None => scopes.push(Scope::Repository { name: (*name).to_owned(), actions: wanted }),
                }
            }
            Need::Base | Need::Listed { .. } | Need::Alias { .. } | Need::Operate => {}
        }
    }
    scopes.iter().map(Scope::to_string).collect()
}

/// The inside of a quoted string; what would end it is left out.
fn quoted(text: &str) -> String {
    text.chars().filter(|c| !c.is_control() && !matches!(c, '"' | '\\')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::Action;

    #[test]
    fn scopes_are_what_clients_have_to_ask_for() {
        let need = |name, action| Need::Repository { name, action };
        for (needs, want) in [
            (&[][..], &[][..]),
            (&[Need::Base, Need::Operate], &[]),
            (&[Need::Catalog], &["registry:catalog:*"]),
            (&[need("a/b", Action::Pull)], &["repository:a/b:pull"]),
            (&[need("a", Action::Push), need("b", Action::Pull)], &["repository:a:pull,push", "repository:b:pull"]),
            (&[need("a", Action::Delete), need("a", Action::Pull)], &["repository:a:pull,delete"]),
        ] {
            assert_eq!(scopes(needs), want, "{needs:?}");
        }
        assert_eq!(quoted("a\"b\\c\r\nd"), "abcd");
    }
}
