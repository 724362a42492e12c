//! Where hosts are: an IP or a name, and perhaps an SSH port; and the lists of them that people write.
//!
//! ```text
//! 10.0.0.1   10.0.0.1:2222   10.0.0.1-10.0.0.9   10.0.0.0/29   node-1   node-1:2222   fd00::1   [fd00::1]:2222
//! ```
//!
//! Two addresses are equal when they mean the same host and port, however they are written. A network (`/29`) means the
//! hosts in it, without its own and its broadcast address.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The port that SSH servers listen at.
pub const SSH_PORT: u16 = 22;
/// No range or network has more hosts.
const MOST: u128 = 65_536;

/// The name of a host in a network.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HostName {
    /// An address.
    Ip(IpAddr),
    /// A name that a resolver knows, in lower case.
    Name(String),
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(ip) => write!(f, "{ip}"),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// A host and its SSH port, if someone said which.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Address {
    /// The host.
    pub name: HostName,
    /// The port; none where the host's SSH settings decide.
    pub port: Option<u16>,
}

/// Why a text is no list of hosts.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// Neither an address nor a name.
    #[error(
        "`{text}` is no host: expected an IP address, a range (10.0.0.1-10.0.0.9), a network (10.0.0.0/29) or a host name"
    )]
    NoHost {
        /// As it was given.
        text: String,
    },
    /// A port that is none.
    #[error("`{text}` has no valid port: expected a number from 1 to 65535 behind the last colon")]
    Port {
        /// As it was given.
        text: String,
    },
    /// A range that ends before it begins, or of two kinds of addresses.
    #[error("the range `{text}` does not lead from a lower to a higher address")]
    Range {
        /// As it was given.
        text: String,
    },
    /// More hosts than anybody has.
    #[error("`{text}` means {count} hosts, more than {MOST}")]
    TooMany {
        /// As it was given.
        text: String,
        /// How many.
        count: u128,
    },
    /// A host that is in a list twice.
    #[error("`{0}` is listed twice")]
    Twice(Address),
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let text = text.trim();
        if let Ok(ip) = text.parse::<IpAddr>() {
            return Ok(Self { name: HostName::Ip(ip), port: None });
        }
        if let Some(rest) = text.strip_prefix('[') {
            let no_host = || AddressError::NoHost { text: text.to_owned() };
            let (inside, port) = rest.split_once(']').ok_or_else(no_host)?;
            let ip: Ipv6Addr = inside.parse().map_err(|_error| no_host())?;
            let port = match port.strip_prefix(':') {
                Some(port) => Some(parse_port(text, port)?),
                None if port.is_empty() => None,
                None => return Err(no_host()),
            };
            return Ok(Self { name: HostName::Ip(ip.into()), port });
        }
        let (host, port) = match text.split_once(':') {
            Some((host, port)) => (host, Some(parse_port(text, port)?)),
            None => (text, None),
        };
        let name = match host.parse::<Ipv4Addr>() {
            Ok(ip) => HostName::Ip(ip.into()),
            Err(_) if is_name(host) => HostName::Name(host.to_ascii_lowercase()),
            Err(_) => return Err(AddressError::NoHost { text: text.to_owned() }),
        };
        Ok(Self { name, port })
    }
}

fn parse_port(text: &str, port: &str) -> Result<u16, AddressError> {
    let wrong = || AddressError::Port { text: text.to_owned() };
    if !port.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(wrong());
    }
    match port.parse() {
        Ok(0) | Err(_) => Err(wrong()),
        Ok(port) => Ok(port),
    }
}

/// Whether a text is a host name (RFC 1123) and not a mistyped address.
fn is_name(text: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let text = text.strip_suffix('.').unwrap_or(text);
    let last_is_number = text.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
    text.len() <= 253 && !last_is_number && text.split('.').all(label)
}

impl TryFrom<String> for Address {
    type Error = AddressError;

