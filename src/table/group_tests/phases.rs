//! Phases: who is waited for, and who is not any more.

use super::*;

fn missed(group: &Table, claim: Claim, epoch: u64) -> Option<Phase> {
    group.ack(claim.slot).missed(claim.generation, epoch)
}

#[test]
fn each_phase_waits_for_all_and_goes_on_with_the_last() {
    let (group, env, claims) = three();
    assert_eq!(laggard(&group, &env), None);
    let epoch = initiate(&group, &env);
    for (done, ends) in PHASES.into_iter().zip([100, 700, 1000]) {
        for (index, claim) in claims.into_iter().enumerate() {
            assert_eq!(phase(&group), done);
            let until = 1_000_000 + ends * 1000;
            assert_eq!(laggard(&group, &env), Some((index, until)));
            assert_eq!(ack(&group, &env, claim, done), Acked::InTime);
            if index < 2 {
                assert_eq!(ack(&group, &env, claim, done), Acked::InTime, "once more");
                assert_eq!(ack(&group, &env, claim, done.next()), Acked::OutOfOrder);
            }
            env.now.set(env.now.get() + 1);
        }
    }
    assert_eq!(
        (phase(&group), laggard(&group, &env)),
        (Phase::Complete, None)
    );
    for (index, done) in PHASES.into_iter().enumerate() {
        let entered = 1_000_000 + 3 * index as u64 - u64::from(index > 0);
        assert_eq!(group.scope.entered(done, epoch), Some(entered));
        for (turn, claim) in claims.iter().enumerate() {
            let times = &group.runners[claim.slot].group_times;
            let at = 1_000_000 + 3 * index as u64 + turn as u64;
            assert_eq!(times.done_in(&group.scope, index, epoch), Some(at));
            assert_eq!(missed(&group, *claim, epoch), None);
            let first = 1_000_000 + turn as u64;
            assert_eq!(times.observed_in(&group.scope, epoch), Some(first));
        }
    }
}

#[test]
fn a_phase_that_was_forced_is_told_late_to_who_comes_after() {
    let (group, env, [a, b, c]) = three();
    let epoch = initiate(&group, &env);
    assert_eq!(ack(&group, &env, a, Phase::Signaling), Acked::InTime);
    env.now.set(1_000_000 + 99_999);
    assert_eq!(laggard(&group, &env), Some((1, 1_100_000)));
    env.now.set(1_000_000 + 100_000);
    // Everybody is behind in the next phase; the dead behind the first are counted out too.
    env.dead.set(Some(owner(2)));
    assert_eq!(laggard(&group, &env), Some((0, 1_700_000)));
    assert_eq!(phase(&group), Phase::Draining);
    assert_eq!(group.member(c.slot).state(), Ok(State::Dead));
    assert_eq!(ack(&group, &env, b, Phase::Signaling), Acked::Late);
    assert_eq!(
        ack(&group, &env, b, Phase::Signaling),
        Acked::Late,
        "once more"
    );
    assert_eq!(ack(&group, &env, c, Phase::Signaling), Acked::NotLive);
    let missed = |claim| missed(&group, claim, epoch);
    assert_eq!((missed(a), missed(b)), (None, Some(Phase::Signaling)));
    assert_eq!(ack(&group, &env, a, Phase::Draining), Acked::InTime);
    assert_eq!(missed(a), None);
}

