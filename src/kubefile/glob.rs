//! Patterns of paths: `*`, `?`, `[a-z]`, `\`, as Go's `filepath.Match`; and `**` for ignore files.
//!
//! Time is at most pattern length times path length.

/// Why a text is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// `[` without `]`, or with nothing between, or a `-` that is no range.
    #[error("a `[…]` in it is malformed")]
    Class,
    /// A range such as `[z-a]`.
    #[error("a range in it ends before it starts")]
    BackwardsRange,
    /// `\` at the end.
    #[error("it ends in a backslash")]
    TrailingEscape,
    /// `!` alone.
    #[error("there is nothing after `!`")]
    EmptyException,
}

/// One element of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Token {
    /// This character.
    Literal(char),
    /// One character, not `/`.
    One,
    /// Any characters, not `/`.
    Many,
    /// One character of a set (or not of it); may be `/`, as in Go.
    Class { negated: bool, ranges: Vec<(char, char)> },
    /// Nothing, or whole directories: `**/`.
    Directories,
    /// Anything at all: `**` at the end.
    Everything,
}

/// A pattern of `COPY` and `ADD` sources, as Go's `filepath.Match`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    tokens: Vec<Token>,
}

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// When a class is malformed or the pattern ends in a backslash.
    pub fn parse(pattern: &str) -> Result<Self, PatternError> {
        let mut tokens = Vec::new();
        let mut rest = pattern;
        while let Some(c) = rest.chars().next() {
            let after = rest.get(c.len_utf8()..).unwrap_or_default();
            let token;
            (token, rest) = match c {
                '*' => (Token::Many, after),
                _ => single(c, after)?,
            };
            tokens.push(token);
        }
        Ok(Self { tokens })
    }

    /// Whether the whole of `path` matches.
    ///
    /// As in Go, what stands between two stars takes the first place where it fits; nothing is tried again later.
    pub fn matches(&self, path: &str) -> bool {
        let path: Vec<char> = path.chars().collect();
        let mut rest = path.as_slice();
        let mut chunks = self.tokens.split(|token| *token == Token::Many).enumerate().peekable();
        while let Some((index, chunk)) = chunks.next() {
            let last = chunks.peek().is_none();
            if last && index > 0 && chunk.is_empty() {
                return !rest.contains(&'/');
            }
            let reach = if index == 0 { 0 } else { rest.iter().position(|c| *c == '/').unwrap_or(rest.len()) };
            let ends = |start: &usize| {
                let end = start + chunk.len();
                let candidate = rest.get(*start..end)?;
                let fitting = chunk.iter().zip(candidate).all(|(token, c)| fits(token, *c));
                (fitting && (!last || end == rest.len())).then_some(end)
            };
            let Some(end) = (0..=reach).find_map(|start| ends(&start)) else { return false };
            rest = rest.get(end..).unwrap_or_default();
        }
        true
    }

    /// Whether `pattern` has a character that makes it more than a plain path.
    pub fn is_pattern(pattern: &str) -> bool {
        pattern.contains(['*', '?', '[', '\\'])
    }
}

/// An element other than a star: its first character is `c`, the pattern goes on with `rest`.
pub(crate) fn single(c: char, rest: &str) -> Result<(Token, &str), PatternError> {
    match c {
        '?' => Ok((Token::One, rest)),
        '[' => class(rest),
        '\\' => {
            let escaped = rest.chars().next().ok_or(PatternError::TrailingEscape)?;
            Ok((Token::Literal(escaped), rest.get(escaped.len_utf8()..).unwrap_or_default()))
        }
        c => Ok((Token::Literal(c), rest)),
    }
}

fn class(text: &str) -> Result<(Token, &str), PatternError> {
    let (negated, mut rest) = match text.strip_prefix('^') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let mut ranges = Vec::new();
    loop {
        if let Some(after) = rest.strip_prefix(']')
            && !ranges.is_empty()
        {
            return Ok((Token::Class { negated, ranges }, after));
        }
        let low;
        (low, rest) = member(rest)?;
        let mut high = low;
        if let Some(after) = rest.strip_prefix('-') {
            (high, rest) = member(after)?;
        }
        ranges.push((low, high));
    }
}

