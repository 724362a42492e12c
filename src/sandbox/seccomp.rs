//! System calls that commands are refused: those that container engines refuse by default, since they change the
//! machine, look into other processes, or are a large part of the kernel that no build needs.
//!
//! ```text
//! architecture ─▶ number ─┬─ refused: EPERM, as if the right were missing
//!                         ├─ newer than this list, and clone3: ENOSYS, and programs go on without
//!                         ├─ clone, personality, socket: by their arguments
//!                         └─ all others: allowed
//! ```
//!
//! One table makes both the filter for the built-in isolation and the one that a runtime is told. On other processors
//! than x86-64 only runtimes have it, who know the numbers.
//!
//! Sources: Docker's "Seccomp security profiles for Docker", table "Significant syscalls blocked by the default
//! profile"; seccomp(2); the kernel's `arch/x86/entry/syscalls/syscall_{64,32}.tbl`.

use libc::sock_filter;
use serde_json::{Value, json};

/// No such call on this architecture.
const NONE: u32 = u32::MAX;

/// What is refused: name, number on x86-64, number on i386.
const REFUSED: [(&str, u32, u32); 63] = [
    ("_sysctl", 156, 149),
    ("acct", 163, 51),
    ("add_key", 248, 286),
    ("bpf", 321, 357),
    ("clock_adjtime", 305, 343),
    ("clock_adjtime64", NONE, 405),
    ("clock_settime", 227, 264),
    ("clock_settime64", NONE, 404),
    ("create_module", 174, 127),
    ("delete_module", 176, 129),
    ("fanotify_init", 300, 338),
    ("finit_module", 313, 350),
    ("fsconfig", 431, 431),
    ("fsmount", 432, 432),
    ("fsopen", 430, 430),
    ("fspick", 433, 433),
    ("get_kernel_syms", 177, 130),
    ("init_module", 175, 128),
    ("io_uring_enter", 426, 426),
    ("io_uring_register", 427, 427),
    ("io_uring_setup", 425, 425),
    ("ioperm", 173, 101),
    ("iopl", 172, 110),
    ("kcmp", 312, 349),
    ("kexec_file_load", 320, NONE),
    ("kexec_load", 246, 283),
    ("keyctl", 250, 288),
    ("lookup_dcookie", 212, 253),
    ("migrate_pages", 256, 294),
    ("mount", 165, 21),
    ("mount_setattr", 442, 442),
    ("move_mount", 429, 429),
    ("move_pages", 279, 317),
    ("nfsservctl", 180, 169),
    ("open_by_handle_at", 304, 342),
    ("open_tree", 428, 428),
    ("open_tree_attr", 467, 467),
    ("perf_event_open", 298, 336),
    ("pidfd_getfd", 438, 438),
    ("pivot_root", 155, 217),
    ("process_vm_readv", 310, 347),
    ("process_vm_writev", 311, 348),
    ("query_module", 178, 167),
    ("quotactl", 179, 131),
    ("quotactl_fd", 443, 443),
    ("reboot", 169, 88),
    ("request_key", 249, 287),
    ("setns", 308, 346),
    ("settimeofday", 164, 79),
    ("stime", NONE, 25),
    ("swapoff", 168, 115),
    ("swapon", 167, 87),
    ("sysfs", 139, 135),
    ("syslog", 103, 103),
    ("umount", NONE, 22),
    ("umount2", 166, 52),
    ("unshare", 272, 310),
    ("uselib", 134, 86),
    ("userfaultfd", 323, 374),
    ("ustat", 136, 62),
    ("vhangup", 153, 111),
    ("vm86", NONE, 166),
    ("vm86old", NONE, 113),
];
/// Where the namespaces to be made are in a structure, which a filter cannot look into: programs take `clone` instead.
const CLONE3: u32 = 435;
/// The last call of this list's time, Linux 6.17: nobody knows what later ones do.
const LAST: u32 = 469;
/// New namespaces: mount, cgroup, UTS, IPC, user, process, network.
const NAMESPACES: [u32; 7] =
    [0x0002_0000, 0x0200_0000, 0x0400_0000, 0x0800_0000, 0x1000_0000, 0x2000_0000, 0x4000_0000];
/// Personalities that weaken the kernel's defences: no random addresses, a page at zero, the old address layout,
/// everything executable.
const PERSONALITIES: [u32; 4] = [0x0004_0000, 0x0010_0000, 0x0020_0000, 0x0040_0000];
/// A personality with this bit is the question which one there is.
const QUERY: u32 = 0x8000_0000;
/// Sockets to the hypervisor.
const AF_VSOCK: u32 = 40;

