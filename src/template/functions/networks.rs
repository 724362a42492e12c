//! Functions about networks, which the Go sealos adds to Sprig's for Clusterfiles and templates.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::super::error::CallError;
use super::super::value::Value;
use super::{Answer, Builtin, row, text};

pub(crate) const TABLE: &[Builtin] = &[
    row("ipNet", "s", |_, a| {
        let (ip, bits) = network(text(a, 0))?;
        Ok(Value::from(format!("{ip}/{bits}")))
    }),
    row("ipAt", "si", |_, a| at(text(a, 0), a.get(1).and_then(Value::as_int).unwrap_or_default())),
];

/// The first address of a network and the length of its prefix.
fn network(text: &str) -> Result<(IpAddr, u32), CallError> {
    let wrong = || CallError::argument(format!("`{text}` is no network (expected ADDRESS/BITS)"));
    let (ip, bits) = text.split_once('/').ok_or_else(wrong)?;
    let (Ok(ip), Ok(bits)) = (ip.parse::<IpAddr>(), bits.parse::<u32>()) else { return Err(wrong()) };
    let first = match ip {
        IpAddr::V4(ip) if bits <= 32 => {
            Ipv4Addr::from_bits(ip.to_bits() & u32::MAX.checked_shl(32 - bits).unwrap_or_default()).into()
        }
        IpAddr::V6(ip) if bits <= 128 => {
            Ipv6Addr::from_bits(ip.to_bits() & u128::MAX.checked_shl(128 - bits).unwrap_or_default()).into()
        }
        _ => return Err(wrong()),
    };
    Ok((first, bits))
}

/// The address with this number in a network, the first one being 0.
fn at(text: &str, index: i64) -> Answer {
    let (first, bits) = network(text)?;
    let outside = || CallError::argument(format!("the network {text} has no address number {index}"));
    let index = u128::try_from(index).map_err(|_negative| outside())?;
    let width = if first.is_ipv4() { 32 } else { 128 };
    if 1_u128.checked_shl(width - bits).is_some_and(|size| index >= size) {
        return Err(outside());
    }
    let found: IpAddr = match first {
        IpAddr::V4(ip) => Ipv4Addr::from_bits(ip.to_bits() | u32::try_from(index).map_err(|_large| outside())?).into(),
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() | index).into(),
    };
    Ok(Value::from(found.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_counted_in_their_network() {
        for (network, index, want) in [
            ("10.96.0.0/22", 10, Some("10.96.0.10")),
            ("10.96.0.7/22", 0, Some("10.96.0.0")),
            ("10.0.0.0/30", 3, Some("10.0.0.3")),
            ("10.0.0.0/30", 4, None),
            ("10.0.0.0/30", -1, None),
            ("0.0.0.0/0", 256, Some("0.0.1.0")),
            ("10.0.0.1/32", 0, Some("10.0.0.1")),
            ("fd00::1/64", 10, Some("fd00::a")),
            ("10.0.0.0", 0, None),
            ("10.0.0.0/33", 0, None),
        ] {
            let got = at(network, index).ok().and_then(|value| value.as_str().map(str::to_owned));
            assert_eq!(got.as_deref(), want, "{network} {index}");
        }
        let (ip, bits) = network("192.168.7.9/24").unwrap();
        assert_eq!(format!("{ip}/{bits}"), "192.168.7.0/24");
    }
}
