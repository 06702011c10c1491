//! Waiting at a barrier: by a thread that sleeps there, and by a task, whose thread sleeps
//! elsewhere. The rules are in `barrier.rs`.

use crate::limits::{PORTABLE_POLL_MICROS, WAIT_BOUND_MICROS};
#[cfg(all(test, feature = "loom"))]
use crate::sync::Holder;
use crate::sync::{Env, Mem, Owner, Pulse, life};

use super::Corrupt;
use super::barrier::{Arrived, Barrier, Passed, Place};
use super::barrier_word::{Broken, Cause, Control, Since};

/// What a look names to sleep on.
pub(crate) enum Watched<'e, M: Mem> {
    Control(M::Cell<'e>),
    Life(&'e M::U32),
}

/// What one look at a barrier came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Polled {
    /// The place is given up.
    Over(Passed),
    /// Sleep on all that was named to `watch`, a second at most.
    Asleep,
    /// The same, but one party has nothing that tells of its death: look again soon.
    AsleepSoon,
    /// It changed during the look.
    Again,
}

/// The place of a task that has arrived. Given up by [`Barrier::withdraw`], or by the look
/// that ends its wait.
#[derive(Debug)]
#[must_use = "a place that is not given up stays counted until its process dies"]
pub(crate) struct Stay {
    place: usize,
    /// Whose place it is, and since when.
    owner: Owner,
    since: Since,
}

