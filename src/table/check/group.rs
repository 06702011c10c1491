//! The group: its control, generation, members and their records.

use core::sync::atomic::Ordering;
use std::collections::HashMap;

use crate::phase::Phase;
use crate::sync::{Mem, Word};
use crate::table::ack::Ack;
use crate::table::control::{EPOCH_MASK, Stage};
use crate::table::failures::Failures;
use crate::table::generation::EPOCH;
use crate::table::group::Group;
use crate::table::inflight::{CLOSED, COUNT, empty};
use crate::table::member::{Member, State};
use crate::table::runner::{Runner, Texts};
use crate::table::scope::Scope;
use crate::table::slots::Processes;
use crate::table::times::Times;

use super::scope::{is_after, passed_by, scope};
use super::{At, Invariant, Look, Standing, Witness, standing};

/// The tables that a look at the group needs.
pub(crate) struct Roll<'a, M: Mem, const R: usize, const P: usize> {
    pub(crate) group: &'a Group<M, R>,
    pub(crate) texts: &'a [Texts<M>; R],
    pub(crate) processes: &'a Processes<M, P>,
}

pub(crate) fn group<M: Mem, W: Witness<M>, const R: usize, const P: usize>(
    look: &mut Look<'_, W>,
    roll: &Roll<'_, M, R, P>,
) {
    let Roll { group, texts, .. } = roll;
    let at = At("group", 0);
    scope(look, at, &group.scope, true);
    generation(look, at, group);
    let high = group.high_water.load(Ordering::Acquire);
    if high as usize > R {
        look.broken(
            Invariant::Reach,
            at,
            "reaches beyond its table",
            &[u64::from(high)],
        );
    }
    for slot in group.used()..R {
        let raw = group.member(slot).raw() | group.ack(slot).raw();
        if raw != 0 {
            let high = u64::from(group.high_water.load(Ordering::Acquire));
            let what = "is used beyond the high-water mark";
            look.broken(Invariant::Reach, At("runner", slot), what, &[raw, high]);
        }
    }
    let mut ids = HashMap::new();
    for slot in 0..group.used() {
        member(look, roll, slot, &mut ids);
        let at = At("runner", slot);
        scope(look, at, &group.runners[slot].own, false);
        let faults = [
            texts[slot].id.fault(),
            texts[slot].activity.marked_fault(),
            texts[slot].last_words.fault(),
            texts[slot].cause.fault(),
        ];
        for (index, fault) in faults.into_iter().enumerate() {
            look.fault(Invariant::Text, at, fault, &[index as u64]);
        }
    }
    advance(look, group);
}

/// What is kept of failures.
pub(crate) fn failures<M: Mem, W, const N: usize>(
    look: &mut Look<'_, W>,
    failures: &Failures<M, N>,
) {
    for (index, what, word) in failures.faults() {
        look.broken(Invariant::Record, At("failure", index), what, &[word]);
    }
}

fn generation<M: Mem, W, const R: usize>(look: &mut Look<'_, W>, at: At, group: &Group<M, R>) {
    let word = group.generation.0.load(Ordering::Acquire);
    let control = group.scope.control();
    // It is stepped before the epoch is, and only while that is being renewed.
    let renewing = control.stage() == Ok(Stage::Renewing);
    let latest = control.epoch().wrapping_add(u64::from(renewing));
    if word & 0xffff_ffff & !EPOCH != 0 || is_after(word, latest, EPOCH) {
        let what = "began with an epoch that has not begun";
        look.broken(Invariant::Generation, at, what, &[word, control.raw()]);
    }
}

fn member<M: Mem, W: Witness<M>, const R: usize, const P: usize>(
    look: &mut Look<'_, W>,
    roll: &Roll<'_, M, R, P>,
    slot: usize,
    ids: &mut HashMap<String, (usize, u64)>,
) {
    let at = At("runner", slot);
    let Roll {
        group, processes, ..
    } = roll;
    let member = group.member(slot);
    let raw = member.raw();
    let fault = match member.process() {
        Some(process) if process >= P => Some("names a process that there is no room for"),
        _ => member.fault(),
    };
    if fault.is_some() {
        look.fault(Invariant::Member, at, fault, &[raw]);
        return;
    }
    let (Ok(state), Some(process)) = (member.state(), member.process()) else {
        return;
    };
    let runner = &group.runners[slot];
    if matches!(state, State::Free | State::Claimed | State::Joining) {
        let ack = group.ack(slot);
        if ack.is_of(member.generation()) && ack.last() != Phase::Running {
            let what = "has done a phase before it was live";
            look.broken(Invariant::Acknowledgement, at, what, &[raw, ack.raw()]);
        }
    }
    if !matches!(state, State::Free | State::Claimed) {
        record(look, at, (group, slot), (runner, &roll.texts[slot]), member);
    }
    if !matches!(state, State::Claimed | State::Joining | State::Live) {
        return;
    }
    let holder = processes.word(process);
    match standing(processes, process, look.witness) {
        Standing::Free => {
            let what = "belongs to a process that is not attached";
            look.broken(Invariant::Holder, at, what, &[raw, holder.raw()]);
        }
        Standing::Dead => {
            let what = "is of a dead process, and not counted out";
            look.left(Invariant::CountedOut, at, what, &[raw, holder.raw()]);
        }
        Standing::Living if state != State::Claimed => {
            let of = runner.process_generation.load(Ordering::Acquire);
            if of != holder.generation() {
                let what = "belongs to an earlier holder of its process slot";
                look.broken(Invariant::Holder, at, what, &[raw, holder.raw(), of]);
            }
            if state == State::Live {
                living(look, roll, slot, member, ids);
            }
        }
        Standing::Living => {}
    }
}

