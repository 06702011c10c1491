//! Kernels that lack system calls: the library falls back by itself.

use std::time::Duration;

use crate::hands::hands;
use crate::launch::{Launch, refusal};
use crate::support::untested;
use crate::support::{self, Agent, Child, HANG, Shutdown, both_with, once_with, reply};
use ebbtide::{
    CoordinationError, CrossProcessEvent, CrossProcessSemaphore, ProcessHandle, ResourceManager,
    ResourceOptions, ResourceType, Runner, ShutdownCoordinator, SystemResource,
};

const FOREVER: Duration = Duration::from_secs(3600);

/// Before 5.16. Both of those who wait for the dead one, and one that knows `futex_waitv`.
#[test]
fn without_futex_waitv_deaths_are_noticed_all_the_same() {
    both_with(here!(), &[("hands", hands)], |place| {
        let launch = Launch::new().without(&[libc::SYS_futex_waitv]);
        if let Some(why) = refusal(&launch) {
            return untested(place.test(), why);
        }
        let segment = place.create();
        let coordinator = ShutdownCoordinator::new(&segment);
        let mut old = ["a", "b", "victim"].map(|id| {
            let mut one = launch.start(place, "hands", &segment).unwrap();
            assert_eq!(one.agent.ask(&format!("join {id}")), "ok");
            one
        });
        let mut new = Agent::spawn(place, "hands", Some(&segment));
        assert_eq!(new.ask("join new"), "ok");
        let [a, b, victim] = &mut old;
        victim.agent.tell("take device");
        victim.agent.event("took");
        a.agent.tell("take device");
        a.until_asleep();
        victim.kill();
        assert!(a.agent.event("took").ends_with("died=true"));
        b.agent.tell("take device");
        b.until_asleep();
        assert_eq!(a.agent.ask("give"), "ok");
        assert!(b.agent.event("took").ends_with("died=false"));
        // From the old to the new kernel and back.
        new.tell("take device");
        new.until_asleep();
        b.kill();
        assert!(new.event("took").ends_with("died=true"));
        a.agent.tell("take device");
        a.until_asleep();
        assert_eq!(new.ask("give"), "ok");
        a.agent.event("took");
        assert_eq!(a.agent.ask("give"), "ok");

        a.agent.tell("run");
        new.tell("run");
        coordinator.begin(FOREVER);
        for ran in [a.agent.event("ran"), new.event("ran")] {
            assert!(
                ran.starts_with("Completed ") && ran.contains("=Completed"),
                "{ran}"
            );
        }
        let report = coordinator.complete();
        let told = "Completed a=Completed new=Completed";
        assert_eq!(support::summary(&report), told);
        assert_eq!(crate::past::predecessors(&report), ["b", "victim"]);
        a.agent.tell("quit");
        assert!(a.agent.ended().success());
        new.quit();
    });
}

/// Several words in one wait, and the waiting thread of futures.
#[test]
fn without_futex_waitv_several_things_are_waited_for_all_the_same() {
    let waiter = |child: &Child| {
        let segment = child.open();
        let open = |name| CrossProcessEvent::open(&segment, name).unwrap();
        let (first, second) = (open("first"), open("second"));
        let permits = CrossProcessSemaphore::open(&segment, "permits", 1).unwrap();
        reply("ok");
        let index = CrossProcessEvent::wait_any(&[&first, &second], Some(HANG)).unwrap();
        reply(&format!("{index:?}"));
        smol::block_on(second.awaited()).unwrap();
        reply("awaited");
        drop(permits.acquire_timeout(HANG).unwrap());
        reply("permitted");
    };
    both_with(here!(), &[("waiter", waiter)], |place| {
        let launch = Launch::new().without(&[libc::SYS_futex_waitv]);
        if let Some(why) = refusal(&launch) {
            return untested(place.test(), why);
        }
        let segment = place.create();
        let permits = CrossProcessSemaphore::open(&segment, "permits", 1).unwrap();
        let permit = permits.acquire().unwrap();
        let mut waiter = launch.start(place, "waiter", &segment).unwrap();
        assert_eq!(waiter.agent.reply("open"), "ok");
        waiter.until_asleep();
        CrossProcessEvent::open(&segment, "second")
            .unwrap()
            .set()
            .unwrap();
        assert_eq!(waiter.agent.reply("wait_any"), "Some(1)");
        assert_eq!(waiter.agent.reply("awaited"), "awaited");
        waiter.until_asleep();
        drop(permit);
        assert_eq!(waiter.agent.reply("permit"), "permitted");
        assert!(waiter.agent.ended().success());
    });
}

/// Before 5.3: nobody can be signalled by identity, and everything else works.
#[test]
fn without_pidfds_nobody_is_signalled_and_that_is_said() {
    let pidless = |child: &Child| {
        let segment = child.open();
        let coordinator = ShutdownCoordinator::new(&segment);
        let runner = Runner::join(&segment, "old").unwrap();
        assert_is!(
            coordinator.process("old"),
            Err(CoordinationError::System { .. })
        );
        let mut process = std::process::Command::new("sleep")
            .arg("600")
            .spawn()
            .unwrap();
        assert!(ProcessHandle::of_child(&process).is_err());
        let manager = ResourceManager::new(&runner);
        let system = SystemResource::process(&process).unwrap();
        let options = ResourceOptions::new().system(system);
        manager
            .register_resource("child", ResourceType::Process, options)
            .unwrap();
        // It cannot reclaim what another has left, and leaves it to those who can.
        reply("ok");
        child.order();
        let reclaimed = segment.reclaim().unwrap();
        assert!(
            reclaimed
                .resources
                .iter()
                .all(|one| one.reclaimed.is_none())
        );
        runner.wait_for_shutdown(Some(Duration::ZERO)).unwrap();
        process.kill().unwrap();
        process.wait().unwrap();
        reply("ok");
        child.order();
    };
    once_with(here!(), &[("pidless", pidless)], |place| {
        let launch = Launch::new().without(&[libc::SYS_pidfd_open]);
        if let Some(why) = refusal(&launch) {
            return untested(place.test(), why);
        }
        let segment = place.create();
        let mut old = launch.start(place, "pidless", &segment).unwrap();
        assert_eq!(old.agent.reply("open"), "ok");
        old.agent.tell("reclaim");
        assert_eq!(old.agent.reply("reclaim"), "ok");
        let coordinator = ShutdownCoordinator::new(&segment);
        coordinator.begin(HANG);
        old.kill();
        let report = coordinator.complete();
        assert_eq!(support::summary(&report), "Died old=Died");
    });
}
