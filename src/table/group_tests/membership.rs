//! Words of a runner slot that a stopped process moves late.

use super::*;
use crate::width;

/// A process has found the holder dead, and is stopped. Meanwhile it has left, and the slot
/// has had other holders, up to a wrap.
#[test]
fn a_runner_is_not_marked_dead_on_evidence_about_an_earlier_holder() {
    let wrap = 1 << width::RUNNER;
    let others = [1, wrap / 2, wrap - 1];
    // As many as sixteen bits of generation had; the attack made them in 80 ms.
    let sixteen = if cfg!(feature = "narrow") { 1 } else { 1 << 16 };
    for later in others.into_iter().chain([sixteen]) {
        let (group, env, [a, ..]) = three();
        let dead = group.member(a.slot);
        let next = dead.with_generation(dead.generation() + later);
        group.members[a.slot]
            .member
            .store(next.raw(), Ordering::Relaxed);
        assert!(!group.count_out(a.slot, dead, &env), "{later} later");
        assert!(group.member(a.slot) == next);
        let ended = group.runners[a.slot].ended(next.generation());
        assert_eq!(ended, None, "{later} later");
    }
    // What guards it is the width: after a whole wrap the word is the same.
    let (group, env, [a, ..]) = three();
    let dead = group.member(a.slot);
    let same = dead.with_generation(dead.generation() + wrap);
    group.members[a.slot]
        .member
        .store(same.raw(), Ordering::Relaxed);
    assert!(group.count_out(a.slot, dead, &env));
}

#[test]
fn one_that_has_left_or_was_marked_before_is_not_marked_again() {
    let (group, env, [a, b, _]) = three();
    let dead = group.member(a.slot);
    assert_eq!(group.leave(a.slot, a.generation, &env), Ok(true));
    assert!(!group.count_out(a.slot, dead, &env));
    assert_eq!(group.member(a.slot).state(), Ok(State::Left));
    let dead = group.member(b.slot);
    assert!(group.count_out(b.slot, dead, &env) && !group.count_out(b.slot, dead, &env));
}

#[test]
fn refused_joins_use_up_no_generation() {
    let (group, env, claims) = three();
    let words = || [0, 1, 2, 3].map(|slot| group.member(slot).raw());
    for claim in claims {
        assert_eq!(group.leave(claim.slot, claim.generation, &env), Ok(true));
    }
    let epoch = initiate(&group, &env);
    assert_eq!(laggard(&group, &env), None);
    let before = (words(), group.used());
    for _ in 0..10 {
        let refused = group.claim(7, &env).unwrap();
        assert!(matches!(refused, Claimed::Refused(control) if control.epoch() == epoch));
    }
    assert_eq!((words(), group.used()), before);
    // A joiner whose identity is taken is refused before it claims.
    let (group, env, [a, ..]) = three();
    let taken = group.taken(None, &env, |slot| slot == a.slot).unwrap();
    assert!(matches!(taken, Some(Joined::Duplicate(slot)) if slot == a.slot));
}

/// What an acknowledger loaded, and what it would put in its place.
struct Stopped {
    slot: usize,
    seen: Ack,
    next: Ack,
}

impl Stopped {
    fn of(group: &Table, claim: Claim, phase: Phase) -> Self {
        let seen = group.ack(claim.slot);
        let epoch = group.scope.control().epoch();
        Self {
            slot: claim.slot,
            seen,
            next: seen.with(claim.generation, epoch, phase, false),
        }
    }

    fn go_on(&self, group: &Table) -> bool {
        let Self { slot, seen, next } = self;
        let word = &group.members[*slot].ack;
        let swapped =
            word.compare_exchange(seen.raw(), next.raw(), Ordering::AcqRel, Ordering::Acquire);
        swapped.is_ok()
    }
}

/// An acknowledger is stopped before its swap; its runner leaves and another one has the
/// slot, in the next shutdown.
#[test]
fn an_acknowledgement_that_comes_late_is_not_the_next_holders() {
    let (group, env, [a, ..]) = three();
    initiate(&group, &env);
    let stopped = Stopped::of(&group, a, Phase::Signaling);
    assert_eq!(group.scope.cancel(), Ok(Cancelled::Done));
    assert_eq!(group.leave(a.slot, a.generation, &env), Ok(true));
    group.generation.0.store(1 << 32, Ordering::Relaxed);
    let next = join(&group, &env, 0);
    assert_eq!(next.slot, a.slot);
    assert!(!stopped.go_on(&group));
    let epoch = initiate(&group, &env);
    assert!(!stopped.go_on(&group));
    assert_eq!(
        group.acked(next.slot, group.member(next.slot), epoch),
        Phase::Running
    );
    assert_eq!(laggard(&group, &env).unwrap().0, next.slot);
}

