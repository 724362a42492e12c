//! Signals that a server is told things by: the end (SIGINT, SIGTERM), and to read its files again (SIGHUP).

use std::io;
use std::mem::MaybeUninit;

/// What a signal says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signal {
    End,
    Reload,
}

/// The signals, which nothing but [`Signals::wait`] hears any more.
pub(super) struct Signals(libc::sigset_t);

impl Signals {
    /// Takes the signals. To be called before other threads exist: they inherit it.
    pub(super) fn take() -> io::Result<Self> {
        let mut set = MaybeUninit::uninit();
        // SAFETY: `sigemptyset` initialises the set that the others then change; all get pointers to live variables.
        let (set, result) = unsafe {
            libc::sigemptyset(set.as_mut_ptr());
            for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
                libc::sigaddset(set.as_mut_ptr(), signal);
            }
            let set = set.assume_init();
            (set, libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()))
        };
        match result {
            0 => Ok(Self(set)),
            error => Err(io::Error::from_raw_os_error(error)),
        }
    }

    /// Waits for the next one.
    pub(super) fn wait(&self) -> Signal {
        let mut signal = 0;
        // SAFETY: both pointers are to live variables. It fails only for a set that is not one.
        unsafe { libc::sigwait(&raw const self.0, &raw mut signal) };
        if signal == libc::SIGHUP { Signal::Reload } else { Signal::End }
    }
}
