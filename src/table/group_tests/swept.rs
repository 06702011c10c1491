//! A claimant whose process was swept on one sign, and that goes on late.

use core::cell::Cell;

use crate::sync::{Env, Owner, Pulse};
use crate::table::ack::Ack;
use crate::table::group::Group;
use crate::table::inflight::{Begun, Look};
use crate::table::join::Joined;
use crate::table::member::State;
use crate::table::stopped::{Stopped, stop_everywhere};

struct World {
    group: Group<Stopped, 1>,
    now: Cell<u64>,
}

impl Env<Stopped> for World {
    fn now(&self) -> u64 {
        self.now.set(self.now.get() + 1);
        self.now.get()
    }
    fn process_pulse(&self, _: usize) -> Pulse<'_, Stopped> {
        Pulse::Alive(None)
    }
    fn thread_pulse(&self, _: Owner) -> Pulse<'_, Stopped> {
        Pulse::Alive(None)
    }
}

/// Stopped anywhere in its claim; a sweeper frees the slot, and another runner lives there.
#[test]
fn a_swept_claimant_leaves_the_next_holders_record_alone() {
    let late = Cell::new(0);
    stop_everywhere(
        || World {
            group: Group::default(),
            now: Cell::new(1_000_000),
        },
        |world| {
            let claimed = world.group.claim(1, world).unwrap().slot();
            let Some(claim) = claimed.filter(|claim| !world.group.is_claimed(*claim)) else {
                return;
            };
            world.group.describe(claim, 1, 1);
            assert!(world.group.publish(claim, world, |_| false).is_err());
            late.set(late.get() + 1);
        },
        |world| {
            let group = &world.group;
            let member = group.member(0);
            if member.state() == Ok(State::Claimed) {
                assert!(group.swap_member(0, member, member.with_state(State::Free)));
            }
            let claim = group.claim(2, world).unwrap().slot().unwrap();
            group.describe(claim, 2, 2);
            let joined = group.publish(claim, world, |_| false).unwrap();
            assert!(matches!(joined, Joined::Live(_)));
        },
        |world| {
            let group = &world.group;
            let member = group.member(0);
            if member.process() != Some(2) {
                return;
            }
            assert_eq!(member.state(), Ok(State::Live));
            let generation = member.generation();
            let look = || Look {
                refuses: false,
                epochs: (0, 0),
            };
            let begun = group.runners[0].gate.begin_as(generation, look);
            assert_eq!(begun, Begun::Counted);
            assert!(Ack::is_of(group.ack(0), generation));
        },
    );
    assert!(late.get() > 0, "it was never late");
}

/// A word that no release writes ends a join: its slot is not left as one of a living member.
#[test]
fn an_error_takes_the_claim_back() {
    use crate::sync::Word;
    use core::sync::atomic::Ordering;
    let world = World {
        group: Group::default(),
        now: Cell::new(1_000_000),
    };
    let group = &world.group;
    let claim = group.claim(1, &world).unwrap().slot().unwrap();
    let good = group.scope.control().raw();
    group.scope.control.store(0b110, Ordering::Release);
    assert!(group.publish(claim, &world, |_| false).is_err());
    group.scope.control.store(good, Ordering::Release);
    assert_eq!(group.member(0).state(), Ok(State::Free));
}
