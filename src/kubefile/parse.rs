//! The driver: lines -> instructions -> stages.

use std::sync::Arc;

use super::error::{KubefileError, Problem};
use super::heredoc::Heredoc;
use super::instruction::{ArgDeclaration, Instruction, Kubefile, Stage};
use super::keyword::Keyword;
use super::lines::{Lines, Logical};
use super::span::{Fault, Frame, Located, Mark, Origin, Span};
use super::typed::{self, Request};
use super::typed_run;
use super::warning::{Caution, Warning};
use super::words::{self, Command};

/// Reads a Kubefile. `file_name` is only for spans and messages.
///
/// # Errors
/// On the first thing that is wrong, with its place; see [`Problem`].
pub fn parse(text: &str, file_name: &str) -> Result<Kubefile, KubefileError> {
    let file: Arc<str> = file_name.into();
    let mut reader = Reader::new(text, &file);
    let mut draft = Draft::default();
    while let Some(step) = reader.step()? {
        draft.take(step)?;
    }
    if draft.stages.is_empty() {
        let first = text.lines().next().unwrap_or_default();
        return Err(Frame { file: &file, first_line: 1, lines: &[first] }.error(Fault::keyword(Problem::NoFrom)));
    }
    let mut warnings = reader.warnings;
    draft.stages.iter().for_each(|stage| overridden(stage, &mut warnings));
    warnings.sort_by_key(|warning| warning.place.line);
    let (escape, syntax) = (reader.lines.escape, reader.lines.syntax);
    Ok(Kubefile { escape, syntax, global_args: draft.global_args, stages: draft.stages, warnings })
}

/// Reads one `ONBUILD` trigger as an image's configuration holds it.
///
/// # Errors
/// When it is not exactly one instruction, is wrong, or is `FROM`, `MAINTAINER` or `ONBUILD`.
pub fn parse_trigger(text: &str, origin: &str) -> Result<Located<Instruction>, KubefileError> {
    let file: Arc<str> = origin.into();
    let mut reader = Reader::new(text, &file);
    let mut steps = Vec::new();
    while let Some(step) = reader.step()? {
        steps.push(step);
    }
    let count = steps.len();
    let first = text.lines().next().unwrap_or_default();
    let fail = |problem| Frame { file: &file, first_line: 1, lines: &[first] }.error(Fault::keyword(problem));
    match (steps.pop(), count) {
        (Some(Step::From(_)), 1) => Err(fail(Problem::OnbuildForbidden { trigger: Keyword::From })),
        (Some(Step::Instruction(found)), 1) => match found.value.keyword() {
            trigger @ (Keyword::Onbuild | Keyword::Maintainer) => Err(fail(Problem::OnbuildForbidden { trigger })),
            _ => Ok(found),
        },
        _ => Err(fail(Problem::TriggerCount { count })),
    }
}

enum Step {
    From(Stage),
    Instruction(Located<Instruction>),
}

struct Reader<'a> {
    file: Arc<str>,
    lines: Lines<'a>,
    warnings: Vec<Warning>,
}

impl<'a> Reader<'a> {
    fn new(text: &'a str, file: &Arc<str>) -> Self {
        Self { file: Arc::clone(file), lines: Lines::new(text, file), warnings: Vec::new() }
    }

    fn step(&mut self) -> Result<Option<Step>, KubefileError> {
        let Some(logical) = self.lines.instruction()? else { return Ok(None) };
        let mut cautions = Vec::new();
        let step = self.typed(&logical, &mut cautions).map_err(|fault| self.frame(&logical).error(fault))?;
        if let Some(line) = logical.empty_line {
            let frame = Frame { file: &self.file, first_line: line + 1, lines: &[""] };
            let place = frame.place(&Mark::Keyword);
            self.warnings.push(Warning { caution: Caution::EmptyContinuation, place });
        }
        for (caution, mark) in cautions {
            let place = self.frame(&logical).place(&mark);
            self.warnings.push(Warning { caution, place });
        }
        Ok(Some(step))
    }

