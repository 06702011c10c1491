//! The victim: this test binary run again, told by its environment what to die in.

use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::operation::Operation;

const OPERATION: &str = "EBBTIDE_KILL_OPERATION";
const ACCESS: &str = "EBBTIDE_KILL_ACCESS";
const DIRECTORY: &str = "EBBTIDE_KILL_DIRECTORY";
const PORTABLE: &str = "EBBTIDE_KILL_PORTABLE";
/// The test that a victim enters by.
const ENTRY: &str = "kill::sweep::victim";
/// Longer than any victim lives on a machine that works.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a victim was told.
pub(super) struct Orders {
    pub(super) operation: Operation,
    pub(super) access: u64,
    pub(super) directory: String,
    pub(super) portable: bool,
}

impl Orders {
    /// From the environment; `None` in a process that is no victim.
    pub(super) fn read() -> Option<Self> {
        let operation = std::env::var(OPERATION).ok()?;
        Some(Self {
            operation: Operation::named(&operation).expect("an operation's name"),
            access: std::env::var(ACCESS).unwrap().parse().unwrap(),
            directory: std::env::var(DIRECTORY).unwrap(),
            portable: std::env::var(PORTABLE).is_ok(),
        })
    }
}

/// Starts a victim. Its standard output is where it says how many accesses it made.
pub(super) fn start(directory: &Path, operation: Operation, access: u64, portable: bool) -> Victim {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", ENTRY, "--nocapture", "--test-threads=1"])
        .env(OPERATION, operation.name())
        .env(ACCESS, access.to_string())
        .env(DIRECTORY, directory)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit());
    if portable {
        command.env(PORTABLE, "1");
    }
    Victim(command.spawn().unwrap())
}

/// A victim under way; killed and waited for when dropped.
pub(super) struct Victim(Child);

impl Victim {
    /// Waits for its end; a hang is a failure.
    pub(super) fn end(mut self) -> (ExitStatus, String) {
        let begin = Instant::now();
        let status = loop {
            // A child's end has no futex; this is the test's own bookkeeping.
            if let Some(status) = self.0.try_wait().unwrap() {
                break status;
            }
            assert!(begin.elapsed() < PATIENCE, "the victim hangs");
            std::thread::yield_now();
        };
        let mut said = String::new();
        if let Some(mut output) = self.0.stdout.take() {
            std::io::Read::read_to_string(&mut output, &mut said).unwrap();
        }
        (status, said)
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