fn living<M: Mem, W, const R: usize, const P: usize>(
    look: &mut Look<'_, W>,
    roll: &Roll<'_, M, R, P>,
    slot: usize,
    member: Member,
    ids: &mut HashMap<String, (usize, u64)>,
) {
    let at = At("runner", slot);
    let group = roll.group;
    let id = roll.texts[slot].id.read().0;
    if let Some((other, word)) = ids.insert(id, (slot, member.raw())) {
        let words = [member.raw(), word, other as u64];
        look.broken(Invariant::Identity, at, "has the id of another", &words);
    }
    let Runner { own, claimed, .. } = &group.runners[slot];
    let control = group.scope.control();
    let start = group.scope.entered(Phase::Signaling, control.epoch());
    let claimed = claimed.load(Ordering::Acquire);
    if control.is_shutting_down() && start.is_some_and(|start| claimed > start) {
        // It saw Running before it went LIVE, and it claimed its slot before that.
        let what = "joined a shutdown that had begun";
        let words = [member.raw(), control.raw(), claimed];
        look.broken(Invariant::Generation, at, what, &words);
    }
    let what = "was passed by a phase before its time was up";
    let scopes: [(&Scope<M>, _); 2] = [(&group.scope, true), (own, false)];
    for (scope, of_group) in scopes {
        let control = scope.control();
        let acked = match of_group {
            true => group.acked(slot, member, control.epoch()),
            false => group.own_acked(slot, member, control.epoch()),
        };
        if passed_by(scope, control, acked) {
            let words = [member.raw(), control.raw(), acked as u64];
            look.broken(Invariant::Passing, at, what, &words);
        }
    }
}

/// What must be true of the record of whoever holds a slot, or was its last holder.
fn record<M: Mem, W: Witness<M>, const R: usize>(
    look: &mut Look<'_, W>,
    at: At,
    (group, slot): (&Group<M, R>, usize),
    (runner, texts): (&Runner<M>, &Texts<M>),
    member: Member,
) {
    let raw = member.raw();
    let generation = member.generation();
    let scopes = [
        (group.ack(slot), &group.scope, &runner.group_times),
        (group.own_ack(slot), &runner.own, &runner.own_times),
    ];
    for (ack, scope, times) in scopes {
        if ack.is_of(generation) {
            acknowledged(look, at, (raw, ack), scope, times);
        } else {
            let what = "has an acknowledgement of another holder";
            look.broken(Invariant::Record, at, what, &[raw, ack.raw()]);
        }
    }

    let gate = runner.gate.0.load(Ordering::Acquire);
    if gate & !(CLOSED | COUNT) != empty(generation) {
        // The count moves too fast to be the same in the next look.
        let words = [raw, gate & !COUNT];
        look.broken(
            Invariant::Record,
            at,
            "has a gate of another holder",
            &words,
        );
    }
    if let Some((what, word)) = runner.record_fault(generation) {
        look.broken(Invariant::Record, at, what, &[raw, word]);
    }
    let joined = runner.joined.load(Ordering::Acquire);
    let current = u64::from(group.generation.current());
    if joined > current {
        let what = "joined a generation to come";
        look.broken(Invariant::Generation, at, what, &[raw, joined, current]);
    }
    let since = texts.activity().map_or(0, |(_, since)| since);
    if look.is_ahead(since) {
        let what = "is active since the future";
        look.broken(Invariant::Record, at, what, &[raw, since]);
    }
    let claimed = runner.claimed.load(Ordering::Acquire);
    let fault = match runner.ended(generation) {
        _ if look.is_ahead(claimed) => Some("was claimed in the future"),
        None if matches!(member.state(), Ok(State::Left | State::Dead)) => {
            Some("has ended at no time")
        }
        Some(ended) if look.is_ahead(ended) => Some("ended in the future"),
        _ => None,
    };
    let words = [raw, runner.ended.raw(), claimed];
    look.fault(Invariant::Record, at, fault, &words);
}

/// An acknowledgement word against its scope and its times.
fn acknowledged<M: Mem, W>(
    look: &mut Look<'_, W>,
    at: At,
    (holder, ack): (u64, Ack),
    scope: &Scope<M>,
    times: &Times<M>,
) {
    let epoch = ack.epoch();
    let control = scope.control();
    let words = [holder, ack.raw(), control.raw()];
    let fault = ack.fault().or_else(|| {
        let is_present = epoch == control.epoch();
        let is_early = is_present && control.phase().is_ok_and(|phase| ack.last() > phase);
        if is_early || is_after(epoch, control.epoch(), EPOCH_MASK) {
            return Some("has done a phase that is not published");
        }
        // The times of an epoch that is over lie below the floor, or may.
        let mut done = 0..ack.last() as usize;
        let is_timed = done.all(|index| times.done_in(scope, index, epoch).is_some());
        (is_present && !is_timed).then_some("has done a phase at no time")
    });
    look.fault(Invariant::Acknowledgement, at, fault, &words);
}

/// What a shutdown is left at by the last process that died: whoever looks goes on with it.
/// While somebody lives, it may be about to.
fn advance<M: Mem, W: Witness<M>, const R: usize>(look: &mut Look<'_, W>, group: &Group<M, R>) {
    let control = group.scope.control();
    let is_under_way = match control.stage() {
        Ok(Stage::Renewing) => true,
        Ok(Stage::Phase(phase)) => phase.index().is_some(),
        Err(_) => false,
    };
    if is_under_way && look.is_deserted {
        let what = "is under way, and nobody is left to go on";
        look.left(Invariant::Advance, At("group", 0), what, &[control.raw()]);
    }
}
