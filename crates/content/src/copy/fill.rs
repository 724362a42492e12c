//! Reads that fill a buffer.

use std::io::{self, Read};
use std::time::{Duration, Instant};

/// A buffer that is not full by then is passed on as it is, so that a slow source shows progress.
const PATIENCE: Duration = Duration::from_millis(100);

/// Fills the buffer as far as the reader goes.
pub(crate) fn read_full(reader: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    fill(reader, buffer, |_| true)
}

/// Fills the buffer, but not for long: what has come by then is enough.
pub(super) fn read_some(reader: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let begin = Instant::now();
    fill(reader, buffer, |_| begin.elapsed() < PATIENCE)
}

fn fill(reader: &mut dyn Read, buffer: &mut [u8], goes_on: impl Fn(usize) -> bool) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() && (filled == 0 || goes_on(filled)) {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
