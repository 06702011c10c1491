//! Peers that are programs of their own, where they are installed: never a build step.
//!
//! Such a program is started with a number of processes. It says `ready`, and for each line
//! `go` that it reads it makes one round and answers with a line of nanoseconds, from the
//! set to the last of its processes that saw it. It ends with its input.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use crate::Fallible;

/// One of them.
pub struct External {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl External {
    /// Python's `multiprocessing.Event`, by the `python3` that is found.
    pub fn python(processes: usize) -> Fallible<Self> {
        let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("benches/peers/mp_event.py");
        let mut command = Command::new("python3");
        command.arg(script).arg(processes.to_string());
        Self::start(&mut command)
    }

    /// iceoryx2's event, by a program built by hand; see `benches/peers/iceoryx2`.
    pub fn iceoryx2(processes: usize) -> Fallible<Self> {
        let program = std::env::var_os("EBBTIDE_BENCH_ICEORYX2")
            .ok_or("EBBTIDE_BENCH_ICEORYX2 does not name its program (benches/peers/iceoryx2)")?;
        Self::start(Command::new(program).arg(processes.to_string()))
    }

    fn start(command: &mut Command) -> Fallible<Self> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let input = child.stdin.take();
        let output = child.stdout.take().ok_or("it has no output")?;
        let mut started = Self {
            child,
            input,
            output: BufReader::new(output),
        };
        match started.line()?.as_str() {
            "ready" => Ok(started),
            other => Err(format!("it said {other:?} instead of ready").into()),
        }
    }

    fn line(&mut self) -> Fallible<String> {
        let mut line = String::new();
        match self.output.read_line(&mut line)? {
            0 => Err("it ended early".into()),
            _ => Ok(line.trim().into()),
        }
    }

    /// One round; its nanoseconds.
    pub fn round(&mut self) -> Fallible<f64> {
        let input = self.input.as_mut().ok_or("it was told to end")?;
        input.write_all(b"go\n")?;
        input.flush()?;
        Ok(self.line()?.parse()?)
    }
}

impl Drop for External {
    fn drop(&mut self) {
        drop(self.input.take());
        // It ends with its input; one that does not is ended.
        for _ in 0..200 {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
