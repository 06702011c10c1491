//! A barrier: one word that decides, and a place for each who waits (`barrier_word.rs`).
//!
//! To arrive is to take a place, to write the present generation there, and then to count
//! itself in by one compare-and-swap of the control word; the last one's is the trip: the
//! next generation with nobody in it. The count need not be repaired after a kill, for a
//! death among those who wait breaks the barrier, which ends the generation: whoever is
//! counted has a place that says so, and whoever looks at the places and finds a dead one
//! of this generation moves the state. A broken barrier stays broken until it is reset.
//!
//! One that waits on a thread which waits for other things besides (a task) may go away
//! again: it counts itself out by one compare-and-swap in the same generation, then gives
//! its place up. If the generation ended first it has passed with the others, or was told.
//! Killed between the two, its place reads as a dead one's, which breaks the barrier.
//!
//! Reset marks the places of the broken generation BROKEN and then begins the next, so
//! that one who slept through both knows that it did not pass. A place is given up only
//! by its holder, or for it when it is dead.
//!
//! # A step that comes late
//! A thread may be stopped for any time between what it read and its compare-and-swap.
//! - Taking a place over from the dead, and freeing it for the dead: from exactly the dead
//!   one's name, which never comes back (`sync/owner.rs`).
//! - Breaking a generation for a dead party: load the control word; read the place (`since`,
//!   the holder, `since` again); ask whether that holder is dead; then swap from the control
//!   word loaded. If the place was taken over before it was read, `since` says so; if after,
//!   the generation had ended, or its next holder counts in and moves the control word.
//! - Counting in, tripping, breaking, withdrawing, resetting: from exactly the control word
//!   that was read, which has the generation, who arrived and who withdrew.
//! - Marking a place BROKEN: from exactly its `since` in the broken generation.
//! - `since` is stored by its holder; nobody takes the place of one that lives.
//!
//! A generation comes back after 2^36 (`width::BARRIER`: 2 hours of a barrier of one party,
//! days of two). A stopped one that goes on at exactly that count breaks one generation, or
//! withdraws from one that it is not in.
//!
//! # Who is watched
//! SYNC POINT barrier-watch (models: `loom_tests/barrier.rs`): a sleeper sleeps on the
//! control word (which every arrival moves) and the life words of all who wait. One who
//! arrives watches all before it and wakes one of them, who looks again and watches it,
//! too; so with two deaths at the same instant, or one of an arriving party before its
//! wake, the rest learn of it at their bound of a second. A wake-up of one may be spent on a
//! thread that does not wait here any more, if that waits for other things besides. Such
//! an arrival sets SHARED, and with it set an arrival wakes all. (A thread queues itself
//! only with SHARED in the word; it is cleared only by the end of the generation, with a
//! wake of all.) So those who came before the first task watch each other as if there were
//! no task, those after it are watched by all, and a withdrawal owes nobody a wake.

use core::sync::atomic::Ordering;

use crate::limits::MAX_PLACES;
use crate::segment::shared;
use crate::sync::mem::{ALL, Next};
use crate::sync::{Env, Holder, Mem, Owner, Pulse, Word};

use super::Corrupt;
use super::barrier_word::{Broken, Cause, Control, Since};

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Passed {
    /// All have arrived; exactly one of them leads.
    Through { leads: bool },
    /// It was broken before, or while we waited.
    Broken(Broken),
    /// Our deadline passed, and that broke it; so many had arrived.
    TimedOut { arrived: usize },
    /// Every place is taken by a living thread.
    NoPlace,
}

#[repr(C)]
pub(super) struct Place<M: Mem> {
    /// The name of the thread that has it, or zero.
    pub(super) holder: M::U64,
    /// Since which generation; of which process.
    pub(super) since: M::U64,
}

impl<M: Mem> Place<M> {
    pub(super) fn since(&self) -> Since {
        Since(self.since.load(Ordering::Acquire))
    }

    pub(super) fn holder(&self) -> Holder {
        Holder::of(self.holder.load(Ordering::Acquire))
    }

    /// Who has it in the generation of a control word that was loaded before; `None` if
    /// nobody has, or it changes this instant. One that was counted then changes only after
    /// the control word has moved.
    pub(super) fn of(&self, control: Control) -> Option<(Owner, Since)> {
        let since = Some(self.since()).filter(|since| since.is_of(control))?;
        let owner = self.holder().thread()?;
        (self.since() == since).then_some((owner, since))
    }

    /// Gives it up: first the generation, so that the next holder has none before it comes.
    /// Neither is ours any more if another thread took us for dead; one that is marked BROKEN this
    /// instant is of a generation that is over.
    pub(super) fn give_up(&self, me: Owner, since: Since) {
        let _ = self.since.compare_exchange(
            since.0,
            Since::NEVER.0,
            Ordering::AcqRel,
            Ordering::Relaxed,
        );
        self.free(me);
    }