/// Work that was in progress when the shutdown began is drained; Signaling is not missed by
/// who could not look meanwhile. Who has none in progress is.
#[test]
fn who_has_work_in_progress_is_not_charged_for_signaling() {
    let (group, env, [a, b, c]) = three();
    let epoch = initiate(&group, &env);
    let look = || crate::table::inflight::Look {
        refuses: false,
        epochs: (epoch, 0),
    };
    let gate = &group.runners[b.slot].gate;
    assert_eq!(gate.begin_as(b.generation, look), Begun::Counted);
    assert_eq!(ack(&group, &env, a, Phase::Signaling), Acked::InTime);
    env.now.set(1_000_000 + 99_999);
    assert_eq!(laggard(&group, &env), Some((1, 1_100_000)), "not before");
    env.now.set(1_000_000 + 100_000);
    let _ = notes(&env);
    assert_eq!(laggard(&group, &env), Some((0, 1_700_000)));
    let missed = |claim| missed(&group, claim, epoch);
    assert_eq!(ack(&group, &env, b, Phase::Signaling), Acked::InTime);
    assert_eq!(ack(&group, &env, c, Phase::Signaling), Acked::Late);
    assert_eq!((missed(b), missed(c)), (None, Some(Phase::Signaling)));
    let times = &group.runners[b.slot].group_times;
    assert_eq!(
        times.observed_in(&group.scope, epoch),
        None,
        "it was not asked"
    );
    assert_eq!(times.done_in(&group.scope, 0, epoch), Some(1_100_000));
    // Nobody is without work: it is not forced then.
    let (group, env, claims) = three();
    let epoch = initiate(&group, &env);
    for claim in claims {
        let gate = &group.runners[claim.slot].gate;
        assert_eq!(gate.begin_as(claim.generation, look), Begun::Counted);
    }
    env.now.set(1_000_000 + 100_000);
    assert_eq!(laggard(&group, &env), Some((0, 1_700_000)));
    let forced = notes(&env)
        .into_iter()
        .any(|(_, detail, ..)| detail & FORCED != 0);
    assert!(!forced && group.scope.control().epoch() == epoch);
    // Draining is: the work takes too long.
    env.now.set(1_000_000 + 700_000);
    assert_eq!(laggard(&group, &env), Some((0, 2_000_000)));
    assert_eq!(ack(&group, &env, a, Phase::Draining), Acked::Late);
}

#[test]
fn the_same_holds_in_a_shutdown_of_its_own() {
    let (group, env, [a, ..]) = three();
    let own = &group.runners[a.slot].own;
    let _ = own.initiate(ASK, || env.now.get()).unwrap();
    let epoch = own.control().epoch();
    let look = || crate::table::inflight::Look {
        refuses: false,
        epochs: (0, epoch),
    };
    let gate = &group.runners[a.slot].gate;
    assert_eq!(gate.begin_as(a.generation, look), Begun::Counted);
    env.now.set(1_000_000 + 100_000);
    let _ = group.advance_own(a.slot, &env).unwrap();
    assert_eq!(own.control().phase(), Ok(Phase::Draining));
    assert_eq!(group.own_ack(a.slot).missed(a.generation, epoch), None);
    let say = |phase| group.acknowledge_own(a.slot, a.generation, epoch, phase, &env);
    assert_eq!(say(Phase::Signaling), Ok(Acked::InTime));
}

#[test]
fn an_acknowledgement_is_of_one_runner_one_shutdown_and_a_phase_that_is_on() {
    let (group, env, [a, ..]) = three();
    assert_eq!(ack(&group, &env, a, Phase::Signaling), Acked::OutOfOrder);
    let epoch = initiate(&group, &env);
    let say = |slot, generation, epoch, phase| {
        group
            .acknowledge(slot, generation, epoch, phase, &env)
            .unwrap()
    };
    let Claim { slot, generation } = a;
    for (slot, generation, epoch, phase, expected) in [
        (
            slot,
            generation + 1,
            epoch,
            Phase::Signaling,
            Acked::NotLive,
        ),
        (
            slot,
            generation,
            epoch + 1,
            Phase::Signaling,
            Acked::OutOfOrder,
        ),
        (slot, generation, epoch, Phase::Draining, Acked::OutOfOrder),
        (slot, generation, epoch, Phase::Running, Acked::OutOfOrder),
        (N, generation, epoch, Phase::Signaling, Acked::OutOfOrder),
        (slot, generation, epoch, Phase::Signaling, Acked::InTime),
    ] {
        assert_eq!(say(slot, generation, epoch, phase), expected);
    }
    assert_eq!(group.scope.cancel(), Ok(Cancelled::Done));
    assert_eq!(
        say(slot, generation, epoch, Phase::Signaling),
        Acked::OutOfOrder
    );
}

