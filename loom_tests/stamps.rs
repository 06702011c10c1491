//! Times of shutdowns, set by helpers and initiators that are stopped: SYNC POINT floor
//! (`table/scope.rs`, `table/stamp.rs`).

use std::rc::Rc;

use loom::sync::atomic::AtomicU64;

use super::memory::{Loom, U64};
use super::model::{Model, must_fail};
use super::shutdown::LONG;
use super::world::World;
use crate::phase::Phase;
use crate::sync::mem::{Mem, Word};
use crate::table::scope::{Initiated, Scope};
use crate::width;
use core::sync::atomic::Ordering::{AcqRel, Acquire, Release, SeqCst};

/// A clock that is never behind what a reader of it has seen others do, and moves with
/// every reading.
struct Clock(AtomicU64);

impl Clock {
    fn new() -> Self {
        Self(AtomicU64::new(10))
    }
    fn now(&self) -> u64 {
        self.0.fetch_add(1, AcqRel)
    }
}

/// The shipped scope and a clock.
struct Shipped {
    scope: Scope<Loom>,
    clock: Clock,
}

impl Shipped {
    fn new() -> Rc<Self> {
        Rc::new(Self {
            scope: Scope::default(),
            clock: Clock::new(),
        })
    }
    fn initiate(&self) -> Option<u64> {
        match self.scope.initiate(LONG, || self.clock.now()).unwrap() {
            Initiated::Drives(epoch) => Some(epoch),
            _ => None,
        }
    }
    fn start(&self) -> Option<u64> {
        let epoch = self.scope.control().epoch();
        self.scope.entered(Phase::Signaling, epoch)
    }
}

/// A helper of the first epoch sets the time of a phase; meanwhile that shutdown is
/// cancelled, and `later` epochs later another one enters the phase.
fn a_late_helper(later: u64) -> impl Fn(&Rc<World>) + Send + Sync + 'static {
    move |world| {
        let all = Shipped::new();
        all.initiate().unwrap();
        let shared = Rc::clone(&all);
        world.spawn(move |_| {
            let now = shared.clock.now();
            shared.scope.settle(Phase::Draining, 0, || now);
        });
        let shared = Rc::clone(&all);
        world.spawn(move |_| {
            shared.scope.jump(later);
            let epoch = shared.initiate().unwrap();
            let control = shared.scope.control();
            let at = shared
                .scope
                .publish(control, Phase::Draining, shared.clock.now());
            let stored = shared.scope.entered(Phase::Draining, epoch);
            assert_eq!(stored, at, "it is set");
            assert!(stored > shared.start(), "not before the start");
        });
        world.finish();
        let epoch = all.scope.control().epoch();
        let stored = all.scope.entered(Phase::Draining, epoch);
        assert!(stored > all.start(), "it is kept");
    }
}

#[test]
fn a_late_helper_sets_no_time_of_a_later_shutdown() {
    // The next one, the next with the same tag, and as far as half of all tags.
    for later in [1, 1 << width::STAMP, 1 + (1 << width::STAMP) / 2] {
        Model::new(&format!("times, a helper of {later} epochs ago"))
            .bound(3)
            .deaf()
            .check(a_late_helper(later));
    }
}

/// Two initiators of one epoch: the start that one of them sets is kept.
#[test]
fn the_start_is_kept_by_either_initiator() {
    Model::new("times, two initiators")
        .bound(3)
        .deaf()
        .check(|world| {
            let all = Shipped::new();
            for _ in 0..2 {
                let all = Rc::clone(&all);
                world.spawn(move |_| {
                    let drives = all.initiate().is_some();
                    let start = all.start();
                    assert!(!drives || start.is_some(), "it has set it");
                });
            }
            world.finish();
            assert!(all.start().is_some(), "it is kept");
        });
}

/// A late initiator raises the floor; the shutdown that is on keeps its start.
#[test]
fn a_late_initiator_removes_no_start() {
    Model::new("times, a late initiator")
        .bound(3)
        .deaf()
        .check(|world| {
            let all = Shipped::new();
            let shared = Rc::clone(&all);
            world.spawn(move |_| {
                let clock = || shared.clock.now();
                let _ = shared.scope.initiate_in(0, LONG, 0, clock).unwrap();
            });
            let shared = Rc::clone(&all);
            world.spawn(move |_| {
                let _ = shared.initiate();
                let _ = shared.scope.cancel().unwrap();
                shared.initiate();
                assert!(shared.start().is_some());
            });
            world.finish();
            assert!(all.start().is_some(), "it is kept");
        });
}

/// The protocol in small, with narrow tags, and ways to get it wrong.
mod small {
    use super::*;

    #[derive(Clone, Copy, PartialEq, Eq)]
    enum Flaw {
        None,
        /// A stamp of a tag that is near ahead is newer, and is not replaced.
        OrderedTags,
        NoFloor,
        /// The floor is raised without a second read of the control word.
        Unverified,
        /// The epoch is not read after the stamp was loaded.
        NotAsked,
        /// The start is read from the clock before the swap.
        EarlyStart,
    }

    struct Small {
        flaw: Flaw,
        tags: u64,
        control: U64,
        floor: U64,
        start: U64,
        clock: Clock,
    }

    const TAG: u32 = 32;
    const ON: u64 = 1;

    impl Small {
        fn new(flaw: Flaw, tag_bits: u32) -> Rc<Self> {
            Rc::new(Self {
                flaw,
                tags: (1 << tag_bits) - 1,
                control: U64::default(),
                floor: U64::default(),
                start: U64::default(),
                clock: Clock::new(),
            })
        }

        fn get(&self, epoch: u64) -> Option<u64> {
            self.unpack(self.start.load(Acquire), epoch)
        }

