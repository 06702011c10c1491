//! The rules of resource records one by one, by owners that take turns.

use core::sync::atomic::AtomicU32;

use super::reclaim::{fault, none, seal, waiting};
use super::*;
use crate::sync::Real;
use crate::sync::life::OWNER_DIED;
use crate::table::known::{Known, owner};

const N: usize = 3;

type Table = Resources<Real, N>;

const IDENTITY: Identity = [1, 20, 30, 40];
const ABOUT: About = About {
    runner_generation: 0xfffe,
    kind: 0xfd,
    order: -5,
    called: 0x1234,
};
const ME: Claimant = Claimant::new(8, 0xfff0);

fn never(_word: ResourceWord, _about: About) -> bool {
    false
}

/// An active resource of a process; its runner has the slot of twice that number.
fn active(table: &Table, process: usize, identity: Identity) -> Key {
    let key = table.claim(process, 2 * process, never).unwrap();
    table.describe(key, ABOUT, identity, "/p");
    assert_eq!(table.publish(key, 10), Moved::Done);
    key
}

fn entered_states() -> [State; 4] {
    use State::{Active, Closed, Closing, Draining};
    [Active, Draining, Closing, Closed]
}

fn end(table: &Table, key: Key, state: State) {
    assert_eq!(table.move_to(key, &[State::Active], state, 90), Moved::Done);
}

fn state(table: &Table, key: Key) -> State {
    table.word(key.index).state().unwrap()
}

fn reclaim(table: &Table, key: Key) -> u64 {
    table.records[key.index].reclaim.load(Ordering::Relaxed)
}

mod reclaiming;
mod stopped;

#[test]
fn records_are_claimed_in_order_of_what_they_are_worth() {
    let table = Table::default();
    let keys = [1, 2, 3].map(|process| {
        assert_eq!(table.used(), process - 1);
        active(&table, process, [0; 4])
    });
    assert_eq!(
        keys.map(|key| (key.index, key.generation)),
        [(0, 1), (1, 1), (2, 1)]
    );
    assert_eq!((table.used(), table.claim(4, 4, never)), (3, None));
    assert_eq!(table.word(1).process(), Some(2));
    assert_eq!((table.word(1).runner(), table.about(1)), (Some(4), ABOUT));
    assert_eq!((table.about(N), table.word(N).raw()), (About::default(), 0));
    end(&table, keys[0], State::Closed);
    end(&table, keys[2], State::Failed);
    // The old one before the first.
    let is_old = |word: ResourceWord, about| {
        assert_eq!(about, ABOUT);
        word.process() == Some(3)
    };
    let claimed = table.claim(4, 4, is_old).unwrap();
    assert_eq!((claimed.index, claimed.generation), (2, 2));
    assert_eq!(table.claim(4, 4, never).map(|key| key.index), Some(0));
    assert_eq!(table.claim(4, 4, never), None);
    // Taken back it is free.
    assert_eq!(
        table.move_to(claimed, &[State::Claimed], State::Free, 1),
        Moved::Done
    );
    assert_eq!(table.claim(4, 4, never).map(|key| key.index), Some(2));
    table.high_water.store(u32::MAX, Ordering::Relaxed);
    assert_eq!(table.used(), N);
}

#[test]
fn an_open_record_is_never_used_again_however_old() {
    let table = Table::default();
    let keys = [1, 2, 3].map(|process| active(&table, process, [0; 4]));
    end(&table, keys[1], State::Closed);
    let claimed = table.claim(4, 4, |_, _| true).unwrap();
    assert_eq!((claimed.index, table.claim(4, 4, |_, _| true)), (1, None));
}

