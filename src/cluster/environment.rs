//! The environment of an image's commands and templates.

use std::collections::BTreeMap;
use std::fmt;

use crate::cluster::ClusterError;

/// Names that begin so tell facts about the cluster; an image may set them, an override may not.
const RESERVED: &str = "SEALOS_SYS";

/// Names and values. Values can be secrets: they are neither shown by `Debug` nor serialised.
///
/// Values are taken as they are: a value that holds `$(B)` is that text, and is not expanded in its turn.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// What an image's ENV says, without `PATH`: that one is for a container, and the commands run on a host. Later
    /// lines win. A line that no process can be given (without `=`, without a name) is left out, as container engines
    /// do.
    pub fn of_image(lines: &[String]) -> Self {
        let pairs = lines.iter().filter_map(|line| line.split_once('='));
        let pairs = pairs.filter(|(name, value)| *name != "PATH" && check(name, value).is_ok());
        Self(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    /// Puts the variables of a user (`NAME=VALUE`, one each; commas and quotes belong to the value) over these.
    ///
    /// # Errors
    /// When one is not of that form, or its name cannot be or is reserved.
    pub fn overlaid(mut self, overrides: &[String]) -> Result<Self, ClusterError> {
        for text in overrides {
            let (name, value) =
                text.split_once('=').ok_or_else(|| ClusterError::NotAVariable { text: text.clone() })?;
            check(name, value)?;
            if name.starts_with(RESERVED) {
                return Err(ClusterError::ReservedName { name: name.to_owned() });
            }
            self.0.insert(name.to_owned(), value.to_owned());
        }
        Ok(self)
    }

    /// Sets one variable that we know ourselves.
    pub fn set(&mut self, name: &str, value: &str) {
        self.0.insert(name.to_owned(), value.to_owned());
    }

    /// The value of a variable.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Whether there is such a variable.
    pub fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Names and values, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

fn check(name: &str, value: &str) -> Result<(), ClusterError> {
    let odd = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '"' | '\'' | '=' | '(' | ')' | '{' | '}');
    if name.is_empty() || name.contains(odd) {
        return Err(ClusterError::VariableName { name: name.to_owned() });
    }
    if value.contains('\0') {
        return Err(ClusterError::VariableValue { name: name.to_owned() });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn overrides_win_over_the_image_and_keep_commas_and_quotes() {
        let image = Environment::of_image(&lines(&["PATH=/bin", "A=1", "A=2", "B=x=y", "C", "=z"]));
        assert_eq!(image.iter().collect::<Vec<_>>(), [("A", "2"), ("B", "x=y")]);
        let spec = image.overlaid(&lines(&["A=3", "B=4"])).unwrap();
        let all = spec.overlaid(&lines(&["B=1,2,\"3\"", "PATH=/x", "E="])).unwrap();
        let want = [("A", "3"), ("B", "1,2,\"3\""), ("E", ""), ("PATH", "/x")];
        assert_eq!(all.iter().collect::<Vec<_>>(), want);
    }

    #[test]
    fn what_is_no_variable_is_refused() {
        for (text, want) in [
            ("A", ClusterError::NotAVariable { text: "A".into() }),
            ("=1", ClusterError::VariableName { name: String::new() }),
            ("\"A=1,2\"", ClusterError::VariableName { name: "\"A".into() }),
            ("A=1\0", ClusterError::VariableValue { name: "A".into() }),
            ("SEALOS_SYS_X=1", ClusterError::ReservedName { name: "SEALOS_SYS_X".into() }),
        ] {
            assert_eq!(Environment::default().overlaid(&lines(&[text])), Err(want), "{text:?}");
        }
        let image = Environment::of_image(&lines(&["SEALOS_SYS_CRI_ENDPOINT=/run/x.sock"]));
        assert_eq!(image.get("SEALOS_SYS_CRI_ENDPOINT"), Some("/run/x.sock"));
    }

    #[test]
    fn values_are_not_shown() {
        let shown = format!("{:?}", Environment::of_image(&lines(&["PASSWORD=hush"])));
        assert_eq!(shown, r#"{"PASSWORD"}"#);
    }
}