#[test]
fn one_that_leaves_or_dies_is_waited_for_no_more() {
    let (group, env, [a, b, c]) = three();
    let epoch = initiate(&group, &env);
    assert_eq!(group.leave(a.slot, a.generation + 1, &env), Ok(false));
    assert_eq!(group.leave(N, a.generation, &env), Ok(false));
    assert_eq!(group.leave(a.slot, a.generation, &env), Ok(true));
    assert_eq!(group.leave(a.slot, a.generation, &env), Ok(false));
    assert_eq!(group.member(a.slot).state(), Ok(State::Left));
    let ended = |claim: Claim| group.runners[claim.slot].ended(claim.generation);
    assert_eq!(ended(a), Some(1_000_000));
    assert_eq!(laggard(&group, &env).unwrap().0, b.slot);
    env.now.set(1_000_007);
    env.dead.set(Some(owner(1)));
    assert_eq!(laggard(&group, &env).unwrap().0, c.slot);
    assert_eq!(
        (group.member(b.slot).state(), ended(b)),
        (Ok(State::Dead), Some(1_000_007))
    );
    let dead = group.member(b.slot);
    assert!(!group.count_out(b.slot, dead, &env), "it was");
    assert!(
        !group.count_out(N, group.member(c.slot), &env),
        "there is no such slot"
    );
    assert_eq!(group.leave(c.slot, c.generation, &env), Ok(true));
    assert_eq!(
        (phase(&group), group.scope.control().epoch()),
        (Phase::Complete, epoch)
    );
}

#[test]
fn the_dead_behind_a_laggard_are_counted_out_when_somebody_asks() {
    let (group, env, [_, b, c]) = three();
    env.dead.set(Some(owner(2)));
    group.count_out_dead([b.slot].into_iter(), &env).unwrap();
    assert!(group.member(c.slot).is_counted());
    group.count_out_dead(0..group.used(), &env).unwrap();
    assert!(group.member(b.slot).is_counted() && !group.member(c.slot).is_counted());
    let of_none = group.member(b.slot).with_process(None);
    let word = &group.members[b.slot].member;
    word.store(of_none.raw(), Ordering::Relaxed);
    assert!(
        group.alive(b.slot, group.member(b.slot), &env).is_err(),
        "of no process"
    );
    group.members[0].member.store(7, Ordering::Relaxed);
    assert!(group.count_out_dead(0..N, &env).is_err());
    initiate(&group, &env);
    assert!(group.advance(&env).is_err());
}

#[test]
fn a_sweep_takes_all_of_the_dead_and_nothing_else() {
    let (group, env, [a, b, c]) = three();
    let threads = Threads::<Real, N>::default();
    let of = [1, 2, 1].map(|process| threads.attach(process).unwrap());
    let claimed = slot_for(&group, &env, 1);
    initiate(&group, &env);
    for claim in [a, c] {
        assert_eq!(ack(&group, &env, claim, Phase::Signaling), Acked::InTime);
    }
    env.dead.set(Some(owner(1)));
    let handed = core::cell::RefCell::new(Vec::new());
    let hand_over = |owner| handed.borrow_mut().push(owner);
    let processes = Processes::<Real, N>::default();
    let dead = |process| Dead::of(&processes, process);
    sweep(&group, &threads, &dead(1), &env, hand_over).unwrap();
    assert_eq!(*handed.borrow(), [of[0], of[2]]);
    assert!(threads.word(0).is_free() && !threads.word(1).is_free() && threads.word(2).is_free());
    let states = [a, b, c, claimed].map(|claim| group.member(claim.slot).state());
    assert_eq!(
        states,
        [
            Ok(State::Live),
            Ok(State::Dead),
            Ok(State::Live),
            Ok(State::Free)
        ]
    );
    assert_eq!(phase(&group), Phase::Draining, "it was the last laggard");

    // A word that no release writes is told, and keeps nobody's locks.
    let bad = Member::from_raw(7).with_process(Some(2));
    let word = &group.members[b.slot].member;
    word.store(bad.raw(), Ordering::Relaxed);
    handed.borrow_mut().clear();
    assert!(
        sweep(&group, &threads, &dead(2), &env, |owner| handed
            .borrow_mut()
            .push(owner))
        .is_err()
    );
    assert_eq!(*handed.borrow(), [of[1]]);
}

/// The slot has a new holder, who has joined and attached a thread: a sweeper of the one
/// before that is stopped until then takes nothing of it.
#[test]
fn an_overtaken_sweeper_takes_nothing_of_the_next_holder() {
    let (group, env, [_, b, _]) = three();
    let threads = Threads::<Real, N>::default();
    let owner = threads.attach(1).unwrap();
    let processes = Processes::<Real, N>::default();
    let old = Dead::of(&processes, 1);
    let word = &processes.get(1).unwrap().word;
    word.store(ProcessWord::live(1, 0).raw(), Ordering::Relaxed);
    initiate(&group, &env);
    sweep(&group, &threads, &old, &env, |_| panic!("it lives")).unwrap();
    assert_eq!(group.member(b.slot).state(), Ok(State::Live));
    assert_eq!(threads.word(0).generation(), owner.generation);
    assert!(!threads.word(0).is_free());
    // Overtaken in the middle of a step: the word that it loaded was moved since.
    let loaded = threads.word(0);
    assert!(threads.free(0, loaded));
    threads.attach(1).unwrap();
    assert!(!threads.free(0, loaded) && !threads.word(0).is_free());
}

