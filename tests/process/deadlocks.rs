//! Deadlocks over all processes of a segment are found and resolved by one victim, and
//! conflicting orders are told before there is a deadlock.

use crate::support::{self, Agent, HANG, both, both_with, until_true};
use crate::taking::{give, in_a_ring, next, take, taker, takers, waits};
use ebbtide::{
    CrossProcessCondvar, CrossProcessEvent, CrossProcessLock, DeadlockDetector, Delivery, EventKind,
};

#[test]
fn of_two_processes_one_gives_up_and_the_other_goes_on() {
    both_with(here!(), &[("taker", taker)], |place| {
        let segment = place.create();
        let mut agents: [_; 2] = takers(place, &segment);
        in_a_ring(place, &mut agents);
        let (victim, why) = next(&mut agents);
        assert!(why.starts_with("err Deadlock"), "{why}");
        for (index, agent) in agents.iter().enumerate() {
            let pid = agent.pid();
            assert!(
                why.contains(&format!("\"r{index}\" (pid {pid}, thread ")),
                "{why}"
            );
        }
        assert!(why.contains("waits for \"a\" held by") && why.contains("waits for \"b\" held by"));
        // It still has what it had, so the other still waits.
        let other = 1 - victim;
        assert!(!agents[other].has("take"));
        give(&mut agents[victim], ["a", "b"][victim]);
        assert_eq!(agents[other].event("take"), "died=false");
        for lock in ["a", "b"] {
            give(&mut agents[other], lock);
        }
        let detector = DeadlockDetector::new(&segment);
        assert!(detector.waiters().unwrap().is_empty());
        assert!(detector.owners().unwrap().is_empty());
        assert!(detector.cycles().unwrap().is_empty());
        // Again, and again one only.
        in_a_ring(place, &mut agents);
        assert!(next(&mut agents).1.starts_with("err Deadlock"));
    });
}

#[test]
fn of_three_and_four_processes_exactly_one_gives_up() {
    both_with(here!(), &[("taker", taker)], |place| {
        let segment = place.create();
        let locks = ["a", "b", "c", "d"];
        let mut agents: [_; 4] = takers(place, &segment);
        for count in [3, 4] {
            let agents = &mut agents[..count];
            in_a_ring(place, agents);
            let (mut free, why) = next(agents);
            assert!(why.starts_with("err Deadlock"), "{why}");
            let why = why.split(" | ").next().unwrap();
            assert_eq!(why.matches(" waits for ").count(), count);
            give(&mut agents[free], locks[free]);
            // The others go on, one after another: each waited for the next one's.
            for _ in 1..count {
                let before = (free + count - 1) % count;
                assert_eq!(agents[before].event("take"), "died=false");
                give(&mut agents[before], locks[free]);
                give(&mut agents[before], locks[before]);
                free = before;
            }
        }
    });
}

/// A process that waits into a deadlock is no part of it.
#[test]
fn who_waits_beside_a_deadlock_is_not_its_victim() {
    both_with(here!(), &[("taker", taker)], |place| {
        let segment = place.create();
        let mut agents: [_; 2] = takers(place, &segment);
        // The highest thread slot of all, so it would be chosen if it were a member.
        let mut beside = Agent::spawn(place, "taker", Some(&segment));
        take(&mut agents[0], "a");
        beside.tell("take a");
        let detector = DeadlockDetector::new(&segment);
        waits(&detector, 1);
        give(&mut agents[0], "a");
        assert_eq!(beside.event("take"), "died=false");
        give(&mut beside, "a");
        take(&mut agents[0], "a");
        beside.tell("take a");
        waits(&detector, 1);
        take(&mut agents[1], "b");
        agents[0].tell("take b");
        waits(&detector, 2);
        agents[1].tell("take a");
        let (victim, why) = next(&mut agents);
        assert!(why.starts_with("err Deadlock"), "{why}");
        let why = why.split(" | ").next().unwrap();
        assert_eq!(why.matches(" waits for ").count(), 2);
        assert!(!beside.has("take"));
        agents[1 - victim].kill();
        agents[victim].kill();
        assert_eq!(beside.event("take"), "died=true");
    });
}

