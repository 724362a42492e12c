//! Flags as Go programs read them: `--flag`, `--flag=true`, `--flag=false`. Scripts written for the Go sealos use all
//! three.

use clap::builder::PossibleValuesParser;
use clap::builder::TypedValueParser;

/// Reads what Go's `strconv.ParseBool` reads.
pub(crate) fn parser() -> impl TypedValueParser<Value = bool> {
    let words = ["true", "false", "1", "0", "t", "f", "T", "F", "TRUE", "FALSE", "True", "False"];
    PossibleValuesParser::new(words).map(|word| matches!(word.as_str(), "1" | "t" | "T" | "true" | "TRUE" | "True"))
}
