//! Who may do what.

pub mod authorization;
pub mod flight;
pub mod htpasswd;
pub mod jwt;
pub mod keys;
pub mod password;
pub mod policy;
pub mod policy_file;
pub mod scope;
pub mod secret;
pub mod throttle;
pub mod verified;
pub mod watched;