    fn frame(&self, logical: &Logical) -> Frame<'_> {
        Frame { file: &self.file, first_line: logical.first + 1, lines: self.lines.since(logical.first) }
    }

    fn typed(&mut self, logical: &Logical, cautions: &mut Vec<(Caution, Mark)>) -> Result<Step, Fault> {
        let escape = self.lines.escape;
        let line = logical.text.trim();
        let command = words::command(line, escape.char())?;
        let Some(keyword) = Keyword::read(&command.keyword) else {
            let word = command.keyword;
            let problem =
                if word.is_empty() { Problem::MissingInstruction } else { Problem::UnknownInstruction { word } };
            return Err(Fault::keyword(problem));
        };
        if keyword == Keyword::From {
            let from = typed_run::from(&command)?;
            let origin = self.origin(logical);
            let instructions = Vec::new();
            return Ok(Step::From(Stage {
                base: from.base,
                name: from.name,
                platform: from.platform,
                origin,
                instructions,
            }));
        }
        let heredocs =
            if takes_heredocs(keyword, &command, escape.char()) { self.heredocs(&logical.text)? } else { Vec::new() };
        let value = typed::instruction(Request { keyword, command: &command, line, heredocs, escape, cautions })?;
        Ok(Step::Instruction(Located { value, origin: self.origin(logical) }))
    }

    fn heredocs(&mut self, line: &str) -> Result<Vec<Heredoc>, Fault> {
        let mut heredocs = Heredoc::all_in(line);
        for heredoc in &mut heredocs {
            match self.lines.heredoc(&heredoc.name, heredoc.strip_tabs) {
                Some(content) => heredoc.content = content,
                None => {
                    let name = heredoc.name.clone();
                    return Err(Fault::at(&name.clone(), Problem::UnterminatedHeredoc { name }));
                }
            }
        }
        Ok(heredocs)
    }

    fn origin(&self, logical: &Logical) -> Origin {
        let source: Arc<str> = self.lines.since(logical.first).concat().into();
        let column = self.frame(logical).place(&Mark::Keyword).column;
        let (first_line, last_line) = (logical.first + 1, self.lines.position());
        let span = Span { file: Arc::clone(&self.file), first_line, last_line, column };
        Origin { span, text: logical.text.trim().to_owned(), source }
    }
}

/// `ADD`, `COPY` and `RUN` in shell form take heredocs, also when they wait in an `ONBUILD`.
fn takes_heredocs(keyword: Keyword, command: &Command, escape: char) -> bool {
    if keyword == Keyword::Onbuild {
        let Ok(trigger) = words::command(&command.rest, escape) else { return false };
        return Keyword::read(&trigger.keyword)
            .is_some_and(|keyword| keyword != Keyword::Onbuild && takes_heredocs(keyword, &trigger, escape));
    }
    matches!(keyword, Keyword::Add | Keyword::Copy | Keyword::Run)
        && !matches!(words::json(&command.rest), words::Json::Strings(_))
}

#[derive(Default)]
struct Draft {
    global_args: Vec<Located<Vec<ArgDeclaration>>>,
    stages: Vec<Stage>,
}

impl Draft {
    fn take(&mut self, step: Step) -> Result<(), KubefileError> {
        match step {
            Step::From(stage) => {
                let taken = self.stages.iter().find(|other| other.name.is_some() && other.name == stage.name);
                if let (Some(taken), Some(name)) = (taken, &stage.name) {
                    let problem =
                        Problem::DuplicateStage { name: name.clone(), first_line: taken.origin.span.first_line };
                    let written = stage.origin.text.split_whitespace().next_back().unwrap_or_default();
                    return Err(stage.origin.error(Fault::at_last(written, problem)));
                }
                self.stages.push(stage);
            }
            Step::Instruction(located) => match (self.stages.last_mut(), located.value) {
                (Some(stage), value) => stage.instructions.push(Located { value, origin: located.origin }),
                (None, Instruction::Arg(value)) => {
                    self.global_args.push(Located { value, origin: located.origin });
                }
                (None, value) => {
                    let problem = Problem::BeforeFrom { instruction: value.keyword() };
                    return Err(located.origin.error(Fault::keyword(problem)));
                }
            },
        }
        Ok(())
    }
}

/// Warns of every `CMD`, `ENTRYPOINT` and `HEALTHCHECK` that a later one of the stage overrides.
fn overridden(stage: &Stage, warnings: &mut Vec<Warning>) {
    for instruction in [Keyword::Cmd, Keyword::Entrypoint, Keyword::Healthcheck] {
        let mut all = stage.instructions.iter().filter(|located| located.value.keyword() == instruction).rev();
        let Some(last) = all.next() else { continue };
        let by = last.origin.span.first_line;
        for located in all {
            let lines: Vec<&str> = located.origin.source.lines().collect();
            let span = &located.origin.span;
            let frame = Frame { file: &span.file, first_line: span.first_line, lines: &lines };
            let place = frame.place(&Mark::Keyword);
            warnings.push(Warning { caution: Caution::Overridden { instruction, by }, place });
        }
    }
}
