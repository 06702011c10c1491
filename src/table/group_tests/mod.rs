//! The rules of a group one by one: runners that take turns, one of which may be dead.

use core::sync::atomic::Ordering;

use super::ack::Ack;
use super::acknowledge::Acked;
use super::control::{Ask, Control, Stage};
use super::group::{Group, Look};
use super::inflight::Begun;
use super::join::{Claim, Claimed, Joined};
use super::known::{Known, owner};
use super::member::{Member, State};
use super::runner::Verdict;
use super::scope::{Cancelled, Initiated};
use super::slots::{Dead, ProcessWord, Processes};
use super::sweep::sweep;
use super::threads::Threads;
use crate::note::{FORCED, Kind, LATE, OWN};
use crate::phase::{Mode, Phase, ReasonCode};
use crate::sync::Real;

const N: usize = 4;

type Table = Group<Real, N>;

const ASK: Ask = Ask {
    mode: Mode::Graceful,
    code: ReasonCode::Requested,
    budget_millis: 1000,
};

/// A slot claimed for a process.
fn slot_for(group: &Table, env: &Known, process: usize) -> Claim {
    group.claim(process, env).unwrap().slot().unwrap()
}

/// Runner of a process with the same number as its slot.
fn join(group: &Table, env: &Known, process: usize) -> Claim {
    let claim = slot_for(group, env, process);
    let joined = group.publish(claim, env, |_| false).unwrap();
    assert!(matches!(joined, Joined::Live(_)));
    claim
}

fn three() -> (Table, Known, [Claim; 3]) {
    let (group, env) = (Table::default(), Known::default());
    env.now.set(1_000_000);
    let claims = [0, 1, 2].map(|process| join(&group, &env, process));
    (group, env, claims)
}

fn initiate(group: &Table, env: &Known) -> u64 {
    match group.scope.initiate(ASK, || env.now.get()).unwrap() {
        Initiated::Drives(epoch) => epoch,
        other => panic!("{other:?}"),
    }
}

fn ack(group: &Table, env: &Known, claim: Claim, phase: Phase) -> Acked {
    let epoch = group.scope.control().epoch();
    let Claim { slot, generation } = claim;
    let acked = group.acknowledge(slot, generation, epoch, phase, env);
    acked.unwrap()
}

fn phase(group: &Table) -> Phase {
    group.scope.control().phase().unwrap()
}

fn laggard(group: &Table, env: &Known) -> Option<(usize, u64)> {
    match group.advance(env).unwrap() {
        Look::Idle(_) => None,
        Look::Blocked { laggard, until, .. } => Some((laggard.slot, until)),
    }
}

/// Kind, detail, runner slot and argument of what was noted since the last look.
fn notes(env: &Known) -> Vec<(Kind, u8, Option<usize>, u64)> {
    let notes = env.notes.take();
    let parts = notes.iter().map(|(_, note)| {
        let slot = note.runner.map(|(slot, _)| usize::from(slot));
        (note.kind, note.detail, slot, note.argument)
    });
    parts.collect()
}

const PHASES: [Phase; 3] = [Phase::Signaling, Phase::Draining, Phase::Closing];

mod joining;
mod late_joining;
mod membership;
mod phases;
mod scopes;
mod swept;