#[test]
fn a_claim_finds_nothing_of_the_registration_before() {
    let table = Table::default();
    let key = active(&table, 1, IDENTITY);
    assert!(table.add_dependency(
        key,
        Key {
            index: 2,
            generation: 9
        }
    ));
    assert_eq!(
        table.move_to(key, &[State::Active], State::Draining, 20),
        Moved::Done
    );
    assert_eq!(
        table.move_to(key, &[State::Draining], State::Closing, 30),
        Moved::Done
    );
    assert_eq!(
        table.move_to(key, &[State::Closing], State::Closed, 40),
        Moved::Done
    );
    table.finish_late(key, 50);
    table.finish_late(
        Key {
            generation: 2,
            ..key
        },
        60,
    );
    table.finish_late(Key { index: N, ..key }, 60);
    assert_eq!(table.late(key), Some(50));
    let entered = entered_states().map(|state| table.entered(key, state));
    assert_eq!(entered, [Some(10), Some(20), Some(30), Some(40)]);
    assert_eq!(table.entered(key, State::Claimed), None);
    for _ in 0..N {
        table.claim(1, 1, never).unwrap();
    }
    let record = &table.records[0];
    assert_eq!(
        table.key(0),
        Key {
            index: 0,
            generation: 2
        }
    );
    assert!(
        entered_states()
            .iter()
            .all(|state| record.times.raw(*state) == 0)
    );
    assert_eq!(table.late(table.key(0)), None);
    assert_eq!(
        (table.dependencies(0).count(), table.has_identity(0)),
        (0, false)
    );
    assert_eq!(reclaim(&table, key), none(2));
}

#[test]
fn a_registration_is_moved_from_the_states_meant_and_by_its_own_key() {
    let table = Table::default();
    let key = active(&table, 1, [0; 4]);
    let open = [State::Active, State::Draining];
    let other = Key {
        generation: 2,
        ..key
    };
    let beyond = Key { index: N, ..key };
    assert!(table.find(key) == Some(table.word(0)));
    for stranger in [other, beyond] {
        assert_eq!(
            table.move_to(stranger, &open, State::Closing, 1),
            Moved::Stale
        );
        assert!(table.find(stranger).is_none());
        assert_eq!(table.entered(stranger, State::Active), None);
        assert_eq!(table.late(stranger), None);
    }
    let closing = State::Closing;
    assert_eq!(
        table.move_to(key, &[closing], State::Closed, 1),
        Moved::Was(State::Active)
    );
    assert_eq!(table.move_to(key, &open, closing, 15), Moved::Done);
    assert_eq!(table.publish(key, 1), Moved::Was(closing));
    assert_eq!(table.move_to(key, &[closing], State::Free, 1), Moved::Done);
    assert!(table.find(key).is_none());
    assert_eq!(
        table.move_to(key, &[State::Free], State::Active, 1),
        Moved::Done
    );
    assert_eq!(
        table.move_to(key, &[State::Active], State::Free, 1),
        Moved::Done
    );
    assert_eq!(
        table.move_to(key, &[closing], State::Active, 1),
        Moved::Stale
    );
    table.records[0]
        .word
        .store(table.word(0).raw() | 15, Ordering::Relaxed);
    assert_eq!(
        table.move_to(key, &[closing], State::Active, 1),
        Moved::Stale
    );
}

#[test]
fn dependencies_have_an_end() {
    let table = Table::default();
    let key = active(&table, 1, [0; 4]);
    let on = |generation| Key {
        index: 2,
        generation,
    };
    for generation in 0..MAX_DEPENDENCIES as u64 {
        assert!(table.add_dependency(key, on(generation % 2)));
    }
    assert!(!table.add_dependency(key, on(0)));
    // None of them is tried.
    table.end_try(key, on(0), false);
    assert_eq!(table.dependencies(0).count(), MAX_DEPENDENCIES);
    let beyond = Key { index: N, ..key };
    assert!(!table.add_dependency(beyond, on(0)));
    assert_eq!(table.dependencies(N).count(), 0);
    assert_eq!(unpack(on(3).packed() | TRIED), Some(Target::Key(on(3))));
    assert_eq!((unpack(0), unpack(TRIED)), (None, None));
}

