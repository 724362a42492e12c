//! `.helmignore`: which files of a chart's directory are no part of it.
//!
//! Helm's rules, not git's: the first rule that matches decides; a rule with `!` ignores everything that it does not
//! match; `**` is refused; a pattern without a slash is held against the last part of the path.

/// One line of the file.
#[derive(Clone, Debug)]
struct Rule {
    pattern: String,
    negated: bool,
    directories: bool,
}

/// The rules of one `.helmignore`.
#[derive(Clone, Debug)]
pub struct Ignore {
    rules: Vec<Rule>,
}

impl Default for Ignore {
    /// What is ignored without a file: hidden files among the templates.
    fn default() -> Self {
        let rule = Rule { pattern: "templates/.?*".to_owned(), negated: false, directories: false };
        Self { rules: vec![rule] }
    }
}

impl Ignore {
    /// The file's name.
    pub const FILE: &str = ".helmignore";

    /// Reads the rules of a file; the default rule is added to them.
    ///
    /// # Errors
    /// A pattern that cannot be one; the text says which and why.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut rules = Vec::new();
        for line in text.trim_start_matches('\u{feff}').lines() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if line.contains("**") {
                return Err(format!("holds `{line}`: `**` is not supported"));
            }
            if matches(line, "abc").is_none() {
                return Err(format!("holds `{line}`, which is no pattern"));
            }
            let (negated, rest) = line.strip_prefix('!').map_or((false, line), |rest| (true, rest));
            let (directories, rest) = rest.strip_suffix('/').map_or((false, rest), |rest| (true, rest));
            rules.push(Rule { pattern: rest.to_owned(), negated, directories });
        }
        rules.extend(Self::default().rules);
        Ok(Self { rules })
    }

    /// Whether a file, or with `Kind::Directory` everything below a directory, is left out.
    pub fn ignores(&self, path: &str, kind: Kind) -> bool {
        let directory = kind == Kind::Directory;
        for rule in &self.rules {
            if rule.negated {
                if rule.directories && !directory || !rule.matches(path) {
                    return true;
                }
                continue;
            }
            if (!rule.directories || directory) && rule.matches(path) {
                return true;
            }
        }
        false
    }

    /// Whether a file is left out, for itself or for a directory it lies in.
    pub fn leaves_out(&self, path: &str) -> bool {
        let above = path.match_indices('/').map(|(at, _)| &path[..at]);
        above.into_iter().any(|directory| self.ignores(directory, Kind::Directory)) || self.ignores(path, Kind::File)
    }
}

/// What a path is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A file.
    File,
    /// A directory.
    Directory,
}

impl Rule {
    fn matches(&self, path: &str) -> bool {
        let (pattern, path) = match self.pattern.strip_prefix('/') {
            Some(rooted) => (rooted, path),
            None if self.pattern.contains('/') => (self.pattern.as_str(), path),
            None => (self.pattern.as_str(), path.rsplit('/').next().unwrap_or(path)),
        };
        matches(pattern, path).unwrap_or(false)
    }
}

/// Go's `filepath.Match`; `None` for a pattern that is malformed.
fn matches(pattern: &str, name: &str) -> Option<bool> {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    well_formed(&pattern)?;
    // Positions to go back to when what follows the last star does not fit.
    let (mut p, mut n) = (0, 0);
    let mut back: Option<(usize, usize)> = None;
    loop {
        match pattern.get(p) {
            None if n == name.len() => return Some(true),
            Some('*') => {
                back = Some((p + 1, n));
                p += 1;
                continue;
            }
            Some(_) => {
                if let Some((after, true)) = name.get(n).and_then(|c| one(&pattern, p, *c)) {
                    (p, n) = (after, n + 1);
                    continue;
                }
            }
            None => {}
        }
        match back {
            // A star takes anything but a slash.
            Some((after, from)) if from < name.len() && name[from] != '/' => {
                back = Some((after, from + 1));
                (p, n) = (after, from + 1);
            }
            _ => return Some(false),
        }
    }
}

/// The position after one item of the pattern, and whether it takes the character.
fn one(pattern: &[char], at: usize, c: char) -> Option<(usize, bool)> {
    match pattern[at] {
        '?' => Some((at + 1, c != '/')),
        '\\' => Some((at + 2, pattern[at + 1] == c)),
        '[' => {
            let mut next = at + 1;
            let negated = pattern.get(next) == Some(&'^');
            next += usize::from(negated);
            let mut found = false;
            let mut first = true;
            while first || pattern.get(next) != Some(&']') {
                let (low, after) = class_char(pattern, next)?;
                next = after;
                let mut high = low;
                if pattern.get(next) == Some(&'-') {
                    (high, next) = class_char(pattern, next + 1)?;
                }
                found |= low <= c && c <= high;
                first = false;
            }
            Some((next + 1, found != negated && c != '/'))
        }
        other => Some((at + 1, other == c)),
    }
}

fn class_char(pattern: &[char], at: usize) -> Option<(char, usize)> {
    match pattern.get(at)? {
        '-' | ']' => None,
        '\\' => pattern.get(at + 1).map(|c| (*c, at + 2)),
        c => Some((*c, at + 1)),
    }
    .filter(|(_, next)| *next < pattern.len())
}

fn well_formed(pattern: &[char]) -> Option<()> {
    let mut at = 0;
    while at < pattern.len() {
        match pattern[at] {
            '*' => at += 1,
            '\\' if at + 1 == pattern.len() => return None,
            _ => at = one(pattern, at, 'a')?.0,
        }
    }
    Some(())
}
