//! Who may do what: users, tokens, certificates, and the rules for them.
//!
//! ```text
//! Authorization ─▶ verified? ─no─▶ throttle ─▶ password hash │ token signature ─▶ Identity
//! certificate ───────────────────────────────────────────────────────────────────┘   │
//!                                            policy, grants of the token ◀────────────┘─▶ Verdict
//! ```
//!
//! Invariants: what is wrong is refused and never served as anonymous; a password hash runs once a credential and on
//! few threads; what is known is looked up without a lock that a reload could hold; nothing that is logged or answered
//! repeats a password or a token.

pub mod authorization;
pub mod certificate;
mod challenge;
pub mod flight;
pub mod guard;
#[cfg(test)]
mod guard_tests;
pub mod htpasswd;
pub mod htpasswd_file;
mod identify;
pub mod issuer;
pub mod jwt;
#[cfg(test)]
mod jwt_tests;
pub mod keys;
pub mod options;
pub mod password;
pub mod policy;
pub mod policy_file;
pub mod private_file;
pub mod scope;
pub mod secret;
pub mod throttle;
pub mod token_route;
pub mod verified;
pub mod watched;

pub use guard::{Guard, GuardError};
pub use options::{AccessOptions, Certificates, ExternalTokens, OwnTokens};
pub use token_route::TokenRoute;
