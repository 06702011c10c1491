//! A runner as its process knows it, beside its handle: what it has done of the shutdown that
//! is on, and what it would leave undone if it went away now. Shared by the handle and the
//! attachment, which needs it when the process exits and nobody drops the handle.

use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, TryLockError};

use crate::api::failure::{NO_SHUTDOWN, tell};
use crate::api::left::Writing;
use crate::api::resource::Shared as Resources;
use crate::api::session::Session;
use crate::phase::Phase;
use crate::table::control::Control;
use crate::table::failures::{Failing, FailureKind, FailureSource};
use crate::table::resources::Key;
use crate::table::runner::Verdict;

/// Tries to get a lock in `exit`: a thread of this process has it for some instructions, or
/// was ended by it.
const TRIES: u32 = 1000;

/// How long a lock is waited for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    /// Until it is free.
    Any,
    /// The process exits, and the one who has it may never give it back.
    Exit,
}

/// Takes a lock; `None` if the patience ends.
pub(crate) fn take<T: ?Sized>(mutex: &Mutex<T>, patience: Patience) -> Option<MutexGuard<'_, T>> {
    if patience == Patience::Any {
        return Some(mutex.lock().unwrap_or_else(PoisonError::into_inner));
    }
    for _ in 0..TRIES {
        match mutex.try_lock() {
            Ok(guard) => return Some(guard),
            Err(TryLockError::Poisoned(poisoned)) => return Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => std::thread::yield_now(),
        }
    }
    None
}

pub(crate) struct Standing {
    /// Slot and its generation.
    key: (usize, u64),
    pub(super) writing: Arc<Writing>,
    /// The last phase whose handlers, drains or cleanups have run, as a number.
    done: AtomicU8,
    /// Handlers of the phase after it that have ended, in the order in which they run.
    ended: AtomicUsize,
    /// Made with the first resource manager.
    pub(super) resources: OnceLock<Arc<Resources>>,
}

/// What is left undone.
struct Undone {
    source: FailureSource,
    kind: FailureKind,
    phase: Phase,
    name: String,
    resource: Option<Key>,
}

impl Standing {
    pub(super) fn new(key: (usize, u64)) -> Self {
        Self {
            key,
            writing: Arc::default(),
            done: AtomicU8::new(0),
            ended: AtomicUsize::new(0),
            resources: OnceLock::new(),
        }
    }

    /// Everything of the phases up to this one has run, and nothing of a later one.
    pub(super) fn has_done(&self, phase: Phase) {
        self.ended.store(0, Ordering::Release);
        self.done.store(phase as u8, Ordering::Release);
    }

    /// One more handler of the phase under way has ended.
    pub(super) fn handler_ended(&self) {
        self.ended.fetch_add(1, Ordering::AcqRel);
    }

    fn done(&self) -> Phase {
        let done = u64::from(self.done.load(Ordering::Acquire));
        Phase::from_bits(done).unwrap_or(Phase::Running)
    }

    /// Leaves after the right to write into the record has ended, so that this is the only
    /// writer: records what is left undone and gives the slot up.
    pub(super) fn part(&self, session: &Session, patience: Patience) {
        let core = session.core().as_ref();
        let tables = core.tables();
        let (slot, generation) = self.key;
        let group = &tables.group;
        if let (Some(record), Some(texts)) = (group.runners.get(slot), tables.texts.get(slot)) {
            let on = [group.scope.control(), record.own.control()]
                .into_iter()
                .filter(|control| control.is_shutting_down())
                .filter_map(|control: Control| control.phase().ok())
                .filter(|phase| *phase != Phase::Complete)
                .max();
            let in_flight = match self.done() < Phase::Closing {
                true => record.gate.count(generation),
                false => 0,
            };
            let undone = self.undone(session, in_flight, on.is_some(), patience);
            let cause = match on {
                Some(phase) => format!("the runner went away in {phase}"),
                None => "the runner went away, and no shutdown was on".into(),
            };
            for one in &undone {
                let failing = Failing {
                    source: one.source,
                    kind: one.kind,
                    phase: one.phase,
                    name: &one.name,
                    cause: &cause,
                    resource: one.resource,
                };
                tell(
                    core,
                    self.key,
                    on.is_none().then_some(NO_SHUTDOWN),
                    &failing,
                );
            }
            // The first verdict counts: one that has failed, or was forced, stays that.
            if on.is_some() && !undone.is_empty() {
                if record.verdict(generation) == Verdict::None {
                    texts.cause.write(&cause);
                }
                record.judge(generation, Verdict::Abandoned);
            }
        }
        // A corrupt table cannot be left; our slot is reaped when we are gone.
        let _ = group.leave(slot, generation, core);
    }

    fn undone(
        &self,
        session: &Session,
        in_flight: u32,
        is_on: bool,
        patience: Patience,
    ) -> Vec<Undone> {
        let ended = self.ended.load(Ordering::Acquire);
        let handlers = session.handlers.pending(self.key, self.done(), patience);
        let next = self.done().next();
        let mut of_next = 0;
        let mut undone: Vec<Undone> = Vec::new();
        for (phase, name) in handlers {
            let index = of_next;
            of_next += usize::from(phase == next);
            if phase == next && index < ended {
                continue;
            }
            undone.push(Undone {
                source: FailureSource::Handler,
                kind: FailureKind::Skipped,
                phase,
                name,
                resource: None,
            });
        }
        if in_flight > 0 {
            undone.push(Undone {
                source: FailureSource::Items,
                kind: FailureKind::Abandoned,
                phase: Phase::Draining,
                name: items(in_flight),
                resource: None,
            });
        }
        // While no shutdown is on, what stays open is a leak, which is seen as such.
        let resources = self.resources.get().filter(|_| is_on);
        let open = resources.map(|resources| resources.open(patience));
        undone.extend(open.into_iter().flatten().map(|(key, name)| Undone {
            source: FailureSource::Cleanup,
            kind: FailureKind::Skipped,
            phase: Phase::Closing,
            name,
            resource: Some(key),
        }));
        undone
    }
}

/// Items in flight, for people.
pub(super) fn items(count: u32) -> String {
    match count {
        1 => "1 item in flight".into(),
        count => format!("{count} items in flight"),
    }
}
