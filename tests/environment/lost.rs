//! Signs of life that cannot be read, or are lost, in surroundings of which a process cannot
//! tell.

use crate::hands::hands;
use crate::launch::{Launch, refusal};
use crate::support::{self, Agent, Role, both_with, untested, until_stopped};
use nix::sys::signal::Signal;

const ROLES: [(&str, Role); 1] = [("hands", hands)];

/// `hidepid`, as `ProtectProc=invisible` of systemd mounts it: no entry is no death.
#[test]
fn one_that_proc_hides_is_alive() {
    both_with(here!(), &ROLES, |place| {
        let launch = Launch::new().hiding();
        if let Some(why) = refusal(&launch) {
            return untested(place.test(), why);
        }
        let segment = place.create();
        let mut victim = Agent::spawn(place, "hands", Some(&segment));
        assert_eq!(victim.ask("join victim"), "ok");
        victim.tell("take device");
        victim.event("took");
        let mut blind = launch.start(place, "hands", &segment).unwrap();
        if blind.agent.ask(&format!("sees {}", victim.pid())) == "true" {
            return untested(place.test(), "/proc hides nothing");
        }
        let alive = |blind: &mut Agent| {
            for _ in 0..12 {
                assert_eq!(blind.ask("reap"), "0");
                let tried = blind.ask("try device");
                assert!(tried.contains("WouldBlock"), "{tried}");
            }
        };
        alive(&mut blind.agent);
        // Nor if it has lost its byte, too, and can do nothing about it.
        assert_eq!(victim.ask("close"), "0");
        until_stopped(victim.pid());
        alive(&mut blind.agent);
        victim.go_on();
        assert_eq!(victim.ask("begin"), "ok");
        // Its end is seen all the same.
        victim.kill();
        support::until_true("it is swept", || blind.agent.ask("reap") == "1");
        assert_eq!(blind.agent.ask("try device"), "ok");
        blind.agent.tell("quit");
        assert!(blind.agent.ended().success());
    });
}

/// From another pid namespace a process without life words has only its byte to show. One that
/// was swept is told so, and harms nobody.
#[test]
fn one_without_life_words_that_cannot_be_asked_for_is_swept_and_told() {
    both_with(here!(), &ROLES, |place| {
        let launch = Launch::new().pids();
        if let Some(why) = refusal(&launch) {
            return untested(place.test(), why);
        }
        if place.liveness != ebbtide::Liveness::Portable {
            return;
        }
        let segment = place.create();
        let mut inside = launch.start(place, "hands", &segment).unwrap();
        assert_eq!(inside.agent.ask("join inside"), "ok");
        inside.agent.tell("take device");
        inside.agent.event("took");
        assert_eq!(inside.agent.ask("close"), "0");
        support::until_true("it is swept", || segment.reap().unwrap() == 1);
        // Its slot and its lock are another's.
        let mut next = Agent::spawn(place, "hands", Some(&segment));
        assert_eq!(next.ask("join next"), "ok");
        next.tell("take device");
        assert!(next.event("took").ends_with("died=true"));
        inside.signal(Signal::SIGCONT);
        support::until_true("it is told", || {
            inside.agent.ask("begin").contains("Detached")
        });
        assert!(inside.agent.ask("try other").contains("Detached"));
        assert_eq!(inside.agent.ask("give"), "ok");
        inside.agent.tell("quit");
        assert!(inside.agent.ended().success());
        assert_eq!(segment.reap().unwrap(), 0);
        assert_eq!(next.ask("begin"), "ok");
        let status = place.status();
        let seen = status.runners.iter().find(|one| one.id == "next").unwrap();
        assert!(seen.alive, "{seen:?}");
        next.tell("quit");
        assert!(next.ended().success());
    });
}
