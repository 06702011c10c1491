//! A small model of shutting down by files, as it was done before: a signal file per runner,
//! acknowledgement files, everything polled every 100 ms, and sleeps "to be sure".
//!
//! It is a model, written for this benchmark: one process signals, each runner acknowledges
//! three phases by files, and nobody dies. What it does per phase:
//!
//! 1. The initiator writes one file per runner (new name, then rename).
//! 2. Each runner looks for its file every [`POLL`], and writes its acknowledgement likewise.
//! 3. The initiator looks for all acknowledgements every [`POLL`].
//!
//! After each phase the initiator sleeps what [`SLEEPS`] says. The design that is modelled
//! took 5.12 s for one idle runner, of which the polls explain a few tenths; how the rest was
//! spread over the phases is this model's guess. `Sleeps::None` leaves them out.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::Fallible;

/// Between two looks at files.
pub const POLL: Duration = Duration::from_millis(100);

/// After each phase: to let runners notice, to let work drain, to let resources close.
pub const SLEEPS: [Duration; 3] = [
    Duration::from_millis(1_000),
    Duration::from_millis(2_000),
    Duration::from_millis(1_800),
];

/// With the sleeps or without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sleeps {
    Listed,
    None,
}

fn signal(folder: &Path, phase: usize, runner: usize) -> PathBuf {
    folder.join(format!("signal-{phase}-{runner}"))
}

fn acknowledgement(folder: &Path, phase: usize, runner: usize) -> PathBuf {
    folder.join(format!("done-{phase}-{runner}"))
}

fn put(path: &Path) -> Fallible {
    let new = path.with_extension("new");
    fs::write(&new, "shutdown\n")?;
    Ok(fs::rename(new, path)?)
}

/// The initiator's part; ends when all runners have acknowledged all phases.
pub fn initiate(folder: &Path, runners: usize, sleeps: Sleeps) -> Fallible {
    for (phase, sleep) in SLEEPS.iter().enumerate() {
        for runner in 0..runners {
            put(&signal(folder, phase, runner))?;
        }
        for runner in 0..runners {
            while !acknowledgement(folder, phase, runner).exists() {
                std::thread::sleep(POLL);
            }
        }
        if sleeps == Sleeps::Listed {
            std::thread::sleep(*sleep);
        }
    }
    Ok(())
}

/// A runner's part.
pub fn obey(folder: &Path, runner: usize) -> Fallible {
    for phase in 0..SLEEPS.len() {
        while !signal(folder, phase, runner).exists() {
            std::thread::sleep(POLL);
        }
        put(&acknowledgement(folder, phase, runner))?;
    }
    Ok(())
}

/// Takes all files away, for the next round.
pub fn clear(folder: &Path, runners: usize) -> Fallible {
    for phase in 0..SLEEPS.len() {
        for runner in 0..runners {
            fs::remove_file(signal(folder, phase, runner))?;
            fs::remove_file(acknowledgement(folder, phase, runner))?;
        }
    }
    Ok(())
}
