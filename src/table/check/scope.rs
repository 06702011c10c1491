//! Control words, the times of phases, requests.

use core::sync::atomic::Ordering;

use crate::limits::{DEFAULT_SHARES, MAX_PROCESSES};
use crate::phase::Phase;
use crate::sync::{Mem, Word};
use crate::table::control::{Control, EPOCH_MASK, Stage};
use crate::table::deadlines::cumulative;
use crate::table::request::{
    READY, Request, are_shares, epoch_of, proposer_of, state_of, unused_of,
};
use crate::table::scope::Scope;

use super::{At, Invariant, Look, Witness};

/// Whether `epoch` comes after `than`, of which `bits` are kept. They wrap, and an
/// old one may be stored for long, so only near ones do.
pub(super) const fn is_after(epoch: u64, than: u64, bits: u64) -> bool {
    let ahead = epoch.wrapping_sub(than) & bits;
    ahead != 0 && ahead < bits / 16
}

/// The phases that have been published in this epoch.
fn published(control: Control) -> usize {
    control.phase().map_or(0, |phase| phase as usize)
}

pub(super) fn scope<M: Mem, W: Witness<M>>(
    look: &mut Look<'_, W>,
    at: At,
    scope: &Scope<M>,
    renews: bool,
) {
    let control = scope.control();
    let raw = control.raw();
    let fault = match control.stage() {
        Ok(Stage::Renewing) if !renews => Some("is being renewed, and is no group's"),
        _ => control.fault(),
    };
    look.fault(Invariant::Control, at, fault, &[raw]);
    if fault.is_none() {
        times(look, at, scope, control);
    }
    request(look, at, scope);
}

/// Of the shutdown that is on or over. Before one begins its floor is not raised yet, and
/// what is stored is of no meaning.
fn times<M: Mem, W: Witness<M>>(
    look: &mut Look<'_, W>,
    at: At,
    scope: &Scope<M>,
    control: Control,
) {
    let floor = scope.floor();
    if look.is_ahead(floor) {
        let what = "counts times from the future on";
        look.broken(Invariant::PhaseTimes, at, what, &[floor]);
        return;
    }
    let published = published(control);
    if published == 0 {
        return;
    }
    let mut before = 0;
    for (index, stamp) in scope.entered.iter().enumerate() {
        let entered = scope.time(stamp, control.epoch());
        let fault = match entered {
            // A phase is published only when the one before has a time.
            None if index + 1 < published => Some("is past a phase that has no time"),
            Some(entered) if look.is_ahead(entered) => Some("entered a phase in the future"),
            Some(_) if index >= published => Some("entered a phase before it was published"),
            Some(entered) if entered < before => Some("entered a phase before an earlier one"),
            _ => None,
        };
        let evidence = [control.raw(), stamp.raw(), index as u64, floor];
        look.fault(Invariant::PhaseTimes, at, fault, &evidence);
        before = entered.unwrap_or(before);
    }
}

fn request<M: Mem, W: Witness<M>>(look: &mut Look<'_, W>, at: At, scope: &Scope<M>) {
    let Request {
        tag,
        shares,
        cap,
        pid,
        mark,
    } = &scope.request;
    let tag = tag.load(Ordering::Acquire);
    let control = scope.control();
    let fault = match (state_of(tag), proposer_of(tag)) {
        _ if tag == 0 => None,
        (0 | 3, _) => Some("has no such state"),
        _ if unused_of(tag) != 0 => Some("has bits that are never set"),
        (_, None) => Some("is of no process"),
        (_, Some(first)) if first.process >= MAX_PROCESSES => Some("is of no process"),
        // It is claimed only in an epoch that has been seen.
        _ if is_after(epoch_of(tag), control.epoch(), EPOCH_MASK) => {
            Some("is of an epoch that has not begun")
        }
        _ => None,
    };
    look.fault(Invariant::Request, at, fault, &[tag, control.raw()]);
    if fault.is_some() || state_of(tag) != READY {
        return;
    }
    for (index, word) in [shares, cap, pid, mark].into_iter().enumerate() {
        let raw = word.load(Ordering::Acquire);
        // Each was put in under the claim, and no late swap succeeds after that.
        let fault = if epoch_of(raw) != epoch_of(tag) {
            Some("has terms of another shutdown")
        } else if index == 0 && !are_shares(raw) {
            Some("has shares that do not add up")
        } else {
            None
        };
        look.fault(Invariant::Request, at, fault, &[tag, raw, index as u64]);
    }
}

/// Whether a phase that is over in the shutdown of `control` went on without one who has
/// done `acked` before its time was up.
pub(super) fn passed_by<M: Mem>(scope: &Scope<M>, control: Control, acked: Phase) -> bool {
    let epoch = control.epoch();
    let Some(start) = scope.entered(Phase::Signaling, epoch) else {
        return false;
    };
    let shares = scope.request.terms(epoch).shares;
    Phase::ACKNOWLEDGED
        .into_iter()
        .take(published(control).saturating_sub(1))
        .filter(|phase| *phase > acked)
        .any(|phase| {
            // The budget shrinks and extensions grow, so it was not over sooner than this.
            // Terms may be replaced when their writer dies: the earlier end counts.
            let share = cumulative(&shares, phase).min(cumulative(&DEFAULT_SHARES, phase));
            let due = start + u64::from(control.budget_millis()) * share;
            let due = due.min(scope.immediate_end(phase, epoch).unwrap_or(due));
            let went_on = scope.entered(phase.next(), epoch);
            went_on.is_some_and(|went_on| went_on < due)
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phase::{Mode, ReasonCode};
    use crate::sync::Real;
    use crate::table::control::Ask;

    #[test]
    fn a_sixteenth_of_all_epochs_is_after_another() {
        const MASK: u64 = 0xff_ffff;
        let last = MASK / 16 - 1;
        for (epoch, than, is) in [
            (0, 0, false),
            (1, 0, true),
            (last, 0, true),
            (last + 1, 0, false),
            (MASK, 0, false),
            (0, MASK, true),
            (last - 1, MASK, true),
            (last, MASK, false),
        ] {
            assert_eq!(is_after(epoch, than, MASK), is, "{epoch} after {than}");
        }
    }

    #[test]
    fn a_phase_may_go_on_without_one_when_its_share_is_over() {
        let ask = Ask {
            mode: Mode::Graceful,
            code: ReasonCode::Requested,
            budget_millis: 7000,
        };
        let closing = Control::from_raw(0).initiated(ask).in_phase(Phase::Closing);
        assert_eq!(closing.phase(), Ok(Phase::Closing));
        let [signaling, draining, _] = DEFAULT_SHARES.map(u64::from);
        let [signaled, drained] = [7000 * signaling, 7000 * (signaling + draining)];
        for (early, acked, is_passed) in [
            ([0, 0], Phase::Running, false),
            ([1, 0], Phase::Running, true),
            ([0, 1], Phase::Running, true),
            ([1, 0], Phase::Signaling, false),
            ([0, 1], Phase::Signaling, true),
            ([1, 1], Phase::Draining, false),
        ] {
            let scope = Scope::<Real>::default();
            let entered = [0, signaled - early[0], drained - early[1]];
            for (stamp, after) in scope.entered.iter().zip(entered) {
                stamp.set_once(0, 0, 50 + after, || true);
            }
            let case = format!("{early:?} {acked:?}");
            assert_eq!(passed_by(&scope, closing, acked), is_passed, "{case}");
        }
    }
}
