//! Carries a command's output to whoever watches.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, OwnedFd};

use super::{SandboxError, Stream};

/// Reads both streams until their ends, in the order that data comes.
pub(super) fn pump(
    stdout: OwnedFd,
    stderr: OwnedFd,
    output: &mut dyn FnMut(Stream, &[u8]),
) -> Result<(), SandboxError> {
    let mut open = vec![(Stream::Stdout, File::from(stdout)), (Stream::Stderr, File::from(stderr))];
    let mut buffer = vec![0; 64 << 10];
    while !open.is_empty() {
        let waiting =
            |(_, file): &(Stream, File)| libc::pollfd { fd: file.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        let mut waiting: Vec<_> = open.iter().map(waiting).collect();
        // SAFETY: the array has as many elements as told, and its descriptors are open.
        if unsafe { libc::poll(waiting.as_mut_ptr(), waiting.len() as libc::nfds_t, -1) } < 0 {
            match io::Error::last_os_error() {
                error if error.kind() == io::ErrorKind::Interrupted => continue,
                error => return Err(SandboxError::prepare("wait for the command's output")(error)),
            }
        }
        let mut ended = None;
        for (index, _) in waiting.iter().enumerate().filter(|(_, it)| it.revents != 0) {
            let (stream, file) = &mut open[index];
            match file.read(&mut buffer) {
                Ok(0) => ended = Some(index),
                Ok(count) => output(*stream, &buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(SandboxError::prepare("read the command's output")(error)),
            }
        }
        if let Some(index) = ended {
            open.remove(index);
        }
    }
    Ok(())
}
