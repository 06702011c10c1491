//! What the models of the shutdown protocol share: a small group, and its members.

use std::rc::Rc;

use super::memory::Loom;
use super::world::World;
use crate::phase::{Mode, Phase, ReasonCode};
use crate::sync::Env;
use crate::table::acknowledge::Acked;
use crate::table::control::{Ask, Control};
use crate::table::group::Group;
use crate::table::join::{Claim, Claimed, Joined};
use crate::table::scope::Initiated;

/// A budget that no model's time reaches.
pub(crate) const LONG: Ask = Ask {
    mode: Mode::Graceful,
    code: ReasonCode::Requested,
    budget_millis: u32::MAX,
};

/// A group of so many runners.
pub(crate) type Table<const N: usize> = Group<Loom, N>;

/// A group whose first `members` slots are live runners of the processes of the same
/// numbers. Made by the model's main thread, before any other runs.
pub(crate) fn group<const N: usize>(world: &World, members: usize) -> Rc<Group<Loom, N>> {
    let group = Rc::new(Group::<Loom, N>::default());
    for process in 0..members {
        let claim = claim_for(&group, process, world);
        assert_eq!(claim.slot, process);
        let joined = group.publish(claim, world, |_| false).unwrap();
        assert!(matches!(joined, Joined::Live(1)));
    }
    group
}

/// The generation of every slot that [`group`] made.
pub(crate) const FIRST: u64 = 1;

pub(crate) fn initiate<const N: usize>(group: &Group<Loom, N>, env: &World, ask: Ask) -> Initiated {
    let initiated = group.scope.initiate(ask, || env.now()).unwrap();
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
    group.acknowledge(slot, FIRST, epoch, phase, env).unwrap()
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

/// A claimed slot for a joiner of this process; `None` if it is refused.
pub(crate) fn claim<const N: usize>(
    group: &Group<Loom, N>,
    process: usize,
    env: &World,
) -> Option<Claim> {
    match group.claim(process, env).unwrap() {
        Claimed::Slot(claim) => Some(claim),
        Claimed::Refused(_) => None,
        Claimed::Full => unreachable!("there is room"),
    }
}

/// A claimed slot where no shutdown is on.
pub(crate) fn claim_for<const N: usize>(
    group: &Group<Loom, N>,
    process: usize,
    env: &World,
) -> Claim {
    claim(group, process, env).expect("no shutdown is on")
}
