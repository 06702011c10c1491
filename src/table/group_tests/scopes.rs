//! The scope of one runner, and what initiators ask of any.

use super::*;

#[test]
fn a_runner_alone_is_shut_down_by_the_same_rules() {
    let (group, env, [a, b, _]) = three();
    let runner = &group.runners[b.slot];
    let epoch = runner.own.control().epoch();
    let slot = b.slot;
    let say = |epoch, phase| group.acknowledge_own(slot, b.generation, epoch, phase, &env);
    assert_eq!(say(epoch, Phase::Signaling), Ok(Acked::OutOfOrder));
    assert_eq!(
        runner.own.initiate(ASK, || 1_000_000),
        Ok(Initiated::Drives(epoch))
    );
    let blocked = |until| match group.advance_own(slot, &env).unwrap() {
        Look::Blocked {
            laggard, until: at, ..
        } => (laggard.slot, at) == (slot, until),
        Look::Idle(_) => false,
    };
    assert!(blocked(1_100_000));
    assert_eq!(say(epoch + 1, Phase::Signaling), Ok(Acked::OutOfOrder));
    assert_eq!(say(epoch, Phase::Draining), Ok(Acked::OutOfOrder));
    assert_eq!(say(epoch, Phase::Running), Ok(Acked::OutOfOrder));
    assert_eq!(say(epoch, Phase::Signaling), Ok(Acked::InTime));
    let member = group.member(slot);
    assert_eq!(group.own_acked(slot, member, epoch), Phase::Signaling);
    assert_eq!(
        group.own_acked(slot, group.member(a.slot), epoch + 1),
        Phase::Running
    );
    assert_eq!(
        group.own_acked(slot, member.claimed(1), epoch),
        Phase::Running
    );
    assert_eq!(group.own_acked(N, member, epoch), Phase::Running);
    assert_eq!(runner.own.control().phase(), Ok(Phase::Draining));
    assert_eq!(say(epoch, Phase::Signaling), Ok(Acked::InTime), "once more");
    env.now.set(1_700_000);
    assert!(blocked(2_000_000), "the drain is over without it");
    assert_eq!(say(epoch, Phase::Draining), Ok(Acked::Late));
    assert_eq!(say(epoch, Phase::Draining), Ok(Acked::Late));
    assert_eq!(
        group.own_ack(slot).missed(b.generation, epoch),
        Some(Phase::Draining)
    );
    let observed = runner.own_times.observed_in(&runner.own, epoch);
    assert_eq!(observed, Some(1_000_000));
    assert_eq!(say(epoch, Phase::Closing), Ok(Acked::InTime));
    assert_eq!(runner.own.control().phase(), Ok(Phase::Complete));
    assert!(matches!(group.advance_own(slot, &env), Ok(Look::Idle(_))));
    assert!(group.advance_own(N, &env).is_err());
    assert_eq!(phase(&group), Phase::Running, "the group goes on");
}

#[test]
fn the_shutdown_of_one_that_died_or_left_completes() {
    let (group, env, [a, b, _]) = three();
    let begin = |claim: Claim| {
        let own = &group.runners[claim.slot].own;
        assert!(matches!(
            own.initiate(ASK, || 1_000_000),
            Ok(Initiated::Drives(_))
        ));
    };
    let own = |claim: Claim| group.runners[claim.slot].own.control().phase();
    begin(a);
    assert_eq!(group.leave(a.slot, a.generation, &env), Ok(true));
    assert_eq!(own(a), Ok(Phase::Complete));
    begin(b);
    env.dead.set(Some(owner(1)));
    assert!(matches!(group.advance_own(b.slot, &env), Ok(Look::Idle(_))));
    assert_eq!(
        (own(b), group.member(b.slot).state()),
        (Ok(Phase::Complete), Ok(State::Dead))
    );
    let of_another =
        Ack::fresh(a.generation + 1, 1).with(a.generation + 1, 1, Phase::Closing, false);
    let word = &group.runners[a.slot].own_acked;
    word.store(of_another.raw(), Ordering::Relaxed);
    assert_eq!(
        group.own_acked(a.slot, group.member(a.slot), 1),
        Phase::Running
    );
}

