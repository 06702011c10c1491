//! Removers that are stopped in the middle: real processes, halted at a system call.

use std::os::unix::process::CommandExt;
use std::process::{Command, Output, Stdio};
use std::thread;

use crate::support::{Place, once};
use ebbtide::{Segment, SegmentError, SegmentOptions};
use nix::libc;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;

/// A system call that is about to be made: its number and arguments.
type Call = (i64, [u64; 6]);

fn ebbtide(place: &Place, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ebbtide"));
    command.args(args).env("EBBTIDE_DIR", place.directory());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A process before a system call that it does not make until it may go on.
struct Halted {
    process: Option<std::process::Child>,
}

impl Halted {
    /// Runs the command until a system call is as wanted. `None` if there was none: it has
    /// ended by itself then.
    fn at(mut command: Command, mut is_wanted: impl FnMut(Call) -> bool) -> Option<Self> {
        // SAFETY: one system call, in a child that executes the program next.
        unsafe { command.pre_exec(|| Ok(ptrace::traceme()?)) };
        let process = Some(command.spawn().unwrap());
        let mut halted = Self { process };
        let pid = Pid::from_raw(halted.pid() as i32);
        let executed = waitpid(pid, None).unwrap();
        assert_eq!(executed, WaitStatus::Stopped(pid, Signal::SIGTRAP));
        ptrace::setoptions(
            pid,
            Options::PTRACE_O_TRACESYSGOOD | Options::PTRACE_O_EXITKILL,
        )
        .unwrap();
        loop {
            ptrace::syscall(pid, None).unwrap();
            match waitpid(pid, None).unwrap() {
                WaitStatus::PtraceSyscall(_) => {}
                WaitStatus::Exited(_, 0) => {
                    // It is gone: nobody is to be killed.
                    halted.process = None;
                    return None;
                }
                other => panic!("{other:?}"),
            }
            let info = ptrace::syscall_info(pid).unwrap();
            if info.op != libc::PTRACE_SYSCALL_INFO_ENTRY {
                continue;
            }
            // SAFETY: the variant that `op` names.
            let entry = unsafe { info.u.entry };
            if is_wanted((entry.nr as i64, entry.args)) {
                return Some(halted);
            }
        }
    }

    fn pid(&self) -> u32 {
        self.process.as_ref().unwrap().id()
    }

    fn kill(mut self) {
        let mut process = self.process.take().unwrap();
        process.kill().unwrap();
        process.wait().unwrap();
    }

    /// Lets it go on, to its end.
    fn go_on(mut self) -> Output {
        let process = self.process.take().unwrap();
        ptrace::detach(Pid::from_raw(process.id() as i32), None).unwrap();
        process.wait_with_output().unwrap()
    }
}

impl Drop for Halted {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

fn is_look_up((number, args): Call) -> bool {
    number == libc::SYS_openat && args[2] & libc::O_PATH as u64 != 0
}

fn is_link((number, _): Call) -> bool {
    number == libc::SYS_linkat
}

fn is_unlink((number, _): Call) -> bool {
    number == libc::SYS_unlinkat
}

fn is_byte_lock((number, args): Call) -> bool {
    number == libc::SYS_fcntl && args[1] == libc::F_OFD_SETLK as u64
}

/// The error names this remover.
#[track_caller]
fn blames(pid: u32, error: &SegmentError) {
    assert_is!(error, SegmentError::InUse { remover: Some(remover), attached, .. }
        if remover.pid == pid && attached.is_empty());
    let text = error.to_string();
    assert!(text.contains(&format!("process {pid} (stopped)")), "{text}");
}

#[test]
fn errors_name_a_stopped_remover_and_its_death_lets_others_go_on() {
    once(here!(), |place| {
        for rm in [&["rm", Place::NAME][..], &["rm", Place::NAME, "--force"]] {
            drop(place.create());
            let halted = Halted::at(ebbtide(place, rm), is_unlink).unwrap();
            let pid = halted.pid();
            for force in [false, true] {
                blames(pid, &place.options.remove(Place::NAME, force).unwrap_err());
            }
            blames(pid, &place.options.create(Place::NAME).unwrap_err());
            blames(pid, &place.options.open_or_create(Place::NAME).unwrap_err());
            let said = ebbtide(place, &["rm", Place::NAME, "--force"]).output();
            let said = said.unwrap();
            assert_eq!(said.status.code(), Some(1), "{said:?}");
            let text = String::from_utf8(said.stderr).unwrap();
            for part in [
                &format!("being removed by process {pid} (stopped)"),
                "continue that process (SIGCONT) or kill it",
            ] {
                assert!(text.contains(part), "{text}");
            }
            assert_eq!(place.options.list().unwrap(), [Place::NAME]);
            // The kernel takes the byte from the dead: the next one finishes.
            halted.kill();
            drop(place.options.open_or_create(Place::NAME).unwrap());
            let halted = Halted::at(ebbtide(place, rm), is_unlink).unwrap();
            halted.kill();
            place.options.remove(Place::NAME, false).unwrap();
            assert_eq!(place.options.list().unwrap(), [""; 0]);
        }
    });
}

#[test]
fn an_attacher_reports_the_remover_that_keeps_it_out() {
    once(here!(), |place| {
        drop(place.create());
        let mut is_locked = false;
        let halted = Halted::at(ebbtide(place, &["rm", Place::NAME]), |call| {
            let was_locked = is_locked;
            is_locked |= is_byte_lock(call);
            was_locked
        })
        .unwrap();
        for result in [
            place.options.open(Place::NAME),
            place.options.open_or_create(Place::NAME),
        ] {
            blames(halted.pid(), &result.unwrap_err());
        }
        // Not marked yet: nothing has happened.
        halted.kill();
        drop(place.options.open(Place::NAME).unwrap());
    });
}

/// What others do while it is stopped, and what is left when it has gone on: the new
/// segment, if they could make one.
fn meanwhile(options: &SegmentOptions, halted: Halted) -> bool {
    let new = match options.remove(Place::NAME, true) {
        Ok(()) | Err(SegmentError::NotFound { .. }) => Some(options.create(Place::NAME).unwrap()),
        Err(error) => {
            blames(halted.pid(), &error);
            None
        }
    };
    let said = halted.go_on();
    assert!(said.status.success(), "{said:?}");
    let is_made = new.is_some();
    let new = new.unwrap_or_else(|| options.create(Place::NAME).unwrap());
    let found: Segment = options.open(Place::NAME).unwrap();
    assert_eq!(found.token(), new.token(), "it took the name away");
    drop((new, found));
    options.remove(Place::NAME, false).unwrap();
    is_made
}

/// Halts a remover before each system call that follows the look-up of the name, and has
/// something done each time.
fn at_each_call<T: Send>(
    place: &Place,
    rm: &[&str],
    body: impl Fn(&SegmentOptions, Halted) -> T + Sync,
) -> Vec<T> {
    const AT_ONCE: usize = 8;
    let mut all = Vec::new();
    let run = |number: usize| {
        let directory = place.directory().with_extension(number.to_string());
        let options = SegmentOptions::new().directory(&directory);
        drop(options.create(Place::NAME).unwrap());
        let mut command = ebbtide(place, rm);
        command.env("EBBTIDE_DIR", &directory);
        let mut since = None;
        let halted = Halted::at(command, |call| {
            since = since.map(|since| since + 1);
            since = since.or(is_look_up(call).then_some(0));
            since == Some(number + 1)
        });
        halted.map(|halted| body(&options, halted))
    };
    for first in (0..).step_by(AT_ONCE) {
        let runs = thread::scope(|scope| {
            let run = &run;
            let numbers = first..first + AT_ONCE;
            let runs: Vec<_> = numbers.map(|n| scope.spawn(move || run(n))).collect();
            runs.into_iter()
                .map(|run| run.join().unwrap())
                .collect::<Vec<_>>()
        });
        for run in runs {
            match run {
                Some(result) => all.push(result),
                None => return all,
            }
        }
    }
    all
}

/// Tries each system call that follows the look-up of the name.
#[test]
fn a_remover_stopped_at_any_system_call_takes_no_other_segments_name() {
    once(here!(), |place| {
        for rm in [&["rm", Place::NAME][..], &["rm", Place::NAME, "--force"]] {
            // Whether the others could make a new one, by system call.
            let made = at_each_call(place, rm, meanwhile);
            println!("{rm:?}: {made:?}");
            assert!(made.contains(&false) && made.first() == Some(&true));
            assert!(made.last() == Some(&true), "it has gone on by then");
        }
    });
}

/// Whether a system call is the one to halt at.
type Is = fn(Call) -> bool;

/// A process attaches while `rm --unused` is stopped before it takes the bytes, and before
/// the unlink.
#[test]
fn an_attached_segment_is_never_removed_as_unused() {
    once(here!(), |place| {
        let points: [(Is, bool); 2] = [(is_byte_lock, true), (is_unlink, false)];
        for (point, is_kept) in points {
            drop(place.create());
            let halted = Halted::at(ebbtide(place, &["rm", "--unused"]), point).unwrap();
            let options = SegmentOptions::new().directory(place.directory());
            let attached = options.open(Place::NAME);
            assert_eq!(attached.is_ok(), is_kept, "{attached:?}");
            let said = halted.go_on();
            assert!(said.status.success(), "{said:?}");
            let is_removed = String::from_utf8_lossy(&said.stdout).contains(Place::NAME);
            assert_eq!(is_removed, !is_kept, "{said:?}");
            if let Ok(segment) = attached {
                let found = options.open(Place::NAME).unwrap();
                assert_eq!(found.token(), segment.token());
            }
            options.remove_unused().unwrap();
            assert!(options.list().unwrap().is_empty());
        }
    });
}

/// `rm --unused` runs while a creator is stopped before any of its system calls.
#[test]
fn a_creator_whose_segment_is_removed_as_unused_creates_it_again() {
    once(here!(), |place| {
        let mut removed = 0;
        for number in 0.. {
            let mut since = None;
            let command = ebbtide(place, &["exec", Place::NAME, "--runner", "a", "--", "true"]);
            let halted = Halted::at(command, |call| {
                since = since.map(|since| since + 1);
                since = since.or(is_link(call).then_some(0));
                since == Some(number)
            });
            let Some(halted) = halted else { break };
            let options = SegmentOptions::new().directory(place.directory());
            removed += options.remove_unused().unwrap().removed.len();
            // It has begun to run its program, and is no creator any more.
            let is_over = removed > 0 && options.list().is_ok_and(|names| !names.is_empty());
            let said = halted.go_on();
            assert!(said.status.success(), "{said:?}");
            options.remove_unused().unwrap();
            if is_over {
                break;
            }
        }
        assert!(removed > 0);
    });
}
