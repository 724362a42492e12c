//! One step on one host, seen from the controller: gives the order, hands out what is fetched, hears how it went.

use std::io::{self, BufReader, Read, Write};
use std::sync::{Arc, Mutex, PoisonError};

use super::protocol::{Given, Request, Said, line, pass_on, read};
use super::trees::Trees;
use super::{HostEvent, HostsWorld, StepError};
use crate::cluster::Environment;
use crate::execute::tail::Tail;
use crate::plan::hosts::{Direction, HostStep};
use crate::transport::{Command, Conversation, TransportError};

/// Does a step; returns what moved, in words.
pub(super) fn perform(
    step: &HostStep,
    environment: Option<&Environment>,
    again: bool,
    world: &HostsWorld<'_>,
) -> Result<String, StepError> {
    let missing = || TransportError::NoProgram { host: step.host.to_string() };
    let host = world.hosts.get(&step.host).ok_or_else(missing)?;
    let wares = match world.trees {
        Some(trees) if step.direction == Direction::Do => trees.wares(&step.action)?,
        _ => None,
    };
    let environment = environment.filter(|_| step.direction == Direction::Do);
    let request = Request {
        cluster: world.places.cluster.clone(),
        step: step.clone(),
        environment: environment
            .map(|known| known.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()),
        wares,
        again,
        timeout: world.timeout.map(|timeout| timeout.as_secs()),
    };
    let program = world.places.program().to_string_lossy().into_owned();
    let command = Command { argv: vec![program, "node".to_owned(), "step".to_owned()], ..Command::default() };
    let tail = Arc::new(Mutex::new(Tail::default()));
    let heard = Arc::clone(&tail);
    let errors = move |line: &[u8]| {
        let mut tail = heard.lock().unwrap_or_else(PoisonError::into_inner);
        tail.push(String::from_utf8_lossy(line).trim_end().to_owned());
    };
    let Conversation { mut input, output, end } = host.converse(&command, Box::new(errors))?;
    let order = line(&request).map_err(StepError::Talk)?;
    let said = input
        .write_all(&order)
        .and_then(|()| input.flush())
        .and_then(|()| listen(step, &mut *input, &mut BufReader::new(output), world));
    drop(input);
    match said {
        Ok(Some(result)) => {
            end.wait()?;
            result
        }
        // Why it broke off is what the program's end says.
        Ok(None) => match end.wait() {
            Err(error) => Err(error.into()),
            Ok(_) => {
                let tail = tail.lock().unwrap_or_else(PoisonError::into_inner).lines();
                Err(StepError::Silent { tail })
            }
        },
        Err(error) => {
            end.give_up();
            match end.wait() {
                Err(lost) => Err(lost.into()),
                Ok(_) => Err(StepError::Talk(error)),
            }
        }
    }
}

/// Hears a host out; none if it ended without saying how it went.
fn listen(
    step: &HostStep,
    input: &mut dyn Write,
    output: &mut BufReader<Box<dyn Read + Send>>,
    world: &HostsWorld<'_>,
) -> io::Result<Option<Result<String, StepError>>> {
    loop {
        match read::<Said>(output)? {
            None => return Ok(None),
            Some(Said::Fetch { digest, from }) => match world.trees.map(|trees: &Trees<'_>| trees.open(digest, from)) {
                Some(Ok((size, mut bytes))) => {
                    input.write_all(&line(&Given::Bytes(size))?)?;
                    pass_on(&mut *bytes, size, input, "a layer in the store is shorter than it says")?;
                }
                Some(Err(error)) => input.write_all(&line(&Given::Nothing(error.to_string()))?)?,
                None => input.write_all(&line(&Given::Nothing("there are no files here".to_owned()))?)?,
            },
            Some(Said::Output { stream, text }) => {
                world.observer.event(&HostEvent::Output { step, stream, line: &text });
            }
            Some(Said::Warning { text }) => world.observer.event(&HostEvent::Warning { step, text: &text }),
            Some(Said::Done { already, note }) => {
                return Ok(Some(Ok(if already { "it was done".to_owned() } else { note })));
            }
            Some(Said::Failed { error, help, code, tail }) => {
                return Ok(Some(Err(StepError::Failed { error, help, code, tail })));
            }
        }
        input.flush()?;
    }
}
