//! Dependencies on names: SYNC POINT dependency (`table/resources/mod.rs`), when the name comes
//! after the edge.

use std::cell::Cell;
use std::rc::Rc;

use super::memory::Loom;
use super::model::{Model, must_fail};
use super::world::World;
use crate::table::resources::{About, Key, Moved, Resources, State, Target};

type Table = Rc<Resources<Loom, 2>>;

/// Claims a record that is called `called` and has a tried edge to a name.
fn claim(table: &Table, process: usize, called: u64, on: u64) -> Key {
    let key = table.claim(process, process, |_, _| false).unwrap();
    let about = About {
        called,
        ..About::default()
    };
    table.describe(key, about, [0; 4], "");
    assert!(table.try_dependency(key, Target::Name(on)));
    key
}

/// Two register resources that depend on each other by name: not both remain.
fn close_a_cycle(world: &Rc<World>, looks_first: bool) {
    let table = Table::default();
    let remain = Rc::new(Cell::new(0));
    for (process, called, on) in [(0, 1, 2), (1, 2, 1)] {
        let (table, remain) = (Rc::clone(&table), Rc::clone(&remain));
        world.spawn(move |_| {
            let key = claim(&table, process, called, on);
            let closes = || {
                let holders: Vec<_> = table.holders(on).collect();
                holders.iter().any(|other| table.depends(other.index, key))
            };
            let open_before = looks_first && table.holders(on).next().is_some();
            assert_eq!(table.publish(key, 1), Moved::Done);
            let is_refused = if looks_first { open_before } else { closes() };
            if is_refused {
                let _ = table.move_to(key, &[State::Active], State::Free, 1);
            } else {
                table.end_try(key, Target::Name(on), true);
                remain.set(remain.get() + 1);
            }
        });
    }
    world.finish();
    assert!(remain.get() < 2, "both remain");
}

#[test]
fn of_two_names_that_close_a_cycle_at_once_not_both_remain() {
    Model::new("resource, a cycle by name")
        .bound(2)
        .deaf()
        .check(|world| close_a_cycle(world, false));
    must_fail("resource, a cycle by name, looks first", || {
        Model::new("resource, a cycle by name, looks first")
            .bound(2)
            .check(|world| close_a_cycle(world, true));
    });
}
