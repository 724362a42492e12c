//! What can be wrong with a Kubefile, where, and what to do about it.

use std::fmt;

use super::duration::DurationError;
use super::expand::ExpandError;
use super::glob::PatternError;
use super::keyword::Keyword;
use super::mount::MountError;
use super::port::PortError;
use super::span::Place;
use super::suggest::nearest;

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the fields are said by each variant's text")]
pub enum Problem {
    /// The first word is no instruction.
    #[error("unknown instruction `{word}`")]
    UnknownInstruction { word: String },
    /// A continued line with nothing in it.
    #[error("an instruction is missing here")]
    MissingInstruction,
    /// The file has no `FROM`.
    #[error("there is no `FROM`: nothing to build")]
    NoFrom,
    /// Something other than `ARG` stands before the first `FROM`.
    #[error("`{instruction}` stands before the first `FROM`")]
    BeforeFrom { instruction: Keyword },
    /// A parser directive is given twice.
    #[error("the parser directive `{name}` is given twice")]
    DirectiveTwice { name: String },
    /// `# escape=` names something else than a backslash or a backtick.
    #[error("`{value}` cannot be the escape character")]
    EscapeCharacter { value: String },
    /// A flag the instruction does not have.
    #[error("`{instruction}` has no flag `--{flag}`")]
    UnknownFlag { instruction: Keyword, flag: String, known: Vec<&'static str> },
    /// A flag given twice that may be given once.
    #[error("the flag `--{flag}` is given twice")]
    FlagTwice { flag: String },
    /// A flag without the value it needs.
    #[error("the flag `--{flag}` needs a value")]
    FlagWithoutValue { flag: String },
    /// A flag with a value out of its set.
    #[error("`{value}` is no value for `--{flag}`")]
    FlagValue { flag: &'static str, value: String, allowed: &'static [&'static str] },
    /// Too few arguments.
    #[error("`{instruction}` needs {needed}")]
    MissingArguments { instruction: Keyword, needed: &'static str },
    /// `FROM` with neither one nor three words.
    #[error("`FROM` takes `image` or `image AS name`")]
    FromWords,
    /// A stage name with characters it cannot have.
    #[error("`{name}` cannot be the name of a stage")]
    StageName { name: String },
    /// Two stages share a name.
    #[error("the stage name `{name}` is already taken by the stage on line {first_line}")]
    DuplicateStage { name: String, first_line: usize },
    /// A further file whose escape character is not that of the first.
    #[error("this file has another escape character than the first one")]
    OtherEscape,
    /// A quote that never ends.
    #[error("a {quote} quote is not closed")]
    UnclosedQuote { quote: char },
    /// A word without `=` among `name=value` words.
    #[error("`{word}` is not `name=value`")]
    NotNameValue { word: String },
    /// A name that is empty.
    #[error("`{instruction}` has an empty name")]
    BlankName { instruction: Keyword },
    /// A JSON array with something else than strings.
    #[error("the JSON array of `{instruction}` holds something else than strings")]
    JsonNotStrings { instruction: Keyword },
    /// `SHELL` not in JSON form.
    #[error("`SHELL` takes a JSON array")]
    ShellNotJson,
    /// A heredoc without its end.
    #[error("the heredoc `{name}` is not ended")]
    UnterminatedHeredoc { name: String },
    /// A heredoc where a directory or file name belongs.
    #[error("the destination of `{instruction}` cannot be a heredoc")]
    HeredocDestination { instruction: Keyword },
    /// `ONBUILD` of something that cannot wait.
    #[error("`{trigger}` cannot be an `ONBUILD` trigger")]
    OnbuildForbidden { trigger: Keyword },
    /// A trigger text that is not exactly one instruction.
    #[error("a trigger is one instruction, not {count}")]
    TriggerCount { count: usize },
    /// `HEALTHCHECK` of an unknown kind.
    #[error("`HEALTHCHECK` takes `NONE` or `CMD`, not `{word}`")]
    HealthcheckKind { word: String },
    /// `HEALTHCHECK NONE` with arguments.
    #[error("`HEALTHCHECK NONE` takes no arguments")]
    HealthcheckNone,
    /// A duration that is none.
    #[error("`{value}` is no duration for `--{flag}`: {reason}")]
    Duration { flag: &'static str, value: String, reason: DurationError },
    /// A number of retries that is none.
    #[error("`{value}` is no number of retries")]
    Retries { value: String },
    /// A port that is none.
    #[error("`{port}` is no port: {reason}")]
    Port { port: String, reason: PortError },
    /// A mount that cannot be.
    #[error("the mount `{mount}` cannot be used: {reason}")]
    Mount { mount: String, reason: MountError },
    /// A variable in `COPY --from`.
    #[error("`--from` cannot hold a variable")]
    VariableInFrom,
    /// An empty volume.
    #[error("a volume cannot be an empty path")]
    EmptyVolume,
    /// A `${…}` or quote that cannot be expanded.
    #[error("{0}")]
    Expansion(ExpandError),
    /// A base that expands to nothing.
    #[error("the base image `{written}` is empty after expansion")]
    BlankBase { written: String },
    /// A target that names no stage.
    #[error("no stage is called `{target}`")]
    UnknownTarget { target: String, known: Vec<String> },
    /// A line of an ignore file, or an `--exclude`, that is no pattern.
    #[error("`{pattern}` is no pattern: {reason}")]
    Pattern { pattern: String, reason: PatternError },
}

impl Problem {
    /// A way out, where one is known.
    pub fn help(&self) -> Option<String> {
        let meant = |word: Option<&str>| word.map(|word| format!("did you mean `{word}`?"));
        match self {
            Self::UnknownInstruction { word } => meant(nearest(word, Keyword::WORDS.iter().copied())),
            Self::UnknownFlag { flag, known, instruction } => match nearest(flag, known.iter().copied()) {
                Some(word) => Some(format!("did you mean `--{word}`?")),
                None if known.is_empty() => Some(format!("`{instruction}` takes no flags")),
                None => Some(format!("`{instruction}` has: {}", list(known.iter().map(|flag| format!("--{flag}"))))),
            },
            Self::FlagValue { value, allowed, .. } => meant(nearest(value, allowed.iter().copied()))
                .or_else(|| Some(format!("it takes: {}", list(allowed.iter().map(ToString::to_string))))),
            Self::FlagWithoutValue { flag } => Some(format!("write `--{flag}=value`")),
            Self::UnknownTarget { target, known } => meant(nearest(target, known.iter().map(String::as_str)))
                .or_else(|| (!known.is_empty()).then(|| format!("the stages are: {}", list(known.iter().cloned())))),
            Self::NoFrom | Self::BeforeFrom { .. } => {
                Some("start with `FROM image`, or with `FROM scratch` for an empty image".to_owned())
            }
            Self::EscapeCharacter { .. } => Some("it is `\\` or a backtick".to_owned()),
            Self::StageName { .. } => {
                Some("a name starts with a letter; letters, digits, `-`, `_` and `.` follow".to_owned())
            }
            Self::NotNameValue { word } => Some(format!("write `{word}=value`, and quote a value with spaces")),
            Self::ShellNotJson => Some("write `SHELL [\"/bin/bash\", \"-c\"]`".to_owned()),
            Self::UnterminatedHeredoc { name } => Some(format!("end it with a line that holds only `{name}`")),
            Self::Duration { .. } => Some("a duration looks like `30s`, `1m30s` or `500ms`".to_owned()),
            Self::HealthcheckKind { word } => {
                meant(nearest(word, ["CMD", "NONE"])).or_else(|| Some(format!("write `HEALTHCHECK CMD {word} …`")))
            }
            Self::Port { .. } => Some("a port looks like `80`, `80/udp` or `8000-8010/tcp`".to_owned()),
            Self::Mount { reason, .. } => reason.help(),
            Self::VariableInFrom => {
                Some("name a stage with `FROM $VARIABLE AS name` and copy from that name".to_owned())
            }
            Self::Expansion(error) => error.help(),
            _ => None,
        }
    }
}

fn list(words: impl Iterator<Item = String>) -> String {
    words.map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

/// A [`Problem`] and where it is. Shown with the line and a caret, and `help:` where there is a way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KubefileError(Box<(Problem, Place)>);

impl KubefileError {
    pub(crate) fn new(problem: Problem, place: Place) -> Self {
        Self(Box::new((problem, place)))
    }
    /// What is wrong.
    pub fn problem(&self) -> &Problem {
        &self.0.0
    }
    /// Where it is.
    pub fn place(&self) -> &Place {
        &self.0.1
    }
    /// A way out, where one is known.
    pub fn help(&self) -> Option<String> {
        self.problem().help()
    }
}

impl fmt::Display for KubefileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.place().render(f, self.problem())?;
        match self.help() {
            Some(help) => write!(f, "\nhelp: {help}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for KubefileError {}
