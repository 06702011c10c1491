//! The service manager's side of `exec --notify`: a real datagram socket.

use std::io::ErrorKind;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::process::Command;
use std::time::Duration;

use super::support::{self, Place, Running, both};
use nix::sys::signal::Signal;

/// A program that does not care about signals and ends with its standard input.
const STUBBORN: [&str; 3] = ["sh", "-c", "trap '' TERM INT; echo up; read line; :"];

/// What a service manager gets to hear.
pub struct Manager {
    socket: UnixDatagram,
    address: String,
    /// Lines in the order they came.
    heard: Vec<String>,
    _scratch: tempfile::TempDir,
}

impl Manager {
    pub fn new() -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        Self::of(socket, path.to_str().unwrap().into(), scratch)
    }

    fn abstract_one() -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let name = scratch.path().join("notify").to_str().unwrap().to_owned();
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let socket = UnixDatagram::bind_addr(&address).unwrap();
        Self::of(socket, format!("@{name}"), scratch)
    }

    fn of(socket: UnixDatagram, address: String, scratch: tempfile::TempDir) -> Self {
        socket
            .set_read_timeout(Some(Duration::from_secs(60)))
            .unwrap();
        Self {
            socket,
            address,
            heard: Vec::new(),
            _scratch: scratch,
        }
    }

    pub fn address(&self) -> &str {
        &self.address
    }

    fn hear(&mut self) {
        let mut buffer = [0; 4096];
        let length = match self.socket.recv(&mut buffer) {
            Ok(length) => length,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                panic!("nothing more comes after {:#?}", self.heard)
            }
            Err(error) => panic!("{error}"),
        };
        let message = std::str::from_utf8(&buffer[..length]).unwrap();
        assert!(message.ends_with('\n'), "{message:?}");
        self.heard.extend(message.lines().map(String::from));
    }

    /// Listens until a line that begins like this has come; returns the rest of it.
    pub fn until(&mut self, begin: &str) -> String {
        let mut from = 0;
        loop {
            let found = self.heard[from..]
                .iter()
                .find_map(|line| line.strip_prefix(begin));
            if let Some(rest) = found {
                return rest.into();
            }
            from = self.heard.len();
            self.hear();
        }
    }

    /// All that has come by now.
    pub fn lines(&mut self) -> &[String] {
        self.socket.set_nonblocking(true).unwrap();
        let mut buffer = [0; 4096];
        while let Ok(length) = self.socket.recv(&mut buffer) {
            let message = std::str::from_utf8(&buffer[..length]).unwrap();
            self.heard.extend(message.lines().map(String::from));
        }
        self.socket.set_nonblocking(false).unwrap();
        &self.heard
    }

    pub fn forget(&mut self) {
        self.heard.clear();
    }
}

/// Starts a command with a service manager.
fn start(place: &Place, manager: &Manager, args: &[&str], more: &[(&str, &str)]) -> Running {
    let mut command: Command = place.command(args);
    command.env("NOTIFY_SOCKET", manager.address());
    command
        .env_remove("WATCHDOG_USEC")
        .env_remove("WATCHDOG_PID");
    command.envs(more.iter().copied());
    Running::start(command)
}

fn exec<'a>(program: &[&'a str]) -> Vec<&'a str> {
    let mut args = vec!["exec", "job", "--runner", "a", "--notify", "--"];
    args.extend(program);
    args
}

#[test]
fn a_whole_life_is_told_through_a_path_and_through_an_abstract_name() {
    both(|place| {
        for mut manager in [Manager::new(), Manager::abstract_one()] {
            let mut program = start(place, &manager, &exec(&STUBBORN), &[]);
            program.line();
            manager.until("READY=1");
            assert_eq!(manager.until("STATUS="), "running");
            // A shutdown that is called off is not an end.
            place
                .run(&["shutdown", "job", "--no-wait", "--timeout", "100s"])
                .code(0);
            let micros: u64 = manager.until("EXTEND_TIMEOUT_USEC=").parse().unwrap();
            assert!((90_000_000..=105_000_000).contains(&micros), "{micros}");
            let status = manager.until("STATUS=draining, ");
            assert!(
                status.starts_with("1 in flight, waiting for sh (pid "),
                "{status}"
            );
            assert!(status.ends_with(" s left"), "{status}");
            place.run(&["cancel", "job"]).code(0);
            manager.until("STATUS=draining");
            let is_stopping = |lines: &[String]| lines.iter().any(|line| line == "STOPPING=1");
            manager.forget();
            manager.until("STATUS=running");
            assert!(!is_stopping(manager.lines()));
            manager.forget();
            // The one that is not.
            place
                .run(&["shutdown", "job", "--no-wait", "--timeout", "100s"])
                .code(0);
            manager.until("STATUS=draining, ");
            assert!(!is_stopping(manager.lines()));
            program.end().code(0);
            manager.until("STOPPING=1");
            let all = manager.lines();
            assert_eq!(
                all.iter().filter(|line| *line == "STOPPING=1").count(),
                1,
                "{all:#?}"
            );
            assert!(!all.iter().any(|line| line == "READY=1"), "{all:#?}");
            place.run(&["wait", "job"]).code(0);
            place.run(&["rm", "job"]).code(0);
        }
    });
}

