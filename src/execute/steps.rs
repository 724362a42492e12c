//! Carries out the steps of a plan, one after the other, up to the first that fails.

use std::time::Instant;

use crate::execute::journal::{Journal, State};
use crate::execute::tail::Tail;
use crate::execute::{ExecuteError, RunEvent, World, files, templates};
use crate::plan::{Desired, ImageCommand, Mount, Plan, PlannedStep, Step};
use crate::transport::{Command, TransportError};

pub(super) fn execute(
    plan: &Plan,
    desired: &Desired,
    journal: &mut Journal,
    world: &World<'_>,
) -> Result<(), ExecuteError> {
    for Mount { image, digest, kind, directory, .. } in &desired.mounts {
        world.observer.event(&RunEvent::Image { image, digest: *digest, kind: *kind, directory });
    }
    for step in &plan.skipped {
        world.observer.event(&RunEvent::Skipped { step });
    }
    for step in &plan.steps {
        let mount = desired.mounts.iter().find(|mount| mount.name == step.mount);
        let mount = mount.ok_or_else(|| ExecuteError::NotDesired { image: step.image.clone() })?;
        world.observer.event(&RunEvent::Started { step });
        let begin = Instant::now();
        let result = journal.record(step, State::Started).and_then(|()| effect(step, mount, world));
        let elapsed = begin.elapsed();
        if let Err(error) = result {
            let exit_code = matches!(error, ExecuteError::CommandFailed { .. }).then(|| error.exit_code());
            world.observer.event(&RunEvent::Failed { step, error: error.to_string() });
            // The step's own failure is what the user must hear of, also if the disk is too full to record it.
            journal.record(step, State::Failed { exit_code }).ok();
            return Err(error);
        }
        let milliseconds = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        journal.record(step, State::Done { milliseconds })?;
        world.observer.event(&RunEvent::Finished { step, elapsed });
    }
    Ok(())
}

fn effect(step: &PlannedStep, mount: &Mount, world: &World<'_>) -> Result<(), ExecuteError> {
    if world.interrupt.is_wished() {
        return Err(interrupted(step));
    }
    match &step.step {
        Step::Unpack { directory, mode } => {
            let image = (step.image.as_str(), &step.digest);
            for warning in files::unpack(image, directory, *mode, world.files)? {
                world.observer.event(&RunEvent::Warning { step, text: warning.to_string() });
            }
            Ok(())
        }
        Step::Render { directory } => templates::render(&step.image, directory, &mount.environment, world.engine),
        Step::Command(command) => run(command, step, mount, world),
        // The journal's line is the record.
        Step::Record { .. } => Ok(()),
    }
}

fn interrupted(step: &PlannedStep) -> ExecuteError {
    ExecuteError::Interrupted { image: step.image.clone(), step: step.step.to_string() }
}

fn run(what: &ImageCommand, step: &PlannedStep, mount: &Mount, world: &World<'_>) -> Result<(), ExecuteError> {
    let ImageCommand { index, of, text, shell, script, directory } = what;
    let command = Command {
        argv: shell.iter().chain([&script.text]).cloned().collect(),
        env: mount.variables(script),
        cwd: Some(directory.clone()),
        ..Command::default()
    };
    let mut tail = Tail::default();
    let ended = world.transport.run(&command, &mut |stream, line| {
        tail.push(shown(line));
        world.observer.event(&RunEvent::Output { step, stream, line });
    });
    let (image, index, of, text) = (step.image.clone(), *index, *of, text.clone());
    match ended {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(ExecuteError::CommandFailed { image, index, of, text, status, tail: tail.lines() }),
        Err(TransportError::Interrupted) => Err(interrupted(step)),
        Err(source) => Err(ExecuteError::Command { image, index, of, text, source }),
    }
}

/// A line of output as it can stand in a message.
fn shown(line: &[u8]) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    let head = &line[..line.len().min(4 * Tail::WIDTH)];
    String::from_utf8_lossy(head).trim_end().chars().take(Tail::WIDTH).map(plain).collect()
}
