//! Process-wide instances.

use std::sync::OnceLock;

use crate::api::coordinator::ShutdownCoordinator;
use crate::api::resource::ResourceManager;
use crate::api::runner::Runner;
use crate::api::segment::Segment;
use crate::error::CoordinationError;

struct Instance {
    runner: Runner,
    coordinator: ShutdownCoordinator,
    resources: ResourceManager,
}

static INSTANCE: OnceLock<Instance> = OnceLock::new();

/// The environment variable that names the runner.
const RUNNER: &str = "EBBTIDE_RUNNER";

/// Binds this process to a segment as one runner, for [`shutdown_coordinator`] and
/// [`runner`]. Once per process; it stays registered until the process ends or
/// [`Runner::leave`] is called.
///
/// # Errors
/// [`CoordinationError::Instance`] the second time; else as [`Runner::join`].
pub fn init(segment: &Segment, runner_id: &str) -> Result<(), CoordinationError> {
    const AGAIN: CoordinationError = CoordinationError::Instance {
        problem: "it is bound already",
    };
    if INSTANCE.get().is_some() {
        return Err(AGAIN);
    }
    let runner = Runner::join(segment, runner_id)?;
    let instance = Instance {
        resources: ResourceManager::new(&runner),
        runner,
        coordinator: ShutdownCoordinator::new(segment),
    };
    // Of two threads that come here at once the second's runner leaves again.
    INSTANCE.set(instance).map_err(|_| AGAIN)
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
