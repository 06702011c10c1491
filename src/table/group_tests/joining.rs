//! Slots, identities and generations.

use super::*;
use crate::table::inflight::{Begun, Look as WorkLook};

#[test]
fn slots_are_claimed_in_order_of_what_their_records_are_worth() {
    let (group, env, [a, b, _]) = three();
    assert_eq!((group.used(), group.joined(0), group.joined(N)), (3, 1, 0));
    assert_eq!(group.leave(a.slot, a.generation, &env), Ok(true));
    // The record of this generation is kept while there is a slot never used.
    let unused = slot_for(&group, &env, 9);
    assert_eq!((unused.slot, group.used()), (3, 4));
    assert_eq!(group.member(3).state(), Ok(State::Claimed));
    let again = slot_for(&group, &env, 9);
    assert_eq!((again.slot, again.generation), (a.slot, a.generation + 1));
    assert!(matches!(group.claim(9, &env), Ok(Claimed::Full)));
    // Taken back, they are free; and in the next generation old records go first.
    group.withdraw(again, &env).unwrap();
    group.withdraw(again, &env).unwrap();
    assert_eq!(group.member(a.slot).state(), Ok(State::Free));
    group
        .withdraw(
            Claim {
                generation: 0,
                ..unused
            },
            &env,
        )
        .unwrap();
    assert_eq!(
        group.member(3).state(),
        Ok(State::Claimed),
        "it is not of that claim"
    );
    assert_eq!(group.leave(b.slot, b.generation, &env), Ok(true));
    group.generation.0.store(1 << 32, Ordering::Relaxed);
    let next = [(); 2].map(|()| slot_for(&group, &env, 9).slot);
    assert_eq!(next, [a.slot, b.slot]);
}

#[test]
fn a_new_holder_finds_nothing_of_the_old_one() {
    let (group, env, [a, ..]) = three();
    let runner = &group.runners[a.slot];
    let own = runner.own.control().epoch();
    assert_eq!(runner.own.initiate(ASK, || 5), Ok(Initiated::Drives(own)));
    let old = a.generation;
    runner.judge(old, Verdict::Failed);
    runner.judge(old, Verdict::Forced);
    assert_eq!(runner.verdict(old), Verdict::Failed, "the first counts");
    assert_eq!(runner.verdict(old + 1), Verdict::None);
    let open = || WorkLook {
        refuses: false,
        epochs: (0, 0),
    };
    assert_eq!(runner.gate.begin_as(old, open), Begun::Counted);
    runner.count_progress(old);
    let progress = runner.progress_to_extend(old).unwrap();
    runner.extended(old, progress);
    assert_eq!(
        (runner.progress(old), runner.progress_to_extend(old)),
        (1, None)
    );
    runner.count_progress(old);
    assert!(runner.progress_to_extend(old).is_some());
    let epoch = initiate(&group, &env);
    assert_eq!(ack(&group, &env, a, Phase::Signaling), Acked::InTime);
    runner.own_times.observe(&runner.own, own, 6);
    assert_eq!(group.leave(a.slot, a.generation, &env), Ok(true));
    assert_eq!(group.scope.cancel(), Ok(Cancelled::Done));
    group.generation.0.store(1 << 32, Ordering::Relaxed);
    let claim = join(&group, &env, 8);
    assert_eq!((claim.slot, claim.generation), (a.slot, a.generation + 1));
    assert_eq!(group.member(claim.slot).process(), Some(8));
    assert_eq!(runner.own.control().phase(), Ok(Phase::Running));
    assert_eq!(runner.own.control().epoch(), own + 1);
    // What the old one does now has no effect on the new one.
    let new = old + 1;
    runner.judge(old, Verdict::Failed);
    runner.count_progress(old);
    runner.extended(old, progress);
    assert_eq!(
        (runner.verdict(new), runner.progress(new)),
        (Verdict::None, 0)
    );
    assert_eq!(runner.progress_to_extend(new), None);
    assert_eq!(runner.record_fault(new), None);
    runner.judge(new, Verdict::Forced);
    assert_eq!(runner.verdict(new), Verdict::Forced);
    assert_eq!((runner.gate.count(new), group.joined(claim.slot)), (0, 2));
    let next = runner.own.control().epoch();
    assert_eq!(runner.ended(claim.generation), None);
    let of_group = (&runner.group_times, &group.scope, epoch + 1);
    for (times, scope, epoch) in [of_group, (&runner.own_times, &runner.own, next)] {
        assert_eq!(times.done_in(scope, 0, epoch), None);
        assert_eq!(times.observed_in(scope, epoch), None);
    }
    let fresh = |epoch| Ack::fresh(claim.generation, epoch);
    assert_eq!(group.own_ack(claim.slot), fresh(next));
    assert_eq!(group.ack(claim.slot), fresh(epoch + 1));
}

