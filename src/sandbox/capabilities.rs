//! What root may do in a sandbox.

/// Capabilities that container engines leave to root by default: (number, name). The rest is taken away.
pub(super) const KEPT: [(u32, &str); 14] = [
    (0, "CAP_CHOWN"),
    (1, "CAP_DAC_OVERRIDE"),
    (3, "CAP_FOWNER"),
    (4, "CAP_FSETID"),
    (5, "CAP_KILL"),
    (6, "CAP_SETGID"),
    (7, "CAP_SETUID"),
    (8, "CAP_SETPCAP"),
    (10, "CAP_NET_BIND_SERVICE"),
    (13, "CAP_NET_RAW"),
    (18, "CAP_SYS_CHROOT"),
    (27, "CAP_MKNOD"),
    (29, "CAP_AUDIT_WRITE"),
    (31, "CAP_SETFCAP"),
];

/// Takes all other capabilities out of the bounding set: what `exec` gives root is what is left there. Only system
/// calls: it runs between `clone` and `exec`.
pub(super) fn reduce() -> Result<(), i32> {
    for number in 0..64_u32 {
        if KEPT.iter().any(|(kept, _)| *kept == number) {
            continue;
        }
        // SAFETY: prctl with integers only.
        let outcome = unsafe { libc::prctl(libc::PR_CAPBSET_DROP, libc::c_ulong::from(number), 0, 0, 0) };
        if outcome != 0 {
            match super::process::errno() {
                // Beyond the last capability of this kernel.
                libc::EINVAL => break,
                error => return Err(error),
            }
        }
    }
    // SAFETY: prctl with integers only.
    match unsafe { libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) } {
        0 => Ok(()),
        _ => Err(super::process::errno()),
    }
}
