//! Harness of the command-line tests: the real binary in a private segment directory,
//! with a watchdog, and a check that nothing is left behind.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Output, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{end_of, killer};

/// How long anything is waited for before it counts as hung. No test is about speed.
const HANG: Duration = Duration::from_secs(60);

/// A private segment directory. Dropping it checks that no segment is left.
pub struct Place {
    scratch: tempfile::TempDir,
    liveness: &'static str,
}

/// What a command said and how it ended.
#[derive(Debug)]
pub struct Said {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Said {
    /// Checks the exit code, and shows everything if it is another.
    #[track_caller]
    pub fn code(self, expected: i32) -> Self {
        assert_eq!(self.code, Some(expected), "{self:#?}");
        self
    }

    /// Standard output as exactly one JSON document.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }

    /// Checks that the command failed with a message and, being asked for JSON, with the
    /// one document about it.
    #[track_caller]
    pub fn error(&self, kind: &str) {
        let document = self.json();
        assert_eq!(document["error"]["kind"], kind, "{self:#?}");
        assert_eq!(document["error"]["code"].as_i64(), self.code.map(i64::from));
        let message = document["error"]["message"].as_str().unwrap();
        assert!(self.err.contains(message), "{self:#?}");
    }
}

/// Runs the body once per liveness back end.
pub fn both(body: impl Fn(&Place)) {
    body(&Place::new("auto"));
    body(&Place::new("portable"));
}

impl Place {
    pub fn new(liveness: &'static str) -> Self {
        Self {
            scratch: tempfile::tempdir().unwrap(),
            liveness,
        }
    }

    pub fn directory(&self) -> PathBuf {
        self.scratch.path().join("segments")
    }

    pub fn file(&self, segment: &str) -> PathBuf {
        self.directory().join(segment)
    }

    pub fn segments(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.directory()) else {
            return Vec::new();
        };
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.collect()
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ebbtide"));
        command
            .args(args)
            .env("EBBTIDE_DIR", self.directory())
            .env("EBBTIDE_LIVENESS", self.liveness)
            .env_remove("EBBTIDE_SEGMENT")
            .env_remove("EBBTIDE_RUNNER")
            .stdin(Stdio::null());
        command
    }

    /// Runs a command to its end.
    pub fn run(&self, args: &[&str]) -> Said {
        self.start(args).end()
    }

    /// Starts a command in the background.
    pub fn start(&self, args: &[&str]) -> Running {
        Running::start(self.command(args))
    }

    /// Makes a program a runner and waits for the first line it prints.
    pub fn exec(&self, segment: &str, runner: &str, options: &[&str], program: &[&str]) -> Running {
        let mut args = vec!["exec", segment, "--runner", runner];
        args.extend(options);
        args.push("--");
        args.extend(program);
        let mut running = self.start(&args);
        running.line();
        running
    }

    /// An empty segment.
    pub fn segment(&self, name: &str) {
        self.run(&["exec", name, "--runner", "maker", "--", "true"])
            .code(0);
    }

    /// The status, once it is as wanted.
    #[track_caller]
    pub fn status(&self, segment: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let until = Instant::now() + HANG;
        loop {
            let status = self.run(&["status", segment, "--json"]).code(0).json();
            if wanted(&status) {
                return status;
            }
            assert!(Instant::now() < until, "never as wanted: {status:#}");
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !thread::panicking() {
            assert_eq!(self.segments(), [""; 0], "segments are left behind");
        }
    }
}

/// A runner of a report or status, by id.
#[track_caller]
pub fn runner<'a>(document: &'a Value, id: &str) -> &'a Value {
    let runners = document["runners"].as_array().unwrap();
    let found = runners.iter().find(|runner| runner["id"] == id);
    found.unwrap_or_else(|| panic!("no {id} in {document:#}"))
}

/// A command in the background, killed if it is dropped before its end.
pub struct Running {
    child: Child,
    /// Closing it tells the test programs to end.
    pub stdin: Option<ChildStdin>,
    out: Option<BufReader<ChildStdout>>,
    err: Option<JoinHandle<String>>,
}

impl Running {
    pub fn start(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut err = child.stderr.take().unwrap();
        let err = thread::spawn(move || {
            let mut text = String::new();
            let _ = err.read_to_string(&mut text);
            text
        });
        Self {
            stdin: child.stdin.take(),
            out: child.stdout.take().map(BufReader::new),
            err: Some(err),
            child,
        }
    }

    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap()
    }

    pub fn signal(&self, signal: nix::sys::signal::Signal) {
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(self.pid()), signal).unwrap();
    }

    /// The next line of standard output; empty at its end.
    pub fn line(&mut self) -> String {
        let mut out = self.out.take().unwrap();
        let (tell, told) = std::sync::mpsc::channel();
        thread::spawn(move || {
            let mut line = String::new();
            let _ = out.read_line(&mut line);
            let _ = tell.send((out, line));
        });
        let read = told.recv_timeout(HANG);
        let (out, line) = read.unwrap_or_else(|_| panic!("no line within {HANG:?}"));
        self.out = Some(out);
        line
    }

    /// Closes its standard input and waits for its end.
    pub fn end(mut self) -> Said {
        drop(self.stdin.take());
        self.wait()
    }

    /// Waits for its end.
    pub fn wait(mut self) -> Said {
        let mut out = self.out.take().unwrap();
        let out = thread::spawn(move || {
            let mut text = String::new();
            let _ = out.read_to_string(&mut text);
            text
        });
        let status = self.status();
        Said {
            code: status.code(),
            out: out.join().unwrap(),
            err: self.err.take().unwrap().join().unwrap(),
        }
    }

    /// Waits for the end of the process, though its pipes may be open elsewhere.
    pub fn status(&mut self) -> ExitStatus {
        let kill = killer(&self.child);
        let status = end_of(&mut self.child, HANG, kill);
        status.unwrap_or_else(|| panic!("hung for {HANG:?}"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The output of a command whose standard output goes elsewhere.
pub fn with_output_to(mut command: Command, out: Stdio) -> Output {
    command.stdout(out).stderr(Stdio::piped()).output().unwrap()
}
