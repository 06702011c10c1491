//! A program that closes descriptors which it did not open, as daemons do, and perhaps
//! opens files of its own after that, which get the same numbers.
//!
//! From then on the library must neither take the process for dead (the other oracles see
//! to that) nor use the numbers that are the program's now: each of its files must stay
//! open, be the same file, keep its contents and its position, however the attachment goes
//! on and ends. The program closes them itself only at its end.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::Member;
use crate::ledger::Ledger;
use crate::ledger::act::Act;
use crate::random::Random;

/// More than the library has descriptors.
const FILES: usize = 12;
const TEXT: &[u8] = b"this file is the program's";
const POSITION: u64 = 7;

/// What one process does about its descriptors.
pub struct Descriptors {
    closes: bool,
    folder: PathBuf,
    random: Random,
    ledger: std::sync::Arc<Ledger>,
    process: usize,
    own: Vec<Own>,
}

/// A file of the program.
struct Own {
    file: File,
    identity: (u64, u64),
}

impl Descriptors {
    pub fn new(member: &Member, closes: bool) -> Self {
        Self {
            closes,
            folder: member.scratch.join("own"),
            random: Random::stream(member.process as u64, 2),
            ledger: std::sync::Arc::clone(&member.ledger),
            process: member.process,
            own: Vec::new(),
        }
    }

    /// Closes all, once, at a random time, on a thread of its own.
    pub fn close_soon(&mut self, finish: &AtomicBool) {
        if !self.closes {
            return;
        }
        let at = Instant::now() + self.random.millis(0, 60);
        while Instant::now() < at {
            if finish.load(Ordering::Acquire) {
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        self.closes = false;
        self.ledger.set_closed(self.process);
        close_all();
        self.ledger.count(Act::Closed);
        if self.random.once_in(2) {
            // Descriptors that were open for an instant, in the middle of some call, are
            // closed by the code that opened them: not under the numbers of these files.
            std::thread::sleep(Duration::from_millis(30));
            for number in 0..FILES {
                let path = self.folder.join(format!("{}-{number}", self.process));
                self.own.push(Own::create(&path));
            }
        }
    }

    /// The files of the program are still its own.
    pub fn check(&mut self, ledger: &Ledger, process: usize) {
        for own in &mut self.own {
            if let Err(error) = own.check() {
                let who = ledger.describe(process);
                ledger.violate(&format!("a file of {who} was touched: {error}"));
            }
        }
    }
}

/// All but the standard ones.
fn close_all() {
    const FIRST: libc::c_uint = 3;
    // SAFETY: nothing of this process relies on a descriptor for the safety of memory; the
    // mappings stay. Any use of a closed number returns an error.
    let closed = unsafe { libc::syscall(libc::SYS_close_range, FIRST, libc::c_uint::MAX, 0) };
    assert_eq!(closed, 0, "{}", std::io::Error::last_os_error());
}

impl Own {
    fn create(path: &std::path::Path) -> Self {
        let mut options = File::options();
        let options = options.read(true).write(true).create(true).truncate(true);
        let mut file = options.open(path).unwrap();
        file.write_all(TEXT).unwrap();
        let found = file.metadata().unwrap();
        file.seek(SeekFrom::Start(POSITION)).unwrap();
        // Of nobody, once the process has ended.
        std::fs::remove_file(path).unwrap();
        Self {
            file,
            identity: (found.dev(), found.ino()),
        }
    }

    fn check(&mut self) -> Result<(), String> {
        let text = |error: std::io::Error| error.to_string();
        let found = self.file.metadata().map_err(text)?;
        if (found.dev(), found.ino()) != self.identity {
            return Err("its number leads to another file".into());
        }
        let position = self.file.stream_position().map_err(text)?;
        if position != POSITION {
            return Err(format!("its position is {position}"));
        }
        let mut bytes = Vec::new();
        self.file.seek(SeekFrom::Start(0)).map_err(text)?;
        self.file.read_to_end(&mut bytes).map_err(text)?;
        self.file.seek(SeekFrom::Start(POSITION)).map_err(text)?;
        match bytes == TEXT {
            true => Ok(()),
            false => Err(format!("it contains {bytes:?}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_was_touched_is_reported_and_one_that_was_not_is_none() {
        let directory = tempfile::tempdir().unwrap();
        let make = |name: &str| Own::create(&directory.path().join(name));
        let mut own = make("a");
        assert_eq!(own.check(), Ok(()));
        own.file.seek(SeekFrom::Start(1 << 42)).unwrap();
        assert!(own.check().unwrap_err().contains("position"));
        let mut own = make("b");
        own.file.set_len(3).unwrap();
        assert!(own.check().unwrap_err().contains("contains"));
        let mut own = make("c");
        own.file = make("d").file;
        assert!(own.check().unwrap_err().contains("another"));
    }
}
