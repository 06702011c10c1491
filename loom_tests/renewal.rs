//! A second start: several processes that join after a shutdown begin one generation.

use std::cell::Cell;
use std::rc::Rc;

use super::memory::Loom;
use super::model::{Model, kill_sweep, must_fail};
use super::shutdown::{LONG, claim, claim_for, group, initiate, phase_of};
use super::world::World;
use crate::phase::Phase;
use crate::sync::Env;
use crate::table::control::Ask;
use crate::table::group::Group;
use crate::table::join::Joined;
use crate::table::renewal::Renewal;

type Table = Group<Loom, 2>;

/// A group whose shutdown of nobody is Complete.
fn over(world: &World) -> Rc<Table> {
    let group = group::<2>(world, 0);
    let _ = initiate(&group, world, LONG);
    assert_eq!(phase_of(&group), Phase::Complete);
    group
}

/// Begins the next generation or finds it begun, and joins. The generation joined.
fn start(group: &Table, process: usize, env: &World) -> Option<u32> {
    match group.begin_next(env, |_| ()).unwrap() {
        Renewal::Begun(2) | Renewal::NotComplete(2, Phase::Running) => {}
        Renewal::Begun(other) => panic!("{other} is begun"),
        Renewal::NotComplete(generation, phase) => panic!("{generation} is in {phase}"),
        Renewal::Occupied(generation, ..) => panic!("{generation} is occupied"),
    }
    let claim = claim_for(group, process, env);
    match group.publish(claim, env, |_| false).unwrap() {
        Joined::Live(generation) => Some(generation),
        _ => None,
    }
}

#[test]
fn all_that_start_at_once_are_of_one_generation() {
    let body = |world: &Rc<World>, is_swept: bool| {
        let group = over(world);
        let joined = <[Rc<Cell<Option<u32>>>; 2]>::default();
        for (process, joined) in joined.iter().enumerate() {
            let (group, joined) = (Rc::clone(&group), Rc::clone(joined));
            let body = move |actor: &super::world::Actor| {
                joined.set(start(&group, process, actor.env()));
            };
            match is_swept && process == 0 {
                true => world.spawn_victim(body),
                false => world.spawn(body),
            }
        }
        match is_swept {
            true => world.finish_in_time(),
            false => world.finish(),
        }
        assert_eq!(joined[1].get(), Some(2));
        assert!(is_swept || joined[0].get() == Some(2));
        assert_eq!(group.generation.current(), 2);
        assert_eq!(phase_of(&group), Phase::Running);
    };
    Model::new("two starts after a shutdown")
        .bound(2)
        .check(move |world| body(world, false));
    kill_sweep(
        Model::new("two starts, one killed").bound(1),
        move |_, world| body(world, true),
    );
}

/// How a joiner begins the next generation after a shutdown of nobody.
type Begin = fn(&Table, &World) -> bool;

fn shipped(group: &Table, _env: &World) -> bool {
    group.begin_after_nobody(|_| ()).unwrap().is_some()
}

/// Looks whether there was nobody, and then begins whatever comes next.
fn in_two_steps(group: &Table, env: &World) -> bool {
    let complete = group.fenced_control();
    complete.phase() == Ok(Phase::Complete)
        && group.member(0).process().is_none()
        && matches!(group.begin_next(env, |_| ()).unwrap(), Renewal::Begun(_))
}

/// One starts, joins, is shut down and leaves; a late joiner begins a generation only after
/// the one that had nobody.
fn after_nobody(begin: Begin) -> impl Fn(&Rc<World>) + Send + Sync + 'static {
    move |world| {
        let group = over(world);
        let is_begun = Rc::new(Cell::new(false));
        let (shared, result) = (Rc::clone(&group), Rc::clone(&is_begun));
        world.spawn(move |late| result.set(begin(&shared, late.env())));
        let (shared, lived) = (Rc::clone(&group), Rc::new(Cell::new(false)));
        let result = Rc::clone(&lived);
        world.spawn(move |other| {
            let env = other.env();
            if !matches!(shared.begin_next(env, |_| ()).unwrap(), Renewal::Begun(2)) {
                return;
            }
            let joiner = claim(&shared, 0, env).unwrap();
            let joined = shared.publish(joiner, env, |_| false).unwrap();
            assert!(matches!(joined, Joined::Live(2)));
            let ask = Ask {
                budget_millis: 0,
                ..LONG
            };
            assert!(env.now() < u64::MAX);
            let _ = initiate(&shared, env, ask);
            assert!(shared.leave(joiner.slot, joiner.generation, env).unwrap());
            result.set(true);
        });
        world.finish();
        assert_eq!(group.generation.current(), 2, "one had lived: {lived:?}");
        assert_ne!(is_begun.get(), lived.get());
    }
}

#[test]
fn a_late_joiner_begins_a_generation_after_nobody_alone() {
    Model::new("late joiner after nobody")
        .bound(2)
        .check(after_nobody(shipped));
    must_fail("late joiner, two steps", || {
        Model::new("late joiner, two steps")
            .bound(2)
            .check(after_nobody(in_two_steps));
    });
}
