//! The guard of a registry: knows who asks, and what they may do.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use super::flight::Flights;
use super::htpasswd::Users;
use super::identify::{KnownToken, Rejection};
use super::issuer::Issuer;
use super::keys::KeySet;
use super::options::AccessOptions;
use super::policy::{Policy, Subject};
use super::scope::Actions;
use super::throttle::Throttle;
use super::verified::{Keyed, Verified};
use super::watched::{self, LoadError, Reload, Watched};
use crate::counters::Counters;
use crate::gate::{Access, Action, Identity, Need, Proof, Verdict};
use crate::http::Head;

/// Why there is no guard.
#[derive(Debug, thiserror::Error)]
pub enum GuardError {
    /// A file cannot be used.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// Tokens for nobody.
    #[error("tokens are issued to the users of an htpasswd file, and there is none")]
    TokensWithoutUsers,
    /// No random bytes.
    #[error("cannot make a key: {0}")]
    Random(String),
}

impl GuardError {
    /// What to do about it, if that is known.
    #[must_use]
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Load(error) => error.help(),
            Self::TokensWithoutUsers => Some("name one with `--htpasswd FILE`".to_owned()),
            Self::Random(_) => None,
        }
    }
}

/// The users, and what was verified about them. It is replaced as a whole when the file changes.
pub(super) struct Known {
    pub(super) users: Users,
    pub(super) passwords: Verified<Identity>,
    pub(super) tokens: Verified<KnownToken>,
}

/// The keys of an external issuer, and the tokens that were verified with them.
pub(super) struct Trusted {
    pub(super) keys: KeySet,
    pub(super) tokens: Verified<KnownToken>,
}

/// Finds out who asks and decides.
pub struct Guard {
    pub(super) options: AccessOptions,
    pub(super) users: Option<Arc<Watched<Known>>>,
    pub(super) issuer: Option<Arc<Watched<Issuer>>>,
    pub(super) trusted: Option<Arc<Watched<Trusted>>>,
    pub(super) policy: Option<Arc<Watched<Policy>>>,
    pub(super) holders: Verified<Identity>,
    pub(super) throttle: Throttle,
    pub(super) flights: Flights<Result<Arc<Identity>, Rejection>>,
    pub(super) keyed: Keyed,
    pub(super) nobody: Identity,
    pub(super) counters: Arc<Counters>,
}

/// Why somebody may not do something.
enum Lack {
    /// They did not say who they are.
    Login,
    /// Their token does not grant it.
    Scope,
    /// They may not.
    Right(String),
}

impl Guard {
    /// Reads everything that the options name.
    ///
    /// # Errors
    /// When a file cannot be used or the options do not fit together.
    pub fn open(options: AccessOptions, counters: Arc<Counters>) -> Result<Self, GuardError> {
        if options.tokens.is_some() && options.htpasswd.is_none() {
            return Err(GuardError::TokensWithoutUsers);
        }
        // Half of the machine at most: who guesses passwords must not stop who reads.
        let threads = thread::available_parallelism().map_or(1, |count| count.get().div_ceil(2));
        Ok(Self {
            users: options.htpasswd.clone().map(open_users).transpose()?,
            issuer: open_issuer(&options)?,
            trusted: options.external.as_ref().map(|external| open_keys(external.keys.clone())).transpose()?,
            policy: options.policy.clone().map(open_policy).transpose()?,
            holders: Verified::new(),
            throttle: Throttle::new(),
            flights: Flights::new(threads),
            keyed: Keyed::new().map_err(|error| GuardError::Random(error.to_string()))?,
            nobody: Identity::anonymous(),
            counters,
            options,
        })
    }

    /// What is read again when its files change.
    #[must_use]
    pub fn watched(&self) -> Vec<Arc<dyn Reload>> {
        let users = self.users.iter().map(|one| Arc::clone(one) as Arc<dyn Reload>);
        let issuer = self.issuer.iter().map(|one| Arc::clone(one) as Arc<dyn Reload>);
        let trusted = self.trusted.iter().map(|one| Arc::clone(one) as Arc<dyn Reload>);
        let policy = self.policy.iter().map(|one| Arc::clone(one) as Arc<dyn Reload>);
        users.chain(issuer).chain(trusted).chain(policy).collect()
    }

    /// What somebody may do in a repository, whatever their token grants.
    pub(super) fn rights(&self, who: &Identity, repository: &str) -> Actions {
        match (&self.policy, &who.proof) {
            (Some(policy), _) => policy.get().actions(subject(who), repository),
            (None, Proof::None) => self.options.anonymous,
            (None, _) => Actions::ALL,
        }
    }

    /// Whether somebody without credentials may do anything at all.
    pub(super) fn is_open(&self) -> bool {
        match &self.policy {
            Some(policy) => policy.get().knows(Subject::Anonymous),
            None => !self.options.anonymous.is_none(),
        }
    }