    fn try_from(text: String) -> Result<Self, AddressError> {
        text.parse()
    }
}

impl From<Address> for String {
    fn from(address: Address) -> Self {
        address.to_string()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.name, self.port) {
            (HostName::Ip(IpAddr::V6(ip)), Some(port)) => write!(f, "[{ip}]:{port}"),
            (name, Some(port)) => write!(f, "{name}:{port}"),
            (name, None) => write!(f, "{name}"),
        }
    }
}

impl Address {
    /// The same with a port in any case: its own, else the given one.
    #[must_use]
    pub fn at_port(&self, otherwise: u16) -> Self {
        Self { name: self.name.clone(), port: Some(self.port.unwrap_or(otherwise)) }
    }

    /// The hosts that an item of a list means: one, a range or a network.
    ///
    /// # Errors
    /// When it is none of these, or means too many.
    pub fn parse_item(text: &str) -> Result<Vec<Self>, AddressError> {
        let text = text.trim();
        if let Some((first, last)) = text.split_once('-')
            && let (Ok(first), Ok(last)) = (first.trim().parse(), last.trim().parse())
        {
            return range(text, first, last);
        }
        if let Some((ip, bits)) = text.split_once('/')
            && let (Ok(ip), Ok(bits)) = (ip.parse(), bits.parse())
        {
            return network(text, ip, bits);
        }
        Ok(vec![text.parse()?])
    }

    /// The hosts of a list with commas, in its order. Empty items are passed over.
    ///
    /// # Errors
    /// When an item means nothing or a host is in the list twice; a host without port is the same as with `port`.
    pub fn parse_list(text: &str, port: u16) -> Result<Vec<Self>, AddressError> {
        let mut all = Vec::new();
        for item in text.split(',').filter(|item| !item.trim().is_empty()) {
            all.extend(Self::parse_item(item)?);
        }
        let mut seen = BTreeSet::new();
        match all.iter().find(|address| !seen.insert(address.at_port(port))) {
            Some(twice) => Err(AddressError::Twice(twice.clone())),
            None => Ok(all),
        }
    }
}

/// An address as a number of its family, and back.
fn number(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => u128::from(ip.to_bits()),
        IpAddr::V6(ip) => ip.to_bits(),
    }
}

fn address(like: IpAddr, number: u128) -> Address {
    let ip = match like {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::from_bits(u32::try_from(number).unwrap_or(u32::MAX))),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::from_bits(number)),
    };
    Address { name: HostName::Ip(ip), port: None }
}

fn range(text: &str, first: IpAddr, last: IpAddr) -> Result<Vec<Address>, AddressError> {
    let (from, to) = (number(first), number(last));
    if first.is_ipv4() != last.is_ipv4() || from > to {
        return Err(AddressError::Range { text: text.to_owned() });
    }
    expand(text, first, from, to)
}

fn network(text: &str, ip: IpAddr, bits: u32) -> Result<Vec<Address>, AddressError> {
    let width = if ip.is_ipv4() { 32 } else { 128 };
    if bits > width {
        return Err(AddressError::NoHost { text: text.to_owned() });
    }
    let hosts = (width - bits).min(127);
    let from = number(ip) >> hosts << hosts;
    let to = from | ((1_u128 << hosts) - 1);
    // The first address of a network and the last are no host's; of the smallest networks all are.
    match hosts {
        0 | 1 => expand(text, ip, from, to),
        _ if ip.is_ipv4() => expand(text, ip, from + 1, to - 1),
        _ => expand(text, ip, from + 1, to),
    }
}

