//! How instructions stand in an image's history: as BuildKit writes them, variables expanded.

use crate::kubefile::{Add, CommandLine, Copy, Healthcheck, Instruction, Pair, Source};

/// What follows instructions that change files, so that one sees who made the layer.
const MADE_BY: &str = "# sealos";

/// The text of an instruction whose variables are expanded; `written` is how it stands in the Kubefile.
pub(crate) fn created_by(instruction: &Instruction, written: &str) -> String {
    match instruction {
        Instruction::Copy(copy) => {
            format!("COPY {}{} {} {MADE_BY}", copy_flags(copy), sources(&copy.sources), copy.destination)
        }
        Instruction::Add(add) => {
            format!("ADD {}{} {} {MADE_BY}", add_flags(add), sources(&add.sources), add.destination)
        }
        Instruction::Workdir(path) => format!("WORKDIR {path}"),
        Instruction::Run(_) => format!("{written} {MADE_BY}"),
        Instruction::Env(pairs) => format!("ENV {}", joined(pairs)),
        Instruction::Label(pairs) => format!("LABEL {}", joined(pairs)),
        Instruction::Expose(ports) => format!("EXPOSE {}", ports.join(" ")),
        Instruction::Volume(paths) => format!("VOLUME {}", paths.join(" ")),
        Instruction::User(user) => format!("USER {user}"),
        Instruction::StopSignal(signal) => format!("STOPSIGNAL {signal}"),
        Instruction::Cmd(CommandLine::Exec(argv)) => format!("CMD {}", json(argv)),
        Instruction::Entrypoint(CommandLine::Exec(argv)) => format!("ENTRYPOINT {}", json(argv)),
        Instruction::Shell(argv) => format!("SHELL {}", json(argv)),
        Instruction::Healthcheck(Healthcheck::None) => "HEALTHCHECK NONE".to_owned(),
        _ => written.to_owned(),
    }
}

fn joined(pairs: &[Pair]) -> String {
    pairs.iter().map(|pair| format!("{}={}", pair.name, pair.value)).collect::<Vec<_>>().join(" ")
}

fn json(argv: &[String]) -> String {
    serde_json::Value::from(argv.to_vec()).to_string()
}

fn sources(sources: &[Source]) -> String {
    let one = |source: &Source| match source {
        Source::Path(path) => path.clone(),
        Source::Inline { name, .. } => format!("<<{name}"),
    };
    sources.iter().map(one).collect::<Vec<_>>().join(" ")
}

fn flag(name: &str, value: Option<&String>) -> String {
    value.map(|value| format!("--{name}={value} ")).unwrap_or_default()
}

fn copy_flags(copy: &Copy) -> String {
    [flag("from", copy.from.as_ref()), flag("chown", copy.chown.as_ref()), flag("chmod", copy.chmod.as_ref())].concat()
}

fn add_flags(add: &Add) -> String {
    [flag("chown", add.chown.as_ref()), flag("chmod", add.chmod.as_ref())].concat()
}
