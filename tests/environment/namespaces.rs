//! Processes of one segment in different pid and user namespaces.

use std::time::Duration;

use crate::hands::hands;
use crate::launch::{Launch, refusal};
use crate::past::predecessors;
use crate::support::untested;
use crate::support::{self, Agent, Place, Role, Shutdown, both_with};
use ebbtide::ShutdownCoordinator;

const ROLES: [(&str, Role); 1] = [("hands", hands)];
const FOREVER: Duration = Duration::from_secs(3600);

/// A thread id says who owns a word only within its namespace. Here both owners have the
/// same one, and the lock goes from one to the other, by hand and by death.
#[test]
fn owners_with_equal_thread_ids_exclude_and_survive_each_other() {
    both_with(here!(), &ROLES, |place| {
        let launch = Launch::new().pids();
        if let Some(why) = refusal(&launch) {
            return untested(place.test(), why);
        }
        let segment = place.create();
        let coordinator = ShutdownCoordinator::new(&segment);
        let mut twins = ["a", "b"].map(|_| launch.start(place, "hands", &segment).unwrap());
        for (twin, id) in twins.iter_mut().zip(["a", "b"]) {
            assert_eq!(twin.agent.ask(&format!("join {id}")), "ok");
        }
        let [a, b] = &mut twins;
        a.agent.tell("take device");
        let (id, died) = told(a.agent.event("took"));
        assert_eq!(died, "died=false");
        b.agent.tell("take device");
        b.until_asleep();
        assert!(!b.agent.has("took"), "two owners");
        assert_eq!(a.agent.ask("give"), "ok");
        let (other, died) = told(b.agent.event("took"));
        assert_eq!(other, id, "the same number, in two namespaces");
        assert_eq!(died, "died=false");
        // The living one waits for the other, of its own number, to die.
        a.agent.tell("take device");
        a.until_asleep();
        assert!(!a.agent.has("took"), "taken from a living owner");
        b.shoot();
        assert_eq!(told(a.agent.event("took")).1, "died=true");
        assert_eq!(a.agent.ask("give"), "ok");
        b.agent.ended();

        let status = place.status();
        let alive = |id: &str| status.runners.iter().find(|r| r.id == id).unwrap().alive;
        assert!(alive("a") && !alive("b"));
        a.agent.tell("run");
        coordinator.begin(FOREVER);
        assert_eq!(a.agent.event("ran"), "Completed a=Completed");
        let report = coordinator.complete();
        assert_eq!(support::summary(&report), "Completed a=Completed");
        assert_eq!(predecessors(&report), ["b"]);
        a.agent.tell("quit");
        assert!(a.agent.ended().success());
    });
}

fn told(text: String) -> (String, String) {
    let (id, died) = text.split_once(' ').unwrap();
    (id.into(), died.into())
}

#[test]
fn three_of_equal_thread_ids_that_fight_for_a_lock_never_meet() {
    const TIMES: u64 = 2_000;
    both_with(here!(), &ROLES, |place| {
        let launch = Launch::new().pids();
        if let Some(why) = refusal(&launch) {
            return untested(place.test(), why);
        }
        let segment = place.create();
        let counter = place.scratch("counter");
        std::fs::write(&counter, "0").unwrap();
        let mut fighters: Vec<_> = (0..3)
            .map(|_| launch.start(place, "hands", &segment).unwrap())
            .collect();
        let order = format!("many device {TIMES} {}", counter.display());
        for fighter in &mut fighters {
            fighter.agent.tell(&order);
        }
        for fighter in &mut fighters {
            fighter.agent.event("many");
        }
        let count = || -> u64 { std::fs::read_to_string(&counter).unwrap().parse().unwrap() };
        assert_eq!(count(), 3 * TIMES);
        // One that is killed in the middle keeps nobody out.
        for fighter in &mut fighters {
            fighter.agent.tell(&order);
        }
        support::until_true("they are at it", || count() > 3 * TIMES);
        fighters.pop().unwrap().kill();
        for fighter in &mut fighters {
            fighter.agent.event("many");
        }
        assert!((5 * TIMES..=6 * TIMES).contains(&count()));
    });
}

/// A user is the same user under another number.
#[test]
fn a_runner_in_a_user_namespace_is_one_like_any_other() {
    both_with(here!(), &ROLES, |place| {
        // As itself, as somebody else, and as nobody.
        for map in [Some("0 0 1"), Some("1000 0 1"), None] {
            let launch = Launch::new().users(map);
            if let Some(why) = refusal(&launch) {
                return untested(place.test(), why);
            }
            let segment = place.options.open_or_create(Place::NAME).unwrap();
            let coordinator = ShutdownCoordinator::new(&segment);
            let mut inside = launch.start(place, "hands", &segment).unwrap();
            assert_eq!(inside.agent.ask("join inside"), "ok", "{map:?}");
            let mut outside = Agent::spawn(place, "hands", Some(&segment));
            assert_eq!(outside.ask("join outside"), "ok");
            outside.tell("take device");
            outside.event("took");
            inside.agent.tell("take device");
            inside.until_asleep();
            outside.kill();
            assert!(inside.agent.event("took").ends_with("died=true"));
            assert_eq!(inside.agent.ask("give"), "ok");
            inside.agent.tell("run");
            coordinator.begin(FOREVER);
            assert_eq!(inside.agent.event("ran"), "Completed inside=Completed");
            let report = coordinator.complete();
            assert_eq!(predecessors(&report), ["outside"]);
            inside.agent.tell("quit");
            assert!(inside.agent.ended().success());
            coordinator.begin_generation().unwrap();
        }
    });
}

/// Identity is a pid and a start time as `/proc` shows them. Where it shows another
/// namespace than one's own, it shows strangers.
#[test]
fn a_process_is_not_named_by_a_proc_of_another_namespace() {
    both_with(here!(), &ROLES, |place| {
        let segment = place.create();
        for (launch, expected) in [
            (Launch::new().pids(), "true"),
            (Launch::new().pids_under_foreign_proc(), "err System"),
        ] {
            if let Some(why) = refusal(&launch) {
                return untested(place.test(), why);
            }
            let mut inside = launch.start(place, "hands", &segment).unwrap();
            assert_eq!(inside.agent.ask("join self"), "ok");
            let answer = inside.agent.ask("signal self");
            assert!(answer.starts_with(expected), "{launch:?}: {answer}");
            // From outside it cannot be named at all.
            let error = ShutdownCoordinator::new(&segment).process("self");
            let text = error.unwrap_err().to_string();
            assert!(text.contains("open the runner's process"), "{text}");
            inside.kill();
            segment.reap().unwrap();
        }
    });
}
