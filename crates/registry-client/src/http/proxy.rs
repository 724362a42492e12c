//! Which way a request goes: straight, or through a proxy that the environment names.
//!
//! `HTTPS_PROXY` and `HTTP_PROXY` by the scheme of the request, `ALL_PROXY` for both; `NO_PROXY` lists what is reached
//! without. Lower case works too. The rules of `NO_PROXY` are those of Go's tools, which users' settings were written
//! for: `example.org` means the host and all below it, `.example.org` only those below, `10.0.0.0/8`, `10.1.2.3`,
//! `[::1]` and `host:port` as they read, `*` everything. Loopback never goes through a proxy.

use std::net::IpAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use url::Url;

/// The proxies of an environment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Proxies {
    http: Option<Proxy>,
    https: Option<Proxy>,
    direct: Vec<Rule>,
}

/// A proxy.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Proxy {
    pub(super) kind: Kind,
    pub(super) host: String,
    pub(super) port: u16,
    /// User and password, decoded.
    pub(super) login: Option<(String, String)>,
}

/// What a proxy speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Http,
    /// HTTP inside TLS.
    Https,
    Socks5,
}

impl std::fmt::Debug for Proxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}

impl std::fmt::Display for Proxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Rule {
    Everything,
    Network(IpAddr, u8),
    Address(IpAddr, Option<u16>),
    /// A domain; with a dot in front it does not mean the host of that name itself.
    Domain(String, Option<u16>),
}

impl Proxies {
    /// Reads the variables; `get` looks one up.
    ///
    /// # Errors
    /// The variable that does not name a proxy, and why not.
    pub(crate) fn read(get: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        let any = |name: &str| {
            let found = [name.to_owned(), name.to_ascii_lowercase()].into_iter().find_map(|name| {
                let value = get(&name).filter(|value| !value.trim().is_empty())?;
                Some((name, value.trim().to_owned()))
            });
            // A web server passes a request's `Proxy:` header on to its programs under this name.
            found.filter(|(name, _)| name != "HTTP_PROXY" || get("REQUEST_METHOD").is_none())
        };
        let all = any("ALL_PROXY");
        let proxy = |name: &str| match any(name).or_else(|| all.clone()) {
            Some((name, value)) => Proxy::parse(&value).map(Some).map_err(|reason| format!("{name} {reason}")),
            None => Ok(None),
        };
        let rules = any("NO_PROXY").map(|(_, value)| value).unwrap_or_default();
        Ok(Self {
            http: proxy("HTTP_PROXY")?,
            https: proxy("HTTPS_PROXY")?,
            direct: rules.split(',').filter_map(Rule::parse).collect(),
        })
    }

    /// The proxy for a URL; none if it is reached without.
    pub(crate) fn of(&self, url: &Url) -> Option<&Proxy> {
        let host = url.host_str().unwrap_or_default();
        let host = host.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.').to_ascii_lowercase();
        let port = url.port_or_known_default().unwrap_or_default();
        if is_loopback(&host) || self.direct.iter().any(|rule| rule.matches(&host, port)) {
            return None;
        }
        if url.scheme() == "https" { self.https.as_ref() } else { self.http.as_ref() }
    }
}

/// Whether a host, without port and brackets, is this machine.
pub(crate) fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

impl Proxy {
    /// `http://user:password@host:port`; without a scheme it is `http`. The reason says nothing of user and password.
    fn parse(text: &str) -> Result<Self, String> {
        let text = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        let url = Url::parse(&text).map_err(|error| format!("does not name a proxy: {error}"))?;
        let (kind, port) = match url.scheme() {
            "http" => (Kind::Http, 80),
            "https" => (Kind::Https, 443),
            "socks5" | "socks5h" => (Kind::Socks5, 1080),
            other => return Err(format!("names a proxy of the unknown kind `{other}`")),
        };
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or("names a proxy without a host")?;
        let decoded = |text: &str| percent_decoded(text);
        let login = match (url.username(), url.password()) {
            ("", None) => None,
            (user, password) => Some((decoded(user), decoded(password.unwrap_or_default()))),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        Ok(Self { kind, host, port: url.port().unwrap_or(port), login })
    }

    /// The value of `Proxy-Authorization`.
    pub(super) fn authorization(&self) -> Option<String> {
        let (user, password) = self.login.as_ref()?;
        Some(format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))))
    }
}

