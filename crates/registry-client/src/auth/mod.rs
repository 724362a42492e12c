//! Who may do what: what a registry's 401 asks for, and the `Authorization` headers got for it.

mod challenge;
mod scope;
mod tokens;

pub(crate) use challenge::{Challenge, TokenAnswer};
pub(crate) use scope::{Scope, Scopes};
pub(crate) use tokens::{Authorization, Tokens};
