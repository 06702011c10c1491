//! The rules of the barrier one by one, by one thread that never sleeps.

use core::sync::atomic::{AtomicU32, Ordering};

use super::barrier::{Barrier, Passed};
use super::barrier_wait::{Polled, Stay, Watched};
use super::barrier_word::{Broken, Cause, Control};
use super::known::{Known, owner};
use crate::sync::Real;

type Gate = Barrier<Real, 4>;

fn gate(parties: u64) -> Gate {
    let gate = Gate::default();
    gate.fix(parties).unwrap();
    gate
}

/// By the thread of a slot, whose process has the same number.
fn enter(gate: &Gate, env: &Known, slot: u16) -> Result<Stay, Passed> {
    gate.enter(owner(slot), usize::from(slot), env, false)
        .unwrap()
}

fn poll(gate: &Gate, env: &Known, slot: u16, stay: &Stay) -> Polled {
    let me = owner(slot);
    gate.poll(stay, me, usize::from(slot), env, 10, |_, _| {})
        .unwrap()
}

fn broken(cause: Cause, process: Option<usize>) -> Passed {
    Passed::Broken(Broken { cause, process })
}

fn places(gate: &Gate) -> Vec<bool> {
    let places = gate.places.iter();
    places
        .map(|one| one.holder.load(Ordering::Acquire) != 0)
        .collect()
}

#[test]
fn a_reaper_breaks_what_a_dead_one_waits_at_and_gives_up_that_place_only() {
    let (gate, env) = (gate(3), Known::default());
    let one = enter(&gate, &env, 1).unwrap();
    let _dies = enter(&gate, &env, 2).unwrap();
    gate.hand_over(owner(3));
    assert_eq!((gate.arrived(), gate.broken()), (2, Ok(None)));
    gate.hand_over(owner(2));
    let by_death = broken(Cause::Died, Some(2));
    assert_eq!(places(&gate), [true, false, false, false]);
    assert_eq!(poll(&gate, &env, 1, &one), Polled::Over(by_death));
    assert_eq!(places(&gate), [false; 4]);
}

#[test]
fn a_reaper_breaks_nothing_that_had_tripped_or_was_broken_before() {
    let (gate, env) = (gate(2), Known::default());
    let _dies = enter(&gate, &env, 1).unwrap();
    let leads = enter(&gate, &env, 2).unwrap_err();
    assert_eq!(leads, Passed::Through { leads: true });
    assert_eq!(places(&gate), [true, false, false, false]);
    gate.hand_over(owner(1));
    assert_eq!((gate.arrived(), gate.broken()), (0, Ok(None)));
    assert_eq!(places(&gate), [false; 4]);

    let _dies = enter(&gate, &env, 1).unwrap();
    gate.abort(5).unwrap();
    gate.hand_over(owner(1));
    assert_eq!(
        enter(&gate, &env, 2).unwrap_err(),
        broken(Cause::Aborted, Some(5))
    );
    assert_eq!(places(&gate), [false; 4]);
}

#[test]
fn the_first_to_abort_is_the_one_that_is_told() {
    let (gate, env) = (gate(2), Known::default());
    let stay = enter(&gate, &env, 1).unwrap();
    gate.abort(3).unwrap();
    gate.abort(4).unwrap();
    let told = Polled::Over(broken(Cause::Aborted, Some(3)));
    assert_eq!(poll(&gate, &env, 1, &stay), told);
}

#[test]
fn a_reset_of_an_empty_barrier_moves_nothing() {
    let gate = gate(2);
    gate.reset(1).unwrap();
    assert!(gate.control() == Control(0));
}

#[test]
fn a_reset_tells_who_waits_and_begins_the_next_generation() {
    let (gate, env) = (gate(2), Known::default());
    let waits = enter(&gate, &env, 1).unwrap();
    gate.reset(2).unwrap();
    assert!(gate.control().is_open());
    assert_eq!((gate.control().generation(), gate.arrived()), (1, 0));
    let told = Polled::Over(broken(Cause::Reset, None));
    assert_eq!(poll(&gate, &env, 1, &waits), told);
    let waits = enter(&gate, &env, 1).unwrap();
    let leads = Passed::Through { leads: true };
    assert_eq!(enter(&gate, &env, 2).unwrap_err(), leads);
    let follows = Polled::Over(Passed::Through { leads: false });
    assert_eq!(poll(&gate, &env, 1, &waits), follows);
    assert_eq!(places(&gate), [false; 4]);
}