impl<M: Mem, const N: usize> Barrier<M, N> {
    /// Arrives and waits for the others, until the absolute instant `until` at most;
    /// `process` is the caller's process slot.
    pub(crate) fn wait(
        &self,
        me: Owner,
        process: usize,
        env: &impl Env<M>,
        until: u64,
    ) -> Result<Passed, Corrupt> {
        let stay = match self.enter(me, process, env, false)? {
            Ok(stay) => stay,
            Err(passed) => return Ok(passed),
        };
        let mut cells: Vec<(M::Cell<'_>, u32)> = Vec::new();
        let mut lives: Vec<&M::U32> = Vec::new();
        // Ends: every round returns, follows a move of the word, or sleeps for a bounded
        // time before the deadline.
        loop {
            cells.clear();
            lives.clear();
            let now = env.now();
            let polled = self.poll(&stay, me, process, env, until, |on, value| match on {
                Watched::Control(cell) => cells.push((cell, value)),
                Watched::Life(word) => {
                    cells.push((M::cell(word), value));
                    lives.push(word);
                }
            });
            let bound = match polled {
                Ok(Polled::Over(passed)) => return Ok(passed),
                Ok(Polled::Again) => continue,
                Ok(Polled::Asleep) => WAIT_BOUND_MICROS,
                Ok(Polled::AsleepSoon) => PORTABLE_POLL_MICROS,
                Err(corrupt) => {
                    self.withdraw(stay);
                    return Err(corrupt);
                }
            };
            let bound = until.min(now.saturating_add(bound));
            match cells.as_slice() {
                [(cell, value)] => M::wait(*cell, *value, bound),
                all => M::wait_any(all, bound),
            };
            life::pass_on::<M>(lives.iter().copied());
        }
    }

    /// Arrives. The inner error is an answer: there is nothing to wait for.
    pub(crate) fn enter(
        &self,
        me: Owner,
        process: usize,
        env: &impl Env<M>,
        is_shared: bool,
    ) -> Result<Result<Stay, Passed>, Corrupt> {
        if let Some(broken) = self.broken()? {
            return Ok(Err(Passed::Broken(broken)));
        }
        let Some((place, mine)) = self.claim(me, env) else {
            return Ok(Err(Passed::NoPlace));
        };
        let owner = me;
        let (passed, since) = match self.arrive(mine, me, process, env, is_shared) {
            Ok(Arrived::Waits(since)) => {
                return Ok(Ok(Stay {
                    place,
                    owner,
                    since,
                }));
            }
            Ok(Arrived::Last(since)) => (Ok(Passed::Through { leads: true }), since),
            Ok(Arrived::Broken(broken, since)) => (Ok(Passed::Broken(broken)), since),
            Err(corrupt) => (Err(corrupt), Since::NEVER),
        };
        mine.give_up(me, since);
        passed.map(Err)
    }

    /// Whether the wait is over; else names what to sleep on. Never blocks. When `until` has
    /// passed it breaks the barrier.
    pub(crate) fn poll<'e>(
        &'e self,
        stay: &Stay,
        me: Owner,
        process: usize,
        env: &'e impl Env<M>,
        until: u64,
        watch: impl FnMut(Watched<'e, M>, u32),
    ) -> Result<Polled, Corrupt> {
        let control = self.control();
        let passed = match self.passed(stay, control)? {
            Some(passed) => passed,
            None => {
                let polled = self.look(control, me, env, watch);
                if polled == Polled::Again || !env.ends_wait(env.now(), until) {
                    return Ok(polled);
                }
                if !self.moved(control, control.broken_by(Cause::TimedOut, process)) {
                    return Ok(Polled::Again);
                }
                self.wake_all();
                let arrived = control.arrived() as usize;
                Passed::TimedOut { arrived }
            }
        };
        self.leave(stay);
        Ok(Polled::Over(passed))
    }

    /// Goes away: counts itself out, if its generation still waits. False if that has ended
    /// first.
    pub(crate) fn withdraw(&self, stay: Stay) -> bool {
        // Ends: a round is repeated only when another party moved the word.
        let is_out = loop {
            let control = self.control();
            let is_counted =
                control.is_open() && stay.since.is_of(control) && control.arrived() > 0;
            // SYNC POINT barrier-withdraw (models: loom_tests/barrier_withdraw.rs): against
            // the trip, and against a death, on the one word that decides.
            if !is_counted {
                break false;
            }
            if self.moved(control, control.without_one()) {
                break true;
            }
        };
        // Last: whoever is counted has a place.
        self.leave(&stay);
        is_out
    }

    /// How the wait has ended, if it has.
    fn passed(&self, stay: &Stay, control: Control) -> Result<Option<Passed>, Corrupt> {
        if stay.since.is_of(control) {
            return Ok(control.broken()?.map(Passed::Broken));
        }
        let since = self.place(stay).map_or(Since::NEVER, Place::since);
        Ok(Some(match since.is_broken() {
            false => Passed::Through { leads: false },
            true => Passed::Broken(Broken {
                cause: Cause::Reset,
                process: None,
            }),
        }))
    }

    /// One look at who waits with us.
    fn look<'e>(
        &'e self,
        control: Control,
        me: Owner,
        env: &'e impl Env<M>,
        mut watch: impl FnMut(Watched<'e, M>, u32),
    ) -> Polled {
        watch(
            Watched::Control(M::low_cell(&self.control)),
            control.0 as u32,
        );
        let mut polled = Polled::Asleep;
        let mut known: Vec<&M::U32> = Vec::new();
        for (owner, since) in self.others(control, me) {
            match env.thread_pulse(owner) {
                Pulse::Dead => {
                    self.broken_by_the_dead(control, since);
                    return Polled::Again;
                }
                Pulse::Alive(Some(word)) => match life::arm::<M>(word) {
                    // Several tasks of one thread.
                    Some(_) if known.iter().any(|other| core::ptr::eq(*other, word)) => {}
                    Some(value) => {
                        known.push(word);
                        watch(Watched::Life(word), value);
                    }
                    // Marked this instant: look again.
                    None => return Polled::Again,
                },
                // Nothing tells of this one's death: probe again soon.
                Pulse::Alive(None) => polled = Polled::AsleepSoon,
            }
        }
        polled
    }

    fn place(&self, stay: &Stay) -> Option<&Place<M>> {
        self.places.get(stay.place)
    }

    /// Gives the place up.
    fn leave(&self, stay: &Stay) {
        if let Some(mine) = self.place(stay) {
            mine.give_up(stay.owner, stay.since);
        }
    }
}

#[cfg(all(test, feature = "loom"))]
impl<M: Mem, const N: usize> Barrier<M, N> {
    /// [`withdraw`](Self::withdraw) that gives the place up only: broken on purpose.
    pub(crate) fn withdraw_uncounted(&self, stay: Stay) -> bool {
        self.leave(&stay);
        true
    }

    /// [`withdraw`](Self::withdraw) whatever generation it is: broken on purpose.
    pub(crate) fn withdraw_blindly(&self, stay: Stay) -> bool {
        loop {
            let control = self.control();
            if self.moved(control, control.without_one()) {
                return self.withdraw_uncounted(stay);
            }
        }
    }

    /// Must-fail variant: reads the holder of a place before its generation, and neither
    /// again.
    pub(crate) fn look_once(&self, env: &impl Env<M>) {
        let control = self.control();
        for one in &self.places {
            let (holder, since) = (one.holder().thread(), one.since());
            let is_dead = |owner| matches!(env.thread_pulse(owner), Pulse::Dead);
            if since.is_of(control) && holder.is_some_and(is_dead) {
                self.broken_by_the_dead(control, since);
            }
        }
    }

    /// Whether nobody has a place.
    pub(crate) fn is_vacant(&self) -> bool {
        let mut holders = self.places.iter().map(Place::holder);
        holders.all(|holder| holder == Holder::Nobody)
    }
}
