//! Stopped acknowledgers and stopped finders of the dead, against the slot's next holder and
//! the next shutdown (`table/ack.rs`, `table/member.rs`).

use core::sync::atomic::Ordering::{AcqRel, Acquire, Release};
use std::rc::Rc;

use super::memory::U64;
use super::model::{Model, must_fail};
use super::shutdown::{FIRST, LONG, claim_for, group, phase_of};
use super::world::World;
use crate::phase::Phase;
use crate::sync::mem::Word;
use crate::table::group::Look;
use crate::table::join::Joined;
use crate::table::member::State;

/// The shutdown that is on is cancelled, the runner leaves, its slot gets another holder, and
/// another shutdown begins. `stopped` is of the first holder.
fn next_holder(
    world: &Rc<World>,
    stopped: impl FnOnce(&super::shutdown::Table<1>, &World) + 'static,
) {
    let group = group::<1>(world, 1);
    let _ = group.scope.initiate(LONG, || 1).unwrap();
    let shared = Rc::clone(&group);
    world.spawn(move |actor| stopped(&shared, actor.env()));
    let shared = Rc::clone(&group);
    world.spawn(move |actor| {
        let env = actor.env();
        let _ = shared.scope.cancel().unwrap();
        // Or it is marked dead.
        let _ = shared.leave(0, FIRST, env).unwrap();
        let claim = claim_for(&shared, 1, env);
        let joined = shared.publish(claim, env, |_| false).unwrap();
        assert!(matches!(joined, Joined::Live(1)));
        let _ = shared.scope.initiate(LONG, || 2).unwrap();
        assert!(matches!(shared.advance(env), Ok(Look::Blocked { .. })));
    });
    world.finish();
    let member = group.member(0);
    assert_eq!(
        (member.state(), member.generation()),
        (Ok(State::Live), FIRST + 1)
    );
    let epoch = group.scope.control().epoch();
    assert_eq!(group.acked(0, member, epoch), Phase::Running);
    assert_eq!(phase_of(&group), Phase::Signaling, "it is waited for");
}

#[test]
fn a_late_acknowledgement_is_not_the_next_holders() {
    Model::new("acknowledge against the next holder")
        .bound(2)
        .deaf()
        .check(|world| {
            next_holder(world, |group, env| {
                let _ = group.acknowledge(0, FIRST, 0, Phase::Signaling, env);
            });
        });
}

#[test]
fn a_late_mark_is_not_on_the_next_holder() {
    Model::new("mark dead against the next holder")
        .bound(2)
        .deaf()
        .check(|world| {
            next_holder(world, |group, env| {
                let member = group.member(0);
                if member.generation() == FIRST {
                    group.count_out(0, member, env);
                }
            });
        });
}

/// The words in small, with narrow fields: what guards them is their width.
mod small {
    use super::*;

    #[derive(Clone, Copy)]
    struct Widths {
        member: u32,
        ack: u32,
        epoch: u32,
    }

    struct Small {
        widths: Widths,
        /// epoch << 1 | on
        control: U64,
        /// generation << 1 | live
        member: U64,
        /// generation, epoch, acked
        ack: U64,
    }

    const LIVE: u64 = 1;
    const ON: u64 = 1;

    fn low(value: u64, bits: u32) -> u64 {
        value & ((1 << bits) - 1)
    }

    fn swap(word: &U64, from: u64, to: u64) -> bool {
        word.compare_exchange(from, to, AcqRel, Acquire).is_ok()
    }

    impl Small {
        fn new(widths: Widths) -> Rc<Self> {
            let small = Self {
                widths,
                control: U64::default(),
                member: U64::default(),
                ack: U64::default(),
            };
            small.control.store(ON, Release);
            small.member.store(LIVE, Release);
            Rc::new(small)
        }

        fn on(&self, epoch: u64) -> u64 {
            low(epoch, self.widths.epoch) << 1 | ON
        }
        fn live(&self, generation: u64) -> u64 {
            low(generation, self.widths.member) << 1 | LIVE
        }
        fn fresh(&self, generation: u64, epoch: u64) -> u64 {
            let Widths { ack, epoch: e, .. } = self.widths;
            low(generation, ack) << 16 | low(epoch, e) << 8
        }

        /// Acknowledges for the first holder in the first shutdown.
        fn acknowledge(&self) {
            let ack = self.ack.load(Acquire);
            let is_its = self.member.load(Acquire) == self.live(0);
            if is_its && self.control.load(Acquire) == self.on(0) {
                swap(&self.ack, ack, self.fresh(0, 0) | 1);
            }
        }

        /// Marks the first holder dead.
        fn mark(&self) {
            let member = self.member.load(Acquire);
            if member == self.live(0) {
                swap(&self.member, member, member & !LIVE);
            }
        }

        /// Cancel, leave, join, initiate.
        fn next(&self, turn: u64) {
            let running = self.on(turn + 1) & !ON;
            assert!(swap(&self.control, self.on(turn), running));
            // Or it has been marked.
            swap(&self.member, self.live(turn), self.live(turn) & !LIVE);
            // As a swap, since loom does not order a plain store after another's swap.
            let fresh = self.fresh(turn + 1, turn + 1);
            self.ack.swap(fresh, AcqRel);
            assert!(swap(
                &self.member,
                self.live(turn) & !LIVE,
                self.live(turn + 1)
            ));
            assert!(swap(&self.control, running, self.on(turn + 1)));
        }
    }

    fn check(widths: Widths) {
        const TURNS: u64 = 2;
        Model::new("membership in small")
            .bound(2)
            .check(move |world| {
                let small = Small::new(widths);
                let shared = Rc::clone(&small);
                world.spawn(move |_| shared.acknowledge());
                let shared = Rc::clone(&small);
                world.spawn(move |_| shared.mark());
                let shared = Rc::clone(&small);
                world.spawn(move |_| (0..TURNS).for_each(|turn| shared.next(turn)));
                world.finish();
                let ack = small.ack.load(Acquire);
                assert_eq!(ack, small.fresh(TURNS, TURNS), "nobody has acknowledged");
                assert_eq!(small.member.load(Acquire), small.live(TURNS), "it lives");
            });
    }

    const WIDE: Widths = Widths {
        member: 8,
        ack: 8,
        epoch: 8,
    };

    #[test]
    fn a_narrow_generation_of_the_acknowledgement_is_enough() {
        for ack in [8, 1, 0] {
            check(Widths { ack, ..WIDE });
        }
    }

    #[test]
    fn a_narrow_generation_of_the_member_is_caught() {
        must_fail("membership, narrow generation", || {
            check(Widths { member: 1, ..WIDE })
        });
    }

    #[test]
    fn a_narrow_epoch_is_caught() {
        let widths = Widths {
            epoch: 1,
            ack: 1,
            ..WIDE
        };
        must_fail("membership, narrow epoch", || check(widths));
    }
}