/// `%41` is `A`.
pub(crate) fn percent_decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let (mut out, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        let code = text.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
        match code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

impl Rule {
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim().to_ascii_lowercase();
        if text.is_empty() {
            return None;
        }
        if text == "*" {
            return Some(Self::Everything);
        }
        if let Some((address, bits)) = text.split_once('/') {
            return Some(Self::Network(address.parse().ok()?, bits.parse().ok()?));
        }
        let bare = text.trim_start_matches('[').trim_end_matches(']');
        if let Ok(address) = bare.parse() {
            return Some(Self::Address(address, None));
        }
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) => (host, port.parse().ok()),
            None => (text.as_str(), None),
        };
        if let Ok(address) = host.trim_start_matches('[').trim_end_matches(']').parse() {
            return Some(Self::Address(address, port));
        }
        Some(Self::Domain(host.trim_start_matches('*').to_owned(), port))
    }

    fn matches(&self, host: &str, port: u16) -> bool {
        let right_port = |wanted: &Option<u16>| wanted.is_none_or(|wanted| wanted == port);
        match self {
            Self::Everything => true,
            Self::Network(network, bits) => host.parse().is_ok_and(|address| is_inside(address, *network, *bits)),
            Self::Address(address, wanted) => host.parse() == Ok(*address) && right_port(wanted),
            Self::Domain(domain, wanted) => {
                let is_it = match domain.strip_prefix('.') {
                    Some(_) => host.ends_with(domain),
                    None => host == domain || host.strip_suffix(domain).is_some_and(|front| front.ends_with('.')),
                };
                is_it && right_port(wanted)
            }
        }
    }
}

fn is_inside(address: IpAddr, network: IpAddr, bits: u8) -> bool {
    let number = |address: IpAddr| match address {
        IpAddr::V4(address) => (32, u128::from(u32::from(address))),
        IpAddr::V6(address) => (128, u128::from(address)),
    };
    let ((width, address), (same, network)) = (number(address), number(network));
    let shift = u32::from(width) - u32::from(bits.min(width));
    width == same && address.checked_shr(shift) == network.checked_shr(shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(variables: &[(&str, &str)]) -> Result<Proxies, String> {
        Proxies::read(|name| variables.iter().find(|(other, _)| *other == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn the_scheme_chooses_the_proxy() {
        let both = proxies(&[("HTTP_PROXY", "plain.example:3128"), ("https_proxy", "http://tls.example")]).unwrap();
        let all = proxies(&[("ALL_PROXY", "socks5://any.example")]).unwrap();
        let cgi = proxies(&[("HTTP_PROXY", "evil.example"), ("REQUEST_METHOD", "GET")]).unwrap();
        for (proxies, url, want) in [
            (&both, "http://hub.example/", Some("plain.example:3128")),
            (&both, "https://hub.example/", Some("tls.example:80")),
            (&both, "https://localhost/", None),
            (&both, "https://127.0.0.2:5000/", None),
            (&both, "https://[::1]:5000/", None),
            (&all, "https://hub.example/", Some("any.example:1080")),
            (&all, "http://hub.example/", Some("any.example:1080")),
            (&cgi, "http://hub.example/", None),
        ] {
            let got = proxies.of(&Url::parse(url).unwrap()).map(ToString::to_string);
            assert_eq!(got.as_deref(), want, "{url}");
        }
    }

    #[test]
    fn no_proxy_is_read_as_go_reads_it() {
        for (rules, url, direct) in [
            ("example.org", "https://example.org/", true),
            ("example.org", "https://a.example.org/", true),
            ("example.org", "https://badexample.org/", false),
            (".example.org", "https://example.org/", false),
            (".example.org", "https://a.b.example.org/", true),
            ("*.example.org", "https://a.example.org/", true),
            ("*.example.org", "https://example.org/", false),
            ("example.org:5000", "https://example.org:5000/", true),
            ("example.org:5000", "https://example.org/", false),
            ("10.0.0.0/8, 192.168.1.7", "https://10.200.3.4:5000/", true),
            ("10.0.0.0/8, 192.168.1.7", "https://192.168.1.7/", true),
            ("10.0.0.0/8, 192.168.1.7", "https://192.168.1.8/", false),
            ("10.0.0.0/0", "https://1.2.3.4/", true),
            ("10.1.2.3:443", "https://10.1.2.3/", true),
            ("10.1.2.3:443", "https://10.1.2.3:5000/", false),
            ("fd00::/8", "https://[fd12::1]/", true),
            ("[fd12::1]:5000", "https://[fd12::1]:5000/", true),
            ("*", "https://anything.example/", true),
            ("", "https://anything.example/", false),
            ("EXAMPLE.ORG", "https://Example.org./", true),
            ("10.0.0.0/nonsense", "https://10.0.0.1/", false),
        ] {
            let proxies = proxies(&[("HTTPS_PROXY", "p.example"), ("NO_PROXY", rules)]).unwrap();
            assert_eq!(proxies.of(&Url::parse(url).unwrap()).is_none(), direct, "{rules} {url}");
        }
    }

    #[test]
    fn user_and_password_are_decoded_and_never_shown() {
        let proxies = proxies(&[("HTTPS_PROXY", "http://me:hunter%402@p.example:8080")]).unwrap();
        let proxy = proxies.of(&Url::parse("https://hub.example/").unwrap()).unwrap();
        assert_eq!(proxy.authorization().unwrap(), format!("Basic {}", STANDARD.encode("me:hunter@2")));
        assert!(!format!("{proxies:?}").contains("hunter"));
    }

    #[test]
    fn what_is_no_proxy_is_refused() {
        for value in ["ftp://p.example", "http://", "http://me:hunter2@:99999"] {
            let error = proxies(&[("HTTPS_PROXY", value)]).unwrap_err();
            assert!(error.starts_with("HTTPS_PROXY ") && !error.contains("hunter2"), "{error}");
        }
    }
}
