//! What a process does: attach, register, run work, shut down, look.

pub(crate) mod barrier;
mod barrier_async;
pub(crate) mod check;
mod closure;
mod completion;
pub(crate) mod condvar;
mod condvar_async;
pub(crate) mod coordinator;
pub(crate) mod core;
pub(crate) mod detector;
pub(crate) mod driver;
pub(crate) mod event;
mod event_async;
pub(crate) mod event_kind;
mod exiting;
pub(crate) mod failure;
pub(crate) mod generations;
mod glances;
pub(crate) mod handlers;
pub(crate) mod harden;
pub(crate) mod history;
mod holders;
pub(crate) mod inflight;
pub(crate) mod instance;
pub(crate) mod join;
pub(crate) mod journal;
pub(crate) mod leaving;
mod left;
pub(crate) mod lock;
mod lock_async;
pub(crate) mod lock_order;
pub(crate) mod lock_wait;
pub(crate) mod looking;
pub(crate) mod metrics;
pub(crate) mod names;
mod noticing;
pub(crate) mod observer;
pub(crate) mod options;
pub(crate) mod outcome;
mod own_lock;
pub(crate) mod pollable;
pub(crate) mod process;
pub(crate) mod reactor;
mod removal;
mod repair;
pub(crate) mod report;
pub(crate) mod request;
pub(crate) mod resource;
pub(crate) mod runner;
mod runner_wait;
pub(crate) mod seat;
pub(crate) mod segment;
pub(crate) mod semaphore;
mod semaphore_async;
#[cfg(feature = "serde")]
mod serial;
pub(crate) mod session;
pub(crate) mod signals;
pub(crate) mod signs;
mod standing;
pub(crate) mod state;
pub(crate) mod state_keys;
mod state_lock;
mod state_prepared;
mod state_typed;
pub(crate) mod state_watch;
pub(crate) mod status;
pub(crate) mod subscription;
pub(crate) mod systemd;
mod systemd_words;
#[doc(hidden)]
pub mod text;
pub(crate) mod threads;
pub(crate) mod timeline;
mod trace;
pub(crate) mod transaction;
pub(crate) mod view;
pub(crate) mod view_events;
pub(crate) mod view_locks;
pub(crate) mod view_rendezvous;
pub(crate) mod waiting;
pub(crate) mod why;
mod within;

pub use crate::table::check::{Gravity, Invariant};
pub use crate::table::failures::{FailureKind, FailureSource};
pub use barrier::{BarrierPassed, CrossProcessBarrier};
pub use check::{CheckReport, Finding};
pub use condvar::CrossProcessCondvar;
pub use coordinator::{Initiation, RunnerHandle, ShutdownCoordinator};
pub use detector::{DeadlockDetector, HeldLock, InconsistentLock, OrderViolation, WantedLock};
pub use event::{CrossProcessEvent, EventOptions, Reset};
pub use event_kind::{EventKind, EventSet};
pub use failure::FailureReport;
pub use handlers::HandlerContext;
pub use history::Predecessor;
pub use inflight::InFlight;
pub use instance::{deadlock_detector, init, resource_manager, runner, shutdown_coordinator};
pub use journal::{HandlerEnd, Journal, JournalEvent, JournalRecord};
pub use leaving::Acknowledged;
pub use lock::{CrossProcessLock, LockGuard};
pub use lock_async::ProcessLockGuard;
pub use metrics::Metrics;
pub use observer::Observer;
pub use options::{Liveness, SegmentOptions};
pub use pollable::{Notifier, PollableWait};
pub use process::ProcessHandle;
pub use removal::{Removed, UnusedReport};
pub use report::{
    Activity, HandlerOutcome, HandlerReport, Outcome, PhaseReport, Reason, RunnerReport,
    Shortening, ShutdownOutcome, ShutdownReport,
};
pub use request::{Scope, ShutdownRequest};
pub use resource::{
    CleanupContext, CleanupReport, Leak, Reaped, Reclaim, ResourceHandle, ResourceManager,
    ResourceOptions, ResourceReport, ResourceState, ResourceType, SystemResource,
};
pub use runner::Runner;
pub use segment::Segment;
pub use semaphore::{CrossProcessSemaphore, SemaphorePermit};
pub use semaphore_async::ProcessPermit;
pub use signals::SignalPolicy;
pub use state::{SharedStateManager, StateKey};
pub use state_prepared::PreparedKey;
pub use state_watch::{StateChange, StateWatch};
pub use status::{Laggard, Status};
pub use subscription::{Delivery, Subscription};
pub use systemd::{SystemdNotifier, Watchdog};
pub use timeline::{
    CriticalStep, SpanKind, Timeline, TimelineMark, TimelinePhase, TimelineRunner, TimelineSpan,
};
pub use transaction::StateTransaction;
pub use view_events::EventStatus;
pub use view_rendezvous::{BarrierStatus, SemaphoreStatus};
pub use waiting::Wait;
pub use why::Why;
