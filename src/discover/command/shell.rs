//! Commands as a shell would cut them into words, as far as that can be known without running them.
//!
//! Understands quotes, backslashes, comments, here-documents, assignments, `$X`, `${X}` with `:-`, `-`, `:=`, `=`, `:+`
//! and `+`, and the separators of commands. In the commands of an image, `$(X)` with a known X is that variable, inside
//! single quotes too, and `$$` is a dollar. What another program prints (`$(…)`, backquotes) and variables that nobody
//! set are not known: their words say so. Control structures are looked through: every command in them may run.

use std::collections::BTreeMap;

/// A word of a command.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Word {
    /// Its text; what is not known stands there as it was written.
    pub(crate) text: String,
    /// Whether all of it is known.
    pub(crate) certainty: Certainty,
}

/// Whether a word is what will be there when the command runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Certainty {
    #[default]
    Known,
    Unknown,
}

/// One command.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Simple {
    /// The line it begins in, from 1.
    pub(crate) line: usize,
    pub(crate) words: Vec<Word>,
    /// What its standard input is, where the text says so; a here-document is among the documents.
    pub(crate) input: Option<Input>,
}

/// What a command reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    /// A file, as it is written.
    File(String),
    /// What another command prints; its words.
    Pipe(Vec<Word>),
}

/// Whose rules a text follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// A command of an image: variables are put in first, everywhere.
    Image,
    /// A script: the shell's rules only.
    Script,
}

/// What a text says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Commands {
    pub(crate) commands: Vec<Simple>,
    /// Here-documents: the line that their text begins in, and the text.
    pub(crate) documents: Vec<(usize, String)>,
}

/// The values of variables; none for one whose value cannot be known.
pub type Variables = BTreeMap<String, Option<String>>;

/// Words that only structure commands.
const RESERVED: [&str; 15] =
    ["if", "then", "elif", "else", "fi", "while", "until", "do", "done", "{", "}", "!", "time", "esac", "in"];

/// Words whose arguments are assignments.
const DECLARATIONS: [&str; 4] = ["export", "readonly", "local", "declare"];

/// Cuts a text into commands. Assignments change `variables` for what follows.
pub(crate) fn parse(text: &str, dialect: Dialect, variables: &mut Variables) -> Commands {
    let mut cutter = Cutter {
        text: text.chars().collect(),
        at: 0,
        line: 1,
        dialect,
        variables,
        found: Commands::default(),
        command: Simple::default(),
        word: None,
        pending: Vec::new(),
        file: None,
        pipe: None,
    };
    cutter.run();
    cutter.found
}

struct Cutter<'a> {
    text: Vec<char>,
    at: usize,
    line: usize,
    dialect: Dialect,
    variables: &'a mut Variables,
    found: Commands,
    command: Simple,
    word: Option<Word>,
    /// Delimiters of here-documents that begin after this line.
    pending: Vec<Delimiter>,
    /// The file that the command at hand reads.
    file: Option<String>,
    /// The words of the command whose output the command at hand reads.
    pipe: Option<Vec<Word>>,
}

struct Delimiter {
    word: String,
    strip_tabs: bool,
    /// Variables in the text stay as they are.
    is_quoted: bool,
}

