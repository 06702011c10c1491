//! Death is an answer: whoever is killed is counted out, and the others complete.

use std::time::Duration;

use crate::support::{self, Agent, HANG, Place, Shutdown, both, outcome};
use ebbtide::{
    Outcome, Phase, Scope, Segment, ShutdownCoordinator, ShutdownOutcome, ShutdownReport,
};

/// A budget that no test lives to see the end of: what completes did so without it.
const FOREVER: Duration = Duration::from_secs(3600);

/// Two survivors and a victim; everybody waits, in their own way, for the same end.
struct Group {
    coordinator: ShutdownCoordinator,
    survivors: [Agent; 2],
    victim: Agent,
    bystander: Agent,
}

impl Group {
    fn new(place: &Place, segment: &Segment) -> Self {
        let [a, b, victim] = place.runners(segment, ["a", "b", "victim"]);
        let mut bystander = place.agent(segment);
        bystander.tell("complete all 30000");
        Self {
            coordinator: ShutdownCoordinator::new(segment),
            survivors: [a, b],
            victim,
            bystander,
        }
    }

    fn begin(&mut self) {
        for survivor in &mut self.survivors {
            survivor.tell("run");
        }
        self.coordinator.begin(FOREVER);
    }

    /// All who wait are told the same: the survivors completed, the victim died.
    fn check(&mut self, place: &Place) -> ShutdownReport {
        let expected = "Died a=Completed b=Completed victim=Died";
        for survivor in &mut self.survivors {
            assert_eq!(survivor.event("run"), expected);
        }
        assert_eq!(self.bystander.event("complete"), expected);
        let report = self.coordinator.complete();
        assert_eq!(support::summary(&report), expected);
        assert_eq!(
            support::summary(&place.observe().report().unwrap()),
            expected
        );
        assert!(place.status().laggards.is_empty());
        let victim = report
            .runners
            .iter()
            .find(|runner| runner.id == "victim")
            .unwrap();
        assert!(!victim.alive);
        assert_eq!(victim.pid, self.victim.pid());
        report
    }
}

#[test]
fn runner_killed_before_the_shutdown_does_not_hold_it_up() {
    both(here!(), |place| {
        let segment = place.create();
        let mut group = Group::new(place, &segment);
        group.victim.kill();
        group.begin();
        // It is history: named, and no part of the outcome.
        let expected = "Completed a=Completed b=Completed";
        for survivor in &mut group.survivors {
            assert_eq!(survivor.event("run"), expected);
        }
        assert_eq!(group.bystander.event("complete"), expected);
        let report = group.coordinator.complete();
        assert_eq!(support::summary(&report), expected);
        for past in [report.predecessors, place.status().predecessors] {
            let [past] = &past[..] else {
                panic!("{past:?}")
            };
            assert_eq!((past.id.as_str(), past.deaths), ("victim", 1));
            assert_eq!((past.pid, past.replaced), (group.victim.pid(), false));
            assert!(past.last_death.is_some());
        }
    });
}

#[test]
fn dead_runner_does_not_hold_the_phase() {
    both(here!(), |place| {
        let segment = place.create();
        let mut group = Group::new(place, &segment);
        group.begin();
        place.until_blocked_by(Phase::Signaling, "victim");
        group.victim.kill();
        let report = group.check(place);
        let victim = report
            .runners
            .iter()
            .find(|runner| runner.id == "victim")
            .unwrap();
        assert_eq!(victim.blocked_in, Some(Phase::Signaling));
        assert_eq!(victim.acknowledged, [None; 3]);
    });
}

#[test]
fn runner_killed_while_it_drains_does_not_hold_the_phase() {
    both(here!(), |place| {
        let segment = place.create();
        let mut group = Group::new(place, &segment);
        assert_eq!(group.victim.ask("begin"), "ok");
        group.victim.tell("run");
        group.begin();
        let status = place.until_blocked_by(Phase::Draining, "victim");
        assert_eq!(status.laggards[0].in_flight, 1);
        group.victim.kill();
        let report = group.check(place);
        let victim = report
            .runners
            .iter()
            .find(|runner| runner.id == "victim")
            .unwrap();
        assert_eq!(victim.blocked_in, Some(Phase::Draining));
        assert!(victim.acknowledged[0].is_some() && victim.acknowledged[1].is_none());
        // The item it died with is on record.
        assert_eq!(victim.in_flight, 1);
    });
}

