//! The part of a request's target behind the question mark.

use std::borrow::Cow;

use super::target::decode;

/// The parameters of a request, as a form is encoded: `+` is a space.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Query<'a>(&'a str);

impl<'a> Query<'a> {
    /// Of the text behind the question mark.
    pub const fn new(text: &'a str) -> Self {
        Self(text)
    }

    /// The text as it was sent.
    pub const fn text(self) -> &'a str {
        self.0
    }

    /// All parameters in order; those whose escapes are broken are left out.
    pub fn pairs(self) -> impl Iterator<Item = (Cow<'a, str>, Cow<'a, str>)> {
        self.0.split('&').filter(|part| !part.is_empty()).filter_map(|part| {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            Some((field(key)?, field(value)?))
        })
    }

    /// The first value of a parameter.
    pub fn get(self, key: &str) -> Option<Cow<'a, str>> {
        self.all(key).next()
    }

    /// All values of a parameter.
    pub fn all(self, key: &str) -> impl Iterator<Item = Cow<'a, str>> {
        self.pairs().filter(move |(name, _)| name == key).map(|(_, value)| value)
    }
}

fn field(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('+') {
        return decode(text);
    }
    Some(Cow::Owned(decode(&text.replace('+', " "))?.into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_those_of_a_form() {
        let query = Query::new("n=5&tag=a&tag=b%20c&last=&flag&scope=x+y&bad=%zz&=v");
        assert_eq!(query.get("n").as_deref(), Some("5"));
        assert_eq!(query.all("tag").collect::<Vec<_>>(), ["a", "b c"]);
        assert_eq!(query.get("last").as_deref(), Some(""));
        assert_eq!(query.get("flag").as_deref(), Some(""));
        assert_eq!(query.get("scope").as_deref(), Some("x y"));
        assert_eq!(query.get("bad"), None);
        assert_eq!(query.get("none"), None);
    }
}
