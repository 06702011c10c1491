//! Who a process is: boot, namespace, start time.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::{Pid, SysconfVar};

use crate::os::{clock, fork};

/// The random number of this boot of the host, the same in all containers. Read once by a
/// process, which does not outlive a boot.
///
/// # Errors
/// `/proc/sys/kernel/random/boot_id` cannot be read or is not a UUID.
pub(crate) fn boot_id() -> io::Result<[u8; 16]> {
    static KNOWN: OnceLock<[u8; 16]> = OnceLock::new();
    if let Some(known) = KNOWN.get() {
        return Ok(*known);
    }
    let read = read_boot_id()?;
    Ok(*KNOWN.get_or_init(|| read))
}

fn read_boot_id() -> io::Result<[u8; 16]> {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
    parse_uuid(&text)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "boot_id is not a UUID"))
}

/// The start time of a process of this pid namespace, in clock ticks since boot as the
/// initial time namespace counts them; `None` when there is no such process.
///
/// # Errors
/// It cannot be told: there is no `/proc`, it shows another pid namespace than ours (the
/// number would be that of a stranger), or our clock's offset is not known.
pub(crate) fn start_time(pid: u32) -> io::Result<Option<u64>> {
    if !shows_our_namespace(&std::fs::read_to_string("/proc/self/status")?) {
        return Err(io::Error::other(
            "/proc shows the processes of another pid namespace; mount one of this namespace",
        ));
    }
    match std::fs::read(format!("/proc/{pid}/stat")) {
        Ok(stat) => normalised(parse_start_time(&stat)),
        // ESRCH: it was waited for between the opening and the reading.
        Err(error) if is_gone(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The start time of this process, whatever `/proc` shows besides.
///
/// # Errors
/// As [`start_time`], but for the namespace.
pub(crate) fn own_start_time() -> io::Result<u64> {
    let stat = std::fs::read("/proc/self/stat")?;
    normalised(parse_start_time(&stat))?.ok_or_else(|| io::ErrorKind::InvalidData.into())
}

fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(libc::ESRCH)
}

/// In clock ticks: centuries. What is shown as later was before the zero of the reader's
/// clock.
const LATEST_START: u64 = 1 << 40;

/// Start times are shown with the reader's own offset, so that of a process is another
/// number in each time namespace.
fn normalised(ticks: Option<u64>) -> io::Result<Option<u64>> {
    let Some(ticks) = ticks else { return Ok(None) };
    clock::init().map_err(io::Error::other)?;
    let per_second = nix::unistd::sysconf(SysconfVar::CLK_TCK)?.unwrap_or(100);
    let tick = 1_000_000_000 / per_second.max(1);
    let ahead = clock::boot_offset();
    if ticks > LATEST_START {
        // The offset is added to an unsigned number.
        return Err(io::Error::other(
            "it was started before the clock of this time namespace begins",
        ));
    }
    if ahead % tick != 0 {
        // It is rounded after the offset is added: the number is not exact.
        return Err(io::Error::other(
            "the offset of this time namespace is no whole number of clock ticks",
        ));
    }
    Ok(Some(ticks.wrapping_add_signed(-(ahead / tick))))
}

/// Whether this `/proc` is of our own pid namespace: `NSpid` lists our pid in each
/// namespace from the one shown down to our own.
fn shows_our_namespace(status: &str) -> bool {
    let mut lines = status.lines();
    let pids = lines.find_map(|line| line.strip_prefix("NSpid:"));
    pids.is_some_and(|pids| pids.split_ascii_whitespace().count() == 1)
}

/// Whether the process of this pid and start time is stopped (by a signal, or by a
/// debugger), as this process's own mount of `/proc` shows it.
pub(crate) fn is_stopped(pid: u32, start_time: u64) -> bool {
    let Ok(stat) = std::fs::read(format!("/proc/{pid}/stat")) else {
        return false;
    };
    // The state first: what has the number and the start time after it had them before.
    matches!(parse_state(&stat), Some(b'T' | b't'))
        && matches!(self::start_time(pid), Ok(Some(known)) if known == start_time)
}

/// What the kernel says of a process that is known by pid and start time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Existence {
    There,
    /// A process has the pid. Whether it is the same one is not shown: `/proc` hides it
    /// (`hidepid`), or shows another pid namespace.
    Hidden,
    /// There is no such process any more, or nothing but its exit status.
    Gone,
    /// It cannot be asked.
    Unknown,
}

/// Whether the very process of this pid (of this pid namespace) and start time exists and
/// has a thread that runs.
///
/// A `/proc` mounted with `hidepid` has no entry for a living process that the reader may
/// not trace. So a missing entry means nothing unless [`may_have_pid`] agrees.
pub(crate) fn existence(pid: u32, start_time: u64) -> Existence {
    if !may_have_pid(pid) {
        return Existence::Gone;
    }
    let status = std::fs::read_to_string("/proc/self/status");
    if !status.is_ok_and(|status| shows_our_namespace(&status)) {
        return Existence::Hidden;
    }
    let stat = match std::fs::read(format!("/proc/{pid}/stat")) {
        Ok(stat) => stat,
        // It may have ended since it was asked for.
        Err(error) if is_gone(&error) && !may_have_pid(pid) => return Existence::Gone,
        Err(_) => return Existence::Hidden,
    };
    match normalised(parse_start_time(&stat)) {
        Ok(Some(started)) if started != start_time => Existence::Gone,
        Ok(Some(_)) if is_zombie(&stat) => Existence::Gone,
        Ok(Some(_)) => Existence::There,
        Ok(None) | Err(_) => Existence::Hidden,
    }
}

/// The same of one thread of a process. It ends with the process, and also when that
/// becomes another program, if it is not the first thread.
pub(crate) fn thread_existence(pid: u32, start_time: u64, thread: u32) -> Existence {
    let found = existence(pid, start_time);
    let is_gone = match found {
        Existence::Gone => return Existence::Gone,
        _ if !may_have_thread(thread) => true,
        // Another process may have the id by now; this one's entries are shown.
        Existence::There => {
            let entry = std::fs::metadata(format!("/proc/{pid}/task/{thread}"));
            entry.is_err_and(|error| is_gone(&error))
                && existence(pid, start_time) != Existence::Hidden
        }
        Existence::Hidden | Existence::Unknown => false,
    };
    match is_gone {
        true => Existence::Gone,
        false => found,
    }
}

/// Whether some process of this pid namespace may have this pid: one system call.
pub(crate) fn may_have_pid(pid: u32) -> bool {
    match libc::pid_t::try_from(pid) {
        // Zero and negative numbers mean groups.
        Ok(pid) if pid > 0 => kill(Pid::from_raw(pid), None) != Err(Errno::ESRCH),
        _ => true,
    }
}

/// Whether a process is a zombie as a whole: also its first thread's end shows the state of
/// one, while others go on.
fn is_zombie(stat: &[u8]) -> bool {
    let threads = parse_field(stat, 20).and_then(|threads| threads.parse::<u64>().ok());
    matches!(parse_state(stat), Some(b'Z' | b'X')) && threads.is_some_and(|threads| threads <= 1)
}

/// Whether there may be a thread of this id: `kill` knows threads by their ids, too, and
/// hides none.
pub(crate) fn may_have_thread(id: u32) -> bool {
    may_have_pid(id)
}

/// When this process started and the inode of its pid namespace, 0 for what cannot be
/// known now. Neither changes, so both are read once by a process, and again by a forked child.
pub(crate) fn own_identity() -> (u64, u64) {
    /// For which process the others are right: its number and those of forks before it, and
    /// one bit so that it is not 0.
    static KNOWN_FOR: AtomicU64 = AtomicU64::new(0);
    static START: AtomicU64 = AtomicU64::new(0);
    static NAMESPACE: AtomicU64 = AtomicU64::new(0);
    let pid = std::process::id();
    let process = u64::from(fork::fork_count()) << 33 | u64::from(pid) << 1 | 1;
    if KNOWN_FOR.load(Ordering::Acquire) == process {
        return (
            START.load(Ordering::Relaxed),
            NAMESPACE.load(Ordering::Relaxed),
        );
    }
    let known = (own_start_time().unwrap_or(0), pid_namespace().unwrap_or(0));
    if known.0 == 0 || known.1 == 0 {
        // It may be known another time.
        return known;
    }
    START.store(known.0, Ordering::Relaxed);
    NAMESPACE.store(known.1, Ordering::Relaxed);
    // Threads that race here store the same values twice.
    KNOWN_FOR.store(process, Ordering::Release);
    known
}

/// The inode of this process's pid namespace: equal numbers mean comparable pids.
///
/// # Errors
/// `/proc/self/ns/pid` cannot be read.
pub(crate) fn pid_namespace() -> io::Result<u64> {
    Ok(std::fs::metadata("/proc/self/ns/pid")?.ino())
}

/// The mount namespace, as the kernel's inode number of it.
///
/// # Errors
/// `/proc/self/ns/mnt` cannot be read.
pub(crate) fn mount_namespace() -> io::Result<u64> {
    Ok(std::fs::metadata("/proc/self/ns/mnt")?.ino())
}

fn parse_uuid(text: &str) -> Option<[u8; 16]> {
    let digits: Vec<u8> = text
        .trim_end()
        .bytes()
        .filter(|byte| *byte != b'-')
        .map(|byte| char::from(byte).to_digit(16).map(|digit| digit as u8))
        .collect::<Option<_>>()?;
    let mut uuid = [0; 16];
    if digits.len() != 2 * uuid.len() {
        return None;
    }
    for (byte, pair) in uuid.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = pair[0] << 4 | pair[1];
    }
    Some(uuid)
}

