//! The text of an htpasswd file: one `user:hash` a line, `#` comments.
//!
//! ```text
//! text ─parse─▶ Users ─find─▶ PasswordHash          text ─with / without─▶ text (other lines stay byte for byte)
//! ```
//!
//! Invariants: a file with one line that cannot be used is not used at all: nobody should wonder why one user is
//! refused. Pure; reading and replacing the file is [`super::watched`]'s and [`super::replace`]'s.

use std::collections::HashMap;
use std::fmt;

use super::password::{HashError, PasswordHash};

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// No colon.
    #[error("there is no `:` between a user and a hash")]
    NoColon,
    /// Nothing before the colon, or a character that a name cannot have.
    #[error("the user name is empty or holds a control character")]
    Name,
    /// A second line of one user.
    #[error("`{user}` is on line {first} too")]
    Duplicate {
        /// The user.
        user: String,
        /// The earlier line, from 1.
        first: usize,
    },
    /// A hash that is not accepted.
    #[error("user `{user}`: {error}")]
    Hash {
        /// The user.
        user: String,
        /// Why not.
        error: HashError,
    },
}

/// All that is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HtpasswdError(
    /// Line numbers from 1 and what is wrong there; never empty.
    pub Vec<(usize, LineError)>,
);

impl fmt::Display for HtpasswdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 5;
        for (at, (line, error)) in self.0.iter().take(SHOWN).enumerate() {
            write!(f, "{}line {line}: {error}", if at == 0 { "" } else { "; " })?;
        }
        match self.0.len().checked_sub(SHOWN) {
            None | Some(0) => Ok(()),
            Some(more) => write!(f, "; and {more} more"),
        }
    }
}

impl std::error::Error for HtpasswdError {}

/// The users of a file.
#[derive(Clone, Debug, Default)]
pub struct Users {
    hashes: HashMap<String, PasswordHash>,
    /// The hash that takes longest: what a user who does not exist is verified against.
    decoy: Option<PasswordHash>,
}

impl Users {
    /// Reads a file.
    ///
    /// # Errors
    /// When one of its lines cannot be used.
    pub fn parse(text: &str) -> Result<Self, HtpasswdError> {
        let (mut users, mut errors, mut seen) = (Self::default(), Vec::new(), HashMap::new());
        for (number, line) in entries(text) {
            match entry(line).and_then(|(user, hash)| match seen.insert(user.to_owned(), number) {
                None => Ok((user, hash)),
                Some(first) => Err(LineError::Duplicate { user: user.to_owned(), first }),
            }) {
                Ok((user, hash)) => users.add(user, hash),
                Err(error) => errors.push((number, error)),
            }
        }
        if errors.is_empty() { Ok(users) } else { Err(HtpasswdError(errors)) }
    }

    fn add(&mut self, user: &str, hash: PasswordHash) {
        if self.decoy.as_ref().is_none_or(|decoy| decoy.work() < hash.work()) {
            self.decoy = Some(hash.clone());
        }
        self.hashes.insert(user.to_owned(), hash);
    }

    /// The hash of a user.
    #[must_use]
    pub fn find(&self, user: &str) -> Option<&PasswordHash> {
        self.hashes.get(user)
    }

    /// A hash to verify against where there is no such user, so that the answer takes as long.
    #[must_use]
    pub fn decoy(&self) -> Option<&PasswordHash> {
        self.decoy.as_ref()
    }

    /// How many users there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.hashes.len()
    }

    /// Whether there is no user at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.hashes.is_empty()
    }
}

/// The lines with users on them, numbered from 1.
fn entries(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let lines = text.lines().enumerate().map(|(at, line)| (at + 1, line.trim()));
    lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
}

fn entry(line: &str) -> Result<(&str, PasswordHash), LineError> {
    let (user, hash) = line.split_once(':').ok_or(LineError::NoColon)?;
    if !is_name(user) {
        return Err(LineError::Name);
    }
    match hash.parse() {
        Ok(hash) => Ok((user, hash)),
        Err(error) => Err(LineError::Hash { user: user.to_owned(), error }),
    }
}

/// Whether a user can be called so.
#[must_use]
pub fn is_name(user: &str) -> bool {
    let plain = |c: char| !c.is_control() && c != ':';
    !user.is_empty() && user.len() <= 255 && user.trim() == user && !user.starts_with('#') && user.chars().all(plain)
}

/// Whether a line, even one whose hash is not accepted, is about the user.
fn is_about(line: &str, user: &str) -> bool {
    line.trim().split_once(':').is_some_and(|(name, _)| name == user)
}

/// Whether the text has a line about the user.
#[must_use]
pub fn mentions(text: &str, user: &str) -> bool {
    text.lines().any(|line| is_about(line, user))
}