#[test]
fn runner_killed_in_a_closing_handler_does_not_hold_the_phase() {
    both(here!(), |place| {
        let segment = place.create();
        let mut group = Group::new(place, &segment);
        assert_eq!(group.victim.ask("handler closing 0 flush hang"), "ok");
        group.victim.tell("run");
        group.begin();
        assert_eq!(group.victim.event("handler"), "flush");
        let status = place.until_blocked_by(Phase::Closing, "victim");
        let activity = status.laggards[0].activity.clone().unwrap();
        assert_eq!(activity.text, "closing handler flush");
        group.victim.kill();
        let report = group.check(place);
        let victim = report
            .runners
            .iter()
            .find(|runner| runner.id == "victim")
            .unwrap();
        assert_eq!(victim.blocked_in, Some(Phase::Closing));
    });
}

#[test]
fn three_of_five_killed_in_different_phases_leave_two_that_complete() {
    both(here!(), |place| {
        let segment = place.create();
        let coordinator = ShutdownCoordinator::new(&segment);
        let [mut a, mut b, mut first, mut second, mut third] =
            place.runners(&segment, ["a", "b", "first", "second", "third"]);
        assert_eq!(second.ask("begin"), "ok");
        assert_eq!(third.ask("handler closing 0 flush hang"), "ok");
        for runner in [&mut a, &mut b, &mut second, &mut third] {
            runner.tell("run");
        }
        coordinator.begin(FOREVER);
        place.until_blocked_by(Phase::Signaling, "first");
        first.kill();
        place.until_blocked_by(Phase::Draining, "second");
        second.kill();
        place.until_blocked_by(Phase::Closing, "third");
        third.kill();
        let expected = "Died a=Completed b=Completed first=Died second=Died third=Died";
        assert_eq!(a.event("run"), expected);
        assert_eq!(b.event("run"), expected);
        assert_eq!(support::summary(&coordinator.complete()), expected);
    });
}

/// Each waiter watches one laggard only. Whichever of many dies last, somebody looks.
#[test]
fn many_laggards_killed_at_once_all_count_out() {
    both(here!(), |place| {
        let segment = place.create();
        let mut victims = place.runners(&segment, ["v1", "v2", "v3", "v4", "v5", "v6"]);
        let mut runners = place.runners(&segment, ["a", "b", "c"]);
        for runner in &mut runners {
            runner.tell("run");
        }
        ShutdownCoordinator::new(&segment).begin(FOREVER);
        let observer = place.observe();
        support::until_true("only the victims lag", || {
            observer.status().unwrap().laggards.len() == victims.len()
        });
        // From the last slot to the first, so that the watched one goes last.
        for victim in victims.iter_mut().rev() {
            victim.shoot();
        }
        for runner in &mut runners {
            let told = runner.event("run");
            assert!(
                told.starts_with("Died a=Completed b=Completed c=Completed"),
                "{told}"
            );
            assert_eq!(told.matches("=Died").count(), victims.len());
        }
    });
}

#[test]
fn everybody_killed_is_a_shutdown_too() {
    both(here!(), |place| {
        let segment = place.create();
        let coordinator = ShutdownCoordinator::new(&segment);
        let mut runners = place.runners(&segment, ["a", "b", "c"]);
        let waiter = coordinator.clone();
        let waiting = std::thread::spawn(move || waiter.complete());
        coordinator.begin(FOREVER);
        for runner in &mut runners {
            runner.kill();
        }
        let report = waiting.join().unwrap();
        assert_eq!(support::summary(&report), "Died a=Died b=Died c=Died");
        // Their process slots are free for others.
        assert_eq!(segment.reap().unwrap(), 3);
        assert_eq!(segment.reap().unwrap(), 0);
        assert_eq!(place.status().attached, 1);
        assert_eq!(
            support::summary(&coordinator.complete()),
            "Died a=Died b=Died c=Died"
        );
    });
}