fn member(text: &str) -> Result<(char, &str), PatternError> {
    let mut chars = text.chars();
    let c = match chars.next() {
        None | Some('-' | ']') => return Err(PatternError::Class),
        Some('\\') => chars.next().ok_or(PatternError::Class)?,
        Some(c) => c,
    };
    Ok((c, chars.as_str()))
}

/// Whether the whole of `path` matches.
pub(crate) fn matches(tokens: &[Token], path: &str) -> bool {
    let path: Vec<char> = path.chars().collect();
    reach(tokens, &path).last().is_some_and(|states| states.last() == Some(&true))
}

/// Whether a path that begins with `prefix` could match.
pub(crate) fn may_continue(tokens: &[Token], prefix: &str) -> bool {
    let prefix: Vec<char> = prefix.chars().collect();
    reach(tokens, &prefix).iter().any(|states| states.last() == Some(&true))
}

/// For every number of elements used, which lengths of the path they can have matched.
fn reach(tokens: &[Token], path: &[char]) -> Vec<Vec<bool>> {
    let mut states = vec![false; path.len() + 1];
    if let Some(start) = states.first_mut() {
        *start = true;
    }
    let mut all = vec![states];
    for token in tokens {
        let next = all.last().map(|states| step(token, states, path)).unwrap_or_default();
        all.push(next);
    }
    all
}

fn step(token: &Token, states: &[bool], path: &[char]) -> Vec<bool> {
    let mut next = vec![false; states.len()];
    let mut open = false;
    for (at, reached) in states.iter().copied().enumerate() {
        let before = at.checked_sub(1).and_then(|last| path.get(last)).copied();
        let came = at.checked_sub(1).and_then(|last| states.get(last)).copied().unwrap_or(false);
        let now = match token {
            Token::Many => {
                open = reached || (open && before != Some('/'));
                open
            }
            Token::Everything => {
                open |= reached;
                open
            }
            Token::Directories => {
                let whole = reached || (open && before == Some('/'));
                open |= reached;
                whole
            }
            one => came && before.is_some_and(|c| fits(one, c)),
        };
        if let Some(state) = next.get_mut(at) {
            *state = now;
        }
    }
    next
}

fn fits(token: &Token, c: char) -> bool {
    match token {
        Token::Literal(literal) => c == *literal,
        Token::One => c != '/',
        Token::Class { negated, ranges } => ranges.iter().any(|(low, high)| (*low..=*high).contains(&c)) != *negated,
        Token::Many | Token::Directories | Token::Everything => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{Pattern, PatternError};

    #[test]
    fn patterns_match_as_go_filepath_match() {
        for (pattern, path, expected) in [
            ("abc", "abc", true),
            ("*", "abc", true),
            ("*c", "abc", true),
            ("a*", "ab/c", false),
            ("a*/b", "abc/b", true),
            ("a*/b", "a/c/b", false),
            ("a*b*c*d*e*/f", "axbxcxdxe/xxx/f", false),
            ("a*b?c*x", "abxbbxdbxebxczzx", true),
            ("ab[c]", "abc", true),
            ("ab[b-d]", "abc", true),
            ("ab[^c]", "abc", false),
            ("a\\*b", "a*b", true),
            ("a\\*b", "ab", false),
            ("a???b", "aΩΩΩb", true),
            ("[a-ζ]*", "α", true),
            ("a[^b]c", "a/c", true),
            ("[x\\-]", "-", true),
            ("a]", "a]", true),
            ("", "", true),
        ] {
            assert_eq!(Pattern::parse(pattern).expect(pattern).matches(path), expected, "{pattern} {path}");
        }
        for (pattern, error) in [
            ("[", PatternError::Class),
            ("[]", PatternError::Class),
            ("[]a]", PatternError::Class),
            ("[-]", PatternError::Class),
            ("[x-]", PatternError::Class),
            ("a[", PatternError::Class),
            ("[a-b-c]", PatternError::Class),
            ("a\\", PatternError::TrailingEscape),
        ] {
            assert_eq!(Pattern::parse(pattern), Err(error), "{pattern}");
        }
    }

    #[test]
    fn many_stars_take_no_time() {
        let pattern = Pattern::parse(&"*a".repeat(200)).expect("a pattern");
        let path = "a".repeat(2000);
        assert!(pattern.matches(&path), "all of it");
        assert!(!pattern.matches(&format!("{path}b")), "another end");
    }
}
