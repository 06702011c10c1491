//! Joiners that are stopped between their read of the phase and LIVE.

use super::*;

/// A joiner that has seen Running, and the group whose shutdown is begun then.
struct Stopped {
    group: Table,
    env: Known,
    claim: Claim,
    joining: Member,
    seen: Control,
}

impl Stopped {
    fn new() -> Self {
        let (group, env) = (Table::default(), Known::default());
        env.now.set(1_000_000);
        let claim = slot_for(&group, &env, 0);
        let joining = group.announce(claim).unwrap();
        let seen = group.renewed_control().unwrap();
        assert_eq!(seen.phase(), Ok(Phase::Running));
        initiate(&group, &env);
        Self {
            group,
            env,
            claim,
            joining,
            seen,
        }
    }

    /// The shutdown goes on without it: its budget is over.
    fn force(&self, to: Phase) {
        while phase(&self.group) < to {
            let (slot, until) = laggard(&self.group, &self.env).expect("it waits for the joiner");
            assert_eq!(slot, self.claim.slot);
            self.env.now.set(until);
            let _ = laggard(&self.group, &self.env);
        }
    }

    /// What the beginner of a generation, and who waits for a generation to be gone, do:
    /// nobody of the first one is LIVE.
    fn renew(&self) {
        let complete = self.group.fenced_control();
        let live = |slot| self.group.member(slot).state() == Ok(State::Live);
        assert!(!(0..N).any(live));
        let begun = self.group.generation.begin(&self.group.scope, complete);
        assert_eq!(begun, Ok(true));
    }

    /// The joiner goes on: the word, its generation, and whether it is in.
    fn go_on(&self) -> (Member, u32, bool) {
        let Self {
            group,
            claim,
            joining,
            seen,
            ..
        } = self;
        let (generation, live) = group.go_live(claim.slot, *joining).unwrap();
        (live, generation, group.is_admitted(*seen).unwrap())
    }
}

#[test]
fn a_joiner_is_not_in_a_shutdown_that_is_over() {
    let stopped = Stopped::new();
    stopped.force(Phase::Complete);
    let (_, _, is_in) = stopped.go_on();
    assert!(!is_in);
    let Stopped { group, claim, .. } = &stopped;
    assert!(group.renewed_control().unwrap().is_shutting_down());
    group.withdraw(*claim, &stopped.env).unwrap();
    assert_eq!(group.member(claim.slot).state(), Ok(State::Free));
}

#[test]
fn a_joiner_that_was_passed_by_a_generation_is_of_the_new_one() {
    let stopped = Stopped::new();
    stopped.force(Phase::Complete);
    stopped.renew();
    let (live, _, is_in) = stopped.go_on();
    assert!(!is_in, "generations do not overlap");
    let Stopped { group, claim, .. } = &stopped;
    // It begins again from its look.
    let seen = group.renewed_control().unwrap();
    let (generation, _) = group.go_live(claim.slot, live).unwrap();
    assert_eq!((generation, group.joined(claim.slot)), (2, 2));
    assert!(group.is_admitted(seen).unwrap());
}

/// The generation is being begun when it goes on: it helps, and is of the new one.
#[test]
fn a_joiner_that_meets_a_renewal_is_of_the_new_generation() {
    let stopped = Stopped::new();
    stopped.force(Phase::Complete);
    let Stopped { group, claim, .. } = &stopped;
    assert!(group.scope.begin_renewing(group.scope.control()));
    let (live, _, is_in) = stopped.go_on();
    assert!(!is_in);
    let seen = group.renewed_control().unwrap();
    assert_eq!(seen.phase(), Ok(Phase::Running));
    assert_eq!(group.go_live(claim.slot, live).unwrap().0, 2);
    assert!(group.is_admitted(seen).unwrap());
}

#[test]
fn a_joiner_is_in_a_shutdown_that_has_begun_since_and_is_waited_for() {
    for reached in PHASES {
        let stopped = Stopped::new();
        stopped.force(reached);
        let (_, generation, is_in) = stopped.go_on();
        assert!(is_in && generation == 1, "{reached}");
        let Stopped {
            group, env, claim, ..
        } = &stopped;
        assert_eq!(laggard(group, env).unwrap().0, claim.slot);
        for done in PHASES {
            let late = done < reached;
            let expected = if late { Acked::Late } else { Acked::InTime };
            assert_eq!(ack(group, env, *claim, done), expected);
        }
        assert_eq!(phase(group), Phase::Complete);
    }
}

#[test]
fn a_joiner_that_missed_a_cancelled_shutdown_is_in_the_next_epoch() {
    let stopped = Stopped::new();
    let Stopped {
        group, env, claim, ..
    } = &stopped;
    assert_eq!(group.scope.cancel(), Ok(Cancelled::Done));
    let (live, _, is_in) = stopped.go_on();
    assert!(!is_in);
    let seen = group.renewed_control().unwrap();
    group.go_live(claim.slot, live).unwrap();
    assert!(group.is_admitted(seen).unwrap());
    initiate(group, env);
    assert_eq!(laggard(group, env).unwrap().0, claim.slot);
}

/// Stopped before it claims: it claims in a shutdown, or in one that is over, or in the
/// next generation; and is refused, or in.
#[test]
fn a_claim_that_comes_late_is_judged_by_the_look_after_it() {
    let (group, env) = (Table::default(), Known::default());
    env.now.set(1_000_000);
    let late = slot_for(&group, &env, 0);
    initiate(&group, &env);
    assert_eq!(laggard(&group, &env), None, "a claim is not counted");
    let refused = group.publish(late, &env, |_| false).unwrap();
    assert!(matches!(refused, Joined::Refused(control) if control.phase() == Ok(Phase::Complete)));
    assert_eq!(group.member(late.slot).state(), Ok(State::Free));

    let (group, env) = (Table::default(), Known::default());
    env.now.set(1_000_000);
    let late = slot_for(&group, &env, 0);
    initiate(&group, &env);
    assert_eq!(laggard(&group, &env), None);
    let complete = group.fenced_control();
    assert_eq!(group.generation.begin(&group.scope, complete), Ok(true));
    let joined = group.publish(late, &env, |_| false).unwrap();
    assert!(matches!(joined, Joined::Live(2)));
    assert_eq!(group.joined(late.slot), 2);
}

/// It was LIVE for an instant, was found by its id, and was shut down alone.
#[test]
fn one_that_withdraws_ends_the_shutdown_of_itself() {
    let stopped = Stopped::new();
    let Stopped {
        group, env, claim, ..
    } = &stopped;
    stopped.force(Phase::Complete);
    let (_, _, is_in) = stopped.go_on();
    assert!(!is_in);
    let own = &group.runners[claim.slot].own;
    assert!(own.initiate(ASK, || env.now.get()).is_ok());
    assert!(matches!(
        group.advance_own(claim.slot, env),
        Ok(Look::Blocked { .. })
    ));
    group.withdraw(*claim, env).unwrap();
    assert_eq!(own.control().phase(), Ok(Phase::Complete));
}

/// Another process has moved its word: it is no runner, and the join fails.
#[test]
fn one_whose_word_was_moved_is_not_live() {
    let stopped = Stopped::new();
    let Stopped {
        group,
        claim,
        joining,
        ..
    } = &stopped;
    let other = joining.with_state(State::Free);
    assert!(group.swap_member(claim.slot, *joining, other));
    assert!(group.go_live(claim.slot, *joining).is_err());
    assert!(group.announce(*claim).is_err());
}
