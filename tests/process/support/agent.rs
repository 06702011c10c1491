//! The parent's hand on a child process.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::process::{ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::Instant;

use ebbtide::{Liveness, Segment};
use nix::libc;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::child::{DIRECTORY, LIVENESS, MARK, PARENT, ROLE};
use super::ending::{end_of, killer};
use super::{HANG, Place};

/// A child process. Killed and waited for when it is dropped.
pub struct Agent {
    role: String,
    process: std::process::Child,
    orders: Option<ChildStdin>,
    replies: Receiver<String>,
    events: Receiver<String>,
    seen: VecDeque<String>,
}

impl Agent {
    /// Starts this test binary again, in a role of the same test.
    pub fn spawn(place: &Place, role: &str, segment: Option<&Segment>) -> Self {
        let mut command = Self::command(place, role);
        if let Some(segment) = segment {
            command.env(Segment::VARIABLE, segment.token().to_string());
        }
        Self::start(role, command)
    }

    /// The same as leader of a process group of its own.
    pub fn spawn_leader(place: &Place, segment: &Segment) -> Self {
        let mut command = Self::command(place, "agent");
        command.env(Segment::VARIABLE, segment.token().to_string());
        command.process_group(0);
        Self::start("agent", command)
    }

    /// The same on a liveness back end of its own.
    pub fn spawn_on(place: &Place, segment: &Segment, liveness: Liveness) -> Self {
        let mut command = Self::command(place, "agent");
        command
            .env(Segment::VARIABLE, segment.token().to_string())
            .env(LIVENESS, format!("{liveness:?}"));
        Self::start("agent", command)
    }

    /// The command line of a child, to be changed before it is started.
    pub fn command(place: &Place, role: &str) -> Command {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--exact", place.test(), "--nocapture", "--test-threads=1"])
            .env(ROLE, role)
            .env(PARENT, std::process::id().to_string())
            .env(LIVENESS, format!("{:?}", place.liveness))
            .env(DIRECTORY, place.directory())
            .env_remove(Segment::VARIABLE);
        command
    }

    pub fn start(role: &str, command: Command) -> Self {
        Self::try_start(role, command).unwrap()
    }

