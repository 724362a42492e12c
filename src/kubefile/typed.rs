//! Words -> instructions: one function for each keyword, except `RUN` and what shares its command line.

use super::error::Problem;
use super::expand::{self, Escape};
use super::flags::{Flags, Shape};
use super::heredoc::Heredoc;
use super::instruction::{Add, ArgDeclaration, CommandLine, Copy, Instruction, Onbuild, Pair, Source};
use super::keyword::Keyword;
use super::port;
use super::span::{Fault, Mark};
use super::typed_run;
use super::warning::Caution;
use super::words::{self, Command, Json};

/// One instruction and all that is needed to type it.
pub(crate) struct Request<'a> {
    pub(crate) keyword: Keyword,
    pub(crate) command: &'a Command,
    /// The logical line, trimmed.
    pub(crate) line: &'a str,
    pub(crate) heredocs: Vec<Heredoc>,
    pub(crate) escape: Escape,
    pub(crate) cautions: &'a mut Vec<(Caution, Mark)>,
}

/// Types everything but `FROM`.
pub(crate) fn instruction(mut request: Request<'_>) -> Result<Instruction, Fault> {
    let request = &mut request;
    match request.keyword {
        Keyword::Add => add(request),
        Keyword::Arg => Ok(Instruction::Arg(arg(request)?)),
        Keyword::Cmd => Ok(Instruction::Cmd(typed_run::command(request)?)),
        Keyword::Copy => copy(request),
        Keyword::Entrypoint => Ok(Instruction::Entrypoint(typed_run::command(request)?)),
        Keyword::Env => Ok(Instruction::Env(pairs(request)?)),
        Keyword::Expose => expose(request),
        Keyword::From => Err(Fault::keyword(Problem::OnbuildForbidden { trigger: Keyword::From })),
        Keyword::Healthcheck => Ok(Instruction::Healthcheck(typed_run::healthcheck(request)?)),
        Keyword::Label => Ok(Instruction::Label(pairs(request)?)),
        Keyword::Maintainer => {
            request.no_flags()?;
            Ok(Instruction::Maintainer(request.whole("a name")?))
        }
        Keyword::Onbuild => onbuild(request),
        Keyword::Run => typed_run::run(request),
        Keyword::Shell => shell(request),
        Keyword::StopSignal => {
            request.ignore_flags();
            Ok(Instruction::StopSignal(request.checked_whole("a signal")?))
        }
        Keyword::User => {
            request.no_flags()?;
            Ok(Instruction::User(request.checked_whole("a user")?))
        }
        Keyword::Volume => volume(request),
        Keyword::Workdir => {
            request.no_flags()?;
            Ok(Instruction::Workdir(request.checked_whole("a directory")?))
        }
    }
}