/// The same, and the runner stays: the late one is of a shutdown that was cancelled.
#[test]
fn an_acknowledgement_that_comes_late_is_of_no_other_shutdown() {
    let (group, env, [a, ..]) = three();
    initiate(&group, &env);
    let stopped = Stopped::of(&group, a, Phase::Signaling);
    assert_eq!(group.scope.cancel(), Ok(Cancelled::Done));
    let epoch = initiate(&group, &env);
    assert!(stopped.go_on(&group), "nobody has moved the word");
    assert_eq!(
        group.acked(a.slot, group.member(a.slot), epoch),
        Phase::Running
    );
    assert_eq!(laggard(&group, &env).unwrap().0, a.slot);
    assert_eq!(ack(&group, &env, a, Phase::Signaling), Acked::InTime);
}

/// A claimant that read the phase before the shutdown began claims during it: the word of the
/// holder before is gone for an acknowledger of that one.
#[test]
fn a_claim_during_a_shutdown_takes_the_word_from_a_stopped_acknowledger() {
    let (group, env, [a, ..]) = three();
    let running = group.scope.control();
    initiate(&group, &env);
    let stopped = Stopped::of(&group, a, Phase::Signaling);
    assert_eq!(group.leave(a.slot, a.generation, &env), Ok(true));
    // As if it had been stopped after its look.
    let left = group.member(a.slot);
    let claimed = left.claimed(3);
    assert!(group.swap_member(a.slot, left, claimed));
    let fresh = Ack::fresh(claimed.generation(), running.epoch());
    group.members[a.slot]
        .ack
        .store(fresh.raw(), Ordering::Relaxed);
    assert!(!stopped.go_on(&group));
    assert_eq!(group.ack(a.slot), fresh);
}

/// One that acknowledged before it died has done both.
#[test]
fn a_dead_runner_may_have_acknowledged() {
    let (group, env, [a, ..]) = three();
    let epoch = initiate(&group, &env);
    let stopped = Stopped::of(&group, a, Phase::Signaling);
    env.dead.set(Some(owner(0)));
    assert_ne!(laggard(&group, &env).unwrap().0, a.slot);
    assert!(stopped.go_on(&group));
    assert_eq!(group.member(a.slot).state(), Ok(State::Dead));
    let acked = group.acked(a.slot, group.member(a.slot), epoch);
    assert_eq!(acked, Phase::Signaling);
    assert_eq!(ack(&group, &env, a, Phase::Draining), Acked::NotLive);
}

/// The instant of the end is that of the present holder, whatever tags have wrapped.
#[test]
fn an_end_that_is_set_late_is_not_the_next_holders() {
    let (group, env, [a, ..]) = three();
    let runner = &group.runners[a.slot];
    for later in [1, 2, 0x8000, 0x1_0000] {
        env.now.set(env.now.get() + 10);
        let generation = group.member(a.slot).generation();
        let is_first = core::cell::Cell::new(true);
        runner.end(generation, env.now.get(), || {
            if !is_first.replace(false) {
                return false;
            }
            let word = group.member(a.slot).with_generation(generation + later - 1);
            let left = word.with_state(State::Left);
            group.members[a.slot]
                .member
                .store(left.raw(), Ordering::Relaxed);
            env.now.set(env.now.get() + 10);
            group.generation.0.store(
                u64::from(group.generation.current()) << 32,
                Ordering::Relaxed,
            );
            assert_eq!(join(&group, &env, 0).slot, a.slot);
            true
        });
        let generation = group.member(a.slot).generation();
        assert_eq!(runner.ended(generation), None, "{later} later");
        env.now.set(env.now.get() + 10);
        assert_eq!(group.leave(a.slot, generation, &env), Ok(true));
        assert_eq!(runner.ended(generation), Some(env.now.get()));
        group.generation.0.store(
            u64::from(group.generation.current()) << 32,
            Ordering::Relaxed,
        );
        assert_eq!(join(&group, &env, 0).slot, a.slot);
    }
}
