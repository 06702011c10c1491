//! Telling a service manager how a runner stands, by systemd's notification protocol.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::JoinHandle;

use crate::api::core::Core;
use crate::api::runner::Runner;
use crate::api::systemd_words::{Feeding, Seen, Words};
use crate::api::view::{Target, View};
use crate::error::{CoordinationError, SegmentError};
use crate::limits::WAIT_BOUND_MICROS;
use crate::os::fork::fork_count;
use crate::os::notify::{NotifySocket, variable};
use crate::phase::Phase;
use crate::sync::mem::ALL;
use crate::sync::{Env, Mem, Real};
use crate::table::control::Control;
use crate::table::runner::Runner as Record;
use crate::table::scope::Scope;

/// When the service manager's watchdog is fed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Watchdog {
    /// While nothing is in flight, or [`Runner::progress`] was called since it was fed last.
    /// Work that stands still for longer than the manager allows gets the process killed,
    /// so call `progress` within long items.
    #[default]
    WhileWorking,
    /// While this process lives and is not stopped, whatever its work does.
    WhileAlive,
}

/// Tells a service manager (systemd, or what speaks its protocol) how a runner stands.
/// Opt-in, and does nothing where `NOTIFY_SOCKET` is not set.
///
/// A thread sleeps on the segment and sends, each when it becomes true:
/// - `READY=1` at the start;
/// - `STATUS=` with the phase and, during a shutdown, what is in flight, what this runner
///   does, how long is left and who is waited for (at most once a second);
/// - `EXTEND_TIMEOUT_USEC=` with what is left of the budget and 5 s, with each `STATUS` of a
///   shutdown and whenever its deadline moves, so that the unit's own timeout does not cut it
///   short, also when the manager begins to stop the unit in the middle of it;
/// - `STOPPING=1` once Closing begins. Not before: a shutdown can be called off until then,
///   and a manager that was told so kills the process after its timeout all the same;
/// - `WATCHDOG=1` every half of `WATCHDOG_USEC`, where that is set for this process; see
///   [`Watchdog`].
///
/// Nothing ever waits for the manager: a message that its socket cannot take now is sent a
/// moment later, if it is true then. The telling ends when the runner leaves, and when this
/// is dropped.
///
/// # Examples
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use ebbtide::{Runner, SegmentOptions, SystemdNotifier, Watchdog};
///
/// # let scratch = tempfile::tempdir()?;
/// # let options = SegmentOptions::new().directory(scratch.path().join("d"));
/// let segment = options.create("job")?;
/// let runner = Runner::join(&segment, "runner-1")?;
/// // Once the program can do its work:
/// let _notifier = SystemdNotifier::start(&runner, Watchdog::WhileWorking)?;
/// # Ok(())
/// # }
/// ```
#[must_use = "nothing is told once it is dropped"]
pub struct SystemdNotifier {
    /// Of this process when it was made.
    forks: u32,
    stop: Arc<AtomicU32>,
    thread: Option<JoinHandle<()>>,
}

impl SystemdNotifier {
    /// Says `READY=1` and goes on telling; `None` where `NOTIFY_SOCKET` is not set. The
    /// variables stay set: children that are not to speak for this process should be
    /// started without `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `WATCHDOG_PID`.
    ///
    /// # Errors
    /// [`SegmentError::Environment`] when one of the variables is unusable; `System` when
    /// there is no thread; `Left`; [`SegmentError::ForkedHandle`].
    pub fn start(runner: &Runner, watchdog: Watchdog) -> Result<Option<Self>, CoordinationError> {
        runner.check()?;
        let Some(address) = variable(SOCKET) else {
            return Ok(None);
        };
        let socket = NotifySocket::open(&address).map_err(|error| unusable(SOCKET, &error))?;
        let stop = Arc::new(AtomicU32::new(0));
        let (slot, generation) = runner.key();
        let mut teller = Teller {
            core: Arc::clone(runner.core()),
            slot,
            generation,
            socket,
            feeding: feeding(watchdog)?,
            words: Words::default(),
        };
        // Here, so that the manager knows once this returns.
        teller.tell();
        let inbox = Arc::clone(&stop);
        let thread = std::thread::Builder::new()
            .name("ebbtide-systemd".into())
            .spawn(move || teller.run(&inbox))
            .map_err(|source| CoordinationError::System {
                operation: "start the thread that tells the service manager",
                source,
            })?;
        Ok(Some(Self {
            forks: fork_count(),
            stop,
            thread: Some(thread),
        }))
    }
}

