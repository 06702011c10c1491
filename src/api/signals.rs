//! Termination signals as requests to shut down. Opt-in: the library installs nothing
//! by itself.

use core::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use nix::sys::signal::Signal;

use crate::api::coordinator::{Clock, begun_by};
use crate::api::request::{Scope, ShutdownRequest};
use crate::api::runner::Runner;
use crate::api::segment::Segment;
use crate::api::session::Session;
use crate::error::CoordinationError;
use crate::note::OWN;
use crate::os::signal;
use crate::phase::{Mode, ReasonCode};
use crate::table::control::Ask;
use crate::table::scope::Initiated;

/// Turns SIGTERM and SIGINT into shutdown requests, by a builder.
///
/// The handler is async-signal-safe: it stores to atomics, reads the clock and wakes
/// sleepers. The first signal begins the shutdown, each further one hardens its mode.
///
/// # Examples
/// ```no_run
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use ebbtide::{Runner, Segment, SignalPolicy};
///
/// let segment = Segment::open("job")?;
/// let runner = Runner::join(&segment, "runner-1")?;
/// // SIGTERM shuts this runner down; Ctrl-C is left to the supervisor.
/// SignalPolicy::for_runner(&runner).ignore_interrupt().install()?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "nothing is installed until `install` is called"]
pub struct SignalPolicy {
    session: Arc<Session>,
    runner: Option<(usize, u64)>,
    request: ShutdownRequest,
    interrupt: Interrupt,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Interrupt {
    Request,
    Ignore,
    Leave,
}

impl SignalPolicy {
    /// A signal shuts down this runner alone.
    pub fn for_runner(runner: &Runner) -> Self {
        Self::new(Arc::clone(runner.session()), Some(runner.key()))
    }

    /// A signal shuts down every runner of the segment.
    pub fn for_all(segment: &Segment) -> Self {
        Self::new(Arc::clone(segment.session()), None)
    }

    fn new(session: Arc<Session>, runner: Option<(usize, u64)>) -> Self {
        Self {
            session,
            runner,
            request: ShutdownRequest::new(),
            interrupt: Interrupt::Request,
        }
    }

    /// Timeout and first mode; the reason code is always `Signal`, without a text.
    /// Default: [`ShutdownRequest::new`].
    pub fn request(mut self, request: ShutdownRequest) -> Self {
        self.request = request;
        self
    }

    /// Ignores SIGINT, so that Ctrl-C on the process group does not break the order.
    /// Default: SIGINT is a request like SIGTERM.
    pub fn ignore_interrupt(mut self) -> Self {
        self.interrupt = Interrupt::Ignore;
        self
    }

    /// Leaves SIGINT as it is. Default: SIGINT is a request like SIGTERM.
    pub fn leave_interrupt(mut self) -> Self {
        self.interrupt = Interrupt::Leave;
        self
    }

    /// Installs the handler. Once per process, also when the kernel then refuses it (a
    /// handler may have been installed for one of two signals); it stays until the process
    /// ends.
    ///
    /// # Errors
    /// [`CoordinationError::Instance`] the second time, `System` when the kernel
    /// refuses, [`SegmentError::ForkedHandle`](crate::SegmentError::ForkedHandle).
    pub fn install(self) -> Result<(), CoordinationError> {
        self.session.core().check()?;
        let mut ask = self.request.ask();
        ask.code = ReasonCode::Signal;
        let bound = Bound {
            session: self.session,
            runner: self.runner,
            ask,
            signals: AtomicU32::new(0),
        };
        if BOUND.set(bound).is_err() {
            return Err(CoordinationError::Instance {
                problem: "a signal policy is installed already in this process",
            });
        }
        let system = |source| CoordinationError::System {
            operation: "install the signal handler",
            source,
        };
        match self.interrupt {
            Interrupt::Request => {
                signal::install(&[Signal::SIGTERM, Signal::SIGINT], on_signal).map_err(system)
            }
            Interrupt::Ignore => signal::ignore(Signal::SIGINT)
                .and_then(|()| signal::install(&[Signal::SIGTERM], on_signal))
                .map_err(system),
            Interrupt::Leave => signal::install(&[Signal::SIGTERM], on_signal).map_err(system),
        }
    }

    /// The scope a signal shuts down.
    #[must_use]
    pub fn scope(&self) -> Scope {
        match self.runner {
            Some((slot, _)) => {
                let texts = &self.session.core().tables().texts;
                Scope::Runner(texts[slot].id.read().0)
            }
            None => Scope::All,
        }
    }
}

struct Bound {
    session: Arc<Session>,
    runner: Option<(usize, u64)>,
    ask: Ask,
    signals: AtomicU32,
}

/// Set once before the handler is installed; reading it is one atomic load.
static BOUND: OnceLock<Bound> = OnceLock::new();

extern "C" fn on_signal(number: libc::c_int) {
    signal::keeping_errno(|| {
        let Some(bound) = BOUND.get() else { return };
        if bound.session.core().is_forked() {
            // A forked child inherits the handler but not the runner: as if there
            // were no handler.
            if let Ok(signal) = Signal::try_from(number) {
                let _ = signal::restore_default(signal);
                let _ = nix::sys::signal::raise(signal);
            }
            return;
        }
        bound.fire();
    });
}

impl Bound {
    /// Runs in a signal handler: atomics, clock and futex only. A corrupt segment
    /// cannot be reported from here; whoever looks at it next gets the error.
    fn fire(&self) {
        let core = self.session.core().as_ref();
        let earlier = self.signals.fetch_add(1, Ordering::Relaxed);
        let mode = match (self.ask.mode, earlier) {
            (mode, 0) => mode,
            (mode, 1) => mode.harder(),
            _ => Mode::Immediate,
        };
        let ask = Ask { mode, ..self.ask };
        let group = &core.tables().group;
        let clock = Clock::of(core);
        let Some((slot, generation)) = self.runner else {
            // Before it begins, so that who has died by now is history.
            let _ = group.count_out_dead(0..group.used(), core);
            loop {
                match group
                    .scope
                    .initiate_by(ask, std::process::id(), || clock.now())
                {
                    Ok(Initiated::Renewing) => {
                        if group.generation.help(&group.scope).is_err() {
                            return;
                        }
                    }
                    Ok(initiated) => {
                        if let Some(note) = begun_by(initiated, ask) {
                            core.write_note(clock.last(), note);
                        }
                        break;
                    }
                    Err(_) => break,
                }
            }
            let _ = group.advance(core);
            return;
        };
        let Some(runner) = group.runners.get(slot) else {
            return;
        };
        let own = runner.own.control();
        if group.member(slot).is_live(generation) {
            let initiated = runner
                .own
                .initiate_in(own.epoch(), ask, std::process::id(), || clock.now());
            if let Ok(Some(initiated)) = initiated
                && let Some(note) = begun_by(initiated, ask)
            {
                let detail = note.detail | OWN;
                let note = note.detail(detail).runner(slot, generation);
                core.write_note(clock.last(), note);
            }
            group.scope.wake_all();
        }
    }
}
