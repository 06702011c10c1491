//! The group: its control, generation, members and their records.

use core::sync::atomic::Ordering;
use std::collections::HashMap;

use crate::phase::Phase;
use crate::sync::{Mem, Word};
use crate::table::control::{EPOCH_MASK, Stage};
use crate::table::group::Group;
use crate::table::inflight::{CLOSED, COUNT, empty};
use crate::table::member::{Member, State};
use crate::table::runner::{Runner, Texts};
use crate::table::scope::Scope;
use crate::table::slots::Processes;
use crate::table::times::Times;

use super::scope::{TAGS, is_after, passed_by, scope};
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
        let raw = group.member(slot).raw();
        if raw != 0 {
            let high = u64::from(group.high_water.load(Ordering::Acquire));
            let what = "was used beyond the reach of a look";
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

fn generation<M: Mem, W, const R: usize>(look: &mut Look<'_, W>, at: At, group: &Group<M, R>) {
    let word = group.generation.0.load(Ordering::Acquire);
    let control = group.scope.control();
    let began = word as u32;
    // It is stepped before the epoch is, and only while that is being renewed.
    let renewing = control.stage() == Ok(Stage::Renewing);
    let latest = control.epoch().wrapping_add(u32::from(renewing)) & EPOCH_MASK;
    if began > EPOCH_MASK || is_after(began, latest) {
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
    if !matches!(state, State::Free | State::Claimed) {
        record(look, at, group, (runner, &roll.texts[slot]), member);
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
            if of != u64::from(holder.generation()) {
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
    let own = &group.runners[slot].own;
    let what = "was passed by a phase before its time was up";
    let scopes: [(&Scope<M>, _); 2] = [(&group.scope, true), (own, false)];
    for (scope, of_group) in scopes {
        let control = scope.control();
        let acked = match of_group {
            true => member.acked(control.epoch()),
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
    group: &Group<M, R>,
    (runner, texts): (&Runner<M>, &Texts<M>),
    member: Member,
) {
    let raw = member.raw();
    let generation = member.generation();
    let own = Member::from_raw(runner.own_acked.load(Ordering::Acquire));
    if own.generation() != generation || own.process().is_some() || own.state() != Ok(State::Free) {
        let what = "has an own acknowledgement of another holder";
        look.broken(Invariant::Record, at, what, &[raw, own.raw()]);
    } else {
        acknowledged(look, at, (raw, own), &runner.own, &runner.own_times);
    }
    acknowledged(look, at, (raw, member), &group.scope, &runner.group_times);

    let gate = runner.gate.0.load(Ordering::Acquire);
    if gate & !(CLOSED | COUNT) != empty(u64::from(generation)) {
        // The count moves too fast to be the same in the next look.
        let words = [raw, gate & !COUNT];
        look.broken(
            Invariant::Record,
            at,
            "has a gate of another holder",
            &words,
        );
    }
    if let Some((what, word)) = runner.record_fault(u64::from(generation)) {
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
    let ended = runner.ended.get(u32::from(generation));
    let fault = match ended {
        None if matches!(member.state(), Ok(State::Left | State::Dead)) => {
            Some("has ended at no time")
        }
        Some(ended) if look.is_ahead(ended) => Some("ended in the future"),
        _ => None,
    };
    look.fault(Invariant::Record, at, fault, &[raw, runner.ended.raw()]);
}

/// An acknowledgement word against its scope and its times.
fn acknowledged<M: Mem, W>(
    look: &mut Look<'_, W>,
    at: At,
    (holder, member): (u64, Member),
    scope: &Scope<M>,
    times: &Times<M>,
) {
    let epoch = member.epoch();
    let acked = member.acked(epoch);
    if acked == Phase::Running {
        return;
    }
    let control = scope.control();
    let words = [holder, member.raw(), control.raw()];
    let is_early = epoch == control.epoch() && control.phase().is_ok_and(|phase| acked > phase);
    if is_early || is_after(epoch, control.epoch()) {
        let what = "has done a phase that is not published";
        look.broken(Invariant::Acknowledgement, at, what, &words);
    }
    if epoch >= TAGS / 2 {
        return;
    }
    let all = times.acked.iter().take(acked as usize);
    let is_timed = all.into_iter().all(|stamp| stamp.was_set(epoch));
    if !is_timed || member.is_late(epoch) && !times.missed.was_set(epoch) {
        let what = "has done a phase at no time";
        look.broken(Invariant::Acknowledgement, at, what, &words);
    }
    let missed = times.missed.get(epoch);
    if missed.is_some_and(|missed| missed > Phase::Closing as u64) {
        let words = [holder, member.raw(), times.missed.raw()];
        let what = "missed a phase that there is not";
        look.broken(Invariant::Acknowledgement, at, what, &words);
    }
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
