//! Everything that models call of the shipped code, in one place: a change of a signature
//! changes this file.

mod tables;

use core::sync::atomic::Ordering;
use std::rc::Rc;

use super::memory::{Searched, U64};
use super::world::{Actor, World};
use crate::phase::{Mode, Phase, ReasonCode};
use crate::sync::{Env, Owner, Pulse, Word};
use crate::table::acknowledge::Acked;
use crate::table::control::{Ask, Control, Stage};
use crate::table::group::Group;
use crate::table::join::{Claimed, Joined};
use crate::table::member::State;
use crate::table::reason::Reason;
use crate::table::request::{Proposer, Terms};
use crate::table::scope::{Cancelled, Initiated, Scope};

pub(super) use tables::*;

/// Whether a tag of `bits` bits wraps within a model.
pub(super) fn wraps(bits: u32) -> bool {
    bits <= 2
}

/// An epoch, as the shipped code has it.
pub(super) type Epoch = u64;

/// The generation of a runner slot, as the shipped code has it.
type Generation = u64;

/// Names of a scope's words, in the order in which they are made.
const SCOPE: [&str; 12] = [
    "control",
    "signaling",
    "draining",
    "closing",
    "complete",
    "floor",
    "extension",
    "tag",
    "shares",
    "cap",
    "pid",
    "mark",
];

/// A graceful shutdown within `budget_millis`.
pub(super) fn ask(budget_millis: u32) -> Ask {
    Ask {
        mode: Mode::Graceful,
        code: ReasonCode::Requested,
        budget_millis,
    }
}

/// Names of a runner's words after those of its own scope.
const RUNNER: [&str; 3] = ["own_acked", "gate", "progress"];

pub(super) type Table<const N: usize> = Group<Searched, N>;

/// A group whose first `members` slots are live runners of the processes of the same
/// numbers.
pub(super) fn group<const N: usize>(
    world: &mut World,
    members: usize,
    env: &impl Env<Searched>,
) -> Rc<Table<N>> {
    let scope = SCOPE.iter().map(|name| format!("scope.{name}"));
    let rest = ["generation", "high_water", "pad"].map(String::from);
    let member = (0..N).flat_map(|slot| [format!("member {slot}"), format!("ack {slot}")]);
    let mut names: Vec<String> = scope.chain(rest).chain(member).collect();
    for slot in 0..N {
        let own = SCOPE.iter().map(|name| format!("own {slot}.{name}"));
        names.extend(own);
        names.extend(RUNNER.map(|name| format!("runner {slot}.{name}")));
        // What else a runner has is named by its place.
        if N > 1 {
            break;
        }
    }
    let group = world.table("group", &names, Table::<N>::default);
    for process in 0..members {
        let joined = join(&group, process, env);
        assert_eq!(joined, Join::Live(1), "a member of the beginning");
    }
    group
}

/// The result of a join.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Join {
    /// In this generation of the group, in slot 0 unless another one was free.
    Live(u64),
    Refused,
    /// No slot, or a runner of the same identity.
    Not,
}

/// Joins for a process, as `api/join.rs` does.
pub(super) fn join<const N: usize>(
    group: &Table<N>,
    process: usize,
    env: &impl Env<Searched>,
) -> Join {
    let claim = match group.claim(process, env).unwrap() {
        Claimed::Slot(claim) => claim,
        Claimed::Full => return Join::Not,
        Claimed::Refused(_) => return Join::Refused,
    };
    match group.publish(claim, env, |_| false).unwrap() {
        Joined::Live(generation) => Join::Live(generation.into()),
        Joined::Refused(_) => Join::Refused,
        Joined::Duplicate(_) | Joined::Contended => Join::Not,
    }
}

/// Begins a shutdown and advances it as far as it goes.
pub(super) fn initiate<const N: usize>(group: &Table<N>, budget: u32, env: &impl Env<Searched>) {
    let _ = group.scope.initiate(ask(budget), || env.now()).unwrap();
    let _ = group.advance(env).unwrap();
}

pub(super) fn cancel<const N: usize>(group: &Table<N>) -> bool {
    let epoch = group.scope.control().epoch();
    group.scope.cancel_in(epoch).unwrap() == Cancelled::Done
}

/// Whether no runner of a generation is left, as `wait_gone` sees it once the shutdown is
/// over; `None` before.
pub(super) fn is_gone<const N: usize>(
    group: &Table<N>,
    generation: u64,
    env: &impl Env<Searched>,
) -> Option<bool> {
    if group.fenced_control().phase().unwrap() != Phase::Complete {
        return None;
    }
    let holds = |slot: usize| {
        let member = group.member(slot);
        let is_of_it = member.process().is_some() && u64::from(group.joined(slot)) == generation;
        is_of_it
            && member.state().unwrap() == State::Live
            && group.alive(slot, member, env).unwrap().is_some()
    };
    Some(!(0..group.used()).any(holds))
}

/// Begins the next generation, as `begin_generation` does.
pub(super) fn begin_generation<const N: usize>(group: &Table<N>, env: &impl Env<Searched>) -> bool {
    group.generation.help(&group.scope).unwrap();
    let control = group.fenced_control();
    if control.stage().unwrap() != Stage::Phase(Phase::Complete) {
        return false;
    }
    let lives = |slot: usize| {
        let member = group.member(slot);
        member.state().unwrap() == State::Live && group.alive(slot, member, env).unwrap().is_some()
    };
    let is_occupied = (0..group.used()).any(lives);
    !is_occupied && group.generation.begin(&group.scope, control).unwrap()
}

