//! Why: sentences about who blocks, also when that one is frozen or dead.

use std::time::Duration;

use crate::support::{Shutdown, both, once, until_true};
use ebbtide::{CoordinationError, Phase, ShutdownCoordinator};

const LONG: Duration = Duration::from_secs(3600);

#[test]
fn a_frozen_runner_is_named_and_the_chain_goes_on_to_who_holds_its_lock() {
    both(here!(), |place| {
        let segment = place.create();
        let [mut owner, mut wanter, mut well] =
            place.runners(&segment, ["owner", "wanter", "well"]);
        assert_eq!(owner.ask("activity generating batch 7"), "ok");
        owner.tell("lock device-0 1000");
        owner.event("lock");
        wanter.tell("lock device-0 3600000");
        let observer = place.observe();
        until_true("the lock is waited for", || {
            !observer.status().unwrap().lock_waits.is_empty()
        });
        // Only the one that waits holds the shutdown up.
        owner.stop();
        well.tell("run");
        let coordinator = ShutdownCoordinator::new(&segment);
        coordinator.begin(LONG);
        until_true("both hold it up", || {
            observer.status().unwrap().laggards.len() == 2
        });
        let why = observer.why(Some("wanter")).unwrap();
        assert_eq!(why.phase, Phase::Signaling);
        assert_eq!(why.blockers, ["owner", "wanter"]);
        let text = why.to_string();
        let pid = owner.pid();
        let sentences = [
            "It waits for wanter (pid ".to_owned(),
            " of wanter has waited for lock device-0 for ".into(),
            format!("it is held by \"owner\" (pid {pid}, thread "),
            format!("The process of owner (pid {pid}) is stopped"),
            "owner is at: generating batch 7, for ".into(),
            "The journal's last word of it, ".into(),
        ];
        for sentence in &sentences {
            assert!(
                text.contains(sentence.as_str()),
                "{sentence:?} is not in:\n{text}"
            );
        }
        let whole = coordinator.why(None).unwrap().to_string();
        assert!(whole.contains("It is in signaling, which goes on without the late ones in "));
        assert!(
            whole.contains(&format!("It has waited for owner (pid {pid}) for ")),
            "{whole}"
        );
        assert!(!whole.contains("waited for well"), "{whole}");
        assert!(matches!(
            observer.why(Some("nobody")),
            Err(CoordinationError::NoSuchRunner { .. })
        ));
        owner.go_on();
    });
}

#[test]
fn a_dead_runner_is_told_with_its_end_its_words_and_its_last_record() {
    both(here!(), |place| {
        let segment = place.create();
        let [mut victim, mut well] = place.runners(&segment, ["victim", "well"]);
        assert_eq!(victim.ask("words it was the disk"), "ok");
        assert_eq!(victim.ask("handler draining 0 flush-log hang"), "ok");
        victim.tell("run");
        well.tell("run");
        let coordinator = ShutdownCoordinator::new(&segment);
        coordinator.begin(LONG);
        victim.event("handler");
        place.until_blocked_by(Phase::Draining, "victim");
        victim.kill();
        coordinator.complete();
        let text = place.observe().why(Some("victim")).unwrap().to_string();
        for sentence in [
            "somebody died or failed, all others completed; died: victim (draining).",
            "was found dead ",
            "before it had acknowledged draining.",
            "It was at: draining handler flush-log.",
            "Its last words: it was the disk.",
            "draining handler flush-log started.",
        ] {
            assert!(text.contains(sentence), "{sentence:?} is not in:\n{text}");
        }
        well.event("run");
        well.quit();
    });
}

#[test]
fn a_running_group_and_a_finished_one_are_told_as_such() {
    once(here!(), |place| {
        let segment = place.create();
        let coordinator = ShutdownCoordinator::new(&segment);
        let text = coordinator.why(None).unwrap().to_string();
        let expected = format!(
            "{} is running, in generation 1: no shutdown is on.\n",
            segment.name()
        );
        assert_eq!(text, expected);
        let mut runner = place.runner(&segment, "a");
        let text = coordinator.why(Some("a")).unwrap().to_string();
        assert!(text.contains("Nobody waits for a (pid "), "{text}");
        let alone = ebbtide::ShutdownRequest::new().timeout(LONG);
        let scope = ebbtide::Scope::runner("a");
        coordinator.initiate_shutdown(&scope, &alone).unwrap();
        let text = coordinator.why(Some("a")).unwrap().to_string();
        assert!(
            text.contains("is shut down alone, and has not acknowledged signaling."),
            "{text}"
        );
        coordinator.cancel_shutdown(&scope).unwrap();
        runner.tell("run");
        coordinator.begin(LONG);
        coordinator.complete();
        runner.event("run");
        let text = coordinator.why(None).unwrap().to_string();
        assert!(text.contains("everybody completed."), "{text}");
        assert!(text.contains(" of "), "{text}");
        runner.quit();
    });
}

#[test]
fn a_group_that_runs_tells_who_is_stopped_dead_or_shut_down_alone() {
    both(here!(), |place| {
        let segment = place.create();
        let [well, frozen, mut victim, alone] =
            place.runners(&segment, ["well", "frozen", "victim", "alone"]);
        let observer = place.observe();
        let text = || observer.why(None).unwrap().to_string();
        assert_eq!(text().lines().count(), 1, "{}", text());
        frozen.stop();
        let pid = victim.pid();
        victim.kill();
        let request = ebbtide::ShutdownRequest::new().timeout(LONG);
        let coordinator = ShutdownCoordinator::new(&segment);
        let scope = ebbtide::Scope::runner("alone");
        coordinator.initiate_shutdown(&scope, &request).unwrap();
        let told = text();
        for sentence in [
            "no shutdown is on.".to_owned(),
            format!(
                "The process of frozen (pid {}) is stopped (SIGSTOP",
                frozen.pid()
            ),
            format!("But victim (pid {pid}) is dead, and nobody has counted it out yet."),
            format!("But alone (pid {}) is shut down alone", alone.pid()),
        ] {
            assert!(told.contains(&sentence), "{sentence:?} is not in:\n{told}");
        }
        assert!(!told.contains("well"), "{told}");
        coordinator.cancel_shutdown(&scope).unwrap();
        frozen.go_on();
        segment.reap().unwrap();
        let told = text();
        assert!(
            told.contains("But victim") && told.contains(" is dead: it was found so "),
            "{told}"
        );
        // Started again under its name, it is well.
        let again = place.runner(&segment, "victim");
        assert_eq!(text().lines().count(), 1, "{}", text());
        for runner in [again, alone, frozen, well] {
            runner.quit();
        }
    });
}

#[test]
fn when_everybody_died_nobody_is_said_to_have_completed() {
    once(here!(), |place| {
        let segment = place.create();
        let [mut victim] = place.runners(&segment, ["victim"]);
        let coordinator = ShutdownCoordinator::new(&segment);
        coordinator.begin(LONG);
        victim.kill();
        let report = coordinator.complete().to_string();
        assert!(report.contains("Died: victim"), "{report}");
        assert!(report.contains("nobody completed"), "{report}");
        let why = place.observe().why(None).unwrap().to_string();
        assert!(
            why.contains("died or failed, nobody completed; died: victim"),
            "{why}"
        );
    });
}
