//! The journal: what happened is written down in order, and can be read when everybody who
//! wrote it is dead.

use std::time::Duration;

use crate::support::{Shutdown, both, once, until};
use ebbtide::{
    HandlerEnd, Journal, JournalEvent, JournalRecord, Mode, Phase, ResourceManager,
    ResourceOptions, ResourceState, ResourceType, Runner, Scope, ShutdownCoordinator,
};

const LONG: Duration = Duration::from_secs(3600);

/// The names of the events about a runner, in order.
fn about(journal: &Journal, id: &str) -> Vec<&'static str> {
    let of_it = |record: &&JournalRecord| record.runner.as_deref() == Some(id);
    let records = journal.records.iter().filter(of_it);
    records.map(|record| record.event.name()).collect()
}

fn find(journal: &Journal, wanted: impl Fn(&JournalEvent) -> bool) -> Option<&JournalRecord> {
    journal.records.iter().find(|record| wanted(&record.event))
}

#[test]
fn a_whole_shutdown_is_there_in_order_when_everybody_is_gone() {
    both(here!(), |place| {
        let segment = place.create();
        let [mut a, mut b] = place.runners(&segment, ["a", "b"]);
        assert_eq!(a.ask("handler closing 0 flush-cache note"), "ok");
        a.tell("run");
        b.tell("run");
        let coordinator = ShutdownCoordinator::new(&segment);
        coordinator.begin(LONG);
        let report = coordinator.complete();
        a.event("run");
        b.event("run");
        let (pid, generation) = (a.pid(), report.generation);
        // Nobody detaches in order.
        a.kill();
        b.kill();
        drop(coordinator);
        drop(segment);

        let journal = place.observe().journal();
        assert_eq!((&journal.holes[..], journal.before), (&[][..], 0));
        let sequences: Vec<u64> = journal.records.iter().map(|r| r.sequence).collect();
        let all: Vec<u64> = (1..=journal.last).collect();
        assert_eq!(sequences, all);
        let acknowledged = "acknowledged";
        let expected = [
            "joined",
            acknowledged,
            acknowledged,
            "handler-started",
            "handler-ended",
            acknowledged,
            "left",
        ];
        assert_eq!(about(&journal, "a"), expected);
        for record in &journal {
            assert_eq!(record.generation, generation);
            assert!(!record.own && record.age < Duration::from_secs(600));
        }
        let joined = find(&journal, |event| *event == JournalEvent::Joined).unwrap();
        assert_eq!((joined.pid, joined.runner.as_deref()), (pid, Some("a")));
        let begun = find(
            &journal,
            |event| matches!(event, JournalEvent::Initiated { mode: Mode::Graceful, budget, .. } if *budget == LONG),
        );
        assert_eq!(begun.unwrap().pid, std::process::id());
        let started = find(&journal, |event| {
            *event
                == JournalEvent::HandlerStarted {
                    name: "flush-cache".into(),
                    phase: Phase::Closing,
                }
        });
        let started = started.unwrap().sequence;
        let ended = find(
            &journal,
            |event| matches!(event, JournalEvent::HandlerEnded { end: HandlerEnd::Finished, started: of, .. } if *of == started),
        );
        assert!(ended.unwrap().sequence > started);
        // The phases took what the report says they took.
        let phases: Vec<_> = journal
            .records
            .iter()
            .filter_map(|record| match record.event {
                JournalEvent::Phase {
                    phase,
                    forced,
                    took,
                } => Some((phase, forced, took)),
                _ => None,
            })
            .collect();
        let told: Vec<_> = report.phases.iter().map(|phase| phase.duration).collect();
        let next = [Phase::Draining, Phase::Closing, Phase::Complete];
        let expected: Vec<_> = next
            .into_iter()
            .zip(told)
            .map(|(p, took)| (p, false, took))
            .collect();
        assert_eq!(phases, expected);
    });
}