#[test]
fn an_edge_that_is_tried_binds_and_stands_or_is_taken_back() {
    let table = Table::default();
    let key = active(&table, 1, [0; 4]);
    let on = |generation| Key {
        index: 2,
        generation,
    };
    let edge = |at: usize| table.records[0].depends_on[at].load(Ordering::Relaxed);
    for (at, generation) in [(0, 1), (1, 2)] {
        assert!(table.try_dependency(key, on(generation)));
        assert_eq!(edge(at), on(generation).packed() | TRIED);
        assert!(table.dependencies(0).any(|key| key == on(generation)));
        table.end_try(key, on(generation), true);
        assert_eq!(edge(at), on(generation).packed());
    }
    // The same once more: what is taken back is the one that is tried.
    assert!(table.try_dependency(key, on(1)));
    table.end_try(key, on(2), false);
    table.end_try(key, on(1), false);
    assert_eq!([0, 1, 2].map(edge), [on(1).packed(), on(2).packed(), 0]);
    for _ in 2..MAX_DEPENDENCIES {
        assert!(table.try_dependency(key, on(1)));
    }
    assert!(!table.try_dependency(key, on(1)), "there is no room");
    // From bytes that another process wrote.
    let beyond = Key { index: N, ..key };
    table.records[0].depends_on[0].store(beyond.packed(), Ordering::Relaxed);
    assert_eq!(table.dependencies(0).count(), MAX_DEPENDENCIES - 1);
}

#[test]
fn one_that_closes_sees_the_living_that_depend_on_it() {
    let (table, mut env) = (Table::default(), Known::default());
    let [on, lives, dies] = [3, 1, 2].map(|process| active(&table, process, [0; 4]));
    let look = |env: &Known| match table.look_at_dependents(on, env) {
        Dependents::None => Ok((None, false)),
        Dependents::Alive { key, life, .. } => Ok((Some(key), life.is_some())),
        Dependents::Moved => Err("moved"),
    };
    assert_eq!(look(&env), Err("moved"), "it does not close");
    assert_eq!(
        table.move_to(on, &[State::Active], State::Draining, 20),
        Moved::Done
    );
    assert_eq!(
        (look(&env), table.blocker(on, &env)),
        (Ok((None, false)), None)
    );
    // On itself, on an earlier registration: neither counts.
    assert!(table.add_dependency(on, on));
    assert!(table.add_dependency(
        lives,
        Key {
            generation: 0,
            ..on
        }
    ));
    assert_eq!(look(&env), Ok((None, false)));
    assert!(table.add_dependency(lives, on) && table.add_dependency(dies, on));
    assert_eq!(
        (look(&env), table.blocker(on, &env)),
        (Ok((Some(lives), false)), Some(lives))
    );
    env.life = Some(AtomicU32::new(5));
    assert_eq!(look(&env), Ok((Some(lives), true)));
    env.life = Some(AtomicU32::new(OWNER_DIED));
    assert_eq!(
        look(&env),
        Ok((Some(lives), false)),
        "it cannot be slept on"
    );
    end(&table, lives, State::Closed);
    assert_eq!(look(&env), Ok((Some(dies), false)));
    env.dead.set(Some(owner(2)));
    assert_eq!(look(&env), Ok((None, false)));
    assert_eq!(state(&table, dies), State::Orphaned);
    assert_eq!(
        table.move_to(on, &[State::Draining], State::Closing, 30),
        Moved::Done
    );
    assert_eq!(look(&env), Err("moved"));
    let beyond = table.look_at_dependents(Key { index: N, ..on }, &env);
    assert!(matches!(beyond, Dependents::Moved));
}

#[test]
fn a_note_of_a_state_names_the_registration_and_its_runner() {
    let table = Table::default();
    let key = active(&table, 1, [0; 4]);
    let note = table.became(key, State::Closing);
    assert_eq!(
        (note.detail, Key::unpacked(note.argument)),
        (State::Closing as u8, Some(key))
    );
    assert_eq!(note.runner, Some((2, ABOUT.runner_generation as u16)));
    let (index, generation) = (2, 3);
    let key = Key { index, generation };
    let note = table.became(key, State::Dropped);
    assert_eq!((note.argument, note.runner), (key.packed(), None));
}

#[test]
fn an_orphan_is_noted_once() {
    let (table, env) = (Table::default(), Known::default());
    let key = active(&table, 1, [0; 4]);
    for _ in 0..2 {
        table.orphan(key, &env);
        assert_eq!(state(&table, key), State::Orphaned);
        let notes = env.notes.borrow();
        assert_eq!(notes[..], [(0, table.became(key, State::Orphaned))]);
    }
}