#[test]
fn one_that_withdraws_is_counted_out_of_its_own_generation_only() {
    let (gate, env) = (gate(2), Known::default());
    let goes = enter(&gate, &env, 1).unwrap();
    assert!(gate.withdraw(goes));
    assert_eq!((gate.arrived(), places(&gate)), (0, vec![false; 4]));

    let passed = enter(&gate, &env, 1).unwrap();
    assert!(enter(&gate, &env, 2).is_err());
    let next = enter(&gate, &env, 2).unwrap();
    assert!(!gate.withdraw(passed), "it has passed");
    assert_eq!(gate.arrived(), 1);
    gate.abort(3).unwrap();
    assert!(!gate.withdraw(next), "it was told");
    assert_eq!((gate.arrived(), places(&gate)), (1, vec![false; 4]));
}

#[test]
fn a_count_that_was_overwritten_is_not_counted_down() {
    let (gate, env) = (gate(2), Known::default());
    let goes = enter(&gate, &env, 1).unwrap();
    gate.control.store(0, Ordering::Relaxed);
    assert!(!gate.withdraw(goes));
    assert!(gate.control() == Control(0));
}

#[test]
fn who_waits_breaks_it_at_its_deadline_and_not_before() {
    let (gate, env) = (gate(3), Known::default());
    let stay = enter(&gate, &env, 1).unwrap();
    env.now.set(9);
    assert_eq!(poll(&gate, &env, 1, &stay), Polled::Asleep);
    env.now.set(10);
    let told = Polled::Over(Passed::TimedOut { arrived: 1 });
    assert_eq!(poll(&gate, &env, 1, &stay), told);
    let cause = broken(Cause::TimedOut, Some(1));
    assert_eq!(enter(&gate, &env, 2).unwrap_err(), cause);
}

#[test]
fn one_life_word_is_watched_once_and_one_without_is_looked_at_again_soon() {
    let (gate, mut env) = (gate(4), Known::default());
    env.life = Some(AtomicU32::new(5));
    let stay = enter(&gate, &env, 0).unwrap();
    let _tasks = [(); 2].map(|()| enter(&gate, &env, 1).unwrap());
    let look = |env: &Known| {
        let (mut words, mut lives) = (0, 0);
        let count = |on: Watched<'_, Real>, _| match on {
            Watched::Control(_) => words += 1,
            Watched::Life(_) => lives += 1,
        };
        let polled = gate.poll(&stay, owner(0), 0, env, 10, count).unwrap();
        (polled, words, lives)
    };
    assert_eq!(look(&env), (Polled::Asleep, 1, 1));
    env.life = None;
    assert_eq!(look(&env), (Polled::AsleepSoon, 1, 0));
    env.dead.set(Some(owner(1)));
    assert_eq!(look(&env).0, Polled::Again);
    assert_eq!(look(&env).0, Polled::Over(broken(Cause::Died, Some(1))));
}

/// Late steps: the thread that takes one was stopped after its reads.
mod late {
    use core::cell::Cell;

    use super::*;
    use crate::sync::{Env, Owner, Pulse};
    use crate::width;

    /// One is dead; when it is asked for, others go on first.
    struct Stops<F: Fn()>(Owner, F, Cell<bool>);