#[test]
fn last_words_of_a_runner_killed_right_after_are_read() {
    both(here!(), |place| {
        let segment = place.create();
        let coordinator = ShutdownCoordinator::new(&segment);
        let long = "ä".repeat(300);
        let mut runners = place.runners(&segment, ["killed", "left", "long"]);
        runners[0].tell("words-and-die disk /dev/sdb is gone");
        assert!(!runners[0].ended().success());
        assert_eq!(runners[1].ask("words nothing more to do"), "ok");
        assert_eq!(runners[1].ask("words really nothing"), "ok");
        runners[1].tell("run");
        runners[2].tell(&format!("words-and-die {long}"));
        assert!(!runners[2].ended().success());
        coordinator.begin(FOREVER);
        let report = coordinator.complete();
        runners[1].event("run");
        let words = |id: &str| {
            let past = report
                .predecessors
                .iter()
                .map(|past| (&past.id, &past.last_words));
            let runners = report.runners.iter().map(|one| (&one.id, &one.last_words));
            let (_, words) = runners.chain(past).find(|(other, _)| *other == id).unwrap();
            words.clone()
        };
        assert_eq!(words("killed"), "disk /dev/sdb is gone");
        assert_eq!(words("left"), "really nothing");
        // Cut at a character within 256 bytes.
        assert_eq!(words("long"), "ä".repeat(128));
        segment.reap().unwrap();
        let again = coordinator.report(&Scope::All).unwrap();
        assert_eq!(again.predecessors, report.predecessors);
        assert_eq!(
            again
                .runners
                .iter()
                .map(|r| &r.last_words)
                .collect::<Vec<_>>(),
            report
                .runners
                .iter()
                .map(|r| &r.last_words)
                .collect::<Vec<_>>()
        );
    });
}

#[test]
fn runner_that_exits_without_leaving_has_died() {
    both(here!(), |place| {
        let segment = place.create();
        let coordinator = ShutdownCoordinator::new(&segment);
        let mut runner = place.runner(&segment, "a");
        coordinator.begin(FOREVER);
        runner.signal(nix::sys::signal::Signal::SIGTERM);
        runner.ended();
        assert_eq!(*outcome(&coordinator.complete(), "a"), Outcome::Died);
    });
}

#[test]
fn runner_killed_after_it_has_done_everything_has_completed() {
    both(here!(), |place| {
        let segment = place.create();
        let coordinator = ShutdownCoordinator::new(&segment);
        let [mut done, mut slow] = place.runners(&segment, ["done", "slow"]);
        coordinator.begin(FOREVER);
        for phase in Phase::ACKNOWLEDGED {
            place.until_phase(phase);
            assert_eq!(done.ask(&format!("acknowledge {phase}")), "InTime");
            if phase == Phase::Closing {
                done.kill();
            }
            assert_eq!(slow.ask(&format!("acknowledge {phase}")), "InTime");
        }
        let report = coordinator.complete();
        assert_eq!(
            support::summary(&report),
            "Completed done=Completed slow=Completed"
        );
    });
}

/// Survivors find out while they wait for work, too: a dead runner's items, locks and
/// slot are not in the way of the next one with its id.
#[test]
fn a_killed_runner_is_replaced_under_its_id_and_the_group_goes_on() {
    both(here!(), |place| {
        let segment = place.create();
        let coordinator = ShutdownCoordinator::new(&segment);
        let mut first = place.runner(&segment, "worker");
        assert_eq!(first.ask("begin"), "ok");
        first.kill();
        let mut second = place.runner(&segment, "worker");
        assert_eq!(second.ask("check"), "false false");
        second.tell("run");
        coordinator.begin(FOREVER);
        second.event("run");
        let report = coordinator.complete();
        let by_pid = |pid| {
            report
                .runners
                .iter()
                .find(|runner| runner.pid == pid)
                .unwrap()
        };
        // The first one decides nothing, and is told apart.
        assert!(report.runners.iter().all(|one| one.pid != first.pid()));
        let [past] = &report.predecessors[..] else {
            panic!("{report:?}")
        };
        assert_eq!(
            (past.id.as_str(), past.deaths, past.replaced),
            ("worker", 1, true)
        );
        assert_eq!(past.pid, first.pid());
        assert_eq!(by_pid(second.pid()).restarts, 1);
        assert_eq!(by_pid(second.pid()).last_death, past.last_death);
        assert_eq!(by_pid(second.pid()).outcome, Some(Outcome::Completed));
        assert_eq!(by_pid(second.pid()).in_flight, 0);
        assert_eq!(report.outcome, ShutdownOutcome::Completed);
        assert!(report.total < HANG);
    });
}
