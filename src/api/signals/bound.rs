//! What the signal handler of a process is bound to, and when it is replaced.
//!
//! The handler reads its binding without a lock (`os::signal::Bound`). Everything else
//! changes under one lock of the process: what the handler is bound to first, then the
//! dispositions; at the end the dispositions first. So a handler that finds nothing bound
//! raises its signal again, and the earlier disposition gets it.

use core::sync::atomic::{AtomicU64, Ordering};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nix::sys::signal::Signal;

use crate::api::coordinator::{Clock, begun_by};
use crate::api::request::ShutdownRequest;
use crate::api::runner::Runner;
use crate::api::session::Session;
use crate::error::CoordinationError;
use crate::note::OWN;
use crate::os::signal::{self, Disposition};
use crate::phase::{Mode, ReasonCode};
use crate::table::control::Ask;
use crate::table::scope::Initiated;

use super::{Interrupt, SignalPolicy};

/// What the handler reads.
struct Bound {
    session: Arc<Session>,
    runner: Option<(usize, u64)>,
    ask: Ask,
    /// `[ epoch:56 | signals:8 ]`: how many came in this epoch of the scope.
    signals: AtomicU64,
    before: Before,
}

/// The dispositions from before the policy.
type Before = [Option<(Signal, Disposition)>; 2];

static BOUND: signal::Bound<Bound> = signal::Bound::new();

/// The policy of this process, for all but the handler.
static POLICY: Mutex<Policy> = Mutex::new(Policy {
    bound: None,
    before: [None; 2],
    ours: [None; 2],
    kept: None,
});

struct Policy {
    /// Session (as an address, never followed) and runner that the handler is bound to.
    bound: Option<(usize, Option<(usize, u64)>)>,
    before: Before,
    /// What the policy has set.
    ours: Before,
    /// A policy for a runner: its id and segment, to be bound again when that joins again.
    kept: Option<Kept>,
}

struct Kept {
    id: String,
    segment: PathBuf,
    request: ShutdownRequest,
    interrupt: Interrupt,
}

fn policy() -> MutexGuard<'static, Policy> {
    POLICY.lock().unwrap_or_else(PoisonError::into_inner)
}

fn address(session: &Arc<Session>) -> usize {
    Arc::as_ptr(session) as usize
}

pub(super) fn install(wanted: &SignalPolicy, id: Option<String>) -> Result<(), CoordinationError> {
    let freed = {
        let mut policy = policy();
        policy.kept = id.map(|id| Kept {
            id,
            segment: wanted.session.core().opened().path().into(),
            request: wanted.request.clone(),
            interrupt: wanted.interrupt,
        });
        policy.bind(wanted)
    };
    // Unlocked: it may be the last handle of an attachment.
    freed.map(drop).map_err(|source| CoordinationError::System {
        operation: "install the signal handler",
        source,
    })
}

/// Ends the policy of this process.
pub(super) fn uninstall() {
    let freed = {
        let mut policy = policy();
        policy.kept = None;
        policy.unbind()
    };
    drop(freed);
}

/// A runner of this process has joined: a policy for its id is in effect again.
pub(crate) fn joined(runner: &Runner) {
    let freed = {
        let mut policy = policy();
        let path = runner.session().core().opened().path();
        let again = policy.kept.as_ref().filter(|kept| {
            policy.bound.is_none() && kept.id == runner.id() && kept.segment == *path
        });
        let Some(kept) = again else { return };
        let mut wanted = SignalPolicy::for_runner(runner).request(kept.request.clone());
        wanted.interrupt = kept.interrupt;
        policy.bind(&wanted)
    };
    // What the kernel has taken once it takes again.
    drop(freed);
}

/// A runner of this process has left: a policy for it ends.
pub(crate) fn left(session: &Arc<Session>, key: (usize, u64)) {
    let freed = {
        let mut policy = policy();
        if policy.bound != Some((address(session), Some(key))) {
            return;
        }
        policy.unbind()
    };
    drop(freed);
}

