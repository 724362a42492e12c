//! The documents that a bucket answers with: flat enough to be cut apart by their tags.

/// What stands between a tag and its end, for every one of that name.
pub(super) fn all<'a>(text: &'a str, tag: &str) -> Vec<&'a str> {
    let (open, close) = (format!("<{tag}>"), format!("</{tag}>"));
    let mut rest = text;
    let mut found = Vec::new();
    while let Some((_, behind)) = rest.split_once(&open) {
        let Some((inner, next)) = behind.split_once(&close) else { break };
        found.push(inner);
        rest = next;
    }
    found
}

/// The first of that name, with its entities resolved.
pub(super) fn first(text: &str, tag: &str) -> Option<String> {
    all(text, tag).first().map(|inner| plain(inner))
}

/// Resolves entities.
pub(super) fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('&') {
        out.push_str(before);
        let resolved = behind.split_once(';').and_then(|(name, next)| Some((entity(name)?, next)));
        match resolved {
            Some((character, next)) => {
                out.push(character);
                rest = next;
            }
            None => {
                out.push('&');
                rest = behind;
            }
        }
    }
    out.push_str(rest);
    out
}

fn entity(name: &str) -> Option<char> {
    match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => {
            let code = name.strip_prefix('#')?;
            let code = match code.strip_prefix('x') {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => code.parse().ok()?,
            };
            char::from_u32(code)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_cut_apart() {
        let text = "<R><C><Key>a&amp;b</Key></C><C><Key>&#x63;&#100;&unknown;</Key></C><Next/><Key>open";
        let keys: Vec<String> = all(text, "Key").into_iter().map(plain).collect();
        assert_eq!(keys, ["a&b", "cd&unknown;"]);
        assert_eq!(first(text, "C"), Some("<Key>a&b</Key>".to_owned()));
        assert_eq!(first(text, "Next"), None);
    }
}
