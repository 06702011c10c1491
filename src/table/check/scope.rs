//! Control words, the times of phases, requests.

use core::sync::atomic::Ordering;

use crate::limits::DEFAULT_SHARES;
use crate::phase::Phase;
use crate::sync::{Mem, Word};
use crate::table::control::{Control, EPOCH_MASK, Stage};
use crate::table::request::{Request, epoch_of, state_of};
use crate::table::scope::{Scope, cumulative};

use super::{At, Invariant, Look, Witness};

/// Epochs after which the sixteen bits of a stamp's tag may be those of an older one.
pub(super) const TAGS: u32 = 0x1_0000;

/// Whether `epoch` comes after `than`. They wrap, and an old one may stand for long, so
/// only near ones do.
pub(super) const fn is_after(epoch: u32, than: u32) -> bool {
    let ahead = epoch.wrapping_sub(than) & EPOCH_MASK;
    ahead != 0 && ahead < EPOCH_MASK / 16
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
    times(look, at, scope, control);
    request(look, at, &scope.request);
}

fn times<M: Mem, W: Witness<M>>(
    look: &mut Look<'_, W>,
    at: At,
    scope: &Scope<M>,
    control: Control,
) {
    let epoch = control.epoch();
    let mut before = None;
    for (index, stamp) in scope.entered.iter().enumerate() {
        let raw = stamp.raw();
        let Some(entered) = stamp.get(epoch) else {
            continue;
        };
        let evidence = [control.raw(), raw, index as u64];
        if look.is_ahead(entered) {
            look.broken(
                Invariant::PhaseTimes,
                at,
                "entered a phase in the future",
                &evidence,
            );
        }
        if epoch >= TAGS {
            // It may be of an older epoch with the same tag.
            continue;
        }
        if index >= published(control) {
            let what = "entered a phase before it was published";
            look.broken(Invariant::PhaseTimes, at, what, &evidence);
        }
        // The start is stamped by whoever asks first, which may be late.
        if index == 0 {
            continue;
        }
        if before.is_some_and(|before| before > entered) {
            let what = "entered a phase before an earlier one";
            look.broken(Invariant::PhaseTimes, at, what, &evidence);
        }
        before = Some(entered);
    }
}

fn request<M: Mem, W: Witness<M>>(look: &mut Look<'_, W>, at: At, request: &Request<M>) {
    let tag = request.tag.load(Ordering::Acquire);
    let (epoch, state, process) = (epoch_of(tag), state_of(tag), tag >> 48);
    let unused = tag >> 34 & 0x3fff;
    let fault = if tag == 0 {
        None
    } else if state == 0 || state == 3 {
        Some("has no such state")
    } else if epoch > EPOCH_MASK || unused != 0 {
        Some("has bits that nobody sets")
    } else if process == 0 || process as usize > crate::limits::MAX_PROCESSES {
        Some("is of no process")
    } else {
        None
    };
    look.fault(Invariant::Request, at, fault, &[tag]);
    // Each word is whole and bears its epoch, whoever wrote it.
    let shares = request.shares.load(Ordering::Relaxed);
    let is_of_it = request.is_ready(epoch) && shares >> 48 == u64::from(epoch & 0xffff);
    let sum: u64 = (0..3).map(|i| shares >> (16 * i) & 0xffff).sum();
    if is_of_it && sum != 1000 {
        let what = "has shares that do not make the whole";
        look.broken(Invariant::Request, at, what, &[tag, shares]);
    }
}

/// Whether a phase that is over in the shutdown of `control` went on without one who has
/// done `acked` before its time was up.
pub(super) fn passed_by<M: Mem>(scope: &Scope<M>, control: Control, acked: Phase) -> bool {
    let epoch = control.epoch();
    if epoch >= TAGS {
        return false;
    }
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
        let last = EPOCH_MASK / 16 - 1;
        for (epoch, than, is) in [
            (0, 0, false),
            (1, 0, true),
            (last, 0, true),
            (last + 1, 0, false),
            (EPOCH_MASK, 0, false),
            (0, EPOCH_MASK, true),
            (last - 1, EPOCH_MASK, true),
            (last, EPOCH_MASK, false),
        ] {
            assert_eq!(is_after(epoch, than), is, "{epoch} after {than}");
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
                stamp.set_once(0, 50 + after);
            }
            let case = format!("{early:?} {acked:?}");
            assert_eq!(passed_by(&scope, closing, acked), is_passed, "{case}");
        }
    }
}