#[test]
fn who_asks_while_it_is_on_makes_it_harder_and_never_longer() {
    let (group, env, _) = three();
    let epoch = initiate(&group, &env);
    let scope = &group.scope;
    let ask = |mode, budget_millis, now| {
        let code = ReasonCode::Upgrade;
        scope
            .initiate(
                Ask {
                    mode,
                    code,
                    budget_millis,
                },
                || now,
            )
            .unwrap()
    };
    assert_eq!(ask(Mode::Fast, 2000, 1_000_000), Initiated::Merged(epoch));
    let now = scope.control();
    assert_eq!(
        (now.mode(), now.budget_millis(), now.code()),
        (Mode::Fast, 1000, ReasonCode::Requested)
    );
    assert_eq!(scope.extend(now, 50_000, 1_000_000), 50_000);
    assert_eq!(scope.deadlines(now, 1_000_000).phase, 1_150_000);
    // 300 ms have passed, and 50 are granted on top of every budget.
    assert_eq!(
        ask(Mode::Graceful, 500, 1_300_000),
        Initiated::Merged(epoch)
    );
    let now = scope.control();
    assert_eq!((now.mode(), now.budget_millis()), (Mode::Fast, 750));
    let deadlines = scope.deadlines(now, 1_300_000);
    assert_eq!(
        (deadlines.phase, deadlines.overall, deadlines.cap),
        (1_125_000, 1_750_000, 1_750_000)
    );
    assert_eq!(
        scope.extend(now, u64::MAX, 1_300_000),
        625_000,
        "to the cap"
    );
    assert_eq!(scope.extend(now, 1, 1_300_000), 0);
    assert_eq!(scope.escalate(Mode::Immediate), Ok(Some(Mode::Fast)));
    assert_eq!(
        scope.escalate(Mode::Fast),
        Ok(Some(Mode::Immediate)),
        "it stays as hard"
    );
    assert_eq!(scope.control().mode(), Mode::Immediate);
    assert_eq!(scope.initiate_in(epoch + 1, ASK, 0, || 1), Ok(None));
    assert_eq!(
        scope.initiate_in(epoch, ASK, 0, || 1_300_000),
        Ok(Some(Initiated::Merged(epoch)))
    );
    assert_eq!(scope.cancel(), Ok(Cancelled::Done));
    assert_eq!(scope.cancel(), Ok(Cancelled::NothingToCancel));
    assert_eq!(scope.escalate(Mode::Fast), Ok(None));
    assert_eq!(
        scope.initiate_in(epoch + 1, ASK, 0, || 1),
        Ok(Some(Initiated::Drives(epoch + 1)))
    );
    scope.publish(scope.control(), Phase::Closing, 2).unwrap();
    assert_eq!(scope.cancel(), Ok(Cancelled::TooLate(Phase::Closing)));
    assert_eq!(
        scope.publish(Control::COMPLETE, Phase::Running, 3),
        None,
        "it has moved"
    );
}

#[cfg(target_os = "linux")]
#[test]
fn who_sleeps_in_a_shutdown_of_its_own_is_told_that_the_groups_has_moved() {
    use crate::os::{asleep::until_asleep, clock};
    use crate::sync::Mem;

    let (group, _env, [a, ..]) = three();
    let own = &group.runners[a.slot].own;
    assert!(own.initiate(ASK, || 1_000_000).is_ok());
    let asleep_on = own.control().futex_half();
    let until = clock::now() + 60_000_000;
    std::thread::scope(|scope| {
        let (tell, told) = std::sync::mpsc::channel();
        scope.spawn(move || {
            tell.send(nix::unistd::gettid()).unwrap();
            let _ = Real::wait(own.cell(), asleep_on, until);
            assert!(clock::now() < until, "nobody woke it");
        });
        until_asleep(told.recv().unwrap());
        group.wake_own();
    });
}
