//! Process-wide instances.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::api::coordinator::ShutdownCoordinator;
use crate::api::detector::DeadlockDetector;
use crate::api::resource::ResourceManager;
use crate::api::runner::Runner;
use crate::api::segment::Segment;
use crate::error::CoordinationError;
use crate::limits::WAIT_BOUND_MICROS;
use crate::os::clock;
use crate::os::fork::fork_count;
use crate::segment::Token;
use crate::sync::mem::ALL;
use crate::sync::{Mem, Real};

struct Instance {
    token: Token,
    runner: Runner,
    coordinator: ShutdownCoordinator,
    detector: DeadlockDetector,
    resources: ResourceManager,
}

static INSTANCE: OnceLock<Instance> = OnceLock::new();

/// The environment variable that names the runner.
const RUNNER: &str = "EBBTIDE_RUNNER";

/// Binds this process to a segment as one runner, for [`shutdown_coordinator`] and
/// [`runner`]. It stays registered until the process ends or [`Runner::leave`] is called.
/// Asking again for the same segment and runner changes nothing and is no error.
///
/// # Errors
/// [`CoordinationError::Instance`] when it is bound to another segment or runner;
/// [`SegmentError::ForkedHandle`](crate::SegmentError::ForkedHandle) in a forked child of a
/// bound process; else as [`Runner::join`].
pub fn init(segment: &Segment, runner_id: &str) -> Result<(), CoordinationError> {
    let bound = |instance: &Instance| {
        if instance.token != segment.token() || instance.runner.id() != runner_id {
            return Err(CoordinationError::Instance {
                problem: "it is bound to another segment or runner already",
            });
        }
        // A forked child has its parent's instance, and may not use it.
        Ok(instance.runner.session().core().check()?)
    };
    if let Some(instance) = INSTANCE.get() {
        return bound(instance);
    }
    // Of two threads that come here at once one joins; the other finds its instance.
    let _one = Initialising::begin();
    if let Some(instance) = INSTANCE.get() {
        return bound(instance);
    }
    let runner = Runner::join(segment, runner_id)?;
    let instance = Instance {
        token: segment.token(),
        resources: ResourceManager::new(&runner),
        runner,
        coordinator: ShutdownCoordinator::new(segment),
        detector: DeadlockDetector::new(segment),
    };
    // Nobody else can have set it: we hold the lock.
    let _ = INSTANCE.set(instance);
    Ok(())
}

/// Who is binding this process: one more than its count of forks, or nobody. A child
/// forked meanwhile has none of the threads that could end it, so it takes it over.
static INITIALISING: AtomicU32 = AtomicU32::new(0);

/// A thread that is binding this process.
struct Initialising;

impl Initialising {
    /// Blocks while another thread of this process is at it.
    fn begin() -> Self {
        let mine = fork_count().wrapping_add(1).max(1);
        loop {
            let now = INITIALISING.load(Ordering::Acquire);
            if now == mine {
                let bound = clock::now().saturating_add(WAIT_BOUND_MICROS);
                Real::wait(Real::cell(&INITIALISING), now, bound);
            } else if INITIALISING
                .compare_exchange(now, mine, Ordering::AcqRel, Ordering::Relaxed)
                .is_ok()
            {
                return Self;
            }
        }
    }
}

impl Drop for Initialising {
    fn drop(&mut self) {
        INITIALISING.store(0, Ordering::Release);
        Real::wake(Real::cell(&INITIALISING), ALL);
    }
}

/// The process-wide coordinator. Binds the process from the environment
/// (`EBBTIDE_SEGMENT`, `EBBTIDE_RUNNER`) if [`init`] was not called.
///
/// # Errors
/// [`SegmentError::Environment`](crate::SegmentError::Environment) when a variable is
/// missing; else as [`init`].
pub fn shutdown_coordinator() -> Result<&'static ShutdownCoordinator, CoordinationError> {
    Ok(&bound()?.coordinator)
}

/// The process-wide deadlock detector, bound as [`shutdown_coordinator`] is.
///
/// # Errors
/// As [`shutdown_coordinator`].
pub fn deadlock_detector() -> Result<&'static DeadlockDetector, CoordinationError> {
    Ok(&bound()?.detector)
}

/// The process-wide runner, bound as [`shutdown_coordinator`] is.
///
/// # Errors
/// As [`shutdown_coordinator`].
pub fn runner() -> Result<&'static Runner, CoordinationError> {
    Ok(&bound()?.runner)
}

/// The process-wide resource manager, that of [`runner`]; bound as
/// [`shutdown_coordinator`] is.
///
/// # Errors
/// As [`shutdown_coordinator`].
pub fn resource_manager() -> Result<&'static ResourceManager, CoordinationError> {
    Ok(&bound()?.resources)
}

fn bound() -> Result<&'static Instance, CoordinationError> {
    if let Some(instance) = INSTANCE.get() {
        // A forked child has its parent's instance, and may not use it.
        instance.runner.session().core().check()?;
        return Ok(instance);
    }
    let id = std::env::var(RUNNER).map_err(|error| crate::SegmentError::Environment {
        variable: RUNNER,
        problem: error.to_string(),
    })?;
    match init(&Segment::from_env()?, &id) {
        // Another thread was first.
        Ok(()) | Err(CoordinationError::Instance { .. }) => {}
        Err(error) => return Err(error),
    }
    INSTANCE.get().ok_or(CoordinationError::Instance {
        problem: "it is not bound",
    })
}