#[test]
fn a_killed_member_resolves_the_deadlock() {
    both_with(here!(), &[("taker", taker)], |place| {
        let segment = place.create();
        let mut agents: [_; 2] = takers(place, &segment);
        let detector = DeadlockDetector::new(&segment);
        take(&mut agents[0], "a");
        take(&mut agents[1], "b");
        agents[0].tell("take b");
        waits(&detector, 1);
        // Stopped, it cannot be told and does not look: the cycle stands.
        agents[0].stop();
        agents[1].tell("take a");
        let is_victim = support::until("found", || {
            if agents[1].has("take") {
                return Some(true);
            }
            (!detector.cycles().unwrap().is_empty()).then_some(false)
        });
        if is_victim {
            // The one that runs was chosen; the stopped one is no loss either way.
            assert!(agents[1].event("take").starts_with("err Deadlock"));
            agents[1].tell("take a");
            support::until("found", || agents[1].has("take").then_some(()));
            assert!(agents[1].event("take").starts_with("err Deadlock"));
            agents[0].kill();
            agents[1].tell("take a");
        } else {
            let cycle = &detector.cycles().unwrap()[0];
            assert_eq!(cycle.len(), 2);
            assert_eq!(detector.wait_for_graph().unwrap().len(), 2);
            agents[0].kill();
        }
        assert_eq!(agents[1].event("take"), "died=true");
        until_true("nobody waits", || detector.waiters().unwrap().is_empty());
    });
}

#[test]
fn a_wait_with_a_timeout_is_told_of_the_deadlock_or_resolves_it() {
    both_with(here!(), &[("taker", taker)], |place| {
        let segment = place.create();
        let detector = DeadlockDetector::new(&segment);
        let mut agents: [_; 2] = takers(place, &segment);
        // Long before its time: both bounds, in both places.
        for (first, second) in [("take b 30000", "take a"), ("take b", "take a 30000")] {
            take(&mut agents[0], "a");
            take(&mut agents[1], "b");
            agents[0].tell(first);
            waits(&detector, 1);
            agents[1].tell(second);
            let (victim, why) = next(&mut agents);
            assert!(why.starts_with("err Deadlock"), "{why}");
            give(&mut agents[victim], ["a", "b"][victim]);
            assert_eq!(agents[1 - victim].event("take"), "died=false");
            for lock in ["a", "b"] {
                give(&mut agents[1 - victim], lock);
            }
        }
        // A try that does not wait at all is no wait.
        take(&mut agents[0], "a");
        take(&mut agents[1], "b");
        agents[0].tell("take b");
        waits(&detector, 1);
        agents[1].tell("take a 0");
        assert!(agents[1].event("take").starts_with("err TimedOut"));
        give(&mut agents[1], "b");
        assert_eq!(agents[0].event("take"), "died=false");
    });
}

/// Taking the lock of a condition variable again is waiting, too.
#[test]
fn a_condition_variable_that_wants_its_lock_back_can_be_the_victim() {
    both_with(here!(), &[("taker", taker)], |place| {
        let segment = place.create();
        let changed = CrossProcessCondvar::open(&segment, "changed").unwrap();
        let mut agents: [_; 2] = takers(place, &segment);
        take(&mut agents[0], "a");
        take(&mut agents[0], "b");
        agents[0].tell("wait changed b");
        agents[0].event("waiting");
        take(&mut agents[1], "b");
        agents[1].tell("take a");
        let detector = DeadlockDetector::new(&segment);
        waits(&detector, 1);
        changed.notify_all().unwrap();
        let (victim, why) = next(&mut agents);
        assert!(why.starts_with("err Deadlock"), "{why}");
        give(&mut agents[victim], ["a", "b"][victim]);
        let other = agents[1 - victim].event("take");
        assert_eq!(other, ["woken", "died=false"][1 - victim]);
    });
}

#[test]
fn nested_but_ordered_use_is_never_taken_for_a_deadlock() {
    both_with(here!(), &[("taker", taker)], |place| {
        let segment = place.create();
        let mut agents: [_; 4] = takers(place, &segment);
        for (seed, agent) in agents.iter_mut().enumerate() {
            agent.tell(&format!("nest {} 3000", seed + 1));
        }
        for agent in &mut agents {
            assert_eq!(agent.event("nest"), "Ok(())");
        }
        let detector = DeadlockDetector::new(&segment);
        assert!(detector.violations().unwrap().is_empty());
        let order = detector.acquisition_order().unwrap();
        assert_eq!(order.len(), 6 * 5 / 2);
        assert!(order.iter().all(|(first, second)| first < second));
    });
}

/// Whoever gives way lets somebody through, so all get done.
#[test]
fn those_who_always_quarrel_all_get_done() {
    both_with(here!(), &[("taker", taker)], |place| {
        let segment = place.create();
        let mut agents: [_; 3] = takers(place, &segment);
        for (agent, pair) in agents.iter_mut().zip(["a-b", "b-c", "c-a"]) {
            agent.tell(&format!("quarrel {pair} 300"));
        }
        for agent in &mut agents {
            assert_eq!(agent.event("quarrel"), "ok");
        }
        let detector = DeadlockDetector::new(&segment);
        assert!(detector.owners().unwrap().is_empty());
        assert!(detector.waiters().unwrap().is_empty());
        assert!(!detector.violations().unwrap().is_empty());
    });
}

