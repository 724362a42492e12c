//! Where a registry may listen without being told that it is meant: on this machine, or with TLS and authentication.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};

/// What protects a registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Protection {
    /// Whether connections are encrypted.
    pub tls: Tls,
    /// Whether anybody is asked who they are.
    pub authentication: Authentication,
}

/// Whether connections are encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tls {
    /// They are.
    On,
    /// They are not: passwords can be read on the way.
    Off,
}

/// Whether anybody is asked who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authentication {
    /// They are.
    On,
    /// Everybody may do what anybody may.
    Off,
}

/// An address that a registry would be reached at by others, without what protects it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{address} can be reached from elsewhere, and there is {}", lacking(*protection))]
pub struct Exposed {
    /// The address.
    pub address: String,
    /// What there is.
    pub protection: Protection,
}

fn lacking(protection: Protection) -> &'static str {
    match (protection.tls, protection.authentication) {
        (Tls::Off, Authentication::Off) => "neither TLS nor authentication",
        (Tls::Off, Authentication::On) => "no TLS: passwords and tokens could be read on the way",
        (Tls::On, Authentication::Off) => "no authentication: everybody could read what is served",
        (Tls::On, Authentication::On) => "nothing that it lacks",
    }
}

impl Protection {
    /// Whether this is enough to be reached from elsewhere.
    #[must_use]
    pub fn is_enough(self) -> bool {
        self == Self { tls: Tls::On, authentication: Authentication::On }
    }

    /// Checks an address to listen on, as the user gave it.
    ///
    /// # Errors
    /// When others could reach it and this is not enough.
    pub fn check(self, address: &str) -> Result<(), Exposed> {
        match self.is_enough() || is_local(address) {
            true => Ok(()),
            false => Err(Exposed { address: address.to_owned(), protection: self }),
        }
    }
}

/// Whether nobody on another machine can connect there: a Unix socket, or names that all stand for loopback addresses.
#[must_use]
pub fn is_local(address: &str) -> bool {
    if address.starts_with("unix:") {
        return true;
    }
    let is_own = |ip: IpAddr| ip.to_canonical().is_loopback();
    let all = address.to_socket_addrs().map(|all| all.map(|one: SocketAddr| one.ip()).collect::<Vec<_>>());
    all.is_ok_and(|all| !all.is_empty() && all.into_iter().all(is_own))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_are_let_in_only_with_both() {
        let (none, tls, auth, both) = (
            Protection { tls: Tls::Off, authentication: Authentication::Off },
            Protection { tls: Tls::On, authentication: Authentication::Off },
            Protection { tls: Tls::Off, authentication: Authentication::On },
            Protection { tls: Tls::On, authentication: Authentication::On },
        );
        for local in
            ["127.0.0.1:5000", "127.9.9.9:0", "[::1]:5000", "localhost:5000", "unix:/run/x", "[::ffff:127.0.0.1]:1"]
        {
            assert_eq!(none.check(local), Ok(()), "{local}");
        }
        for open in ["0.0.0.0:5000", "[::]:5000", "192.0.2.1:80", "[2001:db8::1]:80", ":5000", "no.such.name.invalid:1"]
        {
            assert!(none.check(open).is_err() && tls.check(open).is_err() && auth.check(open).is_err(), "{open}");
            assert_eq!(both.check(open), Ok(()), "{open}");
        }
        assert_eq!(
            auth.check("0.0.0.0:5000").unwrap_err().to_string(),
            "0.0.0.0:5000 can be reached from elsewhere, and there is no TLS: passwords and tokens could be read on the way"
        );
    }
}
