//! The process-wide instances, bound once by a call or from the environment.

use crate::support::{Agent, Child, HANG, Shutdown, answer, both_with, reply, summary};
use ebbtide::{Scope, Segment, ShutdownCoordinator, ShutdownRequest};

fn bound_by_call(child: &Child) {
    let segment = child.open();
    reply(&answer(ebbtide::init(&segment, "by-call")));
    reply(&answer(ebbtide::init(&segment, "by-call")));
    reply(&answer(ebbtide::init(&segment, "again")));
    reply(ebbtide::runner().unwrap().id());
    drop(segment);
    shut_down();
}

fn bound_from_environment(child: &Child) {
    match ebbtide::shutdown_coordinator() {
        Ok(_) => reply("ok"),
        Err(error) => return reply(&format!("err {error:?}")),
    }
    reply(&answer(ebbtide::init(&child.open(), "again")));
    reply(ebbtide::runner().unwrap().id());
    shut_down();
}

/// Each part knows the other: the coordinator's shutdown is the runner's.
fn shut_down() {
    let coordinator = ebbtide::shutdown_coordinator().unwrap();
    coordinator
        .initiate_shutdown(&Scope::All, &ShutdownRequest::new())
        .unwrap();
    let detector = ebbtide::deadlock_detector().unwrap();
    assert!(detector.owners().unwrap().is_empty());
    reply(&summary(
        &ebbtide::runner().unwrap().run_shutdown().unwrap(),
    ));
}

#[test]
fn a_process_is_bound_once_by_a_call() {
    both_with(here!(), &[("bound", bound_by_call)], |place| {
        let segment = place.create();
        let mut agent = Agent::spawn(place, "bound", Some(&segment));
        assert_eq!(agent.reply("init"), "ok");
        assert_eq!(agent.reply("the same again"), "ok");
        assert!(agent.reply("init again").starts_with("err Instance"));
        assert_eq!(agent.reply("runner"), "by-call");
        assert_eq!(agent.reply("run"), "Completed by-call=Completed");
        assert!(agent.ended().success());
        assert_eq!(
            summary(&ShutdownCoordinator::new(&segment).complete()),
            "Completed by-call=Completed"
        );
    });
}

#[test]
fn a_process_is_bound_from_its_environment() {
    both_with(here!(), &[("bound", bound_from_environment)], |place| {
        let segment = place.create();
        let start = |runner: Option<&str>, token: bool| {
            let mut command = Agent::command(place, "bound");
            if token {
                command.env(Segment::VARIABLE, segment.token().to_string());
            }
            if let Some(runner) = runner {
                command.env("EBBTIDE_RUNNER", runner);
            }
            Agent::start("bound", command)
        };
        for (runner, token, missing) in [
            (None, true, "EBBTIDE_RUNNER"),
            (Some("a"), false, "EBBTIDE_SEGMENT"),
        ] {
            let told = start(runner, token).reply("coordinator");
            assert!(
                told.starts_with("err Environment") && told.contains(missing),
                "{told}"
            );
        }
        assert!(
            start(Some("a/b"), true)
                .reply("coordinator")
                .starts_with("err InvalidName")
        );
        let mut agent = start(Some("worker-7"), true);
        assert_eq!(agent.reply("coordinator"), "ok");
        assert!(agent.reply("init again").starts_with("err Instance"));
        assert_eq!(agent.reply("runner"), "worker-7");
        assert_eq!(agent.reply("run"), "Completed worker-7=Completed");
        assert!(agent.ended().success());
        let coordinator = ShutdownCoordinator::new(&segment);
        coordinator.wait_gone(1, HANG).unwrap();
        coordinator.begin_generation().unwrap();
    });
}
