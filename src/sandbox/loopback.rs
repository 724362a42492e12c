//! Switches the loopback device of a new network namespace on.

use super::process::errno;

/// Only system calls: it runs between `clone` and `exec`.
pub(super) fn up() -> Result<(), i32> {
    // SAFETY: an all-zero ifreq is a valid value: integers, byte arrays and a union of them.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (slot, byte) in request.ifr_name.iter_mut().zip(b"lo") {
        *slot = byte.cast_signed();
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    // SAFETY: integers only.
    let socket = unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) };
    if socket < 0 {
        return Err(errno());
    }
    // SAFETY: `request` is a valid ifreq that lives through the call; the socket is open.
    let outcome = unsafe { libc::ioctl(socket, libc::SIOCSIFFLAGS, &raw const request) };
    let error = errno();
    // SAFETY: the descriptor is ours and is not used any more.
    unsafe { libc::close(socket) };
    if outcome == 0 { Ok(()) } else { Err(error) }
}
