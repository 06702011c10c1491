//! The processes of one round, none of which outlives it.

use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use ebbtide::{ProcessHandle, Segment};
use nix::sys::signal::Signal;

use super::runner::READY;
use super::{GONE, WORKERS, random};
use crate::args::Demo;
use crate::exit::Failure;

/// What is to happen to a runner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Survivor,
    /// Killed at a random moment of the shutdown.
    Killed,
    /// Stopped at a random moment of the shutdown.
    Stopped,
    /// Never finishes its last item.
    Hung,
}

impl Role {
    /// The signal that makes it so.
    pub const fn signal(self) -> Option<Signal> {
        match self {
            Self::Killed => Some(Signal::SIGKILL),
            Self::Stopped => Some(Signal::SIGSTOP),
            Self::Survivor | Self::Hung => None,
        }
    }
}

/// One runner process.
#[derive(Debug)]
pub struct Member {
    pub id: String,
    pub role: Role,
    pub process: ProcessHandle,
    child: Child,
    /// Set once it has been waited for.
    pub ended: Option<ExitStatus>,
}

/// All of them. Dropping it ends those that still run.
#[derive(Debug)]
pub struct Crew(pub Vec<Member>);

impl Crew {
    /// Starts the processes and waits until each has joined and works.
    pub fn start(args: &Demo, segment: &Segment) -> Result<Self, Failure> {
        let mut crew = Self(Vec::new());
        for (index, role) in cast(args)?.into_iter().enumerate() {
            crew.0.push(Member::start(
                segment,
                format!("runner-{}", index + 1),
                role,
            )?);
        }
        for member in &mut crew.0 {
            member.wait_until_it_works()?;
        }
        Ok(crew)
    }

    /// Ends the stopped and hung ones and waits for all. How many are left all the same.
    pub fn end(&mut self) -> usize {
        for member in &mut self.0 {
            if member.role != Role::Survivor {
                member.kill();
            }
        }
        let until = Instant::now() + GONE;
        for member in &mut self.0 {
            member.wait(until);
        }
        let left = self
            .0
            .iter()
            .filter(|member| member.ended.is_none())
            .count();
        self.kill_all();
        left
    }

    fn kill_all(&mut self) {
        for member in &mut self.0 {
            member.kill();
        }
        let until = Instant::now() + GONE;
        for member in &mut self.0 {
            member.wait(until);
        }
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        self.kill_all();
    }
}

impl Member {
    fn start(segment: &Segment, id: String, role: Role) -> Result<Self, Failure> {
        let own = |error| Failure::because("cannot start a runner", &error);
        let mut command = Command::new(std::env::current_exe().map_err(own)?);
        command
            .arg("demo-runner")
            .args(["--segment", &segment.token().to_string()])
            .args(["--runner", &id])
            .args(["--workers", &WORKERS.to_string()])
            // Whoever is to be hit holds an item, so that it cannot be done before.
            .args((role != Role::Survivor).then_some("--hold"))
            .args((role == Role::Hung).then_some("--hang"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = command.spawn().map_err(own)?;
        match ProcessHandle::of_child(&child) {
            Ok(process) => Ok(Self {
                id,
                role,
                process,
                child,
                ended: None,
            }),
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                Err(own(error))
            }
        }
    }

    fn wait_until_it_works(&mut self) -> Result<(), Failure> {
        let mut told = [0; READY.len()];
        let out = self.child.stdout.as_mut();
        let read = out.is_some_and(|out| out.read_exact(&mut told).is_ok());
        if read && told == READY.as_bytes() {
            return Ok(());
        }
        Err(Failure::other(format!(
            "{} ended before it worked",
            self.id
        )))
    }

    fn kill(&mut self) {
        if self.ended.is_none() {
            // An error: it is gone already.
            let _ = self.child.kill();
        }
    }

    fn wait(&mut self, until: Instant) {
        while self.ended.is_none() {
            match self.child.try_wait() {
                Ok(Some(status)) => self.ended = Some(status),
                Ok(None) if Instant::now() < until => std::thread::sleep(Duration::from_millis(1)),
                _ => return,
            }
        }
    }

    /// Whether it ended by the signal that was sent to it.
    pub fn was_killed(&self) -> bool {
        let signal = self.ended.and_then(|status| status.signal());
        signal == Some(Signal::SIGKILL as i32)
    }
}

/// Who plays what, in random order.
fn cast(args: &Demo) -> Result<Vec<Role>, Failure> {
    let mut roles = vec![Role::Survivor; usize::from(args.runners)];
    let wanted = [
        (Role::Killed, args.kill),
        (Role::Stopped, args.stop),
        (Role::Hung, args.hang),
    ];
    let wanted = wanted
        .into_iter()
        .flat_map(|(role, count)| std::iter::repeat_n(role, usize::from(count)));
    for (place, role) in roles.iter_mut().zip(wanted) {
        *place = role;
    }
    // Fisher and Yates.
    for last in (1..roles.len()).rev() {
        let other = random()? % (last as u64 + 1);
        roles.swap(last, other as usize);
    }
    Ok(roles)
}