/// Numbers of an architecture.
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code, reason = "only x86-64 has a filter of its own"))]
struct Numbers {
    audit: u32,
    column: fn(&(&'static str, u32, u32)) -> u32,
    clone: u32,
    personality: u32,
    socket: u32,
}

#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code, reason = "only x86-64 has a filter of its own"))]
const X86_64: Numbers = Numbers { audit: 0xc000_003e, column: |row| row.1, clone: 56, personality: 135, socket: 41 };
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code, reason = "only x86-64 has a filter of its own"))]
const I386: Numbers = Numbers { audit: 0x4000_0003, column: |row| row.2, clone: 120, personality: 136, socket: 359 };

/// The program that the kernel runs at every system call of a command; none where there is no list of numbers.
pub(super) fn filter() -> Option<Vec<sock_filter>> {
    #[cfg(target_arch = "x86_64")]
    return Some(program(&[X86_64, I386]));
    #[cfg(not(target_arch = "x86_64"))]
    None
}

/// Puts a filter in force for this process and those that it makes. Only a system call: it runs between `clone` and
/// `exec`, before the right to do it is given up.
pub(super) fn enter(filter: &[sock_filter]) -> Result<(), i32> {
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_ptr().cast_mut() };
    // SAFETY: the program lives through the call, which copies it, and is as long as told.
    let entered = unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const program) };
    if entered == 0 { Ok(()) } else { Err(super::process::errno()) }
}

/// The same for a runtime's configuration (OCI runtime specification, config-linux.md, "Seccomp").
pub(super) fn for_runtime() -> Value {
    let refuse = |names: &[&str], args: Value| json!({"names": names, "action": "SCMP_ACT_ERRNO", "errnoRet": libc::EPERM, "args": args});
    let masked =
        |mask: u32, value: u32| json!([{"index": 0, "value": mask, "valueTwo": value, "op": "SCMP_CMP_MASKED_EQ"}]);
    let names: Vec<&str> = REFUSED.iter().map(|(name, _, _)| *name).collect();
    let mut rules = vec![
        refuse(&names, json!([])),
        json!({"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": libc::ENOSYS}),
        refuse(&["socket"], json!([{"index": 0, "value": AF_VSOCK, "op": "SCMP_CMP_EQ"}])),
    ];
    rules.extend(NAMESPACES.iter().map(|bit| refuse(&["clone"], masked(*bit, *bit))));
    rules.extend(PERSONALITIES.iter().map(|bit| refuse(&["personality"], masked(*bit | QUERY, *bit))));
    let mut seccomp = json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": rules});
    if cfg!(target_arch = "x86_64") {
        seccomp["architectures"] = json!(["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"]);
    }
    seccomp
}

/// Offsets in what the filter sees, `struct seccomp_data`: number, architecture, the lower half of the first argument.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const ARGUMENT: u32 = 16;

#[cfg(any(target_arch = "x86_64", test))]
fn program(architectures: &[Numbers]) -> Vec<sock_filter> {
    let mut program = Vec::new();
    for numbers in architectures {
        let block = block(numbers);
        program.push(load(ARCHITECTURE));
        // Blocks are longer than what a conditional jump reaches.
        program.push(jump(libc::BPF_JEQ, numbers.audit, 1, 0));
        program.push(statement(libc::BPF_JMP | libc::BPF_JA, block.len() as u32));
        program.extend(block);
    }
    program.push(refuse(libc::ENOSYS));
    program
}

/// The decision about the calls of one architecture.
#[cfg(any(target_arch = "x86_64", test))]
fn block(numbers: &Numbers) -> Vec<sock_filter> {
    let mut block = vec![load(NUMBER), jump(libc::BPF_JGT, LAST, 0, 1), refuse(libc::ENOSYS)];
    block.extend([jump(libc::BPF_JEQ, CLONE3, 0, 1), refuse(libc::ENOSYS)]);
    for number in REFUSED.iter().map(numbers.column).filter(|number| *number != NONE) {
        block.extend([jump(libc::BPF_JEQ, number, 0, 1), refuse(libc::EPERM)]);
    }
    let all = |bits: &[u32]| bits.iter().fold(0, |all, bit| all | bit);
    let (refused, allowed) = (refuse(libc::EPERM), statement(libc::BPF_RET, libc::SECCOMP_RET_ALLOW));
    let by_argument = [
        (numbers.clone, vec![jump(libc::BPF_JSET, all(&NAMESPACES), 0, 1)]),
        (numbers.personality, vec![jump(libc::BPF_JSET, QUERY, 2, 0), jump(libc::BPF_JSET, all(&PERSONALITIES), 0, 1)]),
        (numbers.socket, vec![jump(libc::BPF_JEQ, AF_VSOCK, 0, 1)]),
    ];
    for (number, tests) in by_argument {
        // Load, the tests, refuse, allow.
        block.push(jump(libc::BPF_JEQ, number, 0, tests.len() as u8 + 3));
        block.push(load(ARGUMENT));
        block.extend(tests);
        block.extend([refused, allowed]);
    }
    block.push(allowed);
    block
}