impl Policy {
    /// Binds the handler to what is wanted, and sets it. Returns what is to be dropped.
    fn bind(&mut self, wanted: &SignalPolicy) -> io::Result<Vec<Bound>> {
        let handler = Disposition::handler(on_signal);
        let interrupt = match wanted.interrupt {
            Interrupt::Request => Some(handler),
            Interrupt::Ignore => Some(Disposition::ignore()),
            Interrupt::Leave => None,
        };
        let ours = [
            Some((Signal::SIGTERM, handler)),
            interrupt.map(|interrupt| (Signal::SIGINT, interrupt)),
        ];
        let mut before = [None; 2];
        for (at, ours) in ours.iter().enumerate() {
            let Some((signal, _)) = ours else { continue };
            let present = Disposition::present(*signal)?;
            let kept = self.before[at].filter(|_| is_in_effect(self.ours[at]));
            before[at] = kept.or(Some((*signal, present)));
        }
        let mut ask = wanted.request.ask();
        ask.code = ReasonCode::Signal;
        let bound = Bound {
            session: Arc::clone(&wanted.session),
            runner: wanted.runner,
            ask,
            signals: AtomicU64::new(0),
            before,
        };
        // The handler finds what it is bound to before it is in effect.
        let mut freed = BOUND.replace(Some(Box::new(bound)));
        if ours[1].is_none() {
            restore(self.ours[1], self.before[1]);
        }
        self.bound = Some((address(&wanted.session), wanted.runner));
        (self.before, self.ours) = (before, ours);
        for (signal, disposition) in ours.into_iter().flatten() {
            if let Err(error) = disposition.set(signal) {
                freed.extend(self.unbind());
                return Err(error);
            }
        }
        // It may have left before it was bound.
        if !is_of_living(&wanted.session, wanted.runner) {
            freed.extend(self.unbind());
        }
        Ok(freed)
    }

    /// Restores the dispositions from before. A handler that has begun finds nothing bound
    /// and raises its signal again.
    fn unbind(&mut self) -> Vec<Bound> {
        if self.bound.take().is_none() {
            return Vec::new();
        }
        for at in 0..2 {
            restore(self.ours[at].take(), self.before[at].take());
        }
        BOUND.replace(None)
    }
}

/// Whether the runner, if it is for one, is registered.
pub(super) fn is_of_living(session: &Session, runner: Option<(usize, u64)>) -> bool {
    let group = &session.core().tables().group;
    runner.is_none_or(|(slot, generation)| group.member(slot).is_live(generation))
}

/// Whether what the policy has set is still set.
fn is_in_effect(ours: Option<(Signal, Disposition)>) -> bool {
    ours.is_some_and(|(signal, ours)| {
        Disposition::present(signal).is_ok_and(|present| present.does_as(ours))
    })
}

/// Sets the earlier disposition, unless the program has set another since.
fn restore(ours: Option<(Signal, Disposition)>, before: Option<(Signal, Disposition)>) {
    if let Some((signal, before)) = before
        && is_in_effect(ours)
    {
        // It was in effect, so the kernel takes it.
        let _ = before.set(signal);
    }
}

extern "C" fn on_signal(number: libc::c_int) {
    signal::keeping_errno(|| {
        BOUND.read(|bound| {
            let Ok(signal) = Signal::try_from(number) else {
                return;
            };
            // If it is not ours, a handler that the program has installed since calls this one,
            // and decides by itself what else happens: raising again would never end.
            let present = Disposition::present(signal).ok();
            let is_ours =
                present.is_some_and(|present| present.does_as(Disposition::handler(on_signal)));
            match bound {
                // A forked child inherits the handler but not the runner; and a runner may
                // have left since the signal came: as if there were no handler.
                Some(bound) if bound.session.core().is_forked() || !bound.is_of_living() => {
                    if !is_ours {
                        return;
                    }
                    bound.restore(signal);
                }
                Some(bound) => return bound.fire(),
                // Unbound since the signal came, and the default action is back. A handler of
                // the program that is back misses this one signal.
                None if present.is_some_and(Disposition::is_default) => {}
                None => return,
            }
            let _ = nix::sys::signal::raise(signal);
        });
    });
}

impl Bound {
    fn is_of_living(&self) -> bool {
        is_of_living(&self.session, self.runner)
    }

    /// Sets the disposition from before the policy.
    fn restore(&self, signal: Signal) {
        let before = self.before.iter().flatten();
        for (_, before) in before.filter(|before| before.0 == signal) {
            let _ = before.set(signal);
        }
    }

    /// How many signals came before this one in this epoch of the scope.
    fn count(&self, epoch: u64) -> u64 {
        let epoch = epoch << 8;
        let counted = self
            .signals
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |word| {
                let count = if word & !0xff == epoch {
                    word & 0xff
                } else {
                    0
                };
                Some(epoch | (count + 1).min(0xff))
            });
        let word = counted.unwrap_or_default();
        if word & !0xff == epoch {
            word & 0xff
        } else {
            0
        }
    }

    /// Runs in a signal handler: atomics, clock and futex only. A corrupt segment
    /// cannot be reported from here; whoever looks at it next gets the error.
    fn fire(&self) {
        let core = self.session.core().as_ref();
        let group = &core.tables().group;
        let runner = self.runner.map(|(slot, _)| group.runners.get(slot));
        let epoch = match runner {
            None => group.scope.control().epoch(),
            Some(Some(runner)) => runner.own.control().epoch(),
            Some(None) => return,
        };
        let earlier = self.count(epoch);
        let mode = match (self.ask.mode, earlier) {
            (mode, 0) => mode,
            (mode, 1) => mode.harder(),
            _ => Mode::Immediate,
        };
        let ask = Ask { mode, ..self.ask };
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
