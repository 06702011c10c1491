//! Termination signals as requests to shut down. Opt-in: the library installs nothing
//! by itself.

mod bound;

use std::sync::Arc;

use crate::api::request::{Scope, ShutdownRequest};
use crate::api::runner::Runner;
use crate::api::segment::Segment;
use crate::api::session::Session;
use crate::error::CoordinationError;

pub(crate) use bound::{joined, left};

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

    /// Installs the handler, in place of an earlier policy of this process, whose previous
    /// dispositions are kept.
    ///
    /// A policy for a runner ends with the runner: when that has left, the dispositions from
    /// before the policy are back, so that a SIGTERM does then what it did before. It is in
    /// effect again when this process joins the same segment under the same id again. A policy
    /// for all stays until it is replaced or [uninstalled](Self::uninstall).
    ///
    /// # Errors
    /// [`CoordinationError::Left`] if the runner has left already, `System` when the kernel
    /// refuses, [`SegmentError::ForkedHandle`](crate::SegmentError::ForkedHandle).
    pub fn install(self) -> Result<(), CoordinationError> {
        self.session.core().check()?;
        let Scope::Runner(id) = self.scope() else {
            return bound::install(&self, None);
        };
        if !bound::is_of_living(&self.session, self.runner) {
            return Err(CoordinationError::Left { id });
        }
        bound::install(&self, Some(id))
    }

    /// Takes the policy of this process back; the dispositions from before it are in effect
    /// again. Does nothing without a policy.
    pub fn uninstall() {
        bound::uninstall();
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