/// The text with the user's hash in it: in the place of the old one, or at the end.
#[must_use]
pub fn with(text: &str, user: &str, hash: &PasswordHash) -> String {
    let new = format!("{user}:{}\n", hash.as_str());
    let mut result = String::with_capacity(text.len() + new.len());
    let mut placed = false;
    for line in text.split_inclusive('\n') {
        match is_about(line, user) {
            true if placed => {}
            true => {
                result.push_str(&new);
                placed = true;
            }
            false => result.push_str(line),
        }
    }
    if !placed {
        if !result.is_empty() && !result.ends_with('\n') {
            result.push('\n');
        }
        result.push_str(&new);
    }
    result
}

/// The text without the user; none when the user is not in it.
#[must_use]
pub fn without(text: &str, user: &str) -> Option<String> {
    mentions(text, user).then(|| text.split_inclusive('\n').filter(|line| !is_about(line, user)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const A: &str = "$2y$04$FTuRLIJUOdT200MYV/hPN.IPahlLmvr2rNgvaFc20arQrUJ36b.0y";
    const B: &str = "$argon2i$v=19$m=64,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$135chdTjHzhJK3zog9EzQIvKUB3fIzzX2VdxqYbFRLI";

    #[test]
    fn a_file_with_comments_and_two_schemes_is_read() {
        let users = Users::parse(&format!("\u{feff}# team\r\n\r\nanna:{A}\r\n  ben smith:{B}  \n")).unwrap();
        assert_eq!(users.len(), 2);
        assert_eq!(users.find("anna").unwrap().as_str(), A);
        assert_eq!(users.find("ben smith").unwrap().as_str(), B);
        assert_eq!(users.decoy().unwrap().as_str(), A, "bcrypt of cost 4 is the slower one");
        assert!(users.find("carl").is_none());
        let empty = Users::parse("# nobody\n").unwrap();
        assert!(empty.is_empty() && empty.decoy().is_none());
    }

    #[test]
    fn every_wrong_line_is_named_and_none_of_the_file_is_used() {
        let text = format!("anna:{A}\nbroken\n:{A}\nanna:{A}\nold:$apr1$a$b\nx\u{1}:{A}\n");
        let error = Users::parse(&text).unwrap_err();
        assert_eq!(
            error.to_string(),
            "line 2: there is no `:` between a user and a hash; \
             line 3: the user name is empty or holds a control character; \
             line 4: `anna` is on line 1 too; \
             line 5: user `old`: the password is kept as MD5 (apr1), which is not accepted; \
             line 6: the user name is empty or holds a control character"
        );
        let many = "x\n".repeat(7);
        assert!(Users::parse(&many).unwrap_err().to_string().ends_with("; and 2 more"));
    }

    #[test]
    fn other_lines_stay_when_a_user_is_changed() {
        let hash: PasswordHash = A.parse().unwrap();
        for (before, after) in [
            ("", format!("me:{A}\n")),
            ("# c\nyou:x", format!("# c\nyou:x\nme:{A}\n")),
            ("# c\r\nme:old\r\nyou:{SHA}x\r\n", format!("# c\r\nme:{A}\nyou:{{SHA}}x\r\n")),
            ("me:1\nyou:2\nme:3\n", format!("me:{A}\nyou:2\n")),
        ] {
            assert_eq!(with(before, "me", &hash), after, "{before:?}");
        }
        assert_eq!(without("# me:x\nme:1\nyou:2", "me").unwrap(), "# me:x\nyou:2");
        assert_eq!(without("you:2\n", "me"), None);
    }

    proptest! {
        #[test]
        fn no_file_makes_the_reader_panic(text in "(.|\n|:|\\$2y\\$|#){0,300}") {
            let _users = Users::parse(&text);
        }

        #[test]
        fn a_changed_user_is_found_and_nobody_else_is_touched(
            names in proptest::collection::btree_set("[a-z]{1,3}", 1..8),
            user in "[a-z]{1,3}",
        ) {
            let hash: PasswordHash = A.parse().unwrap();
            let text: String = names.iter().map(|name| format!("{name}:{B}\n")).collect();
            let users = Users::parse(&with(&text, &user, &hash)).unwrap();
            for name in names.iter().filter(|name| **name != user) {
                prop_assert_eq!(users.find(name).unwrap().as_str(), B);
            }
            prop_assert_eq!(users.find(&user).unwrap().as_str(), A);
            let gone = without(&with(&text, &user, &hash), &user).unwrap();
            prop_assert!(Users::parse(&gone).unwrap().find(&user).is_none());
        }
    }
}