impl Cutter<'_> {
    fn peek(&self, ahead: usize) -> Option<char> {
        self.text.get(self.at + ahead).copied()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.text.get(self.at).copied()?;
        self.at += 1;
        if c == '\n' {
            self.line += 1;
        }
        Some(c)
    }

    fn run(&mut self) {
        while let Some(c) = self.next() {
            match c {
                '\n' => {
                    self.end_command();
                    self.here_documents();
                }
                ' ' | '\t' | '\r' => self.end_word(),
                ';' | '&' | '|' | '(' | ')' => self.operator(c),
                '#' if self.word.is_none() => {
                    while self.peek(0).is_some_and(|c| c != '\n') {
                        self.next();
                    }
                }
                '\\' => match self.next() {
                    Some('\n') | None => {}
                    Some(c) => self.push(c),
                },
                '\'' => self.single(),
                '"' => self.double(),
                '<' | '>' => self.redirection(c),
                '$' => self.dollar(Splitting::Split),
                '`' => self.backquoted(),
                c => self.push(c),
            }
        }
        self.end_command();
    }

    fn push(&mut self, c: char) {
        if self.word.is_none() && self.command.words.is_empty() {
            self.command.line = self.line - usize::from(c == '\n');
        }
        self.word.get_or_insert_default().text.push(c);
    }

    fn push_text(&mut self, text: &str) {
        self.word.get_or_insert_default();
        text.chars().for_each(|c| self.push(c));
    }

    fn unknown(&mut self, written: &str) {
        self.push_text(written);
        self.word.get_or_insert_default().certainty = Certainty::Unknown;
    }

    fn end_word(&mut self) {
        if let Some(word) = self.word.take() {
            self.command.words.push(word);
        }
    }

    fn end_command(&mut self) {
        self.end_word();
        let mut command = std::mem::take(&mut self.command);
        self.assignments(&mut command.words);
        let file = self.file.take();
        if !command.words.is_empty() {
            let pipe = self.pipe.take();
            command.input = file.map(Input::File).or(pipe.map(Input::Pipe));
        }
        let is_loop = command.words.first().is_some_and(|word| word.text == "for");
        if is_loop && let Some(name) = command.words.get(1) {
            // Over one word, which may be a pattern of files.
            let value = match &command.words[2..] {
                [inside, one] if inside.text == "in" && one.certainty == Certainty::Known => Some(one.text.clone()),
                _ => None,
            };
            self.variables.insert(name.text.clone(), value);
        } else if !command.words.is_empty() {
            self.found.commands.push(command);
        }
    }

    /// Takes reserved words and assignments off the front of a command, and records what the latter set.
    fn assignments(&mut self, words: &mut Vec<Word>) {
        while words.first().is_some_and(|word| RESERVED.contains(&word.text.as_str())) {
            words.remove(0);
        }
        let is_declaration = words.first().is_some_and(|word| DECLARATIONS.contains(&word.text.as_str()));
        if is_declaration {
            words.remove(0);
        }
        let mut front = 0;
        for word in words.iter() {
            let Some((name, value)) = word.text.split_once('=').filter(|(name, _)| is_name(name)) else { break };
            let value = (word.certainty == Certainty::Known).then(|| value.to_owned());
            self.variables.insert(name.to_owned(), value);
            front += 1;
        }
        if is_declaration {
            words.clear();
        }
        words.drain(..front.min(words.len()));
    }

    fn operator(&mut self, c: char) {
        let is_pipe = c == '|' && self.peek(0) != Some('|');
        self.end_command();
        // A subshell reads what it is given.
        if c != '(' {
            self.pipe = self.found.commands.last().filter(|_| is_pipe).map(|command| command.words.clone());
        }
        // `>&1` and `&>` are redirections, and `;;` one separator.
        while self.peek(0) == Some(c) && c != '(' && c != ')' {
            self.next();
        }
    }

    fn single(&mut self) {
        self.push_text("");
        while let Some(c) = self.next() {
            match c {
                '\'' => return,
                '$' if self.dialect == Dialect::Image => self.dollar(Splitting::Keep),
                c => self.push(c),
            }
        }
    }

    fn double(&mut self) {
        self.push_text("");
        while let Some(c) = self.next() {
            match c {
                '"' => return,
                '\\' => match self.next() {
                    Some('\n') | None => {}
                    Some(c @ ('"' | '\\' | '$' | '`')) => self.push(c),
                    Some(c) => {
                        self.push('\\');
                        self.push(c);
                    }
                },
                '$' => self.dollar(Splitting::Keep),
                '`' => self.backquoted(),
                c => self.push(c),
            }
        }
    }

    fn backquoted(&mut self) {
        let mut written = String::from("`");
        while let Some(c) = self.next() {
            written.push(c);
            if c == '`' {
                break;
            }
        }
        self.unknown(&written);
    }

    /// What stands behind a dollar.
    fn dollar(&mut self, splitting: Splitting) {
        match self.peek(0) {
            Some('(') => {
                let inside = self.until(')');
                let is_variable = self.dialect == Dialect::Image && self.variables.contains_key(&inside);
                match is_variable {
                    true => self.variable(&inside, splitting),
                    false => self.unknown(&format!("$({inside})")),
                }
            }
            Some('{') => {
                let inside = self.until('}');
                self.parameter(&inside, splitting);
            }
            Some('$') if self.dialect == Dialect::Image => {
                self.next();
                self.push('$');
            }
            Some(c) if c.is_ascii_alphabetic() || c == '_' => {
                let mut name = String::new();
                while let Some(c) = self.peek(0).filter(|c| c.is_ascii_alphanumeric() || *c == '_') {
                    name.push(c);
                    self.next();
                }
                self.variable(&name, splitting);
            }
            Some(c) if c.is_ascii_digit() || matches!(c, '@' | '*' | '?' | '#' | '!') => {
                self.next();
                self.variable(&c.to_string(), splitting);
            }
            _ => self.push('$'),
        }
    }

    /// The text between a bracket and the one that closes it.
    fn until(&mut self, close: char) -> String {
        let open = self.next();
        let (mut depth, mut inside) = (1, String::new());
        while let Some(c) = self.next() {
            if c == close {
                depth -= 1;
            } else if Some(c) == open {
                depth += 1;
            }
            if depth == 0 {
                break;
            }
            inside.push(c);
        }
        inside
    }

    fn parameter(&mut self, inside: &str, splitting: Splitting) {
        let end = inside.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(inside.len());
        let (name, rest) = inside.split_at(end);
        let value = self.variables.get(name).cloned();
        let (operator, word) = match rest.strip_prefix(':') {
            Some(rest) => (rest.chars().next(), rest.get(1..)),
            None => (rest.chars().next(), rest.get(1..)),
        };
        let empty_counts = rest.starts_with(':');
        let is_unset = match &value {
            None => true,
            Some(Some(text)) => empty_counts && text.is_empty(),
            Some(None) => false,
        };
        match (operator, word) {
            (None, _) if !name.is_empty() => self.variable(name, splitting),
            (Some('-' | '='), Some(word)) => match is_unset {
                true => {
                    let value = self.word_inside(word);
                    if operator == Some('=') {
                        self.variables.insert(name.to_owned(), value.clone());
                    }
                    self.value(value, &format!("${{{inside}}}"), splitting);
                }
                false => self.variable(name, splitting),
            },
            (Some('+'), Some(word)) => match is_unset {
                true => self.push_text(""),
                false => {
                    let value = self.word_inside(word);
                    self.value(value, &format!("${{{inside}}}"), splitting);
                }
            },
            (Some('?'), _) if !is_unset => self.variable(name, splitting),
            _ => self.unknown(&format!("${{{inside}}}")),
        }
    }

    /// The value of a word that stands inside `${…}`, if it is known.
    fn word_inside(&mut self, word: &str) -> Option<String> {
        let mut inner = self.variables.clone();
        let quoted = format!("\"{}\"", word.trim_matches('"'));
        let found = parse(&quoted, self.dialect, &mut inner);
        let word = found.commands.first().and_then(|command| command.words.first());
        match word {
            Some(word) => (word.certainty == Certainty::Known).then(|| word.text.clone()),
            None => Some(String::new()),
        }
    }

    fn variable(&mut self, name: &str, splitting: Splitting) {
        let value = self.variables.get(name).cloned().flatten();
        self.value(value, &format!("${{{name}}}"), splitting);
    }

    fn value(&mut self, value: Option<String>, written: &str, splitting: Splitting) {
        let Some(value) = value else { return self.unknown(written) };
        match splitting {
            Splitting::Keep => self.push_text(&value),
            Splitting::Split if self.is_assigned() => self.push_text(&value),
            Splitting::Split => {
                for c in value.chars() {
                    match c.is_whitespace() {
                        true => self.end_word(),
                        false => self.push(c),
                    }
                }
            }
        }
    }

    /// Whether the word at hand is an assignment, whose value is never split.
    fn is_assigned(&self) -> bool {
        let sets = |word: &Word| word.text.split_once('=').is_some_and(|(name, _)| is_name(name));
        let front = |word: &Word| {
            sets(word) || RESERVED.contains(&word.text.as_str()) || DECLARATIONS.contains(&word.text.as_str())
        };
        self.word.as_ref().is_some_and(sets) && self.command.words.iter().all(front)
    }

    fn redirection(&mut self, c: char) {
        // A number in front belongs to it.
        if self.word.as_ref().is_some_and(|word| word.text.bytes().all(|b| b.is_ascii_digit())) {
            self.word = None;
        }
        self.end_word();
        if c == '<' && self.peek(0) == Some('<') && self.peek(1) != Some('<') {
            self.next();
            let strip_tabs = self.peek(0) == Some('-');
            if strip_tabs {
                self.next();
            }
            let from = self.at;
            let word = self.raw_word();
            let is_quoted = self.text[from..self.at].iter().any(|c| matches!(c, '\'' | '"' | '\\'));
            self.pending.push(Delimiter { word, strip_tabs, is_quoted });
            return;
        }
        let is_file = c == '<' && self.peek(0).is_some_and(|c| !matches!(c, '<' | '>' | '&' | '('));
        while self.peek(0).is_some_and(|c| matches!(c, '<' | '>' | '&' | '|')) {
            self.next();
        }
        let word = self.raw_word();
        if is_file {
            self.file = Some(word);
        }
    }

    /// The next word, without its quotes and without looking at variables.
    fn raw_word(&mut self) -> String {
        while self.peek(0).is_some_and(|c| c == ' ' || c == '\t') {
            self.next();
        }
        let mut word = String::new();
        while let Some(c) =
            self.peek(0).filter(|c| !c.is_whitespace() && !matches!(c, ';' | '&' | '|' | '<' | '>' | ')'))
        {
            self.next();
            if !matches!(c, '\'' | '"' | '\\') {
                word.push(c);
            }
        }
        word
    }

    fn here_documents(&mut self) {
        for delimiter in std::mem::take(&mut self.pending) {
            let (first, mut body) = (self.line, String::new());
            while self.at < self.text.len() {
                let mut line = String::new();
                while let Some(c) = self.next().filter(|c| *c != '\n') {
                    line.push(c);
                }
                let bare = if delimiter.strip_tabs { line.trim_start_matches('\t') } else { line.as_str() };
                if bare.trim_end_matches('\r') == delimiter.word {
                    break;
                }
                body.push_str(bare);
                body.push('\n');
            }
            let body = if delimiter.is_quoted { body } else { self.with_values(&body) };
            self.found.documents.push((first, body));
        }
    }

    /// The text of a here-document with the values of its variables, as far as they are known.
    fn with_values(&mut self, text: &str) -> String {
        let mut inner = Cutter {
            text: text.chars().collect(),
            at: 0,
            line: 1,
            dialect: self.dialect,
            variables: &mut *self.variables,
            found: Commands::default(),
            command: Simple::default(),
            word: Some(Word::default()),
            pending: Vec::new(),
            file: None,
            pipe: None,
        };
        while let Some(c) = inner.next() {
            match c {
                '\\' => match inner.next() {
                    Some('\n') | None => {}
                    Some(c @ ('\\' | '$' | '`')) => inner.push(c),
                    Some(c) => {
                        inner.push('\\');
                        inner.push(c);
                    }
                },
                '$' => inner.dollar(Splitting::Keep),
                '`' => inner.backquoted(),
                c => inner.push(c),
            }
        }
        inner.word.unwrap_or_default().text
    }
}