#[test]
fn one_identity_is_admitted_once() {
    let (group, env, [a, b, _]) = three();
    let publish = |claim, other: usize| {
        let same = |slot| slot == other;
        group.publish(claim, &env, same).unwrap()
    };
    let claim = slot_for(&group, &env, 7);
    assert!(matches!(publish(claim, b.slot), Joined::Duplicate(1)));
    assert_eq!(group.member(claim.slot).state(), Ok(State::Free));
    assert!(
        group.publish(claim, &env, |_| false).is_err(),
        "it was withdrawn"
    );
    // Its own slot is no twin, and neither is one that died or left.
    let claim = slot_for(&group, &env, 7);
    assert!(matches!(publish(claim, claim.slot), Joined::Live(1)));
    assert_eq!(group.leave(claim.slot, claim.generation, &env), Ok(true));
    env.dead.set(Some(owner(0)));
    let claim = slot_for(&group, &env, 7);
    assert!(matches!(publish(claim, a.slot), Joined::Live(1)));
    assert_eq!(group.member(a.slot).state(), Ok(State::Dead));
    // Somebody of the same name is on the way.
    let word = &group.members[b.slot].member;
    word.store(
        group.member(b.slot).with_state(State::Joining).raw(),
        Ordering::Relaxed,
    );
    let claim = slot_for(&group, &env, 7);
    assert!(matches!(publish(claim, b.slot), Joined::Contended));
}

#[test]
fn nobody_joins_a_shutdown_and_a_renewal_is_helped() {
    let (group, env) = (Table::default(), Known::default());
    let claim = slot_for(&group, &env, 0);
    let epoch = initiate(&group, &env);
    let refused = group.publish(claim, &env, |_| false).unwrap();
    assert!(matches!(refused, Joined::Refused(control) if control.epoch() == epoch));
    assert_eq!(group.member(claim.slot).state(), Ok(State::Free));
    // Nobody is left to wait for.
    assert_eq!(
        (laggard(&group, &env), phase(&group)),
        (None, Phase::Complete)
    );
    assert_eq!(group.scope.initiate(ASK, || 1), Ok(Initiated::Over(epoch)));
    let complete = group.scope.control();
    assert!(group.scope.begin_renewing(complete));
    assert_eq!(group.scope.initiate(ASK, || 1), Ok(Initiated::Renewing));
    assert_eq!(laggard(&group, &env), None);
    assert_eq!(group.generation.current(), 1);
    let claim = slot_for(&group, &env, 0);
    let joined = group.publish(claim, &env, |_| false).unwrap();
    assert!(matches!(joined, Joined::Live(2)));
    assert_eq!(
        (group.generation.current(), group.joined(claim.slot)),
        (2, 2)
    );
    assert_eq!(group.scope.control().epoch(), epoch + 1);
    assert_eq!(phase(&group), Phase::Running);
}

#[test]
fn a_generation_is_begun_once_from_the_shutdown_seen() {
    let (group, env) = (Table::default(), Known::default());
    initiate(&group, &env);
    assert_eq!(laggard(&group, &env), None);
    let complete = group.scope.control();
    group.generation.help(&group.scope).unwrap();
    assert_eq!(group.generation.current(), 1, "nothing is being begun");
    assert_eq!(group.generation.begin(&group.scope, complete), Ok(true));
    assert_eq!(group.generation.begin(&group.scope, complete), Ok(false));
    assert_eq!(group.generation.current(), 2);
    // One that died between the second step and the third is helped, and not twice.
    initiate(&group, &env);
    assert_eq!(laggard(&group, &env), None);
    let complete = group.scope.control();
    assert!(group.scope.begin_renewing(complete));
    let began = complete.epoch() + 1;
    group.generation.0.store(2 << 32 | began, Ordering::Relaxed);
    group.generation.help(&group.scope).unwrap();
    assert_eq!(group.generation.current(), 3);
    initiate(&group, &env);
    assert_eq!(laggard(&group, &env), None);
    let complete = group.scope.control();
    assert_eq!(group.generation.begin(&group.scope, complete), Ok(true));
    assert_eq!(group.generation.current(), 4);
    assert_eq!(
        group.scope.control().stage(),
        Ok(Stage::Phase(Phase::Running))
    );
}

/// The generation word keeps some bits of the epoch it began with. If they happen to be those
/// of the next one, the next renewal steps the number all the same.
#[test]
fn a_generation_is_begun_though_the_epochs_have_wrapped() {
    let (group, env) = (Table::default(), Known::default());
    let epoch = initiate(&group, &env);
    let next = (epoch + 1) & crate::table::generation::EPOCH;
    group.generation.0.store(7 << 32 | next, Ordering::Relaxed);
    assert_eq!(laggard(&group, &env), None);
    let complete = group.scope.control();
    assert_eq!(group.generation.current(), 8);
    assert_eq!(group.generation.begin(&group.scope, complete), Ok(true));
    assert_eq!(group.generation.current(), 9);
    // A process that does the same late finds another word.
    assert_eq!(group.generation.begin(&group.scope, complete), Ok(false));
    assert_eq!(
        (group.generation.current(), phase(&group)),
        (9, Phase::Running)
    );
}