pub(super) fn generation<const N: usize>(group: &Table<N>) -> u64 {
    group.generation.current().into()
}

/// A scope, and what belongs to its shutdowns.
pub(super) struct Shutdowns {
    pub(super) scope: Scope<Searched>,
    reason: Reason<Searched>,
}

impl Shutdowns {
    pub(super) fn new(world: &mut World) -> Rc<Self> {
        world.table("scope", &SCOPE, || Self {
            scope: Scope::default(),
            reason: Reason::default(),
        })
    }

    /// The terms that an initiator of this process proposes.
    fn terms_of(process: usize) -> Terms {
        let first = 100 + process as u16;
        Terms {
            shares: [first, 500 - first, 500],
            cap_millis: 1000 + process as u64,
            pid: 100 + process as u32,
        }
    }

    /// Proposes terms for the epoch of `seen`, as `api/coordinator.rs` does.
    pub(super) fn propose(&self, seen: Control, process: usize, me: &Actor) {
        let is_alive = |other: Proposer| matches!(me.process_pulse(other.process), Pulse::Alive(_));
        self.scope.request.propose(
            seen.epoch(),
            Proposer::new(process, 1),
            Self::terms_of(process),
            (&self.reason, Self::reason_of(process)),
            is_alive,
            || self.scope.control() == seen,
        );
    }

    /// The reason that an initiator of this process gives.
    fn reason_of(process: usize) -> &'static str {
        ["first", "second", "third"][process]
    }

    /// Whether what is read as the reason of an epoch is nothing or what an initiator gave.
    pub(super) fn reason_is_of_one(&self, epoch: Epoch) -> bool {
        let text = self.scope.request.text(epoch, &self.reason);
        text.is_none_or(|text| (0..3).any(|process| text == Self::reason_of(process)))
    }

    /// Whether an initiator has published its terms for an epoch.
    pub(super) fn has_terms(&self, epoch: Epoch) -> bool {
        self.scope.request.is_ready(epoch)
    }

    /// Whether what is read as the terms of an epoch is what one initiator proposed.
    pub(super) fn terms_are_of_one(&self, epoch: Epoch) -> bool {
        let terms = self.scope.request.terms(epoch);
        let process = terms.pid.checked_sub(100);
        process.is_some_and(|process| terms == Self::terms_of(process as usize))
    }

    pub(super) fn initiate(&self, budget_millis: u32, me: &Actor) -> Initiated {
        self.scope
            .initiate(ask(budget_millis), || me.now())
            .unwrap()
    }

    /// A helper stamps the shutdown of `epoch`, in Signaling, where that is due.
    pub(super) fn settle(&self, epoch: Epoch, me: &Actor) {
        self.scope.settle(Phase::Signaling, epoch, || me.now());
    }

    /// When the shutdown of an epoch began, for an actor that may stamp it.
    pub(super) fn started(&self, epoch: Epoch, me: &Actor) -> u64 {
        self.scope.started(epoch, me.now())
    }

    /// When the shutdown that is on began, for an actor that only reads.
    pub(super) fn began(&self) -> Option<u64> {
        let epoch = self.scope.control().epoch();
        self.scope.entered(Phase::Signaling, epoch)
    }

    pub(super) fn cancel(&self) -> bool {
        self.scope.cancel_in(self.scope.control().epoch()).unwrap() == Cancelled::Done
    }
}

/// Marks every dead runner as dead.
pub(super) fn count_out_dead<const N: usize>(group: &Table<N>, env: &impl Env<Searched>) {
    group.count_out_dead(0..group.used(), env).unwrap();
}

/// The runner of slot 0 leaves.
pub(super) fn leave<const N: usize>(
    group: &Table<N>,
    generation: u64,
    env: &impl Env<Searched>,
) -> bool {
    group.leave(0, generation as Generation, env).unwrap()
}

/// The generation of slot 0.
pub(super) fn slot_generation<const N: usize>(group: &Table<N>) -> u64 {
    group.member(0).generation()
}

pub(super) fn is_live<const N: usize>(group: &Table<N>) -> bool {
    group.member(0).state() == Ok(State::Live)
}

/// The runner of slot 0 says that it has done Signaling.
pub(super) fn acknowledge<const N: usize>(
    group: &Table<N>,
    generation: u64,
    epoch: Epoch,
    env: &impl Env<Searched>,
) -> Acked {
    let generation = generation as Generation;
    group
        .acknowledge(0, generation, epoch, Phase::Signaling, env)
        .unwrap()
}

/// Processes that live or not, as the model says.
pub(super) struct Registry {
    alive: [U64; 2],
}

impl Registry {
    pub(super) fn new(world: &mut World) -> Rc<Self> {
        let registry = world.table("alive", &["0", "1"], || Self {
            alive: Default::default(),
        });
        registry.set(0, true);
        registry.set(1, true);
        registry
    }

    pub(super) fn set(&self, process: usize, alive: bool) {
        self.alive[process].store(alive.into(), Ordering::Release);
    }
}

/// Asks the model who lives; no time passes.
impl Env<Searched> for Registry {
    fn now(&self) -> u64 {
        super::run::CLOCK_BEGINS
    }
    fn process_pulse(&self, process: usize) -> Pulse<'_, Searched> {
        match self.alive[process].load(Ordering::Acquire) {
            0 => Pulse::Dead,
            _ => Pulse::Alive(None),
        }
    }
    fn thread_pulse(&self, owner: Owner) -> Pulse<'_, Searched> {
        self.process_pulse(owner.slot.into())
    }
}
