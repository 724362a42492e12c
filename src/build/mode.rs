//! `--chmod`: octal (`0644`) or symbolic (`u+x,go-w`, `a=rX`).

use super::error::BuildError;

/// How modes change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ModeChange {
    /// To this, whatever they were.
    Fixed(u32),
    /// By these, in order.
    Symbolic(Vec<Clause>),
}

/// One clause such as `go-w`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Clause {
    /// Bits that it may touch: those of the classes named.
    who: u32,
    operator: u8,
    /// Permissions, in the lowest three bits.
    permissions: u32,
    /// `X`: execution where there is some already, and for directories.
    conditional: bool,
    /// setuid, setgid and sticky.
    special: u32,
}

impl ModeChange {
    /// Reads a mode.
    ///
    /// # Errors
    /// When it is none.
    ///
    /// Source: POSIX.1-2017, chmod, "Extended Description".
    pub(crate) fn parse(text: &str) -> Result<Self, BuildError> {
        let wrong = || BuildError::Mode { text: text.to_owned() };
        if text.bytes().all(|byte| (b'0'..=b'7').contains(&byte)) && !text.is_empty() {
            let mode = u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o7777);
            return mode.map(Self::Fixed).ok_or_else(wrong);
        }
        let clauses: Option<Vec<Vec<Clause>>> = text.split(',').map(clauses).collect();
        clauses.map(|clauses| Self::Symbolic(clauses.concat())).ok_or_else(wrong)
    }

    /// What a mode becomes.
    pub(crate) fn apply(&self, mode: u32, is_directory: bool) -> u32 {
        match self {
            Self::Fixed(mode) => *mode,
            Self::Symbolic(clauses) => clauses.iter().fold(mode, |mode, clause| clause.apply(mode, is_directory)),
        }
    }
}

impl Clause {
    fn apply(&self, mode: u32, is_directory: bool) -> u32 {
        let execute = u32::from(self.conditional && (is_directory || mode & 0o111 != 0));
        let permissions = self.permissions | execute;
        let bits = (permissions * 0o111) & self.who | self.special;
        match self.operator {
            b'+' => mode | bits,
            b'-' => mode & !bits,
            _ => {
                // A class owns its special bit; directories keep theirs, as with GNU chmod.
                let special = (self.who & 0o100) << 5 | (self.who & 0o010) << 7 | (self.who & 0o001) << 9;
                mode & !(self.who | if is_directory { special & 0o1000 } else { special }) | bits
            }
        }
    }
}

/// The operations of one comma-separated part.
fn clauses(text: &str) -> Option<Vec<Clause>> {
    let at = text.find(['+', '-', '='])?;
    let mut who = 0;
    for class in text[..at].chars() {
        who |= match class {
            'u' => 0o700,
            'g' => 0o070,
            'o' => 0o007,
            'a' => 0o777,
            _ => return None,
        };
    }
    let who = if at == 0 { 0o777 } else { who };
    let mut clauses = Vec::new();
    for byte in text[at..].bytes() {
        if b"+-=".contains(&byte) {
            clauses.push(Clause { who, operator: byte, permissions: 0, conditional: false, special: 0 });
            continue;
        }
        let clause = clauses.last_mut()?;
        match byte {
            b'r' => clause.permissions |= 4,
            b'w' => clause.permissions |= 2,
            b'x' => clause.permissions |= 1,
            b'X' => clause.conditional = true,
            b's' => clause.special |= (who & 0o100) << 5 | (who & 0o010) << 7,
            b't' => clause.special |= 0o1000,
            _ => return None,
        }
    }
    Some(clauses)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_change_as_chmod_changes_them() {
        for (text, mode, is_directory, want) in [
            ("0644", 0o4755, false, 0o644),
            ("4755", 0, false, 0o4755),
            ("u+x", 0o644, false, 0o744),
            ("+x", 0o644, false, 0o755),
            ("go-w,u=rw", 0o777, false, 0o655),
            ("a=rX", 0o755, false, 0o555),
            ("a=rX", 0o644, false, 0o444),
            ("a=rX", 0o644, true, 0o555),
            ("u+s", 0o755, false, 0o4755),
            ("g+s", 0o755, false, 0o2755),
            ("+t", 0o777, true, 0o1777),
            ("u=rw+x", 0o000, false, 0o700),
            ("u=rw,go=r", 0o4750, false, 0o644),
            ("a=rx", 0o7777, true, 0o6555),
            ("a=rx", 0o7777, false, 0o555),
        ] {
            assert_eq!(ModeChange::parse(text).unwrap().apply(mode, is_directory), want, "{text} on {mode:o}");
        }
        for text in ["", "9", "00000010000", "u", "u+q", "z+x", "rwx", "u+x,"] {
            assert!(ModeChange::parse(text).is_err(), "{text}");
        }
    }
}