    /// Frees it, if it is still that thread's.
    fn free(&self, owner: Owner) {
        let _ = self
            .holder
            .compare_exchange(owner.name(), 0, Ordering::AcqRel, Ordering::Relaxed);
    }
}

/// A barrier with `N` places.
#[repr(C)]
pub(crate) struct Barrier<M: Mem, const N: usize = MAX_PLACES> {
    pub(super) control: M::U64,
    /// How many pass together; 0: nobody has said so yet.
    pub(super) parties: M::U64,
    pub(super) places: [Place<M>; N],
}

impl<M: Mem, const N: usize> Barrier<M, N> {
    /// Fixes the number of parties, if nobody has. Answers the number.
    pub(crate) fn fix(&self, wanted: u64) -> Result<u64, Corrupt> {
        let fixed = self
            .parties
            .compare_exchange(0, wanted, Ordering::AcqRel, Ordering::Acquire);
        match fixed {
            Ok(_) => Ok(wanted),
            Err(there) if there <= N as u64 => Ok(there),
            Err(_) => Err(Corrupt("barrier: more parties than there are places")),
        }
    }

    /// How many pass together; none before that is fixed.
    pub(crate) fn parties(&self) -> usize {
        (self.parties.load(Ordering::Acquire) as usize).min(N)
    }

    pub(super) fn control(&self) -> Control {
        Control(self.control.load(Ordering::Acquire))
    }

    pub(super) fn moved(&self, from: Control, to: Control) -> bool {
        self.control
            .compare_exchange(from.0, to.0, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }

    pub(super) fn wake_all(&self) {
        M::wake(M::low_cell(&self.control), ALL);
    }

    /// What broke it, if it is broken.
    pub(crate) fn broken(&self) -> Result<Option<Broken>, Corrupt> {
        self.control().broken()
    }

    /// How many have arrived and wait.
    pub(crate) fn arrived(&self) -> usize {
        self.control().arrived() as usize
    }

    /// A place that is free, or was a dead thread's in an earlier generation.
    pub(super) fn claim(&self, me: Owner, env: &impl Env<M>) -> Option<(usize, &Place<M>)> {
        self.places.iter().enumerate().find(|(_, one)| {
            let seen = one.holder.load(Ordering::Acquire);
            // The generation after the place: what that says is then of this generation or
            // older.
            let is_over = || !one.since().is_of(self.control());
            let is_free = match Holder::of(seen) {
                // Read again after its death, since when nothing of it moves: a thread that
                // died after it counted in is never taken for an old one.
                Holder::Thread(owner) => {
                    is_over() && matches!(env.thread_pulse(owner), Pulse::Dead) && is_over()
                }
                Holder::Nobody | Holder::Corrupt => true,
            };
            is_free
                && one
                    .holder
                    .compare_exchange(seen, me.name(), Ordering::AcqRel, Ordering::Relaxed)
                    .is_ok()
        })
    }

    /// Counts the caller in, or trips the barrier. `is_shared`: its thread waits for other
    /// things besides.
    pub(super) fn arrive(
        &self,
        mine: &Place<M>,
        me: Owner,
        process: usize,
        env: &impl Env<M>,
        is_shared: bool,
    ) -> Result<Arrived, Corrupt> {
        let parties = self.parties.load(Ordering::Acquire).min(N as u64);
        let mut since = Since::NEVER;
        // Ends: a round is repeated only when another party moved the word in between.
        loop {
            let control = self.control();
            if let Some(broken) = control.broken()? {
                return Ok(Arrived::Broken(broken, since));
            }
            // Before we are counted: whoever is counted has a place of this generation.
            since = Since::new(control.generation(), process);
            mine.since.store(since.0, Ordering::Release);
            if control.arrived() + 1 >= parties {
                // Nobody passes together with one who is known to be dead.
                let dead = self
                    .others(control, me)
                    .find(|(owner, _)| matches!(env.thread_pulse(*owner), Pulse::Dead));
                if let Some((_, since)) = dead {
                    self.broken_by_the_dead(control, since);
                } else if self.moved(control, control.next()) {
                    self.wake_all();
                    return Ok(Arrived::Last(since));
                }
            } else if self.moved(control, control.with_one(is_shared)) {
                // SYNC POINT barrier-watch: somebody shall watch us.
                let heard = if control.is_shared() { ALL } else { 1 };
                M::wake(M::low_cell(&self.control), heard);
                return Ok(Arrived::Waits(since));
            }
        }
    }

    /// The places of those who wait with us and can die without us: not those of other
    /// tasks that our own thread waits for.
    pub(super) fn others(
        &self,
        control: Control,
        me: Owner,
    ) -> impl Iterator<Item = (Owner, Since)> {
        let here = self.places.iter().filter_map(move |one| one.of(control));
        here.filter(move |(owner, _)| *owner != me)
    }

    /// A party of the present generation, which has a process, is dead.
    pub(super) fn broken_by_the_dead(&self, control: Control, dead: Since) {
        if let Some(process) = dead.process()
            && self.moved(control, control.broken_by(Cause::Died, process))
        {
            self.wake_all();
        }
    }

    /// The reaper's step: a thread known to be dead waits here no more. If it did, and
    /// the barrier has not tripped, it is broken.
    pub(crate) fn hand_over(&self, dead: Owner) {
        if self.parties.load(Ordering::Acquire) == 0 {
            return;
        }
        for one in &self.places {
            if one.holder().thread() != Some(dead) {
                continue;
            }
            // Ends: a round is repeated only when another party moved the word.
            loop {
                let control = self.control();
                // After the control word: another thread may have freed the place meanwhile.
                let here = one.of(control);
                let here = here.filter(|(owner, _)| *owner == dead && control.is_open());
                let Some((_, since)) = here else { break };
                self.broken_by_the_dead(control, since);
            }
            // Last, so that a reaper's death leaves it to be found again.
            one.free(dead);
        }
    }

    /// Breaks it, if it is not broken.
    pub(crate) fn abort(&self, process: usize) -> Result<(), Corrupt> {
        loop {
            let control = self.control();
            if control.broken()?.is_some() {
                return Ok(());
            }
            if self.moved(control, control.broken_by(Cause::Aborted, process)) {
                self.wake_all();
                return Ok(());
            }
        }
    }

    /// Makes it whole and empty. Who waits is told that it is broken.
    pub(crate) fn reset(&self, process: usize) -> Result<(), Corrupt> {
        loop {
            let control = self.control();
            if control.broken()?.is_some() {
                self.mark_places(control);
                if self.moved(control, control.next()) {
                    self.wake_all();
                }
                // Else another resetter was faster.
                return Ok(());
            }
            if control.arrived() == 0 {
                return Ok(());
            }
            let _ = self.moved(control, control.broken_by(Cause::Reset, process));
        }
    }

    /// Marks all who arrived in the generation of a control word.
    fn mark_places(&self, control: Control) {
        for one in &self.places {
            one.since.update(|word| match Since(word) {
                since if since.is_of(control) => Next::Store(since.broken().0, ()),
                _ => Next::Leave(()),
            });
        }
    }
}

/// How an arrival ended, and what it wrote in its place.
pub(super) enum Arrived {
    Waits(Since),
    Last(Since),
    Broken(Broken, Since),
}

#[cfg(test)]
impl<M: Mem, const N: usize> Default for Barrier<M, N> {
    fn default() -> Self {
        Self {
            control: M::U64::default(),
            parties: M::U64::default(),
            places: core::array::from_fn(|_| Place {
                holder: M::U64::default(),
                since: M::U64::default(),
            }),
        }
    }
}

#[cfg(all(test, feature = "loom"))]
impl<M: Mem, const N: usize> Barrier<M, N> {
    /// Arrives as [`wait`](Self::wait) does, and goes away (to die).
    pub(crate) fn arrive_and_stay(&self, me: Owner, process: usize, env: &impl Env<M>) {
        let (_, mine) = self.claim(me, env).expect("there is a place");
        let _ = self.arrive(mine, me, process, env, false);
    }

