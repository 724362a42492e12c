//! The `--flags` of an instruction, checked against those it has.

use super::error::Problem;
use super::keyword::Keyword;
use super::span::Fault;

/// How a flag is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// `--flag`, `--flag=true` or `--flag=false`.
    Switch,
    /// `--flag=value`, once.
    Value,
    /// `--flag=value`, any number of times.
    Values,
}

/// The flags that were given.
#[derive(Debug, Default)]
pub(crate) struct Flags {
    given: Vec<(&'static str, String)>,
}

impl Flags {
    /// Checks the flags of an instruction.
    pub(crate) fn read(
        instruction: Keyword,
        written: &[String],
        known: &[(&'static str, Shape)],
    ) -> Result<Self, Fault> {
        let mut flags = Self::default();
        for text in written {
            let (dashed, value) = text.split_once('=').map_or((text.as_str(), None), |(name, v)| (name, Some(v)));
            let flag = dashed.strip_prefix("--").unwrap_or(dashed).to_owned();
            let Some((name, shape)) = known.iter().copied().find(|(name, _)| *name == flag) else {
                let known = known.iter().map(|(name, _)| *name).collect();
                return Err(Fault::at(dashed, Problem::UnknownFlag { instruction, flag, known }));
            };
            if shape != Shape::Values && flags.given.iter().any(|(given, _)| *given == name) {
                return Err(Fault::at_last(dashed, Problem::FlagTwice { flag }));
            }
            let value = match (shape, value) {
                (Shape::Switch, None) => "true".to_owned(),
                (Shape::Switch, Some(value)) if value.eq_ignore_ascii_case("true") => "true".to_owned(),
                (Shape::Switch, Some(value)) if value.eq_ignore_ascii_case("false") => "false".to_owned(),
                (Shape::Switch, Some(value)) if !value.is_empty() => {
                    let allowed = &["true", "false"];
                    return Err(Fault::at(text, Problem::FlagValue { flag: name, value: value.to_owned(), allowed }));
                }
                (Shape::Switch, Some(_)) | (_, None) => {
                    return Err(Fault::at(dashed, Problem::FlagWithoutValue { flag }));
                }
                (_, Some(value)) => value.to_owned(),
            };
            flags.given.push((name, value));
        }
        Ok(flags)
    }

    /// The value of a flag; an empty value counts as none.
    pub(crate) fn value(&self, name: &str) -> Option<String> {
        self.values(name).into_iter().next().filter(|value| !value.is_empty())
    }

    /// Every value of a flag.
    pub(crate) fn values(&self, name: &str) -> Vec<String> {
        self.given.iter().filter(|(given, _)| *given == name).map(|(_, value)| value.clone()).collect()
    }

    /// A switch, when it was given.
    pub(crate) fn switch(&self, name: &str) -> Option<bool> {
        self.value(name).map(|value| value == "true")
    }
}