    impl<F: Fn()> Env<Real> for Stops<F> {
        fn now(&self) -> u64 {
            0
        }
        fn process_pulse(&self, _process: usize) -> Pulse<'_, Real> {
            Pulse::Alive(None)
        }
        fn thread_pulse(&self, asked: Owner) -> Pulse<'_, Real> {
            if asked != self.0 {
                return Pulse::Alive(None);
            }
            if !self.2.replace(true) {
                (self.1)();
            }
            Pulse::Dead
        }
    }

    fn stops<F: Fn()>(dead: Owner, meanwhile: F) -> Stops<F> {
        Stops(dead, meanwhile, Cell::new(false))
    }

    /// The first has passed a generation of two, and died before it gave its place up.
    fn left_by_the_first(gate: &Gate, env: &Known) {
        let _dies = enter(gate, env, 1).unwrap();
        let leads = Passed::Through { leads: true };
        assert_eq!(enter(gate, env, 2).unwrap_err(), leads);
        assert_eq!(places(gate), [true, false, false, false]);
    }

    #[test]
    fn two_take_over_two_places() {
        let (gate, env) = (gate(3), Known::default());
        gate.parties.store(2, Ordering::Relaxed);
        left_by_the_first(&gate, &env);
        gate.parties.store(3, Ordering::Relaxed);
        env.dead.set(Some(owner(1)));
        let faster = || drop(enter(&gate, &env, 3).unwrap());
        let slow = stops(owner(1), faster);
        let stay = gate.enter(owner(2), 2, &slow, false).unwrap();
        assert!(stay.is_ok());
        assert_eq!(
            (gate.arrived(), places(&gate)),
            (2, vec![true, true, false, false])
        );
        assert_eq!(gate.places[0].holder().thread(), Some(owner(3)));
    }

    #[test]
    fn a_death_that_was_settled_breaks_no_later_generation() {
        let (gate, env) = (gate(3), Known::default());
        let stay = enter(&gate, &env, 2).unwrap();
        let _dies = enter(&gate, &env, 1).unwrap();
        let settle = || {
            gate.hand_over(owner(1));
            gate.reset(9).unwrap();
            let _ = enter(&gate, &env, 3).unwrap();
        };
        let slow = stops(owner(1), settle);
        let polled = gate.poll(&stay, owner(2), 2, &slow, 10, |_, _| {}).unwrap();
        assert_eq!(polled, Polled::Again);
        assert_eq!((gate.arrived(), gate.broken()), (1, Ok(None)));
        // A reaper that comes later still.
        gate.hand_over(owner(1));
        assert_eq!((gate.arrived(), gate.broken()), (1, Ok(None)));
    }

    #[test]
    fn one_that_was_held_for_dead_gives_up_no_other_ones_place() {
        let (gate, env) = (gate(3), Known::default());
        let mine = enter(&gate, &env, 1).unwrap();
        gate.hand_over(owner(1));
        gate.reset(9).unwrap();
        let _next = enter(&gate, &env, 2).unwrap();
        assert_eq!(gate.places[0].holder().thread(), Some(owner(2)));
        assert!(!gate.withdraw(mine));
        assert_eq!(
            (gate.arrived(), places(&gate)),
            (1, vec![true, false, false, false])
        );
        let since = gate.places[0].since();
        assert_eq!(
            (since.is_of(gate.control()), since.process()),
            (true, Some(2))
        );
    }

    /// It holds a place and has not arrived: nobody waits for it.
    #[test]
    fn one_that_dies_before_it_arrives_breaks_nothing() {
        let (gate, env) = (gate(2), Known::default());
        let goes = enter(&gate, &env, 3).unwrap();
        assert!(gate.withdraw(goes));
        assert!(gate.claim(owner(1), &env).is_some());
        env.dead.set(Some(owner(1)));
        let first = enter(&gate, &env, 2).unwrap();
        assert_eq!(
            places(&gate),
            [true, false, false, false],
            "its place is had"
        );
        assert_eq!(poll(&gate, &env, 2, &first), Polled::Asleep);
        assert!(enter(&gate, &env, 3).is_err());
        assert_eq!(gate.broken(), Ok(None));
    }

    /// A dead one's place in a generation that has come round reads as one of the present.
    /// Width is what guards this: 2^36 generations, and nobody settled the death meanwhile.
    #[test]
    fn width_guards_a_generation_against_the_dead_of_an_old_one() {
        let (gate, env) = (gate(2), Known::default());
        left_by_the_first(&gate, &env);
        env.dead.set(Some(owner(1)));
        let before = gate.control();
        let round = if cfg!(feature = "narrow") {
            1 << width::BARRIER
        } else {
            1 << 16
        };
        for _ in 1..round {
            assert!(gate.moved(gate.control(), gate.control().next()));
        }
        assert_ne!(gate.control(), before);
        let stay = enter(&gate, &env, 2).unwrap();
        let polled = poll(&gate, &env, 2, &stay);
        if cfg!(feature = "narrow") {
            let (cause, process) = (Cause::Died, Some(1));
            assert_eq!(polled, Polled::Again);
            assert_eq!(gate.broken(), Ok(Some(Broken { cause, process })));
        } else {
            assert_eq!((polled, gate.broken()), (Polled::Asleep, Ok(None)));
        }
    }
}