#[test]
fn the_watchdog_is_fed_by_the_main_process_and_not_while_it_is_stopped() {
    let place = Place::new("auto");
    let mut manager = Manager::new();
    let usec = [("WATCHDOG_USEC", "200000")];
    let mut program = start(&place, &manager, &exec(&STUBBORN), &usec);
    program.line();
    for _ in 0..3 {
        manager.until("WATCHDOG=1");
        manager.forget();
    }
    program.signal(Signal::SIGSTOP);
    let pid = nix::unistd::Pid::from_raw(program.pid());
    let flag = nix::sys::wait::WaitPidFlag::WUNTRACED;
    let stopped = nix::sys::wait::waitpid(pid, Some(flag)).unwrap();
    assert!(
        matches!(stopped, nix::sys::wait::WaitStatus::Stopped(..)),
        "{stopped:?}"
    );
    manager.lines();
    manager.forget();
    // Longer than the manager would wait.
    manager
        .socket
        .set_read_timeout(Some(Duration::from_millis(500)))
        .unwrap();
    let mut buffer = [0; 64];
    assert_eq!(
        manager.socket.recv(&mut buffer).unwrap_err().kind(),
        ErrorKind::WouldBlock
    );
    manager
        .socket
        .set_read_timeout(Some(Duration::from_secs(60)))
        .unwrap();
    program.signal(Signal::SIGCONT);
    manager.until("WATCHDOG=1");
    program.end().code(0);
    manager.lines();
    manager.forget();
    // Another process is watched, not this one.
    let usec = [("WATCHDOG_USEC", "2000"), ("WATCHDOG_PID", "1")];
    let mut program = start(&place, &manager, &exec(&STUBBORN), &usec);
    program.line();
    place
        .run(&["shutdown", "job", "--no-wait", "--timeout", "100s"])
        .code(0);
    manager.until("STATUS=draining, ");
    program.end().code(0);
    manager.until("STOPPING=1");
    assert!(
        !manager
            .lines()
            .iter()
            .any(|line| line.starts_with("WATCHDOG"))
    );
    place.run(&["rm", "job"]).code(0);
}

#[test]
fn a_manager_that_does_not_listen_delays_nobody() {
    let place = Place::new("auto");
    let mut manager = Manager::new();
    // Full before it begins.
    let flood = UnixDatagram::unbound().unwrap();
    flood.set_nonblocking(true).unwrap();
    while flood.send_to(b"X=1\n", manager.address()).is_ok() {}
    let mut program = start(&place, &manager, &exec(&STUBBORN), &[]);
    program.line();
    place
        .run(&["shutdown", "job", "--no-wait", "--timeout", "100s"])
        .code(0);
    place.status("job", |status| status["phase"] == "draining");
    // There is room again: what is still true is said.
    manager.until("EXTEND_TIMEOUT_USEC=");
    program.end().code(0);
    place.run(&["wait", "job"]).code(0);
    place.run(&["rm", "job"]).code(0);
    // A socket that is gone is no reason to fail.
    let address = manager.address().to_owned();
    drop(manager);
    let mut command = place.command(&exec(&["true"]));
    command.env("NOTIFY_SOCKET", address);
    Running::start(command).end().code(0);
    place.run(&["rm", "job"]).code(0);
}

#[test]
fn the_program_does_not_inherit_the_managers_ear_and_a_bad_one_is_an_error() {
    let place = Place::new("auto");
    let manager = Manager::new();
    let script = "echo \"${NOTIFY_SOCKET-none} ${WATCHDOG_USEC-none} ${WATCHDOG_PID-none}\"";
    let more = [("WATCHDOG_USEC", "9000000"), ("WATCHDOG_PID", "1")];
    let said = start(&place, &manager, &exec(&["sh", "-c", script]), &more).end();
    assert_eq!(said.code(0).out, "none none none\n");
    // Without --notify it is the program's affair.
    let mut args = exec(&["sh", "-c", script]);
    args.retain(|arg| *arg != "--notify");
    let said = start(&place, &manager, &args, &more).end();
    let expected = format!("{} 9000000 1\n", manager.address());
    assert_eq!(said.code(0).out, expected);
    for (variable, value) in [
        ("NOTIFY_SOCKET", "relative"),
        ("NOTIFY_SOCKET", "@"),
        ("WATCHDOG_USEC", "soon"),
        ("WATCHDOG_PID", "me"),
    ] {
        let said = start(&place, &manager, &exec(&["cat"]), &[(variable, value)]).end();
        let said = said.code(1);
        assert!(said.err.contains(variable), "{said:#?}");
    }
    // None is set: nothing is told, and nothing is wrong.
    let mut command = place.command(&exec(&["true"]));
    command.env_remove("NOTIFY_SOCKET");
    let output = support::with_output_to(command, std::process::Stdio::null());
    assert!(output.status.success(), "{output:?}");
    place.run(&["rm", "job"]).code(0);
}