#[test]
fn conflicting_orders_of_processes_are_told_before_any_deadlock_and_once() {
    both_with(here!(), &[("taker", taker)], |place| {
        let segment = place.create();
        let detector = DeadlockDetector::new(&segment);
        let mut agents: [_; 2] = takers(place, &segment);
        for (agent, locks) in agents.iter_mut().zip([["a", "b"], ["b", "c"]]) {
            take(agent, locks[0]);
            take(agent, locks[1]);
            give(agent, locks[1]);
            give(agent, locks[0]);
        }
        assert!(detector.violations().unwrap().is_empty());
        // Nobody holds anything now, so there is no deadlock; and nobody is refused.
        for _ in 0..2 {
            take(&mut agents[1], "c");
            take(&mut agents[1], "a");
            give(&mut agents[1], "a");
            give(&mut agents[1], "c");
            let found = detector.violations().unwrap();
            assert_eq!(found.len(), 1);
            let found = &found[0];
            assert_eq!((&*found.held, &*found.wanted), ("c", "a"));
            assert_eq!(found.order, ["a", "b", "c"]);
            assert_eq!(found.pid, Some(agents[1].pid()));
            assert_eq!(found.runner.as_deref(), Some("r1"));
        }
        // Refused where it is asked for; what is held stays held.
        take(&mut agents[0], "c");
        agents[0].tell("deny a");
        let why = agents[0].event("take");
        assert!(
            why.starts_with(
                "err OrderViolation: lock \"a\" must not be waited for while \"c\" is held: the order so far is a before b before c"
            ),
            "{why}"
        );
        give(&mut agents[0], "c");
        agents[0].tell("deny a");
        assert_eq!(agents[0].event("take"), "died=false");
        agents[0].tell("deny c");
        assert_eq!(agents[0].event("take"), "died=false");
        assert_eq!(detector.violations().unwrap().len(), 1);
        // It outlives those who did it.
        for agent in &mut agents {
            agent.kill();
        }
        let outside = DeadlockDetector::observing(place.observe());
        assert_eq!(outside.violations().unwrap().len(), 1);
        assert_eq!(outside.acquisition_order().unwrap().len(), 3);
    });
}

/// A try never waits, so it makes no order; what it took counts as held.
#[test]
fn a_conflicting_order_is_an_event_that_others_hear_once() {
    both_with(here!(), &[("taker", taker)], |place| {
        let segment = place.create();
        let warning =
            CrossProcessEvent::open(&segment, DeadlockDetector::LOCK_ORDER_EVENT).unwrap();
        let mut warnings = warning.subscribe().unwrap();
        let mut agents: [_; 2] = takers(place, &segment);
        for (agent, locks) in agents.iter_mut().zip([["a", "b"], ["b", "a"]]) {
            for _ in 0..2 {
                take(agent, locks[0]);
                take(agent, locks[1]);
                give(agent, locks[1]);
                give(agent, locks[0]);
            }
        }
        let Some(Delivery::Set(set)) = warnings.next(Some(HANG)).unwrap() else {
            panic!("no warning");
        };
        let text = String::from_utf8(set.payload).unwrap();
        let pid = agents[1].pid();
        assert_eq!(set.kind, EventKind::Error);
        assert!(
            text.ends_with(&format!("(pid {pid}) takes \"a\" while it holds \"b\""))
                || text == format!("pid {pid} takes \"a\" while it holds \"b\""),
            "{text}"
        );
        assert!(warnings.try_next().unwrap().is_none());
    });
}

#[test]
fn a_try_makes_no_order_but_holds() {
    both(here!(), |place| {
        let segment = place.create();
        let detector = DeadlockDetector::new(&segment);
        let [a, b] = ["a", "b"].map(|name| CrossProcessLock::open(&segment, name).unwrap());
        let first = b.lock().unwrap();
        drop(a.try_lock().unwrap());
        assert!(detector.acquisition_order().unwrap().is_empty());
        drop(first);
        let first = a.try_lock().unwrap();
        drop(b.lock_timeout(HANG).unwrap());
        drop(first);
        let order = detector.acquisition_order().unwrap();
        assert_eq!(order, [("a".to_string(), "b".to_string())]);
    });
}