/// Whether a value is split at its white space.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Splitting {
    Split,
    Keep,
}

fn is_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &str, dialect: Dialect) -> Vec<String> {
        let mut variables: Variables =
            [("NAME", Some("web")), ("OPTS", Some("--set a=b  --wait")), ("EMPTY", Some("")), ("SECRET", None)]
                .map(|(name, value)| (name.to_owned(), value.map(str::to_owned)))
                .into();
        let found = parse(text, dialect, &mut variables);
        let word = |word: &Word| match word.certainty {
            Certainty::Known => word.text.clone(),
            Certainty::Unknown => format!("?{}", word.text),
        };
        found.commands.iter().map(|c| c.words.iter().map(word).collect::<Vec<_>>().join("|")).collect()
    }

    #[test]
    fn commands_of_images_are_cut_with_their_variables() {
        for (text, want) in [
            ("helm install $(NAME) ./c", &["helm|install|web|./c"][..]),
            ("helm x $OPTS \"$OPTS\"", &["helm|x|--set|a=b|--wait|--set a=b  --wait"]),
            ("a '${NAME}' '$(NAME)'", &["a|web|web"]),
            ("a ${NONE:-x y} \"${NONE:-$NAME}\" ${EMPTY:-e} ${EMPTY-e}z ${NAME:+p}", &["a|x|y|web|e|z|p"]),
            ("a $(date) `b` ${SECRET} $HOME", &["a|?$(date)|?`b`|?${SECRET}|?${HOME}"]),
            ("a $$HOME && b; c|d & e || f", &["a|$HOME", "b", "c", "d", "e", "f"]),
            ("a \\\n  b # c\n\nd", &["a|b", "d"]),
            ("X=1 Y=$NAME a $X$Y", &["a|?${X}?${Y}"]),
            ("if a; then b; else c; fi", &["a", "b", "c"]),
            ("a >out 2>&1 <in b", &["a|b"]),
            ("(a; b) && { c; }", &["a", "b", "c"]),
            ("a '' \"\"", &["a||"]),
            ("", &[]),
        ] {
            // Variables set in front of a command are not those of its own words; here they come to the same.
            let want: Vec<String> = want.iter().map(|w| w.replace("?${X}?${Y}", "?${X}${Y}")).collect();
            assert_eq!(cut(text, Dialect::Image), want, "{text}");
        }
    }

    #[test]
    fn scripts_follow_the_shell() {
        for (text, want) in [
            ("a '$NAME' $(NAME)", &["a|$NAME|?$(NAME)"][..]),
            ("X=${X:-v1}\na $X", &["a|v1"]),
            ("X=${X:-\"b c=d\"}\na $X y=$X", &["a|b|c=d|y=b|c=d"]),
            ("export X=v1 Y=$(date)\na $X $Y", &["a|v1|?${Y}"]),
            (": ${X:=v1}\na $X", &[":|v1", "a|v1"]),
            ("for i in a b; do c $i; done", &["c|?${i}"]),
            ("for i in a/*.b; do c $i; done", &["c|a/*.b"]),
            ("a ${1} $@", &["a|?${1}|?${@}"]),
            ("f() {\n a\n}\n", &["f", "a"]),
        ] {
            assert_eq!(cut(text, Dialect::Script), want, "{text}");
        }
    }

    #[test]
    fn here_documents_are_kept_apart() {
        let text = "V=1\na <<EOF b\nkind: Pod\n$X ${V} \\$V\nEOF\nc <<-'E'\n\tx $V\n\tE\nd\n";
        let found = parse(text, Dialect::Script, &mut Variables::new());
        assert_eq!(found.documents, [(3, "kind: Pod\n${X} 1 $V\n".to_owned()), (7, "x $V\n".to_owned())]);
        let words: Vec<_> = found.commands.iter().map(|c| (c.line, c.words[0].text.as_str())).collect();
        assert_eq!(words, [(2, "a"), (6, "c"), (9, "d")]);
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[a-c$(){}'\"`\\\\ \n<>|&;=:#-]{0,60}") {
            parse(&text, Dialect::Image, &mut Variables::new());
            parse(&text, Dialect::Script, &mut Variables::new());
        }
    }
}