#[test]
fn the_last_record_of_a_killed_runner_is_there() {
    both(here!(), |place| {
        let segment = place.create();
        let [mut victim, mut well] = place.runners(&segment, ["victim", "well"]);
        assert_eq!(victim.ask("handler closing 0 never-ends hang"), "ok");
        victim.tell("run");
        well.tell("run");
        let coordinator = ShutdownCoordinator::new(&segment);
        coordinator.begin(LONG);
        victim.event("handler");
        place.until_blocked_by(Phase::Closing, "victim");
        victim.kill();
        coordinator.complete();
        let journal = place.observe().journal();
        let last = about(&journal, "victim");
        assert_eq!(last[last.len() - 2..], ["handler-started", "died"]);
        let died = find(&journal, |event| *event == JournalEvent::Died).unwrap();
        assert_ne!(died.pid, victim.pid(), "counted out by somebody else");
        well.event("run");
        well.quit();
    });
}

#[test]
fn hardening_more_time_and_calling_off_are_written_down() {
    both(here!(), |place| {
        let segment = place.create();
        let mut runner = place.runner(&segment, "a");
        assert_eq!(runner.ask("begin"), "ok");
        let coordinator = ShutdownCoordinator::new(&segment);
        runner.tell("run");
        assert_eq!(runner.ask("initiate all 60000"), "Drives");
        place.until_phase(Phase::Draining);
        coordinator.begin(Duration::from_secs(30));
        coordinator.escalate(&Scope::All, Mode::Fast).unwrap();
        assert_eq!(runner.ask("progress"), "ok");
        let before = segment.journal().unwrap().last;
        assert_eq!(runner.ask("extend 5"), "5ms");
        coordinator.cancel_shutdown(&Scope::All).unwrap();
        runner.event("run");
        assert_eq!(runner.ask("end"), "ok");
        let journal = segment.journal().unwrap();
        let names: Vec<_> = journal.records.iter().map(|r| r.event.name()).collect();
        for wanted in ["initiated", "merged", "escalated", "extended", "cancelled"] {
            assert_eq!(
                names.iter().filter(|name| **name == wanted).count(),
                1,
                "{wanted}: {names:?}"
            );
        }
        let granted = find(&journal, |event| {
            matches!(event, JournalEvent::Extended { .. })
        });
        let granted = granted.unwrap();
        assert_eq!(granted.runner.as_deref(), Some("a"));
        assert_eq!(
            granted.event,
            JournalEvent::Extended {
                granted: Duration::from_millis(5)
            }
        );
        // Reading on from where a reading ended gives the rest, with names.
        let rest = place.observe().journal_after(before);
        assert_eq!(rest.records, newer(&journal, before, &rest));
        assert_eq!(rest.records[0].sequence, before + 1);
        runner.quit();
    });
}

/// The records after a sequence; their ages are of another reading.
fn newer(journal: &Journal, after: u64, like: &Journal) -> Vec<JournalRecord> {
    let newer = journal
        .records
        .iter()
        .filter(|record| record.sequence > after);
    let mut newer: Vec<_> = newer.cloned().collect();
    for (record, other) in newer.iter_mut().zip(&like.records) {
        record.age = other.age;
    }
    newer
}

#[test]
fn a_lock_of_the_dead_is_told_with_whom_it_passed_to() {
    both(here!(), |place| {
        let segment = place.create();
        let [mut owner, mut next] = place.runners(&segment, ["owner", "next"]);
        owner.tell("lock device-0 1000");
        owner.event("lock");
        owner.kill();
        next.tell("lock device-0 30000");
        assert_eq!(next.event("lock"), "died=true");
        let journal = segment.journal().unwrap();
        let taken = JournalEvent::OwnerDied {
            lock: "device-0".into(),
            taken: true,
        };
        let record = find(&journal, |event| *event == taken).unwrap();
        assert_eq!(record.pid, next.pid());
        assert!(record.thread.is_some());
        next.tell("unlock device-0");
        next.event("unlock");
        next.quit();
        segment.reap().unwrap();
    });
}

