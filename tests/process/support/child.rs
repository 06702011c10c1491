//! The child's side: it plays a role, by default that of an agent that follows orders.

use std::fmt::Debug;
use std::io::{BufRead, Write};
use std::sync::mpsc::{self, Receiver, TryRecvError};

use ebbtide::{Liveness, Segment, SegmentOptions, ShutdownReport};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{SigHandler, Signal, raise, signal};

use super::{Role, orders};

pub(super) const ROLE: &str = "EBBTIDE_TEST_ROLE";
pub const PARENT: &str = "EBBTIDE_TEST_PARENT";
pub(super) const LIVENESS: &str = "EBBTIDE_TEST_LIVENESS";
pub(super) const DIRECTORY: &str = "EBBTIDE_TEST_DIRECTORY";
/// What our own lines begin with, among those of the test runner.
pub(super) const MARK: &str = "@@";

/// A process that was started by a test.
pub struct Child {
    orders: Receiver<String>,
    pub options: SegmentOptions,
    pub liveness: Liveness,
}

/// Plays the role that the environment names. False in a process that has none.
pub fn play(roles: &[(&str, Role)]) -> bool {
    let Ok(role) = std::env::var(ROLE) else {
        return false;
    };
    let child = Child::begin();
    match roles.iter().find(|(name, _)| *name == role) {
        Some((_, play)) => play(&child),
        None => orders::serve(&child),
    }
    true
}

impl Child {
    fn begin() -> Self {
        // Whatever happens to the parent, also while we are stopped.
        set_pdeathsig(Signal::SIGKILL).unwrap();
        // Not told where it cannot be known: across namespaces.
        if let Ok(parent) = std::env::var(PARENT)
            && std::os::unix::process::parent_id().to_string() != parent
        {
            std::process::exit(1);
        }
        // A shell starts what it runs in the background with interrupts ignored.
        // SAFETY: the default disposition runs no code of ours.
        unsafe { signal(Signal::SIGINT, SigHandler::SigDfl) }.unwrap();
        let (order, orders) = mpsc::channel();
        std::thread::spawn(move || {
            for line in std::io::stdin().lock().lines().map_while(Result::ok) {
                if order.send(line).is_err() {
                    // The role is over; the test runner ends the process.
                    return;
                }
            }
            std::process::exit(0);
        });
        let liveness = match std::env::var(LIVENESS).as_deref() {
            Ok("Portable") => Liveness::Portable,
            _ => Liveness::Auto,
        };
        let options = SegmentOptions::new()
            .directory(std::env::var_os(DIRECTORY).unwrap())
            .liveness(liveness);
        Self {
            orders,
            options,
            liveness,
        }
    }

    /// Attaches to the segment that the parent named.
    pub fn open(&self) -> Segment {
        let token = std::env::var(Segment::VARIABLE).unwrap();
        self.options.open_token(&token.parse().unwrap()).unwrap()
    }

    /// The next order, if there is one by now.
    pub fn try_order(&self) -> Option<String> {
        match self.orders.try_recv() {
            Err(TryRecvError::Disconnected) => std::process::exit(0),
            order => order.ok(),
        }
    }

    /// The next order.
    pub fn order(&self) -> String {
        // The reading thread ends the process when there are no more.
        self.orders.recv().unwrap_or_else(|_| std::process::exit(0))
    }
}

/// Answers an order.
pub fn reply(text: &str) {
    say('=', text);
}

/// Tells of something by itself.
pub fn event(text: &str) {
    say('!', text);
}

fn say(kind: char, text: &str) {
    let line = format!("\n{MARK}{kind}{}\n", text.replace('\n', " "));
    let mut out = std::io::stdout().lock();
    // Without a parent there is nobody to tell.
    let _ = out.write_all(line.as_bytes()).and_then(|()| out.flush());
}

/// A result in one line: the value, or `err` and the error with all its fields.
pub fn answer<T: Debug, E: Debug>(result: Result<T, E>) -> String {
    match result {
        Ok(value) => match format!("{value:?}") {
            unit if unit == "()" => "ok".into(),
            text => text,
        },
        Err(error) => format!("err {error:?}"),
    }
}

/// A report in one line: the whole, then each runner's outcome in the order of ids.
pub fn summary(report: &ShutdownReport) -> String {
    let mut runners: Vec<_> = report
        .runners
        .iter()
        .map(|runner| {
            format!(
                "{}={}",
                runner.id,
                runner.outcome.as_ref().map_or("-", |o| o.name())
            )
        })
        .collect();
    runners.sort();
    format!("{} {}", report.outcome.name(), runners.join(" "))
        .trim_end()
        .into()
}

/// Ends this process by SIGKILL.
pub fn die() -> ! {
    raise(Signal::SIGKILL).unwrap();
    unreachable!()
}