impl Drop for SystemdNotifier {
    fn drop(&mut self) {
        let thread = self.thread.take();
        if fork_count() != self.forks {
            // It is a thread of the parent.
            std::mem::forget(thread);
            return;
        }
        self.stop.store(1, Ordering::Release);
        Real::wake(Real::cell(&self.stop), ALL);
        if let Some(thread) = thread {
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for SystemdNotifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SystemdNotifier").finish_non_exhaustive()
    }
}

const SOCKET: &str = "NOTIFY_SOCKET";
const WATCHDOG: &str = "WATCHDOG_USEC";
const WATCHED: &str = "WATCHDOG_PID";

fn unusable(variable: &'static str, problem: &impl fmt::Display) -> CoordinationError {
    let problem = format!("is unusable: {problem}");
    SegmentError::Environment { variable, problem }.into()
}

/// Shortest time between two feedings, in microseconds: no manager means less.
const SHORTEST: u64 = 1_000;

/// What the manager wants of its watchdog, if it watches this process.
fn feeding(watchdog: Watchdog) -> Result<Option<Feeding>, CoordinationError> {
    let number = |name: &'static str| {
        let parse = |text: std::ffi::OsString| {
            let number = text.to_str().and_then(|text| text.parse::<u64>().ok());
            number.ok_or_else(|| unusable(name, &format!("{text:?} is no number")))
        };
        variable(name).map(parse).transpose()
    };
    let is_ours = number(WATCHED)?.is_none_or(|pid| pid == u64::from(std::process::id()));
    let period = number(WATCHDOG)?.filter(|micros| is_ours && *micros > 0);
    Ok(period.map(|micros| Feeding {
        period: (micros / 2).max(SHORTEST),
        needs_progress: watchdog == Watchdog::WhileWorking,
    }))
}

/// The thread that looks and tells.
struct Teller {
    core: Arc<Core>,
    slot: usize,
    generation: u64,
    socket: NotifySocket,
    feeding: Option<Feeding>,
    words: Words,
}

impl Teller {
    fn run(mut self, stop: &AtomicU32) {
        let core = Arc::clone(&self.core);
        let Some(record) = core.tables().group.runners.get(self.slot) else {
            return;
        };
        let scope = &core.tables().group.scope;
        loop {
            // Before the look: what moves after it ends the sleep.
            let is_stopped = stop.load(Ordering::Acquire) != 0;
            let cells = [
                (Real::cell(stop), 0),
                (scope.cell(), scope.control().futex_half()),
                (record.own.cell(), record.own.control().futex_half()),
            ];
            // Also when stopped: the end of a shutdown is worth a word.
            let is_live = self.tell();
            if is_stopped || !is_live {
                return;
            }
            let now = core.now();
            let next = self.words.next_feeding(now, self.feeding);
            let bound = now.saturating_add(WAIT_BOUND_MICROS);
            Real::wait_any(&cells, next.min(bound));
        }
    }

    /// Says what is new. False once the runner has left.
    fn tell(&mut self) -> bool {
        let core = Arc::clone(&self.core);
        let group = &core.tables().group;
        let Some(record) = group.runners.get(self.slot) else {
            return false;
        };
        let before = group.member(self.slot);
        let is_live = before.is_live(self.generation);
        let seen = self.look(record);
        if group.member(self.slot).generation() != self.generation {
            // What was seen is another's.
            return false;
        }
        let feeding = self.feeding.filter(|_| is_live);
        if let Some((text, words)) = self.words.next(&seen, feeding) {
            // What cannot be said now is found unsaid at the next look.
            if self.socket.send(&text).is_ok() {
                self.words = words;
            }
        }
        is_live
    }

    fn look(&self, record: &Record<Real>) -> Seen {
        let tables = self.core.tables();
        let (group, own) = (&tables.group.scope, &record.own);
        let controls = [(group, group.control()), (own, own.control())];
        // After the controls: a start that nobody has noted yet is noted as now.
        let now = self.core.now();
        let phases = controls.map(|(_, control)| phase_of(control));
        let is_on = |(scope, control): (&Scope<Real>, Control)| {
            let is_on = !matches!(phase_of(control), Phase::Running | Phase::Complete);
            is_on.then(|| scope.deadlines(control, now).overall)
        };
        let mine = tables.texts[self.slot].id.read().0;
        let lags = View {
            name: self.core.opened().name().as_str(),
            tables,
            env: self.core.as_ref(),
        };
        let laggards = match phases[0] {
            Phase::Running | Phase::Complete => Vec::new(),
            _ => lags.laggards(Target::All),
        };
        let others = laggards.into_iter().map(|laggard| laggard.id);
        Seen {
            now,
            phase: phases[0].max(phases[1]),
            deadline: controls.into_iter().filter_map(is_on).max(),
            in_flight: record.gate.count(self.generation),
            progress: record.progress(self.generation),
            activity: tables.texts[self.slot].activity.read().0,
            laggards: others.filter(|id| *id != mine).collect(),
        }
    }
}

fn phase_of(control: Control) -> Phase {
    control.phase().unwrap_or(Phase::Complete)
}
