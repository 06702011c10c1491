//! A kernel that lacks system calls: a filter answers `ENOSYS` in its place.

use std::io;

use super::launch::check;

const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
const JUMP_IF_EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;

/// Installs it for this process and all its children, for good.
///
/// # Errors
/// The kernel has no filters.
pub fn install(missing: &[u32]) -> io::Result<()> {
    let mut program = vec![statement(LOAD, 0)];
    for call in missing {
        // Not this one: over the answer.
        program.push(jump(JUMP_IF_EQUAL, *call, 0, 1));
        let answer = libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32;
        program.push(statement(RETURN, answer));
    }
    program.push(statement(RETURN, libc::SECCOMP_RET_ALLOW));
    let program = libc::sock_fprog {
        len: program.len() as u16,
        filter: program.as_mut_ptr(),
    };
    // SAFETY: this option takes numbers.
    check(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) })?;
    // SAFETY: the program outlives the call, which copies it.
    let code = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            0,
            &raw const program,
        )
    };
    check(code as libc::c_int).map(drop)
}

fn statement(code: u16, k: u32) -> libc::sock_filter {
    jump(code, k, 0, 0)
}

fn jump(code: u16, k: u32, jt: u8, jf: u8) -> libc::sock_filter {
    libc::sock_filter { code, jt, jf, k }
}
