//! Models of the latch (`sync/latch.rs`): SYNC POINTs latch-publish, latch-reuse.

use std::rc::Rc;

use super::memory::Loom;
use super::model::{Model, kill_sweep, must_fail};
use super::world::NEVER;
use crate::sync::latch::{Copied, Latch};
use crate::sync::mutex::{Mutex, Released};

type Pair = Latch<Loom, 2>;

/// A whole value is (n, n + 100), or (0, 0) before the first write.
fn checked(latch: &Pair) -> u64 {
    let mut words = [0; 2];
    assert_eq!(latch.read(&mut words), Copied::Whole);
    assert!(
        words == [0, 0] || words[1] == words[0] + 100,
        "torn: {words:?}"
    );
    words[0]
}

#[test]
fn reader_sees_whole_values() {
    Model::new("latch, 1 writer x 3, 1 reader")
        .bound(3)
        .check(|world| {
            let latch = Rc::new(Pair::default());
            let reader = Rc::clone(&latch);
            world.spawn(move |_| {
                checked(&reader);
            });
            world.spawn(move |_| (1..=3).for_each(|n| latch.write(&[n, n + 100])));
            world.finish();
        });
}

#[test]
fn reader_never_goes_back() {
    Model::new("latch, 1 writer x 2, 1 reader x 2")
        .bound(2)
        .check(|world| {
            let latch = Rc::new(Pair::default());
            let reader = Rc::clone(&latch);
            world.spawn(move |_| {
                let first = checked(&reader);
                assert!(checked(&reader) >= first);
            });
            world.spawn(move |_| (1..=2).for_each(|n| latch.write(&[n, n + 100])));
            world.finish();
        });
}

#[test]
fn writer_killed_half_way_leaves_the_old_value() {
    kill_sweep(
        Model::new("latch, writer killed, 1 reader").bound(2),
        |_, world| {
            let latch = Rc::new(Pair::default());
            let dying = Rc::clone(&latch);
            world.spawn_victim(move |_| (1..=3).for_each(|n| dying.write(&[n, n + 100])));
            world.spawn(move |_| {
                checked(&latch);
            });
            world.finish();
        },
    );
}

#[test]
fn writer_killed_half_way_leaves_a_writable_latch() {
    kill_sweep(
        Model::new("latch, writer killed, next writer").bound(2),
        |_, world| {
            let latch = Rc::new(Pair::default());
            let mutex = Rc::new(Mutex::<Loom>::default());
            let (dying, lock) = (Rc::clone(&latch), Rc::clone(&mutex));
            world.spawn_victim(move |actor| {
                let _acquired = lock.lock(actor.me(), actor.env(), NEVER).unwrap();
                (1..=2).for_each(|n| dying.write(&[n, n + 100]));
                assert_eq!(lock.unlock(actor.me()), Released::Freed);
            });
            world.spawn(move |actor| {
                let _acquired = mutex.lock(actor.me(), actor.env(), NEVER).unwrap();
                checked(&latch);
                latch.write(&[3, 103]);
                assert_eq!(checked(&latch), 3);
                assert_eq!(mutex.unlock(actor.me()), Released::Freed);
            });
            world.finish_in_time();
        },
    );
}

mod twins {
    use core::sync::atomic::Ordering;

    use super::*;
    use crate::loom_tests::memory::U64;
    use crate::sync::mem::{Mem, Word};

    #[derive(Clone, Copy, PartialEq, Eq)]
    enum Flaw {
        None,
        /// No release fence between publishing and the next write.
        NoWriterFence,
        /// No acquire fence before the second look.
        NoReaderFence,
        /// The stamp is stored relaxed.
        RelaxedPublish,
    }

    #[derive(Default)]
    struct Twin {
        stamp: U64,
        versions: [[U64; 2]; 2],
    }

    impl Twin {
        fn write(&self, flaw: Flaw, value: u64) {
            let next = self.stamp.load(Ordering::Relaxed) + 1;
            if flaw != Flaw::NoWriterFence {
                Loom::fence(Ordering::Release);
            }
            for (word, value) in self.versions[(next & 1) as usize]
                .iter()
                .zip([value, value + 100])
            {
                word.store(value, Ordering::Relaxed);
            }
            let order = if flaw == Flaw::RelaxedPublish {
                Ordering::Relaxed
            } else {
                Ordering::Release
            };
            self.stamp.store(next, order);
        }

        fn read(&self, flaw: Flaw) -> Option<[u64; 2]> {
            let stamp = self.stamp.load(Ordering::Acquire);
            let words =
                [0, 1].map(|i| self.versions[(stamp & 1) as usize][i].load(Ordering::Relaxed));
            if flaw != Flaw::NoReaderFence {
                Loom::fence(Ordering::Acquire);
            }
            (self.stamp.load(Ordering::Relaxed) == stamp).then_some(words)
        }
    }

    fn check(name: &str, flaw: Flaw) {
        Model::new(name).bound(3).check(move |world| {
            let twin = Rc::new(Twin::default());
            let reader = Rc::clone(&twin);
            world.spawn(move |_| {
                if let Some(words) = reader.read(flaw) {
                    assert!(
                        words == [0, 0] || words[1] == words[0] + 100,
                        "torn: {words:?}"
                    );
                }
            });
            world.spawn(move |_| (1..=3).for_each(|n| twin.write(flaw, n)));
            world.finish();
        });
    }

    #[test]
    fn sound_twin_passes() {
        check("latch twin, sound", Flaw::None);
    }

    #[test]
    fn writer_without_its_fence_is_caught() {
        must_fail("latch, no release fence in the writer", || {
            check("twin", Flaw::NoWriterFence)
        });
    }

    #[test]
    fn reader_without_its_fence_is_caught() {
        must_fail("latch, no acquire fence in the reader", || {
            check("twin", Flaw::NoReaderFence)
        });
    }

    #[test]
    fn relaxed_publish_is_caught() {
        must_fail("latch, relaxed publish", || {
            check("twin", Flaw::RelaxedPublish)
        });
    }
}