#[test]
fn resources_and_a_runners_own_shutdown_are_told() {
    once(here!(), |place| {
        let segment = place.create();
        let runner = Runner::join(&segment, "a").unwrap();
        let resources = ResourceManager::new(&runner);
        let name = "a-name-that-is-longer-than-a-record-has-room-for";
        let failing = ResourceOptions::new().cleanup(|_| Err::<(), _>("no"));
        resources
            .register_resource(name, ResourceType::Custom, failing)
            .unwrap();
        let coordinator = ShutdownCoordinator::new(&segment);
        let request = ebbtide::ShutdownRequest::new().timeout(LONG);
        coordinator
            .initiate_shutdown(&Scope::runner("a"), &request)
            .unwrap();
        runner.run_shutdown().unwrap();
        let journal = place.observe().journal();
        let states: Vec<_> = journal
            .records
            .iter()
            .filter_map(|record| match &record.event {
                JournalEvent::Resource { name: of, state } => {
                    assert_eq!(of, name);
                    *state
                }
                _ => None,
            })
            .collect();
        let expected = [
            ResourceState::Active,
            ResourceState::Draining,
            ResourceState::Closing,
            ResourceState::Failed,
        ];
        assert_eq!(states, expected);
        let own: Vec<_> = journal.records.iter().filter(|record| record.own).collect();
        // Begun, three acknowledgements, and three phases passed.
        assert_eq!(own.len(), 7, "{own:#?}");
        assert!(
            own.iter()
                .all(|record| record.runner.as_deref() == Some("a"))
        );
    });
}

#[test]
fn a_ring_that_came_round_keeps_the_latest() {
    once(here!(), |place| {
        let segment = place.create();
        let runner = Runner::join(&segment, "a").unwrap();
        let resources = ResourceManager::new(&runner);
        let rounds = ebbtide::limits::JOURNAL_RECORDS / 2 + 100;
        for _ in 0..rounds {
            let options = ResourceOptions::new();
            let queue = resources
                .register_resource("queue", ResourceType::Queue, options)
                .unwrap();
            assert!(resources.unregister(&queue).unwrap());
        }
        let journal = place.observe().journal();
        assert_eq!(journal.records.len(), ebbtide::limits::JOURNAL_RECORDS);
        assert_eq!(journal.last, 1 + 2 * rounds as u64);
        assert_eq!(journal.before, journal.last - journal.records.len() as u64);
        assert!(journal.holes.is_empty());
        // Its joining is forgotten, but the tables know it still.
        assert_eq!(journal.records[0].runner.as_deref(), Some("a"));
        assert_eq!(place.observe().journal_after(journal.last).records, []);
    });
}

#[test]
fn readers_beside_writers_get_whole_records() {
    once(here!(), |place| {
        let segment = place.create();
        let writers: Vec<_> = (0..3)
            .map(|number| {
                let runner = Runner::join(&segment, &format!("writer-{number}")).unwrap();
                std::thread::spawn(move || {
                    let resources = ResourceManager::new(&runner);
                    for _ in 0..6_000 {
                        let name = format!("queue-{number}");
                        let options = ResourceOptions::new();
                        let queue = resources
                            .register_resource(&name, ResourceType::Queue, options)
                            .unwrap();
                        resources.unregister(&queue).unwrap();
                    }
                })
            })
            .collect();
        let observer = place.observe();
        let mut last = 0;
        until("the writers are done", || {
            let journal = observer.journal_after(last);
            for record in &journal {
                assert!(record.sequence > last);
                let JournalEvent::Resource { name, .. } = &record.event else {
                    continue;
                };
                let writer = record.runner.as_deref().unwrap().strip_prefix("writer-");
                assert_eq!(name.strip_prefix("queue-"), writer, "{record:?}");
            }
            last = journal.last;
            writers
                .iter()
                .all(|writer| writer.is_finished())
                .then_some(())
        });
        for writer in writers {
            writer.join().unwrap();
        }
        assert!(observer.journal().holes.is_empty());
    });
}