fn expand(text: &str, like: IpAddr, from: u128, to: u128) -> Result<Vec<Address>, AddressError> {
    let count = (to - from).saturating_add(1);
    if count > MOST {
        return Err(AddressError::TooMany { text: text.to_owned(), count });
    }
    Ok((from..=to).map(|number| address(like, number)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &str) -> Result<Vec<String>, AddressError> {
        Ok(Address::parse_list(text, SSH_PORT)?.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn hosts_are_read_as_people_write_them() {
        for (text, want) in [
            ("", &[][..]),
            ("10.0.0.1", &["10.0.0.1"]),
            ("10.0.0.1:2222, 10.0.0.2", &["10.0.0.1:2222", "10.0.0.2"]),
            ("10.0.0.9-10.0.0.11", &["10.0.0.9", "10.0.0.10", "10.0.0.11"]),
            ("10.0.0.255-10.0.1.0", &["10.0.0.255", "10.0.1.0"]),
            ("10.0.0.5/30", &["10.0.0.5", "10.0.0.6"]),
            ("10.0.0.4/31", &["10.0.0.4", "10.0.0.5"]),
            ("10.0.0.4/32", &["10.0.0.4"]),
            ("Node-1,node-2.example:2222", &["node-1", "node-2.example:2222"]),
            ("a-b-c", &["a-b-c"]),
            ("fd00::1", &["fd00::1"]),
            ("[fd00::1]", &["fd00::1"]),
            ("[FD00:0::1]:2222", &["[fd00::1]:2222"]),
            ("fd00::1-fd00::3", &["fd00::1", "fd00::2", "fd00::3"]),
            ("fd00::/126", &["fd00::1", "fd00::2", "fd00::3"]),
        ] {
            assert_eq!(list(text), Ok(want.iter().map(|text| (*text).to_owned()).collect()), "{text}");
        }
    }

    #[test]
    fn what_is_no_host_is_refused() {
        let text = |text: &str| text.to_owned();
        for (given, want) in [
            ("10.0.0", AddressError::NoHost { text: text("10.0.0") }),
            ("10.0.0.300", AddressError::NoHost { text: text("10.0.0.300") }),
            ("a b", AddressError::NoHost { text: text("a b") }),
            ("a;b", AddressError::NoHost { text: text("a;b") }),
            ("-a", AddressError::NoHost { text: text("-a") }),
            ("[10.0.0.1]", AddressError::NoHost { text: text("[10.0.0.1]") }),
            ("10.0.0.0/33", AddressError::NoHost { text: text("10.0.0.0/33") }),
            ("10.0.0.1:0", AddressError::Port { text: text("10.0.0.1:0") }),
            ("10.0.0.1:+1", AddressError::Port { text: text("10.0.0.1:+1") }),
            ("10.0.0.1:ssh", AddressError::Port { text: text("10.0.0.1:ssh") }),
            ("10.0.0.2-10.0.0.1", AddressError::Range { text: text("10.0.0.2-10.0.0.1") }),
            ("10.0.0.1-fd00::1", AddressError::Range { text: text("10.0.0.1-fd00::1") }),
            ("10.0.0.0/8", AddressError::TooMany { text: text("10.0.0.0/8"), count: (1 << 24) - 2 }),
            ("fd00::/64", AddressError::TooMany { text: text("fd00::/64"), count: (1 << 64) - 1 }),
            ("::/0", AddressError::TooMany { text: text("::/0"), count: (1 << 127) - 1 }),
            ("10.0.0.1,10.0.0.1:22", AddressError::Twice("10.0.0.1:22".parse().unwrap())),
            ("10.0.0.1,10.0.0.0/30", AddressError::Twice("10.0.0.1".parse().unwrap())),
        ] {
            assert_eq!(list(given), Err(want), "{given}");
        }
    }

    #[test]
    fn what_is_shown_is_read_back() {
        for text in ["10.0.0.1", "10.0.0.1:22", "fd00::1", "[fd00::1]:22", "node", "node:2222"] {
            let address: Address = text.parse().unwrap();
            assert_eq!(address.to_string(), text);
            assert_eq!(serde_json::from_str::<Address>(&format!("\"{text}\"")).unwrap(), address);
        }
    }
}