    fn check(&self, who: &Identity, need: Need<'_>) -> Result<(), Lack> {
        let is_allowed = match need {
            Need::Base => who.proof != Proof::None || self.is_open(),
            Need::Catalog => match &who.proof {
                Proof::Token(grants) if !grants.catalog => return Err(Lack::Scope),
                Proof::None => self.is_open(),
                _ => true,
            },
            Need::Listed { name } => self.rights(who, name).covers(Actions::PULL),
            Need::Alias { name } => match &who.proof {
                Proof::Token(grants) if !grants.is_own => {
                    return self.check(who, Need::Repository { name, action: Action::Pull });
                }
                _ => self.rights(who, name).covers(Actions::PULL),
            },
            Need::Operate => match (&self.policy, &who.proof) {
                (Some(policy), _) => policy.get().metrics(subject(who)),
                (None, Proof::None) => self.options.anonymous.covers(Actions::PULL),
                (None, _) => true,
            },
            Need::Repository { name, action } => {
                let is_right = self.rights(who, name).covers(action.into());
                match &who.proof {
                    Proof::Token(grants) if is_right => {
                        let granted = grants.repositories.iter().filter(|grant| grant.repository == name);
                        let is_granted = granted.flat_map(|grant| &grant.actions).any(|granted| *granted == action);
                        return if is_granted { Ok(()) } else { Err(Lack::Scope) };
                    }
                    _ => is_right,
                }
            }
        };
        match is_allowed {
            true => Ok(()),
            false if is_nobody(who) && self.options.is_authenticating() => Err(Lack::Login),
            false => Err(Lack::Right(refusal(who, need))),
        }
    }

    fn refuse(&self, lack: Lack, who: Identity, head: &Head<'_>, needs: &[Need<'_>]) -> Verdict {
        match lack {
            Lack::Right(text) => Verdict::Deny { who, text },
            Lack::Login => self.challenge(head, needs, None, "authentication is required"),
            Lack::Scope => {
                self.challenge(head, needs, Some("insufficient_scope"), "the token does not grant what is asked for")
            }
        }
    }
}

impl Access for Guard {
    fn authorize(&self, head: &Head<'_>, needs: &[Need<'_>]) -> Verdict {
        let who = match self.identify(head) {
            Ok(who) => who,
            Err(Rejection::Wait(time)) => return Verdict::Later(time),
            Err(Rejection::Wrong { text, error }) => return self.challenge(head, needs, error, text),
        };
        match needs.iter().try_for_each(|need| self.check(&who, *need)) {
            Ok(()) => Verdict::Allow(who),
            Err(lack) => self.refuse(lack, who, head, needs),
        }
    }

    fn may(&self, who: &Identity, need: Need<'_>) -> bool {
        self.check(who, need).is_ok()
    }

    fn offers(&self, head: &Head<'_>, who: &Identity) -> Vec<String> {
        match who.proof {
            Proof::None => self.ways_in(head, &[], None),
            _ => Vec::new(),
        }
    }
}

impl std::fmt::Debug for Guard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Guard({:?})", self.options)
    }
}

/// Whether nobody in particular asks, be it with a token that was issued to nobody in particular.
fn is_nobody(who: &Identity) -> bool {
    match who.proof {
        Proof::None => true,
        Proof::Token(_) => &*who.name == "anonymous",
        _ => false,
    }
}

pub(super) fn subject(who: &Identity) -> Subject<'_> {
    match &who.proof {
        _ if is_nobody(who) => Subject::Anonymous,
        Proof::Certificate(names) => Subject::User { name: &who.name, certificate: names },
        _ => Subject::User { name: &who.name, certificate: &[] },
    }
}

fn refusal(who: &Identity, need: Need<'_>) -> String {
    let name = if is_nobody(who) { "nobody".to_owned() } else { format!("`{}`", who.name) };
    let negated = if is_nobody(who) { "may" } else { "may not" };
    match need {
        Need::Base => format!("{name} {negated} use this registry"),
        Need::Catalog => format!("{name} {negated} list repositories"),
        Need::Operate => format!("{name} {negated} see the operator's figures"),
        Need::Listed { name: repository } | Need::Alias { name: repository } => {
            format!("{name} {negated} see `{repository}`")
        }
        Need::Repository { name: repository, action } => {
            let doing = match action {
                Action::Pull => "pull from",
                Action::Push => "push to",
                Action::Delete => "delete from",
            };
            format!("{name} {negated} {doing} `{repository}`")
        }
    }
}

fn open_users(path: PathBuf) -> Result<Arc<Watched<Known>>, LoadError> {
    Watched::open(vec![path.clone()], move || {
        let users = Users::parse(&watched::read_text(&path)?).map_err(LoadError::content(&path))?;
        Ok(Known { users, passwords: Verified::new(), tokens: Verified::new() })
    })
}

fn open_issuer(options: &AccessOptions) -> Result<Option<Arc<Watched<Issuer>>>, GuardError> {
    let Some(tokens) = options.tokens.clone() else { return Ok(None) };
    let Some(key) = tokens.key else {
        let issuer = Issuer::fleeting(tokens.options).map_err(|error| GuardError::Random(error.to_owned()))?;
        return Ok(Some(Watched::fixed(issuer)));
    };
    Ok(Some(Watched::open(vec![key.clone()], move || Issuer::open(&key, tokens.options.clone()))?))
}

fn open_keys(path: PathBuf) -> Result<Arc<Watched<Trusted>>, LoadError> {
    Watched::open(vec![path.clone()], move || {
        let keys = KeySet::parse(&watched::read(&path)?).map_err(LoadError::content(&path))?;
        Ok(Trusted { keys, tokens: Verified::new() })
    })
}

fn open_policy(path: PathBuf) -> Result<Arc<Watched<Policy>>, LoadError> {
    Watched::open(vec![path.clone()], move || {
        Policy::parse(&watched::read_text(&path)?).map_err(LoadError::content(&path))
    })
}
