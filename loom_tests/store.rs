//! Models of the store (`table/store.rs`, `table/commit.rs`, `table/bells.rs`): SYNC
//! POINTs store-publish, store-reuse, store-shape, store-bell.

use std::rc::Rc;

use super::memory::Loom;
use super::model::{Model, kill_sweep};
use super::world::{Actor, NEVER, World};
use crate::table::commit::Write;
use crate::table::key::Key;
use crate::table::store::{Found, Mark, Moved, Store, Watched};

/// Two slots; a key of one word and a value of one.
pub(super) type Small = Store<Loom, 2, 2>;

fn begins(key: &Key) -> Option<usize> {
    Small::path(key).next()
}

/// Keys whose search begins in different slots, so that each is found at once.
pub(super) fn pair() -> [Key; 2] {
    let key = |name: &str| Key::new(name.as_bytes()).unwrap();
    let first = key("a");
    let apart = ('b'..='z').map(|name| key(&name.to_string()));
    let mut apart = apart.filter(|other| begins(other) != begins(&first));
    [first, apart.next().unwrap()]
}

/// A key that begins where the first of the pair does.
pub(super) fn rival() -> Key {
    let [first, _] = pair();
    let all = ('A'..='Z').map(|name| Key::new(name.to_string().as_bytes()).unwrap());
    all.clone()
        .find(|other| begins(other) == begins(&first))
        .unwrap()
}

pub(super) fn write(store: &Small, actor: &Actor, keys: &[Key], value: Option<u64>) {
    store.lock(actor.me(), actor.env(), NEVER).unwrap();
    fill(store, keys, value);
    store.unlock(actor.me());
}

/// Without the lock, for models with one writer that does not die.
pub(super) fn fill(store: &Small, keys: &[Key], value: Option<u64>) {
    let bytes = value.map(u64::to_ne_bytes);
    let writes: Vec<Write<'_>> = keys
        .iter()
        .map(|key| Write {
            key: *key,
            value: bytes.as_ref().map(|bytes| &bytes[..]),
        })
        .collect();
    store.commit(&writes).unwrap();
}

fn one_at(store: &Small, mark: Mark, key: &Key) -> Result<Option<u64>, Moved> {
    let mut value = Vec::new();
    let found = store.read_at(mark, key, &mut value)?;
    Ok(match found {
        Found::Absent => None,
        Found::Present(_) => Some(u64::from_ne_bytes(value.try_into().unwrap())),
    })
}

/// Both keys in one snapshot; they are written together, so they are alike. `None` if
/// the snapshot went away, which the shipped code answers by another.
fn both_at(store: &Small, keys: &[Key; 2]) -> Option<Option<u64>> {
    let mark = store.mark();
    let first = one_at(store, mark, &keys[0]).ok()?;
    let second = one_at(store, mark, &keys[1]).ok()?;
    assert_eq!(first, second, "half a transaction");
    Some(first)
}

#[test]
fn a_snapshot_of_two_keys_is_of_one_transaction() {
    Model::new("store, 2 keys, 3 transactions, 1 snapshot")
        .bound(2)
        .check(|world| {
            let store = Rc::new(Small::default());
            fill(&store, &pair(), Some(1));
            let reader = Rc::clone(&store);
            world.spawn(move |_| {
                both_at(&reader, &pair());
            });
            world.spawn(move |_| (2..=3).for_each(|n| fill(&store, &pair(), Some(n))));
            world.finish();
        });
}

#[test]
fn a_reader_never_goes_back() {
    Model::new("store, 2 transactions, 2 reads")
        .bound(2)
        .check(|world| {
            let store = Rc::new(Small::default());
            let reader = Rc::clone(&store);
            world.spawn(move |_| {
                let read = || one_at(&reader, reader.mark(), &pair()[0]);
                let first = read();
                let second = read();
                if let (Ok(first), Ok(second)) = (first, second) {
                    assert!(second >= first, "{first:?}, then {second:?}");
                }
            });
            world.spawn(move |_| (1..=2).for_each(|n| fill(&store, &pair()[..1], Some(n))));
            world.finish();
        });
}

/// The slot of a deleted key goes to another; the first is there or not, and the other
/// never answers for it.
#[test]
fn a_slot_that_is_used_again_answers_for_its_key_only() {
    Model::new("store, delete and reuse, 1 snapshot")
        .bound(2)
        .check(|world| {
            let store = Rc::new(Small::default());
            let ([first, second], rival) = (pair(), rival());
            // Both are there together, or the rival and the second are.
            fill(&store, &[first, second], Some(1));
            let reader = Rc::clone(&store);
            world.spawn(move |_| {
                let mark = reader.mark();
                let seen = [first, rival].map(|key| one_at(&reader, mark, &key));
                if let [Ok(first), Ok(rival)] = seen {
                    let known = [(Some(1), None), (None, None), (None, Some(3))];
                    assert!(known.contains(&(first, rival)), "{first:?} and {rival:?}");
                }
            });
            world.spawn(move |_| {
                fill(&store, &[first], None);
                fill(&store, &[rival], Some(3));
            });
            world.finish();
        });
}