/// Field 3, which follows the command in parentheses.
fn parse_state(stat: &[u8]) -> Option<u8> {
    let end = stat.iter().rposition(|byte| *byte == b')')?;
    stat.get(end + 2).copied()
}

fn parse_start_time(stat: &[u8]) -> Option<u64> {
    parse_field(stat, 22)?.parse().ok()
}

/// A field after the second, by its number in the manual. The second is the command in
/// parentheses and may itself hold spaces and parentheses, so counting begins after the
/// last one.
fn parse_field(stat: &[u8], number: usize) -> Option<&str> {
    let end = stat.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(&stat[end + 1..]).ok()?;
    rest.split_ascii_whitespace().nth(number.checked_sub(3)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn start_time_is_found_behind_a_hostile_command_name() {
        let stat = b"12 (a) b) c) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 777 20";
        assert_eq!(parse_start_time(stat), Some(777));
        assert_eq!(parse_start_time(b"12 (a) S 1"), None);
        assert_eq!(parse_start_time(b"no parenthesis"), None);
        let own = start_time(std::process::id()).unwrap();
        assert_eq!(own, Some(own_start_time().unwrap()));
        assert_eq!(start_time(u32::MAX).unwrap(), None);
        for _ in 0..2 {
            let (start, namespace) = own_identity();
            assert_eq!(Some(start), own);
            assert_eq!(namespace, pid_namespace().unwrap());
        }
    }

    #[test]
    fn a_proc_of_another_namespace_is_known_by_its_list_of_pids() {
        assert!(shows_our_namespace("Pid:\t7\nNSpid:\t7\nNSpgid:\t7 1"));
        assert!(!shows_our_namespace("Pid:\t7\nNSpid:\t7\t1\n"));
        assert!(
            !shows_our_namespace("Pid:\t7\n"),
            "a kernel that does not say"
        );
    }

    #[test]
    fn threads_are_known_by_their_ids() {
        let own = nix::unistd::gettid().as_raw() as u32;
        assert!(may_have_thread(own) && may_have_thread(std::process::id()));
        let ended = std::thread::spawn(|| nix::unistd::gettid().as_raw() as u32);
        let ended = ended.join().unwrap();
        while may_have_thread(ended) {
            // It has been joined a little before the kernel forgets its id.
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_thread_exists_within_its_own_process() {
        let (pid, start) = (std::process::id(), own_start_time().unwrap());
        let own = nix::unistd::gettid().as_raw() as u32;
        assert_eq!(thread_existence(pid, start, own), Existence::There);
        assert_eq!(thread_existence(pid, start + 1, own), Existence::Gone);
        // Of another process: the id is in use, and not here.
        assert_eq!(thread_existence(pid, start, 1), Existence::Gone);
        assert_eq!(
            thread_existence(pid, start, i32::MAX as u32),
            Existence::Gone
        );
    }

    #[test]
    fn boot_and_namespace_are_known() {
        assert_ne!(boot_id().unwrap(), [0; 16]);
        assert_eq!(boot_id().unwrap(), boot_id().unwrap());
        assert_ne!(pid_namespace().unwrap(), 0);
        assert_eq!(
            parse_uuid("00112233-4455-6677-8899-aabbccddeeff\n").unwrap()[15],
            0xff
        );
        assert_eq!(parse_uuid("00112233"), None);
        assert_eq!(parse_uuid("zz112233-4455-6677-8899-aabbccddeeff"), None);
    }

    #[test]
    fn existence_is_of_the_very_process_and_ends_with_its_last_thread() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let (pid, own) = (child.id(), own_start_time().unwrap());
        let here = std::process::id();
        assert_eq!(existence(here, own), Existence::There);
        assert_eq!(existence(here, own + 1), Existence::Gone);
        // No pid is as large.
        assert_eq!(existence(i32::MAX as u32, own), Existence::Gone);
        let start = start_time(pid).unwrap().unwrap();
        // A zombie, until it is waited for.
        while existence(pid, start) != Existence::Gone {
            std::thread::yield_now();
        }
        assert!(may_have_pid(pid) && may_have_pid(here) && may_have_pid(0));
        child.wait().unwrap();
        assert_eq!(existence(pid, start), Existence::Gone);
        assert!(!is_zombie(
            b"1 (a) Z 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 2 18"
        ));
        assert!(is_zombie(
            b"1 (a) Z 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 1 18"
        ));
        assert!(!is_zombie(
            b"1 (a) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 1 18"
        ));
    }
}