        fn unpack(&self, raw: u64, epoch: u64) -> Option<u64> {
            let (tag, micros) = (raw >> TAG, raw & 0xffff_ffff);
            let floor = match self.flaw {
                Flaw::NoFloor | Flaw::OrderedTags => 0,
                _ => self.floor.load(Acquire),
            };
            (micros != 0 && tag == epoch & self.tags && micros >= floor).then_some(micros)
        }

        fn set_once(&self, epoch: u64, now: u64) {
            let mut raw = self.start.load(Acquire);
            loop {
                if self.unpack(raw, epoch).is_some() {
                    return;
                }
                let ahead = (raw >> TAG).wrapping_sub(epoch) & self.tags;
                let is_newer = raw != 0 && ahead != 0 && ahead <= self.tags / 2;
                let is_on = || self.control.load(Acquire) >> 1 == epoch;
                let is_over = match self.flaw {
                    Flaw::OrderedTags => is_newer,
                    Flaw::NotAsked => false,
                    _ => !is_on(),
                };
                if is_over {
                    return;
                }
                let mine = (epoch & self.tags) << TAG | now;
                match self.start.compare_exchange(raw, mine, AcqRel, Acquire) {
                    Ok(_) => return,
                    Err(now) => raw = now,
                }
            }
        }

        /// Begins the shutdown of `epoch`, if it can; when its floor was read.
        fn begin(&self, epoch: u64) -> Option<u64> {
            let running = epoch << 1;
            if self.control.load(Acquire) != running {
                return None;
            }
            let now = self.clock.now();
            Loom::fence(SeqCst);
            if self.flaw != Flaw::Unverified && self.control.load(Acquire) != running {
                return None;
            }
            let mut floor = self.floor.load(Acquire);
            while floor < now {
                match self.floor.compare_exchange(floor, now, AcqRel, Acquire) {
                    Ok(_) => break,
                    Err(moved) => floor = moved,
                }
            }
            let swapped = self
                .control
                .compare_exchange(running, running | ON, AcqRel, Acquire);
            swapped.is_ok().then_some(now)
        }

        /// The same, and the start; whether it did.
        fn initiate(&self, epoch: u64) -> bool {
            let floor = self.begin(epoch);
            if let Some(floor) = floor {
                let start = match self.flaw {
                    Flaw::EarlyStart => floor,
                    _ => self.clock.now(),
                };
                self.set_once(epoch, start);
            }
            floor.is_some()
        }

        fn cancel(&self, epoch: u64) {
            let on = epoch << 1 | ON;
            let next = (epoch + 1) << 1;
            let _ = self.control.compare_exchange(on, next, AcqRel, Acquire);
        }
    }

    /// A helper sets a time of the first shutdown; it is set again in the last of the
    /// shutdowns after it only.
    fn helpers(flaw: Flaw, tag_bits: u32, shutdowns: u64) {
        Model::new("times in small, helpers")
            .bound(3)
            .check(move |world| {
                let small = Small::new(flaw, tag_bits);
                small.control.store(ON, Release);
                let helper = Rc::clone(&small);
                world.spawn(move |_| {
                    let now = helper.clock.now();
                    helper.set_once(0, now);
                });
                let shared = Rc::clone(&small);
                world.spawn(move |_| {
                    for epoch in 0..shutdowns {
                        shared.cancel(epoch);
                        assert!(shared.begin(epoch + 1).is_some());
                    }
                    let begun = shared.clock.now();
                    shared.set_once(shutdowns, shared.clock.now());
                    assert!(shared.get(shutdowns) > Some(begun), "of now");
                });
                world.finish();
                assert!(small.get(shutdowns).is_some(), "it is kept");
            });
    }

    /// Initiators of the first epoch, and one that begins another shutdown after it.
    fn initiators(flaw: Flaw, tag_bits: u32) {
        Model::new("times in small, initiators")
            .bound(3)
            .check(move |world| {
                let small = Small::new(flaw, tag_bits);
                for is_first in [true, false] {
                    let small = Rc::clone(&small);
                    world.spawn(move |_| {
                        if small.initiate(0) && small.get(0).is_none() {
                            assert!(small.control.load(Acquire) != ON, "it has set it");
                        }
                        if is_first {
                            small.cancel(0);
                            small.initiate(1);
                        }
                    });
                }
                world.finish();
                let control = small.control.load(Acquire);
                if control & ON != 0 {
                    assert!(small.get(control >> 1).is_some(), "it is kept");
                }
            });
    }

    #[test]
    fn the_sound_steps_hold_with_any_tag() {
        for tag_bits in [0, 1] {
            helpers(Flaw::None, tag_bits, 2);
            initiators(Flaw::None, tag_bits);
        }
    }

    #[test]
    fn tags_that_order_themselves_are_caught() {
        must_fail("times, ordered tags", || helpers(Flaw::OrderedTags, 2, 3));
    }

    #[test]
    fn no_floor_is_caught() {
        must_fail("times, no floor", || helpers(Flaw::NoFloor, 1, 2));
    }

    #[test]
    fn an_epoch_that_is_not_asked_for_is_caught() {
        must_fail("times, epoch not asked for", || {
            helpers(Flaw::NotAsked, 2, 1)
        });
    }

    #[test]
    fn a_floor_that_is_not_verified_is_caught() {
        must_fail("times, floor not verified", || {
            initiators(Flaw::Unverified, 2)
        });
    }

    #[test]
    fn a_start_that_is_read_before_the_swap_is_caught() {
        must_fail("times, start before the swap", || {
            initiators(Flaw::EarlyStart, 2)
        });
    }
}
