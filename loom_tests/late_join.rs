//! A joiner that is stopped before it goes LIVE, against the end of the shutdown and the next
//! generation: SYNC POINT admission (`table/join.rs`).

use std::cell::Cell;
use std::rc::Rc;

use super::memory::Loom;
use super::model::{Model, must_fail};
use super::shutdown::{LONG, claim, group, phase_of};
use super::world::World;
use crate::phase::Phase;
use crate::sync::mem::Mem;
use crate::table::control::{Ask, Control};
use crate::table::group::Group;
use crate::table::join::{Claim, Joined};
use crate::table::member::State;

type Table = Group<Loom, 1>;

/// The generation that a joiner is a member of, if it is in.
type Join = fn(&Table, Claim, &World) -> Option<u32>;
/// The control word after which a process that begins a generation reads the members.
type Look = fn(&Table) -> Control;

fn shipped(group: &Table, claim: Claim, env: &World) -> Option<u32> {
    match group.publish(claim, env, |_| false).unwrap() {
        Joined::Live(generation) => Some(generation),
        _ => None,
    }
}

/// The steps of a join, up to LIVE once; `is_in` is asked after that.
fn join_with(
    group: &Table,
    claim: Claim,
    env: &World,
    is_in: impl Fn(Control) -> bool,
) -> Option<u32> {
    let joining = group.announce(claim).unwrap();
    let seen = group.renewed_control().unwrap();
    if !seen.is_shutting_down() {
        let (generation, _) = group.go_live(claim.slot, joining).unwrap();
        if is_in(seen) {
            return Some(generation);
        }
    }
    group.withdraw(claim, env).unwrap();
    None
}

/// The same check as shipped, in a join that does not begin again.
fn once(group: &Table, claim: Claim, env: &World) -> Option<u32> {
    join_with(group, claim, env, |seen| group.is_admitted(seen).unwrap())
}

/// Asks for the epoch alone, as it was.
fn epoch_alone(group: &Table, claim: Claim, env: &World) -> Option<u32> {
    join_with(group, claim, env, |seen| {
        Loom::fence(core::sync::atomic::Ordering::SeqCst);
        group.scope.control().epoch() == seen.epoch()
    })
}

/// Does not fence between LIVE and the second look.
fn unfenced(group: &Table, claim: Claim, env: &World) -> Option<u32> {
    join_with(group, claim, env, |seen| {
        let now = group.scope.control();
        now.epoch() == seen.epoch() && now.phase().unwrap() <= Phase::Closing
    })
}

fn fenced_look(group: &Table) -> Control {
    group.fenced_control()
}

fn unfenced_look(group: &Table) -> Control {
    group.scope.control()
}

/// A shutdown whose budget is over at once is forced past each joiner; then a generation is
/// begun if no member of the last one is LIVE.
fn join_against_renewal(join: Join, look: Look) -> impl Fn(&Rc<World>) + Send + Sync + 'static {
    move |world| {
        world.clock_moves(10);
        let group = group::<1>(world, 0);
        let (joined, is_begun) = (Rc::new(Cell::new(None)), Rc::new(Cell::new(false)));
        let (shared, result) = (Rc::clone(&group), Rc::clone(&joined));
        world.spawn(move |joiner| {
            if let Some(claim) = claim(&shared, 0, joiner.env()) {
                result.set(join(&shared, claim, joiner.env()));
            }
        });
        let (shared, begun) = (Rc::clone(&group), Rc::clone(&is_begun));
        world.spawn(move |other| {
            let ask = Ask {
                budget_millis: 0,
                ..LONG
            };
            let _ = super::shutdown::initiate(&shared, other.env(), ask);
            let seen = look(&shared);
            assert_eq!(seen.phase(), Ok(Phase::Complete));
            if shared.member(0).state() != Ok(State::Live) {
                begun.set(shared.generation.begin(&shared.scope, seen).unwrap());
            }
        });
        world.finish();
        match joined.get() {
            Some(1) => assert!(!is_begun.get(), "generations overlap"),
            Some(generation) => {
                assert_eq!(generation, 2);
                assert!(is_begun.get() && phase_of(&group) == Phase::Running);
                assert_eq!(group.joined(0), 2);
            }
            None => assert_ne!(group.member(0).state(), Ok(State::Live)),
        }
    }
}

fn check(name: &str, join: Join, look: Look) {
    Model::new(name)
        .bound(2)
        .deaf()
        .check(join_against_renewal(join, look));
}

#[test]
fn a_joiner_is_not_a_member_of_a_generation_that_is_over() {
    check("join against a new generation", shipped, fenced_look);
}

#[test]
fn a_joiner_that_looks_once_is_in_or_out() {
    check("join once against a new generation", once, fenced_look);
}

#[test]
fn asking_for_the_epoch_alone_is_caught() {
    must_fail("join, epoch alone", || {
        check("join, epoch alone", epoch_alone, fenced_look);
    });
}

#[test]
fn no_fence_after_live_is_caught() {
    must_fail("join, no fence after LIVE", || {
        check("join, no fence", unfenced, fenced_look);
    });
}

#[test]
fn no_fence_before_the_look_at_the_members_is_caught() {
    must_fail("new generation, no fence", || {
        check("new generation, no fence", once, unfenced_look);
    });
}
