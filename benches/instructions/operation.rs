//! The operations that are counted.

use std::hint::black_box;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use ebbtide::{
    CrossProcessEvent, CrossProcessLock, Runner, Scope, SegmentOptions, SharedStateManager,
    ShutdownCoordinator, ShutdownRequest,
};

use crate::Fallible;

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// The loop around the others.
    Nothing,
    /// The limit of a check.
    AcquireLoad,
    CheckFlag,
    CheckSignal,
    CheckPhase,
    BeginEnd,
    /// The limit of a lock.
    StdMutex,
    LockUnlock,
    LockUnlockNested,
    TryLockUnlock,
    Get64,
    Get1024,
    GetKnown64,
    GetKnown1024,
    Set64,
    Set1024,
    EventIsSet,
    EventSet,
    /// A request that changes nothing but the journal: one record.
    MergeRequest,
    /// Join, initiate, all phases alone, a new generation.
    WholeShutdown,
}

impl Operation {
    pub const ALL: [Self; 20] = [
        Self::Nothing,
        Self::AcquireLoad,
        Self::CheckFlag,
        Self::CheckSignal,
        Self::CheckPhase,
        Self::BeginEnd,
        Self::StdMutex,
        Self::LockUnlock,
        Self::LockUnlockNested,
        Self::TryLockUnlock,
        Self::Get64,
        Self::Get1024,
        Self::GetKnown64,
        Self::GetKnown1024,
        Self::Set64,
        Self::Set1024,
        Self::EventIsSet,
        Self::EventSet,
        Self::MergeRequest,
        Self::WholeShutdown,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::AcquireLoad => "acquire-load",
            Self::CheckFlag => "check-flag",
            Self::CheckSignal => "check-signal",
            Self::CheckPhase => "check-phase",
            Self::BeginEnd => "begin-end",
            Self::StdMutex => "std-mutex",
            Self::LockUnlock => "lock-unlock",
            Self::LockUnlockNested => "lock-unlock-nested",
            Self::TryLockUnlock => "try-lock-unlock",
            Self::Get64 => "get-64",
            Self::Get1024 => "get-1024",
            Self::GetKnown64 => "get-known-64",
            Self::GetKnown1024 => "get-known-1024",
            Self::Set64 => "set-64",
            Self::Set1024 => "set-1024",
            Self::EventIsSet => "event-is-set",
            Self::EventSet => "event-set",
            Self::MergeRequest => "merge-request",
            Self::WholeShutdown => "whole-shutdown",
        }
    }

    pub fn named(name: &str) -> Fallible<Self> {
        let found = Self::ALL.into_iter().find(|one| one.name() == name);
        found.ok_or_else(|| format!("no operation is called {name:?}").into())
    }
}

/// Runs one operation so many times, in a segment of its own.
pub fn run(operation: Operation, times: u64) -> Fallible {
    let scratch = tempfile::tempdir()?;
    let segment = SegmentOptions::new()
        .directory(scratch.path().join("segments"))
        .create("counted")?;
    let runner = Runner::join(&segment, "runner")?;
    let coordinator = ShutdownCoordinator::new(&segment);
    let handle = coordinator.runner("runner")?;
    let lock = CrossProcessLock::open(&segment, "lock")?;
    let outer = CrossProcessLock::open(&segment, "outer")?;
    let state = SharedStateManager::open(&segment)?;
    let event = CrossProcessEvent::open(&segment, "event")?;
    let (short, long) = ([7_u8; 64], [7_u8; 1024]);
    state.set("short", short)?;
    state.set("long", long)?;
    let (word, mutex) = (AtomicU64::new(0), Mutex::new(()));
    let (mut value, mut room) = (Vec::with_capacity(1024), [0; 1024]);
    let known = [state.prepare("short")?, state.prepare("long")?];

    match operation {
        Operation::Nothing => repeat(times, || ()),
        Operation::AcquireLoad => repeat(times, || black_box(&word).load(Ordering::Acquire)),
        Operation::CheckFlag => repeat(times, || black_box(&runner).is_shutting_down()),
        Operation::CheckSignal => repeat(times, || {
            black_box(&coordinator).check_shutdown_signal(black_box(handle))
        }),
        Operation::CheckPhase => repeat(times, || black_box(&runner).phase()),
        Operation::BeginEnd => repeat(times, || drop(black_box(&runner).begin())),
        Operation::StdMutex => repeat(times, || drop(black_box(&mutex).lock())),
        Operation::LockUnlock => repeat(times, || drop(black_box(&lock).lock())),
        Operation::LockUnlockNested => {
            let held = outer.lock()?;
            repeat(times, || drop(black_box(&lock).lock()));
            drop(held);
        }
        Operation::TryLockUnlock => repeat(times, || drop(black_box(&lock).try_lock())),
        Operation::Get64 => repeat(times, || {
            black_box(&state).get_into("short", &mut value).is_ok()
        }),
        Operation::Get1024 => repeat(times, || {
            black_box(&state).get_into("long", &mut value).is_ok()
        }),
        Operation::GetKnown64 => repeat(times, || black_box(&known[0]).read(&mut room).is_ok()),
        Operation::GetKnown1024 => repeat(times, || black_box(&known[1]).read(&mut room).is_ok()),
        Operation::Set64 => repeat(times, || black_box(&state).set("short", short).is_ok()),
        Operation::Set1024 => repeat(times, || black_box(&state).set("long", long).is_ok()),
        Operation::EventIsSet => repeat(times, || black_box(&event).is_set()),
        Operation::EventSet => repeat(times, || black_box(&event).set().is_ok()),
        Operation::MergeRequest => {
            let request = ShutdownRequest::new();
            coordinator.initiate_shutdown(&Scope::All, &request)?;
            repeat(times, || {
                black_box(&coordinator)
                    .initiate_shutdown(&Scope::All, &request)
                    .is_ok()
            });
        }
        Operation::WholeShutdown => {
            runner.leave();
            let request = ShutdownRequest::new();
            repeat(times, || -> Fallible {
                let runner = Runner::join(&segment, "runner")?;
                coordinator.initiate_shutdown(&Scope::All, &request)?;
                runner.run_shutdown()?;
                Ok(coordinator.begin_generation().map(drop)?)
            });
        }
    }
    Ok(())
}

#[inline(never)]
fn repeat<T>(times: u64, mut operation: impl FnMut() -> T) {
    for _ in 0..times {
        black_box(operation());
    }
}