#[test]
fn all_who_are_late_are_passed_over_together() {
    let (group, env, [a, ..]) = three();
    initiate(&group, &env);
    env.now.set(1_100_000);
    assert_eq!(laggard(&group, &env), Some((a.slot, 1_700_000)));
    assert_eq!(phase(&group), Phase::Draining);
    assert!(group.member(2).is_counted(), "they live");
}

#[test]
fn one_that_dies_while_it_joins_was_never_there() {
    let (group, env) = (Table::default(), Known::default());
    let claim = slot_for(&group, &env, 1);
    group.announce(claim).unwrap();
    initiate(&group, &env);
    assert!(laggard(&group, &env).is_some());
    env.dead.set(Some(owner(1)));
    assert_eq!(laggard(&group, &env), None);
    assert_eq!(group.member(claim.slot).state(), Ok(State::Free));
    let kinds: Vec<_> = notes(&env).iter().map(|note| note.0).collect();
    assert_eq!(kinds, [Kind::Phase; 3], "nobody died who had joined");
}

#[test]
fn a_phase_whose_publisher_was_killed_gets_its_time_from_the_next_look() {
    let (group, env, _) = three();
    let epoch = initiate(&group, &env);
    let published = group.scope.control().in_phase(Phase::Draining).raw();
    group.scope.control.store(published, Ordering::Relaxed);
    env.now.set(1_000_005);
    assert!(laggard(&group, &env).is_some());
    assert_eq!(group.scope.entered(Phase::Draining, epoch), Some(1_000_005));
    let own = &group.runners[0].own;
    let epoch = own.control().epoch();
    assert!(own.initiate(ASK, || 1_000_000).is_ok());
    let published = own.control().in_phase(Phase::Closing).raw();
    own.control.store(published, Ordering::Relaxed);
    assert!(group.advance_own(0, &env).is_ok());
    assert_eq!(own.entered(Phase::Closing, epoch), Some(1_000_005));
}

#[test]
fn what_happens_is_noted_with_who_and_how() {
    let (group, env, [a, b, c]) = three();
    initiate(&group, &env);
    let signaling = Phase::Signaling as u8;
    assert_eq!(ack(&group, &env, a, Phase::Signaling), Acked::InTime);
    env.now.set(1_100_000);
    let _ = laggard(&group, &env);
    assert_eq!(ack(&group, &env, b, Phase::Signaling), Acked::Late);
    env.now.set(1_100_007);
    assert_eq!(group.leave(b.slot, b.generation, &env), Ok(true));
    env.dead.set(Some(owner(2)));
    assert_eq!(ack(&group, &env, a, Phase::Draining), Acked::InTime);
    let draining = Phase::Draining as u8;
    let expected = [
        (Kind::Acknowledged, signaling, Some(a.slot), 0),
        (Kind::Phase, draining | FORCED, None, 100_000),
        (Kind::Acknowledged, signaling | LATE, Some(b.slot), 0),
        (Kind::Left, 0, Some(b.slot), 0),
        (Kind::Acknowledged, draining, Some(a.slot), 0),
        (Kind::Died, 0, Some(c.slot), 0),
        (Kind::Phase, Phase::Closing as u8, None, 7),
    ];
    assert_eq!(notes(&env), expected);
    let own = &group.runners[a.slot].own;
    let epoch = own.control().epoch();
    assert!(own.initiate(ASK, || 1_100_000).is_ok());
    let acked = group.acknowledge_own(a.slot, a.generation, epoch, Phase::Signaling, &env);
    assert_eq!(acked, Ok(Acked::InTime));
    env.now.set(1_800_000);
    assert!(group.advance_own(a.slot, &env).is_ok());
    let expected = [
        (Kind::Acknowledged, OWN | signaling, Some(a.slot), 0),
        (Kind::Phase, OWN | draining, Some(a.slot), 7),
        (
            Kind::Phase,
            OWN | FORCED | Phase::Closing as u8,
            Some(a.slot),
            699_993,
        ),
    ];
    assert_eq!(notes(&env), expected);
}
