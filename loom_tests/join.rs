//! Joining against initiating: nobody is admitted into a shutdown that does not count it.

use std::cell::Cell;
use std::rc::Rc;

use super::memory::Loom;
use super::model::{Model, kill_sweep, must_fail};
use super::shutdown::{LONG, acknowledge, claim, claim_for, group, initiate, phase_of, wait_past};
use super::world::{NEVER, World};
use crate::phase::Phase;
use crate::table::control::Control;
use crate::table::group::Group;
use crate::table::join::{Claim, Joined};
use crate::table::member::State;

type Publish = fn(&Group<Loom, 1>, Claim, &World) -> bool;

/// The shipped order: publish the slot, then read the phase.
fn publish_first(group: &Group<Loom, 1>, claim: Claim, env: &World) -> bool {
    match group.publish(claim, env, |_| false).unwrap() {
        Joined::Live(_) => true,
        Joined::Refused(_) => false,
        Joined::Duplicate(_) | Joined::Contended => unreachable!("there is no other joiner"),
    }
}

/// The order of the PostgreSQL bug: read the phase, then publish the slot.
fn read_first(group: &Group<Loom, 1>, claim: Claim, _env: &World) -> bool {
    if group.scope.control().is_shutting_down() {
        return false;
    }
    let claimed = group.member(claim.slot);
    group.swap_member(claim.slot, claimed, claimed.with_state(State::Live))
}

/// A joiner and an initiator. Whoever is admitted is waited for.
fn join_against_initiate(world: &Rc<World>, publish: Publish) {
    let group = group::<1>(world, 0);
    let shared = Rc::clone(&group);
    world.spawn(move |joiner| {
        let claim = claim(&shared, 0, joiner.env());
        if claim.is_some_and(|claim| publish(&shared, claim, joiner.env())) {
            let running = Control::from_raw(0);
            let seen = wait_past(&shared, running, joiner.env(), NEVER).unwrap();
            assert_eq!(
                seen.phase(),
                Ok(Phase::Signaling),
                "the phase went on without us"
            );
            let _ = acknowledge(&shared, 0, Phase::Signaling, joiner.env());
            assert_eq!(phase_of(&shared), Phase::Draining);
        }
    });
    world.spawn(move |initiator| {
        let _ = initiate(&group, initiator.env(), LONG);
    });
    world.finish();
}

#[test]
fn an_admitted_joiner_is_waited_for() {
    Model::new("join against initiate")
        .bound(2)
        .check(|world| join_against_initiate(world, publish_first));
}

#[test]
fn reading_the_phase_before_publishing_is_caught() {
    must_fail("join reads the phase first", || {
        Model::new("join, phase first")
            .bound(2)
            .check(|world| join_against_initiate(world, read_first));
    });
}

#[test]
fn a_joiner_killed_anywhere_holds_nobody_up() {
    kill_sweep(Model::new("join, joiner killed").bound(1), |_, world| {
        let group = group::<2>(world, 0);
        let shared = Rc::clone(&group);
        world.spawn_victim(move |joiner| {
            let Some(claim) = claim(&shared, 0, joiner.env()) else {
                return;
            };
            if let Joined::Live(_) = shared.publish(claim, joiner.env(), |_| false).unwrap() {
                joiner.die();
            }
        });
        world.spawn(move |initiator| {
            let _ = initiate(&group, initiator.env(), LONG);
            let mut seen = group.scope.control();
            while seen.phase() != Ok(Phase::Complete) {
                seen = wait_past(&group, seen, initiator.env(), NEVER).unwrap();
            }
        });
        world.finish_in_time();
    });
}

/// Two joiners of one identity: never are both admitted.
#[test]
fn of_two_joiners_of_one_identity_at_most_one_is_admitted() {
    Model::new("join, same identity twice")
        .bound(1)
        .check(|world| {
            let group = group::<2>(world, 0);
            let admitted = Rc::new(Cell::new(0));
            for process in 0..2 {
                let (group, admitted) = (Rc::clone(&group), Rc::clone(&admitted));
                world.spawn(move |joiner| {
                    let claim = claim_for(&group, process, joiner.env());
                    match group.publish(claim, joiner.env(), |_| true).unwrap() {
                        Joined::Live(_) => admitted.set(admitted.get() + 1),
                        Joined::Duplicate(_) | Joined::Contended => {}
                        Joined::Refused(_) => unreachable!("no shutdown is on"),
                    }
                });
            }
            world.finish();
            assert!(admitted.get() <= 1, "two runners of one identity");
        });
}
