//! `sealos registry passwd USER`

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use registry::access::htpasswd;
use registry::access::htpasswd_file::{self, Change};
use registry::access::password::{BCRYPT_COST, PasswordHash, Scheme};
use registry::access::secret::Secret;

use super::failure::RegistryFailure;
use crate::cli::ask;
use crate::cli::error::CommandError;
use crate::cli::world::World;

/// How passwords are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// bcrypt, which docker's registry and web servers read too
    Bcrypt,
    /// argon2id, for passwords of more than 72 bytes too
    Argon2,
}

/// Give a user of a registry a password, or take the user away
///
/// The users of a registry are the lines of an htpasswd file, which `sealos registry serve --htpasswd FILE` reads again
/// when it changes. The password is asked for twice, or read from stdin; it is never an argument, which others could see.
/// The file is replaced as a whole, only its owner can read it, and the lines of other users stay as they are.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sealos registry passwd -p users anna
  sealos registry passwd -p users robot --password-stdin < password
  sealos registry passwd -p users --verify robot --password-stdin < password
  sealos registry passwd -p users --delete robot")]
pub(crate) struct Passwd {
    /// The user
    user: String,
    /// The htpasswd file; made where there is none
    #[arg(
        short,
        long = "path",
        visible_alias = "htpasswd",
        value_name = "FILE",
        default_value = "/etc/registry/registry_htpasswd"
    )]
    path: PathBuf,
    /// Read the password from stdin
    #[arg(long)]
    password_stdin: bool,
    /// How the password is kept: bcrypt or argon2
    #[arg(long, value_enum, value_name = "HOW", default_value_t = Kind::Bcrypt, hide_possible_values = true)]
    kind: Kind,
    /// The cost of bcrypt: each step takes twice as long
    #[arg(long, value_name = "N", default_value_t = BCRYPT_COST, value_parser = clap::value_parser!(u32).range(4..=16))]
    cost: u32,
    /// Take the user away
    #[arg(short = 'D', long, conflicts_with_all = ["verify", "password_stdin", "kind", "cost"])]
    delete: bool,
    /// Only say whether the password is right
    #[arg(short = 'v', long, conflicts_with_all = ["kind", "cost"])]
    verify: bool,
}

impl Passwd {
    pub(crate) fn run(&self, world: &mut World<'_>) -> Result<(), CommandError> {
        let (user, path) = (&self.user, &self.path);
        if self.delete {
            return match htpasswd_file::remove(path, user).map_err(RegistryFailure::from)? {
                Change::Absent => Err(RegistryFailure::NoUser(user.clone()).into()),
                _ => world.say(format_args!("{user} is gone")),
            };
        }
        if self.verify {
            return self.verify(world);
        }
        is_nameable(user)?;
        let password = self.password(Twice::Asked)?;
        let scheme = match self.kind {
            Kind::Bcrypt => Scheme::Bcrypt(self.cost),
            Kind::Argon2 => Scheme::Argon2id,
        };
        let hash = PasswordHash::create(scheme, &password).map_err(RegistryFailure::from)?;
        let change = htpasswd_file::set(path, user, &hash).map_err(RegistryFailure::from)?;
        if let Some(complaint) = htpasswd_file::complaint(path).map_err(RegistryFailure::from)? {
            crate::cli::note(format_args!("warning: {} cannot be used yet: {complaint}", path.display()));
        }
        world.say(match change {
            Change::Added => format!("{user} was added"),
            _ => format!("{user} has a new password"),
        })
    }

    fn verify(&self, world: &mut World<'_>) -> Result<(), CommandError> {
        let hash = htpasswd_file::find(&self.path, &self.user).map_err(RegistryFailure::from)?;
        let password = self.password(Twice::Not)?;
        match hash {
            None => Err(RegistryFailure::NoUser(self.user.clone()).into()),
            Some(hash) if hash.verify(&password) => world.say("the password is right"),
            Some(_) => Err(RegistryFailure::WrongPassword(self.user.clone()).into()),
        }
    }

    fn password(&self, twice: Twice) -> Result<Secret, CommandError> {
        if self.password_stdin {
            return Ok(Secret::from(ask::secret_on_stdin()?.reveal()));
        }
        let first = ask::secret(&format!("Password of {}: ", self.user))?;
        if twice == Twice::Asked && ask::secret("The same again: ")?.reveal() != first.reveal() {
            return Err(RegistryFailure::Differ.into());
        }
        Ok(Secret::from(first.reveal()))
    }
}

/// Whether a password is asked for a second time, because a slip would be noticed too late.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Twice {
    Asked,
    Not,
}

/// Whether files can hold the name, and rules can name it.
fn is_nameable(user: &str) -> Result<(), RegistryFailure> {
    let wrong = |reason: &str| Err(RegistryFailure::Wrong { text: user.to_owned(), reason: reason.to_owned() });
    match user {
        "anonymous" | "*" => wrong("this means everybody in rules"),
        user if user.starts_with('@') || user.starts_with("cert:") => wrong("this means something else in rules"),
        user if !htpasswd::is_name(user) => wrong("a name has no colon, no control character and no space at its ends"),
        _ => Ok(()),
    }
}