    /// The same without the wake: broken on purpose.
    pub(crate) fn arrive_silently(&self, me: Owner, process: usize, env: &impl Env<M>) {
        let (_, mine) = self.claim(me, env).expect("there is a place");
        let control = self.control();
        let since = Since::new(control.generation(), process);
        mine.since.store(since.0, Ordering::Release);
        let _ = self.moved(control, control.with_one(false));
    }
}

shared!(Place<M> { holder, since });
shared!(Barrier<M, const N> { control, parties, places });

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::Real;

    #[test]
    fn the_number_of_parties_is_fixed_once() {
        let barrier = Barrier::<Real, 4>::default();
        assert_eq!(barrier.parties(), 0);
        assert_eq!(barrier.fix(4), Ok(4));
        assert_eq!(barrier.fix(2), Ok(4));
        assert_eq!(barrier.parties(), 4);
    }

    #[test]
    fn more_parties_than_places_are_reported_and_never_counted_with() {
        let barrier = Barrier::<Real, 4>::default();
        barrier.parties.store(5, Ordering::Relaxed);
        assert!(barrier.fix(2).is_err());
        assert_eq!(barrier.parties(), 4);
    }

    #[test]
    fn who_looks_on_sees_who_arrived_and_what_broke_it() {
        let barrier = Barrier::<Real, 4>::default();
        assert_eq!((barrier.arrived(), barrier.broken()), (0, Ok(None)));
        let two = barrier.control().with_one(false).with_one(true);
        assert!(barrier.moved(barrier.control(), two));
        assert_eq!((barrier.arrived(), barrier.broken()), (2, Ok(None)));
        assert!(!barrier.moved(Control(0), two), "it is not what it was");
        let (cause, process) = (Cause::Died, 7);
        assert!(barrier.moved(two, two.broken_by(cause, process)));
        let process = Some(process);
        assert_eq!(barrier.broken(), Ok(Some(Broken { cause, process })));
    }
}
