//! Settling what the dead have left, and nothing else.

use std::collections::HashSet;

use crate::api::check::CheckReport;
use crate::api::core::Core;
use crate::api::seat::free_ended;
use crate::api::segment::Segment;
use crate::api::threads;
use crate::error::SegmentError;
use crate::sync::mutex::Mutex;
use crate::sync::{Env, Owner, Pulse, Real};

/// Longest wait for a living writer of the shared state, in microseconds: if there is one,
/// there is nothing to roll back.
const WRITER_MICROS: u64 = 100_000;

impl Segment {
    /// Checks, settles what the dead left, and checks again. Settles in any case: what only
    /// a living process could be about to do is no finding while the caller lives.
    ///
    /// Does only what any process may do at any time: sweeps processes that are gone,
    /// hands over what dead threads hold, rolls a transaction of a dead writer
    /// back, finishes a renewal, advances a phase that nobody holds up, reclaims what is
    /// registered. Never touches what belongs to a living process, and leaves words that
    /// are broken as they are: [`Finding::remedy`](crate::Finding::remedy) says what to do.
    /// Waits at most 0.1 s for a writer of the shared state.
    ///
    /// # Errors
    /// As [`check`](Self::check); `Full` when there is no thread slot to work with.
    pub fn repair(&self) -> Result<CheckReport, SegmentError> {
        let before = self.check()?;
        if before.is_torn() {
            return Ok(before);
        }
        let core = self.session().core();
        let me = threads::owner(core)?;
        settle(core, me);
        let mut after = self.check()?;
        let still: HashSet<_> = after
            .findings
            .iter()
            .map(|finding| (finding.invariant, finding.place.clone()))
            .collect();
        after.repaired = before.findings;
        after
            .repaired
            .retain(|finding| !still.contains(&(finding.invariant, finding.place.clone())));
        Ok(after)
    }
}

fn settle(core: &Core, me: Owner) {
    let tables = core.tables();
    core.reap_all();
    // Threads that ended without a word, of processes that live or were swept before.
    let is_dead = |owner: Owner| matches!(core.thread_pulse(owner), Pulse::Dead);
    // Before the rest, as it looks at the word it clears.
    tables.waits.settle(&tables.threads, is_dead);
    free_ended(core);
    let mut dead: Vec<Owner> = owners(core).filter(|owner| is_dead(*owner)).collect();
    dead.sort_by_key(|owner| (owner.slot, owner.generation));
    dead.dedup();
    for owner in dead {
        core.hand_over_locks(owner);
    }
    let lives = |process| !matches!(core.process_pulse(process), Pulse::Dead);
    let mut living = tables
        .processes
        .occupied()
        .filter(|process| lives(*process));
    let is_alone = living.nth(1).is_none();
    if is_alone {
        tables.order.tell_circles();
    }
    let until = core.now().saturating_add(WRITER_MICROS);
    // Taking the lock over is what rolls back, and only then.
    if tables.store.lock(me, core, until).is_ok() {
        tables.store.unlock(me);
    }
    // A corrupt word ends these; the check after tells of it.
    let group = &tables.group;
    let _ = group.generation.help(&group.scope);
    let _ = group.advance(core);
    for slot in 0..group.used() {
        let _ = group.advance_own(slot, core);
    }
}

/// Whoever holds a lock, a permit, or a place at a barrier.
fn owners(core: &Core) -> impl Iterator<Item = Owner> {
    let tables = core.tables();
    let adding = [
        tables.lock_names.adding(),
        tables.condvar_names.adding(),
        tables.event_names.adding(),
        tables.semaphore_names.adding(),
        tables.barrier_names.adding(),
        tables.store.writing(),
    ];
    let locks = tables.locks.iter().chain(adding);
    let locks = locks.chain(tables.events.iter().map(|log| log.writer()));
    let permits = tables.semaphores.iter().flat_map(|one| one.holders());
    let places = tables.barriers.iter().flat_map(|one| one.holders());
    locks
        .filter_map(Mutex::<Real>::owner)
        .chain(permits)
        .chain(places)
}