#[cfg(any(target_arch = "x86_64", test))]
fn statement(code: u32, k: u32) -> sock_filter {
    sock_filter { code: code as u16, jt: 0, jf: 0, k }
}

#[cfg(any(target_arch = "x86_64", test))]
fn jump(test: u32, k: u32, jt: u8, jf: u8) -> sock_filter {
    sock_filter { code: (libc::BPF_JMP | test | libc::BPF_K) as u16, jt, jf, k }
}

#[cfg(any(target_arch = "x86_64", test))]
fn load(offset: u32) -> sock_filter {
    statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, offset)
}

#[cfg(any(target_arch = "x86_64", test))]
fn refuse(error: i32) -> sock_filter {
    statement(libc::BPF_RET, libc::SECCOMP_RET_ERRNO | error.cast_unsigned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the program says about a call, as the kernel runs it.
    fn verdict(program: &[sock_filter], audit: u32, number: u32, argument: u32) -> Result<(), i32> {
        let (mut at, mut loaded) = (0, 0);
        loop {
            let sock_filter { code, jt, jf, k } = program[at];
            let code = u32::from(code);
            at += 1;
            match code & 0x07 {
                libc::BPF_LD => {
                    loaded = match k {
                        NUMBER => number,
                        ARCHITECTURE => audit,
                        ARGUMENT => argument,
                        other => panic!("{other} is loaded"),
                    }
                }
                libc::BPF_RET if k == libc::SECCOMP_RET_ALLOW => return Ok(()),
                libc::BPF_RET => return Err((k & 0xffff).cast_signed()),
                _ if code & 0xf0 == libc::BPF_JA => at += k as usize,
                _ => {
                    let holds = match code & 0xf0 {
                        libc::BPF_JEQ => loaded == k,
                        libc::BPF_JGT => loaded > k,
                        libc::BPF_JSET => loaded & k != 0,
                        other => panic!("{other:x} is tested"),
                    };
                    at += usize::from(if holds { jt } else { jf });
                }
            }
        }
    }

    #[test]
    fn calls_are_refused_by_number_and_argument() {
        let program = program(&[X86_64, I386]);
        assert!(program.len() < 4096, "{}", program.len());
        for numbers in [X86_64, I386] {
            for row in &REFUSED {
                let number = (numbers.column)(row);
                let want = if number == NONE { Err(libc::ENOSYS) } else { Err(libc::EPERM) };
                assert_eq!(verdict(&program, numbers.audit, number, 0), want, "{}", row.0);
            }
            for (number, argument, want) in [
                (numbers.clone, 0x11, Ok(())),
                (numbers.clone, 0x0100_0011, Ok(())),
                (numbers.clone, 0x1000_0011, Err(libc::EPERM)),
                (numbers.clone, 0x0002_0000, Err(libc::EPERM)),
                (numbers.personality, 0, Ok(())),
                (numbers.personality, 8, Ok(())),
                (numbers.personality, 0xffff_ffff, Ok(())),
                (numbers.personality, 0x0040_0000, Err(libc::EPERM)),
                (numbers.socket, 2, Ok(())),
                (numbers.socket, 40, Err(libc::EPERM)),
                (CLONE3, 0, Err(libc::ENOSYS)),
                (0x4000_0000, 0, Err(libc::ENOSYS)),
                (LAST + 1, 0, Err(libc::ENOSYS)),
                (LAST, 0, Ok(())),
                (3, 40, Ok(())),
            ] {
                assert_eq!(verdict(&program, numbers.audit, number, argument), want, "{number} {argument:x}");
            }
        }
        assert_eq!(verdict(&program, 0x4000_0028, 3, 0), Err(libc::ENOSYS), "another architecture");
    }

    /// The numbers are those of the machine's headers, where it has them.
    #[test]
    #[cfg(target_arch = "x86_64")]
    fn numbers_are_those_of_the_kernel() {
        let header = |name: &str| std::fs::read_to_string(format!("/usr/include/x86_64-linux-gnu/asm/{name}"));
        for (name, numbers) in [("unistd_64.h", X86_64), ("unistd_32.h", I386)] {
            let text = header(name).expect("a C compiler brings the kernel's headers along");
            let known: std::collections::HashMap<&str, u32> = text
                .lines()
                .filter_map(|line| line.strip_prefix("#define __NR_")?.split_once(' '))
                .filter_map(|(name, number)| Some((name, number.trim().parse().ok()?)))
                .collect();
            let own = [("clone", numbers.clone), ("personality", numbers.personality), ("socket", numbers.socket)];
            let refused = REFUSED.iter().map(|row| (row.0, (numbers.column)(row)));
            for (call, number) in refused.chain(own).chain([("clone3", CLONE3)]) {
                // Calls that are newer than the headers have no number there.
                if let Some(known) = known.get(call) {
                    assert_eq!(number, *known, "{call}");
                } else {
                    assert!(number == NONE || number > 450, "{call} is {number} here and unknown there");
                }
            }
        }
    }
}