#[test]
fn a_writer_killed_anywhere_leaves_whole_transactions_and_a_writable_store() {
    kill_sweep(
        Model::new("store, writer killed, next writer").bound(2),
        |_, world| {
            let store = Rc::new(Small::default());
            fill(&store, &pair(), Some(1));
            let dying = Rc::clone(&store);
            world.spawn_victim(move |actor| write(&dying, actor, &pair(), Some(2)));
            world.spawn(move |actor| {
                // Only one of them: what the dead one left in the other must not surface.
                let [first, second] = pair();
                write(&store, actor, &[first], Some(7));
                let mark = store.mark();
                let seen = [first, second].map(|key| one_at(&store, mark, &key));
                let known = [Ok(Some(1)), Ok(Some(2)), Err(Moved)];
                assert!(known.contains(&seen[1]), "{seen:?}");
            });
            world.finish_in_time();
        },
    );
}

#[test]
fn a_reader_beside_a_killed_writer_sees_whole_transactions() {
    kill_sweep(
        Model::new("store, writer killed, 1 snapshot").bound(2),
        |_, world| {
            let store = Rc::new(Small::default());
            fill(&store, &pair(), Some(1));
            let dying = Rc::clone(&store);
            world.spawn_victim(move |actor| write(&dying, actor, &pair(), Some(2)));
            world.spawn(move |_| {
                both_at(&store, &pair());
            });
            world.finish_in_time();
        },
    );
}

/// A store in which both keys are 1, and a writer (thread slot 0) that died half-way to
/// something else in both of them.
fn half_written(world: &Rc<World>) -> Rc<Small> {
    let store = Rc::new(Small::default());
    fill(&store, &pair(), Some(1));
    store.lock(world.owner(0), &**world, NEVER).unwrap();
    for key in pair() {
        store.begin_and_leave(&key, &9_u64.to_ne_bytes());
    }
    world.spawn(|actor| actor.die());
    store
}

#[test]
fn a_reader_beside_a_dead_writers_successor_sees_whole_transactions() {
    Model::new("store, repair, 2 transactions, 1 snapshot")
        .bound(1)
        .check(|world| {
            let store = half_written(world);
            let next = Rc::clone(&store);
            world.spawn(move |actor| {
                (2..=3).for_each(|n| write(&next, actor, &pair(), Some(n)));
            });
            world.spawn(move |_| {
                both_at(&store, &pair());
            });
            world.finish_in_time();
        });
}

/// Dies while it makes whole what another dead one left.
#[test]
fn a_repairer_killed_anywhere_is_followed_by_another() {
    kill_sweep(
        Model::new("store, repairer killed, next writer").bound(0),
        |_, world| {
            let store = half_written(world);
            let dying = Rc::clone(&store);
            let [first, second] = pair();
            world.spawn_victim(move |actor| write(&dying, actor, &[first], Some(2)));
            world.spawn(move |actor| {
                write(&store, actor, &[first], Some(3));
                let seen = one_at(&store, store.mark(), &second);
                assert_eq!(seen, Ok(Some(1)), "what the first dead one left");
            });
            world.finish_in_time();
        },
    );
}

#[test]
fn a_watcher_is_woken() {
    Model::new("store, 1 watcher, 2 commits")
        .bound(2)
        .check(|world| {
            let store = Rc::new(Small::default());
            let watcher = Rc::clone(&store);
            world.spawn(move |actor| {
                let watched = watcher.wait_past(&pair()[0], 0, actor.env(), NEVER);
                assert_eq!(watched, Watched::Changed);
            });
            world.spawn(move |_| (1..=2).for_each(|n| fill(&store, &pair()[..1], Some(n))));
            // The clock stands still: a lost wake-up is a deadlock.
            world.finish();
        });
}

#[test]
fn two_watchers_are_woken() {
    Model::new("store, 2 watchers, 1 commit")
        .bound(1)
        .check(|world| {
            let store = Rc::new(Small::default());
            for _ in 0..2 {
                let watcher = Rc::clone(&store);
                world.spawn(move |actor| {
                    let watched = watcher.wait_past(&pair()[0], 0, actor.env(), NEVER);
                    assert_eq!(watched, Watched::Changed);
                });
            }
            world.spawn(move |_| fill(&store, &pair()[..1], Some(1)));
            world.finish();
        });
}

#[test]
fn a_killed_watcher_keeps_nothing_from_the_others() {
    kill_sweep(
        Model::new("store, watcher killed, other watcher").bound(1),
        |_, world| {
            let store = Rc::new(Small::default());
            let (dying, other) = (Rc::clone(&store), Rc::clone(&store));
            world.spawn_victim(move |actor| {
                let _ = dying.wait_past(&pair()[0], 0, actor.env(), NEVER);
            });
            world.spawn(move |actor| {
                let watched = other.wait_past(&pair()[0], 0, actor.env(), NEVER);
                assert_eq!(watched, Watched::Changed);
            });
            world.spawn(move |_| fill(&store, &pair()[..1], Some(1)));
            world.finish();
        },
    );
}

#[test]
fn a_writer_killed_before_it_wakes_costs_a_watcher_a_bounded_sleep() {
    kill_sweep(
        Model::new("store, writer killed, 1 watcher").bound(1),
        |_, world| {
            let store = Rc::new(Small::default());
            let (dying, watcher) = (Rc::clone(&store), Rc::clone(&store));
            world.spawn_victim(move |_| fill(&dying, &pair()[..1], Some(1)));
            world.spawn(move |actor| {
                let _ = watcher.wait_past(&pair()[0], 0, actor.env(), 1_000_000);
                // Whatever it saw, what is there is whole.
                let seen = one_at(&store, store.mark(), &pair()[0]);
                assert!(matches!(seen, Ok(None | Some(1)) | Err(Moved)), "{seen:?}");
            });
            world.finish_in_time();
        },
    );
}
