//! Descriptors of the library that other code of the program closes, or uses again for files
//! of its own. The victim here is such a program.

mod forked;
mod lost;
mod portable;
mod reused;

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::path::{Path, PathBuf};

use crate::support::{Agent, Child, Place, answer, reply};
use ebbtide::{CrossProcessLock, Liveness, Runner, Segment};
use nix::libc;
use nix::sys::signal::{Signal, raise};

/// Variable with the directory of the victim's own files.
const FILES: &str = "EBBTIDE_TEST_FILES";
/// What each of them says.
const TEXT: &str = "the program's own";
/// How many it opens: more than the library has descriptors.
const COUNT: usize = 16;

/// A victim: registered as "victim", and holds the lock "device".
fn spawn(place: &Place, segment: &Segment, liveness: Liveness) -> Agent {
    let mut command = Agent::command(place, "victim");
    let files = place.scratch("files");
    std::fs::create_dir_all(&files).unwrap();
    command
        .env(Segment::VARIABLE, segment.token().to_string())
        .env("EBBTIDE_TEST_LIVENESS", format!("{liveness:?}"))
        .env(FILES, files);
    let mut victim = Agent::start("victim", command);
    assert_eq!(victim.reply("start"), "ok");
    victim
}

/// Closes every descriptor but the first three, as daemons do.
fn close_all() {
    // SAFETY: takes numbers and touches no memory. What is closed belongs to the library,
    // which is what is tested; nothing else here has any.
    let result = unsafe { libc::syscall(libc::SYS_close_range, 3_u32, u32::MAX, 0_u32) };
    assert_eq!(result, 0);
}

/// The numbers of the library's lock descriptors: by their offsets, which are their names.
fn lock_numbers() -> Vec<RawFd> {
    let is_one = |number: &RawFd| {
        let text = std::fs::read_to_string(format!("/proc/self/fdinfo/{number}"));
        let text = text.unwrap_or_default();
        let offset = text.lines().find_map(|line| line.strip_prefix("pos:"));
        offset.is_some_and(|offset| offset.trim().parse::<u64>().unwrap() >= 1 << 41)
    };
    let entries = std::fs::read_dir("/proc/self/fd").unwrap();
    let numbers: Vec<RawFd> = entries
        .map(|entry| {
            entry
                .unwrap()
                .file_name()
                .to_str()
                .unwrap()
                .parse()
                .unwrap()
        })
        .collect();
    numbers.into_iter().filter(is_one).collect()
}

/// The program's own files, open for reading and writing.
struct Own(Vec<(PathBuf, File)>);

impl Own {
    fn open() -> Self {
        let folder = PathBuf::from(std::env::var_os(FILES).unwrap());
        let open = |index: usize| {
            let path = folder.join(index.to_string());
            let mut options = File::options();
            options.read(true).write(true).create(true).truncate(true);
            let mut file = options.open(&path).unwrap();
            file.write_all(TEXT.as_bytes()).unwrap();
            (path, file)
        };
        Self((0..COUNT).map(open).collect())
    }

    /// Puts copies of them over these numbers, which are of the library.
    fn put_over(&self, numbers: &[RawFd]) {
        for (number, (_, file)) in numbers.iter().zip(&self.0) {
            // SAFETY: takes numbers and touches no memory; as above.
            let result = unsafe { libc::dup2(file.as_raw_fd(), *number) };
            assert_eq!(result, *number);
        }
    }

    /// Nothing was written, moved, locked or closed.
    fn check(&mut self) -> String {
        for (path, file) in &mut self.0 {
            let place = path.display();
            match file.stream_position() {
                Ok(at) if at == TEXT.len() as u64 => {}
                other => return format!("{place}: {other:?}"),
            }
            if std::fs::read_to_string(&path).unwrap() != TEXT {
                return format!("{place} was written");
            }
            if is_locked(path) {
                return format!("{place} is locked");
            }
            file.seek(SeekFrom::End(0)).unwrap();
        }
        "ok".into()
    }
}

/// Whether anybody has a lock on any byte of a file.
fn is_locked(path: &Path) -> bool {
    use nix::fcntl::{FcntlArg, fcntl};
    let file = File::options().read(true).write(true).open(path).unwrap();
    let mut request = libc::flock {
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    };
    fcntl(&file, FcntlArg::F_OFD_GETLK(&mut request)).unwrap();
    i32::from(request.l_type) != libc::F_UNLCK
}

/// Follows orders, as the program that it is.
fn victim(child: &Child) {
    let segment = child.open();
    let runner = Runner::join(&segment, "victim").unwrap();
    let lock = CrossProcessLock::open(&segment, "device").unwrap();
    let mut guard = Some(lock.lock().unwrap());
    let mut own = None;
    reply("ok");
    loop {
        let order = child.order();
        let text = match order.as_str() {
            "close" => {
                close_all();
                "ok".into()
            }
            // By another thread, while this one holds the lock.
            "close beside" => {
                std::thread::spawn(close_all).join().unwrap();
                "ok".into()
            }
            "close and stop" => {
                close_all();
                reply("ok");
                raise(Signal::SIGSTOP).unwrap();
                continue;
            }
            // The numbers are used again at once.
            "close and open" => {
                let before = lock_numbers();
                close_all();
                own = Some(Own::open());
                format!("{}", before.len())
            }
            "put over" => {
                let numbers = lock_numbers();
                let files = own.insert(Own::open());
                files.put_over(&numbers);
                format!("{}", numbers.len())
            }
            "files" => own.as_mut().unwrap().check(),
            "numbers" => lock_numbers().len().to_string(),
            "fork" => forked::fork(&segment, own.as_mut()),
            "reap" => answer(segment.reap()),
            "check" => answer(segment.check().map(|report| report.is_sound())),
            "begin" => answer(runner.begin().map(drop)),
            "lock" => {
                let other = CrossProcessLock::open(&segment, "other");
                answer(other.and_then(|other| other.lock().map(drop)))
            }
            "again" => {
                let again = child.open();
                answer(Runner::join(&again, "again").map(|runner| runner.leave()))
            }
            "unlock" => {
                let was = guard.take().map(|guard| guard.previous_owner_died());
                format!("{was:?}")
            }
            "leave" => {
                runner.leave();
                "ok".into()
            }
            "quit" => {
                drop(guard);
                drop((lock, runner, segment));
                return reply(&own.map_or("ok".into(), |mut own| own.check()));
            }
            other => panic!("no such order: {other}"),
        };
        reply(&text);
    }
}
