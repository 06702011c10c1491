//! What the models of the shutdown protocol share: a small group, and its members.

use std::rc::Rc;

use super::memory::Loom;
use super::world::World;
use crate::phase::{Mode, Phase, ReasonCode};
use crate::sync::Env;
use crate::table::acknowledge::Acked;
use crate::table::control::{Ask, Control};
use crate::table::group::Group;
use crate::table::join::{Claim, Joined};
use crate::table::scope::Initiated;

/// A budget that no model's time reaches.
pub(crate) const LONG: Ask = Ask {
    mode: Mode::Graceful,
    code: ReasonCode::Requested,
    budget_millis: u32::MAX,
};

/// A group whose first `members` slots are live runners of the processes of the same
/// numbers. Made by the model's main thread, before any other runs.
pub(crate) fn group<const N: usize>(world: &World, members: usize) -> Rc<Group<Loom, N>> {
    let group = Rc::new(Group::<Loom, N>::default());
    for process in 0..members {
        let claim = group.claim(process).unwrap().unwrap();
        assert_eq!(claim.slot, process);
        let joined = group.publish(claim, world, |_| false).unwrap();
        assert!(matches!(joined, Joined::Live(1)));
    }
    group
}

/// The generation of every slot that [`group`] made.
pub(crate) const FIRST: u16 = 1;

pub(crate) fn initiate<const N: usize>(group: &Group<Loom, N>, env: &World, ask: Ask) -> Initiated {
    let initiated = group.scope.initiate(ask, env.now()).unwrap();
    let _ = group.advance(env).unwrap();
    initiated
}

pub(crate) fn acknowledge<const N: usize>(
    group: &Group<Loom, N>,
    slot: usize,
    phase: Phase,
    env: &World,
) -> Acked {
    let epoch = group.scope.control().epoch();
    group
        .acknowledge(slot, FIRST, epoch, phase, false, env)
        .unwrap()
}

/// The control word as it is now.
pub(crate) fn phase_of<const N: usize>(group: &Group<Loom, N>) -> Phase {
    group.scope.control().phase().unwrap()
}

/// Blocks until the group is past the phase of `seen`.
pub(crate) fn wait_past<const N: usize>(
    group: &Group<Loom, N>,
    seen: Control,
    env: &World,
    until: u64,
) -> Option<Control> {
    group.wait_past(seen, env, until).unwrap()
}

/// A claimed slot for a joiner of this process.
pub(crate) fn claim<const N: usize>(group: &Group<Loom, N>, process: usize) -> Claim {
    group.claim(process).unwrap().unwrap()
}