    /// The same where the system may refuse what the command asks for.
    pub fn try_start(role: &str, mut command: Command) -> std::io::Result<Self> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn()?;
        let (reply, replies) = mpsc::channel();
        let (event, events) = mpsc::channel();
        let output = BufReader::new(process.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                // The test runner prints, too, and not always whole lines.
                let Some((_, text)) = line.split_once(MARK) else {
                    continue;
                };
                let _ = match text.split_at(1) {
                    ("!", text) => event.send(text.to_owned()),
                    (_, text) => reply.send(text.to_owned()),
                };
            }
        });
        Ok(Self {
            role: role.into(),
            orders: process.stdin.take(),
            process,
            replies,
            events,
            seen: VecDeque::new(),
        })
    }

    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    fn process_id(&self) -> Pid {
        Pid::from_raw(self.pid() as i32)
    }

    /// Gives an order without waiting for anything.
    #[track_caller]
    pub fn tell(&mut self, order: &str) {
        let orders = self.orders.as_mut().expect("it was told to quit");
        writeln!(orders, "{order}")
            .unwrap_or_else(|error| panic!("{}: {order}: {error}", self.role));
    }

    /// Gives an order and returns its reply.
    #[track_caller]
    pub fn ask(&mut self, order: &str) -> String {
        self.tell(order);
        self.reply(order)
    }

    /// The next reply.
    #[track_caller]
    pub fn reply(&mut self, of: &str) -> String {
        match self.replies.recv_timeout(HANG) {
            Ok(reply) => reply,
            Err(RecvTimeoutError::Timeout) => panic!("{} hangs in {of:?}", self.role),
            Err(RecvTimeoutError::Disconnected) => panic!("{} ended in {of:?}", self.role),
        }
    }

    /// The rest of the next event of this kind; waits for it.
    #[track_caller]
    pub fn event(&mut self, kind: &str) -> String {
        let end = Instant::now() + HANG;
        let rest = |event: &str| match event.strip_prefix(kind) {
            Some(rest) if rest.is_empty() || rest.starts_with(' ') => Some(rest.trim().to_owned()),
            _ => None,
        };
        if let Some(index) = self.seen.iter().position(|event| rest(event).is_some()) {
            return rest(&self.seen.remove(index).unwrap()).unwrap();
        }
        loop {
            let left = end.saturating_duration_since(Instant::now());
            match self.events.recv_timeout(left) {
                Ok(event) => match rest(&event) {
                    Some(rest) => return rest,
                    None => self.seen.push_back(event),
                },
                Err(RecvTimeoutError::Timeout) => {
                    panic!("{}: no event {kind:?}, but {:?}", self.role, self.seen)
                }
                Err(RecvTimeoutError::Disconnected) => {
                    let status = self.process.wait();
                    panic!(
                        "{} ended ({status:?}) before event {kind:?}; {:?}",
                        self.role, self.seen
                    )
                }
            }
        }
    }

    /// Whether an event of this kind has come by now.
    pub fn has(&mut self, kind: &str) -> bool {
        self.seen.extend(self.events.try_iter());
        self.seen
            .iter()
            .any(|event| event.split(' ').next() == Some(kind))
    }

    /// Waits until a thread of it sleeps on a word of the segment: see [`until_asleep`].
    #[track_caller]
    pub fn until_asleep(&self) {
        until_asleep(self.pid());
    }

    pub fn signal(&self, signal: Signal) {
        kill(self.process_id(), signal).unwrap();
    }

    /// SIGKILL, and waits until the process is gone.
    pub fn kill(&mut self) {
        // A process that has ended by itself is as good.
        let _ = self.process.kill();
        self.process.wait().unwrap();
    }

    /// SIGKILL, without waiting.
    pub fn shoot(&mut self) {
        self.process.kill().unwrap();
    }

    /// SIGSTOP, and waits until it is stopped.
    pub fn stop(&self) {
        self.signal(Signal::SIGSTOP);
        let stopped = waitpid(self.process_id(), Some(WaitPidFlag::WUNTRACED)).unwrap();
        assert!(matches!(stopped, WaitStatus::Stopped(..)), "{stopped:?}");
    }

    /// SIGCONT.
    pub fn go_on(&self) {
        self.signal(Signal::SIGCONT);
    }

    /// Waits for its end.
    #[track_caller]
    pub fn ended(&mut self) -> ExitStatus {
        let kill = killer(&self.process);
        let status = end_of(&mut self.process, HANG, kill);
        status.unwrap_or_else(|| panic!("{} does not end", self.role))
    }

    /// Lets it leave and detach in order, and checks that it does.
    #[track_caller]
    pub fn quit(mut self) {
        self.tell("quit");
        assert!(self.ended().success(), "{} failed", self.role);
    }
}

impl Agent {
    /// The same for a role that says something last.
    #[track_caller]
    pub fn quit_with(mut self, last: &str) {
        assert_eq!(self.ask("quit"), last);
        assert!(self.ended().success(), "{} failed", self.role);
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Waits until a process that is about to stop itself is stopped.
#[track_caller]
pub fn until_stopped(pid: u32) {
    super::until_true("it is stopped", || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let rest = stat.rsplit_once(')').unwrap().1;
        rest.starts_with(" T")
    });
}

/// Waits until a thread of a process sleeps on a word of the segment, which is how every
/// wait of the library waits: then an order to wait for something is under way.
#[track_caller]
pub fn until_asleep(pid: u32) {
    // The standard library's own waits have the private flag.
    const SHARED_WAIT: &str = "0x9";
    let calls = |call: &str| {
        let mut words = call.split(' ');
        let number: Option<i64> = words.next().and_then(|number| number.parse().ok());
        number == Some(libc::SYS_futex_waitv)
            || number == Some(libc::SYS_futex) && words.nth(1) == Some(SHARED_WAIT)
    };
    super::until_true("it sleeps on the segment", || {
        let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
        tasks
            .flatten()
            .filter(|task| !is_idle_keeper(&task.path()))
            .filter_map(|task| std::fs::read_to_string(task.path().join("syscall")).ok())
            .any(|call| calls(&call))
    });
}

/// Whether a task is a keeper that watches nothing: it sleeps on its inbox alone, which is
/// in the segment, too.
fn is_idle_keeper(task: &std::path::Path) -> bool {
    let read = |name| std::fs::read_to_string(task.join(name)).unwrap_or_default();
    let number = libc::SYS_futex.to_string();
    read("comm").trim_end() == "ebbtide-keeper"
        && read("syscall").split(' ').next() == Some(number.as_str())
}