impl Request<'_> {
    pub(crate) fn missing(&self, needed: &'static str) -> Fault {
        Fault::keyword(Problem::MissingArguments { instruction: self.keyword, needed })
    }

    pub(crate) fn flags(&self, known: &[(&'static str, Shape)]) -> Result<Flags, Fault> {
        Flags::read(self.keyword, &self.command.flags, known)
    }

    pub(crate) fn no_flags(&self) -> Result<(), Fault> {
        self.flags(&[]).map(|_none| ())
    }

    /// BuildKit looks at no flag of these instructions; a warning says so.
    pub(crate) fn ignore_flags(&mut self) {
        for flag in &self.command.flags {
            let caution = Caution::IgnoredFlag { instruction: self.keyword, flag: flag.clone() };
            self.cautions.push((caution, Mark::First(flag.clone())));
        }
    }

    /// The argument as one text.
    fn whole(&self, needed: &'static str) -> Result<String, Fault> {
        if self.command.rest.is_empty() { Err(self.missing(needed)) } else { Ok(self.command.rest.clone()) }
    }

    fn checked_whole(&self, needed: &'static str) -> Result<String, Fault> {
        let text = self.whole(needed)?;
        self.check(&text)?;
        Ok(text)
    }

    /// Refuses what no environment could expand.
    pub(crate) fn check(&self, text: &str) -> Result<(), Fault> {
        match expand::word(text, self.escape, &|_| Some("x".to_owned())) {
            Err(error) if error.is_syntax() => Err(Fault::at(text, Problem::Expansion(error))),
            _ => Ok(()),
        }
    }

    /// Words of a JSON array, or between blanks.
    fn list(&mut self) -> Result<Vec<String>, Fault> {
        match self.json()? {
            Some(strings) => Ok(strings),
            None => Ok(words::split_blank(&self.command.rest)),
        }
    }

    /// The argument as a JSON array, when it is one; a warning when it only looks like one.
    pub(crate) fn json(&mut self) -> Result<Option<Vec<String>>, Fault> {
        self.json_of(&self.command.rest)
    }

    pub(crate) fn json_of(&mut self, text: &str) -> Result<Option<Vec<String>>, Fault> {
        match words::json(text) {
            Json::Strings(strings) => Ok(Some(strings)),
            Json::OtherArray => Err(Fault::at(text, Problem::JsonNotStrings { instruction: self.keyword })),
            Json::Text => {
                // `[ -f x ]` is a command of the shell; an array begins with a quote.
                let quoted = text.starts_with("[\"") || text.starts_with("['");
                let spaced = self.keyword != Keyword::Run && text.starts_with('[') && text.ends_with(']');
                if quoted || spaced {
                    let caution = Caution::NotJson { instruction: self.keyword };
                    self.cautions.push((caution, Mark::First(text.to_owned())));
                }
                Ok(None)
            }
        }
    }
}

fn pairs(request: &Request<'_>) -> Result<Vec<Pair>, Fault> {
    request.no_flags()?;
    let instruction = request.keyword;
    let words = words::quoted(&request.command.rest, request.escape.char());
    let Some(first) = words.first() else { return Err(request.missing("at least one `name=value`")) };
    let mut pairs = Vec::new();
    if first.contains('=') {
        for word in &words {
            let problem = || Fault::at(word, Problem::NotNameValue { word: word.clone() });
            let (name, value) = word.split_once('=').ok_or_else(problem)?;
            if name.is_empty() {
                return Err(Fault::at(word, Problem::BlankName { instruction }));
            }
            pairs.push(Pair { name: name.to_owned(), value: value.to_owned(), legacy: false });
        }
    } else {
        let split = words::split_once_blank(&request.command.rest);
        let (name, value) = split.ok_or_else(|| request.missing("a name and a value"))?;
        pairs.push(Pair { name: name.to_owned(), value: value.to_owned(), legacy: true });
    }
    for pair in &pairs {
        request.check(&pair.name)?;
        request.check(&pair.value)?;
    }
    Ok(pairs)
}

fn arg(request: &mut Request<'_>) -> Result<Vec<ArgDeclaration>, Fault> {
    request.ignore_flags();
    let words = words::quoted(&request.command.rest, request.escape.char());
    if words.is_empty() {
        return Err(request.missing("at least one name"));
    }
    let mut declarations = Vec::new();
    for word in &words {
        let (name, default) = word.split_once('=').map_or((word.as_str(), None), |(name, v)| (name, Some(v)));
        if name.is_empty() {
            return Err(Fault::at(word, Problem::BlankName { instruction: Keyword::Arg }));
        }
        request.check(default.unwrap_or_default())?;
        declarations.push(ArgDeclaration { name: name.to_owned(), default: default.map(str::to_owned) });
    }
    Ok(declarations)
}

fn sources(request: &mut Request<'_>) -> Result<(Vec<Source>, String), Fault> {
    let words = request.list()?;
    let Some((destination, words)) = words.split_last().filter(|(_, words)| !words.is_empty()) else {
        return Err(request.missing("at least one source and a destination"));
    };
    if Heredoc::start(destination).is_some() {
        return Err(Fault::at_last(destination, Problem::HeredocDestination { instruction: request.keyword }));
    }
    request.check(destination)?;
    let mut sources = Vec::new();
    for word in words {
        let Some(start) = Heredoc::start(word) else {
            request.check(word)?;
            sources.push(Source::Path(word.clone()));
            continue;
        };
        // The word may want its tabs stripped while the body was read for another word of that name: the last counts.
        let body = request.heredocs.iter().rev().find(|heredoc| heredoc.name == start.name);
        let content = body.map(|body| body.content.clone()).unwrap_or_default();
        let content = Heredoc { content, ..start.clone() }.text();
        if start.expand {
            check_body(&content)?;
        }
        sources.push(Source::Inline { name: start.name, content, expand: start.expand });
    }
    Ok((sources, destination.clone()))
}

fn check_body(content: &str) -> Result<(), Fault> {
    match expand::heredoc(content, &|_| Some("x".to_owned())) {
        Err(error) if error.is_syntax() => Err(Fault::at("${", Problem::Expansion(error))),
        _ => Ok(()),
    }
}

const COPY_FLAGS: &[(&str, Shape)] = &[
    ("from", Shape::Value),
    ("chown", Shape::Value),
    ("chmod", Shape::Value),
    ("link", Shape::Switch),
    ("parents", Shape::Switch),
    ("exclude", Shape::Values),
];

const ADD_FLAGS: &[(&str, Shape)] = &[
    ("chown", Shape::Value),
    ("chmod", Shape::Value),
    ("link", Shape::Switch),
    ("exclude", Shape::Values),
    ("checksum", Shape::Value),
    ("keep-git-dir", Shape::Switch),
    ("unpack", Shape::Switch),
];

fn copy(request: &mut Request<'_>) -> Result<Instruction, Fault> {
    let flags = request.flags(COPY_FLAGS)?;
    let (sources, destination) = sources(request)?;
    let from = flags.value("from");
    if let Some(from) = &from
        && expand::word(from, request.escape, &|_| None).as_ref() != Ok(from)
    {
        return Err(Fault::at(from, Problem::VariableInFrom));
    }
    let (chown, chmod) = ownership(request, &flags)?;
    Ok(Instruction::Copy(Copy {
        sources,
        destination,
        from,
        chown,
        chmod,
        link: flags.switch("link").unwrap_or(false),
        parents: flags.switch("parents").unwrap_or(false),
        exclude: flags.values("exclude"),
    }))
}

fn add(request: &mut Request<'_>) -> Result<Instruction, Fault> {
    let flags = request.flags(ADD_FLAGS)?;
    let (sources, destination) = sources(request)?;
    let (chown, chmod) = ownership(request, &flags)?;
    let checksum = flags.value("checksum");
    request.check(checksum.as_deref().unwrap_or_default())?;
    Ok(Instruction::Add(Add {
        sources,
        destination,
        chown,
        chmod,
        link: flags.switch("link").unwrap_or(false),
        exclude: flags.values("exclude"),
        checksum,
        keep_git_dir: flags.switch("keep-git-dir"),
        unpack: flags.switch("unpack"),
    }))
}

fn ownership(request: &Request<'_>, flags: &Flags) -> Result<(Option<String>, Option<String>), Fault> {
    let (chown, chmod) = (flags.value("chown"), flags.value("chmod"));
    for value in [&chown, &chmod].into_iter().flatten() {
        request.check(value)?;
    }
    Ok((chown, chmod))
}

fn expose(request: &Request<'_>) -> Result<Instruction, Fault> {
    request.no_flags()?;
    let ports = words::split_blank(&request.command.rest);
    if ports.is_empty() {
        return Err(request.missing("at least one port"));
    }
    for word in &ports {
        request.check(word)?;
        if word.contains(['$', '"', '\'', request.escape.char()]) {
            continue;
        }
        if let Err(reason) = port::parse(word) {
            return Err(Fault::at(word, Problem::Port { port: word.clone(), reason }));
        }
    }
    Ok(Instruction::Expose(ports))
}

fn volume(request: &mut Request<'_>) -> Result<Instruction, Fault> {
    let volumes = request.list()?;
    if volumes.is_empty() {
        return Err(request.missing("at least one path"));
    }
    request.no_flags()?;
    let volumes: Vec<String> = volumes.iter().map(|volume| volume.trim().to_owned()).collect();
    for volume in &volumes {
        if volume.is_empty() {
            return Err(Fault::keyword(Problem::EmptyVolume));
        }
        request.check(volume)?;
    }
    Ok(Instruction::Volume(volumes))
}

fn shell(request: &mut Request<'_>) -> Result<Instruction, Fault> {
    request.no_flags()?;
    let cautions = request.cautions.len();
    let strings = request.json()?;
    // The error below says more than the warning would.
    request.cautions.truncate(cautions);
    match strings {
        Some(strings) if !strings.is_empty() => Ok(Instruction::Shell(strings)),
        None if !request.command.rest.is_empty() => Err(Fault::at(&request.command.rest, Problem::ShellNotJson)),
        _ => Err(request.missing("a JSON array with at least one string")),
    }
}

/// Reads the trigger with the escape character of this file; heredocs were read for the whole line and belong to it.
fn onbuild(request: &mut Request<'_>) -> Result<Instruction, Fault> {
    if request.command.rest.is_empty() {
        return Err(request.missing("an instruction"));
    }
    request.no_flags()?;
    let command = words::command(&request.command.rest, request.escape.char())?;
    let Some(keyword) = Keyword::read(&command.keyword) else {
        let word = command.keyword;
        return Err(Fault::at(&word.clone(), Problem::UnknownInstruction { word }));
    };
    if matches!(keyword, Keyword::Onbuild | Keyword::From | Keyword::Maintainer) {
        return Err(Fault::at_last(&command.keyword, Problem::OnbuildForbidden { trigger: keyword }));
    }
    let mut text = request.line.get(Keyword::Onbuild.word().len()..).unwrap_or_default().trim_start().to_owned();
    for heredoc in &request.heredocs {
        text.push_str(&format!("\n{}{}", heredoc.content, heredoc.name));
    }
    let trigger = instruction(Request {
        keyword,
        command: &command,
        line: &request.command.rest,
        heredocs: std::mem::take(&mut request.heredocs),
        escape: request.escape,
        cautions: request.cautions,
    })?;
    Ok(Instruction::Onbuild(Onbuild { text, trigger: Box::new(trigger) }))
}

/// Whether an argument was written as a command for the shell with nothing in it.
pub(crate) fn is_blank(command: &CommandLine) -> bool {
    matches!(command, CommandLine::Shell(line) if line.is_empty())
}
