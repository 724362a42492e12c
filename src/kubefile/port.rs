//! Ports of `EXPOSE`: `80`, `80/udp`, `8000-8010/tcp`, and (as BuildKit still allows) `[ip:]host:container`.

use std::net::IpAddr;

/// Why a text is no port.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PortError {
    /// Nothing where a port belongs.
    #[error("the number is missing")]
    Missing,
    /// Not a number from 0 to 65535.
    #[error("`{0}` is not a number from 0 to 65535")]
    Number(String),
    /// A range that ends before it starts.
    #[error("the range `{0}` ends before it starts")]
    Backwards(String),
    /// Not tcp, udp or sctp.
    #[error("`{0}` is not tcp, udp or sctp")]
    Protocol(String),
    /// Not an address.
    #[error("`{0}` is not an address")]
    Address(String),
    /// Host and container ranges of different lengths.
    #[error("the ranges `{0}` and `{1}` differ in length")]
    Lengths(String, String),
}

/// The ports one word of `EXPOSE` names, each as `number/protocol`.
///
/// # Errors
/// When the word is no port; see [`PortError`].
pub fn parse(word: &str) -> Result<Vec<String>, PortError> {
    let parts: Vec<&str> = word.rsplitn(3, ':').collect();
    let container = parts.first().copied().unwrap_or_default();
    let (numbers, protocol) = container.split_once('/').unwrap_or((container, ""));
    if numbers.is_empty() {
        return Err(PortError::Missing);
    }
    let protocol = match protocol.to_ascii_lowercase().as_str() {
        "" => "tcp".to_owned(),
        known @ ("tcp" | "udp" | "sctp") => known.to_owned(),
        _ => return Err(PortError::Protocol(protocol.to_owned())),
    };
    check_address(parts.get(2).copied().unwrap_or_default())?;
    let (start, end) = range(numbers)?;
    let host = parts.get(1).copied().unwrap_or_default();
    if !host.is_empty() {
        let (host_start, host_end) = range(host)?;
        if end - start != host_end - host_start && end != start {
            return Err(PortError::Lengths(numbers.to_owned(), host.to_owned()));
        }
    }
    Ok((start..=end).map(|port| format!("{port}/{protocol}")).collect())
}

fn check_address(address: &str) -> Result<(), PortError> {
    let bare = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(address);
    if bare.is_empty() || bare.parse::<IpAddr>().is_ok() {
        return Ok(());
    }
    Err(PortError::Address(address.to_owned()))
}

fn range(text: &str) -> Result<(u16, u16), PortError> {
    let (start, end) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (number(start)?, number(end)?);
    if last < first { Err(PortError::Backwards(text.to_owned())) } else { Ok((first, last)) }
}

fn number(text: &str) -> Result<u16, PortError> {
    if text.is_empty() {
        return Err(PortError::Missing);
    }
    text.parse().map_err(|_not_a_u16| PortError::Number(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::{PortError, parse};

    #[test]
    fn ports_and_ranges_are_listed_one_by_one() {
        for (word, ports) in [
            ("80", vec!["80/tcp"]),
            ("53/UDP", vec!["53/udp"]),
            ("8000-8002/sctp", vec!["8000/sctp", "8001/sctp", "8002/sctp"]),
            ("127.0.0.1:8080:80", vec!["80/tcp"]),
            ("[::1]:8080:80", vec!["80/tcp"]),
            ("8080:80", vec!["80/tcp"]),
            ("80/", vec!["80/tcp"]),
        ] {
            assert_eq!(parse(word).expect(word), ports, "{word}");
        }
    }

    #[test]
    fn what_is_no_port_is_refused() {
        for (word, error) in [
            ("", PortError::Missing),
            ("/tcp", PortError::Missing),
            ("http", PortError::Number("http".to_owned())),
            ("65536", PortError::Number("65536".to_owned())),
            ("90-80", PortError::Backwards("90-80".to_owned())),
            ("80/icmp", PortError::Protocol("icmp".to_owned())),
            ("nowhere:1:80", PortError::Address("nowhere".to_owned())),
            ("1-3:8-9", PortError::Lengths("8-9".to_owned(), "1-3".to_owned())),
        ] {
            assert_eq!(parse(word), Err(error), "{word}");
        }
    }
}
