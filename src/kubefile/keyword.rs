//! The instruction keywords. Case does not matter in a Kubefile.

use std::fmt;

macro_rules! keywords {
    ($($variant:ident = $word:literal),+ $(,)?) => {
        /// The first word of an instruction.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Keyword { $(#[doc = concat!("`", $word, "`")] $variant),+ }

        impl Keyword {
            /// Every keyword, in capitals.
            pub(crate) const WORDS: &'static [&'static str] = &[$($word),+];

            /// The keyword written as `word` in any case.
            pub(crate) fn read(word: &str) -> Option<Self> {
                $(if word.eq_ignore_ascii_case($word) { return Some(Self::$variant); })+
                None
            }

            /// The keyword in capitals.
            pub fn word(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }
    };
}

keywords! {
    Add = "ADD", Arg = "ARG", Cmd = "CMD", Copy = "COPY", Entrypoint = "ENTRYPOINT", Env = "ENV", Expose = "EXPOSE",
    From = "FROM", Healthcheck = "HEALTHCHECK", Label = "LABEL", Maintainer = "MAINTAINER", Onbuild = "ONBUILD",
    Run = "RUN", Shell = "SHELL", StopSignal = "STOPSIGNAL", User = "USER", Volume = "VOLUME", Workdir = "WORKDIR",
}

impl fmt::Display for Keyword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}
