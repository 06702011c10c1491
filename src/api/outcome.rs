//! What became of a runner, and of all: judged from the words, by whoever asks.

use crate::api::report::{Outcome, ShutdownOutcome};
use crate::api::view::{Target, View};
use crate::phase::Phase;
use crate::sync::{Env, Real};
use crate::table::control::Control;
use crate::table::member::{Member, State};
use crate::table::runner::Verdict;

impl<E: Env<Real>> View<'_, E> {
    pub(super) fn outcome(
        &self,
        target: Target,
        slot: usize,
        member: Member,
        control: Control,
    ) -> Option<Outcome> {
        let runner = &self.tables.group.runners[slot];
        let generation = member.generation();
        let epoch = control.epoch();
        let acked = self.acked(target, slot, member, epoch);
        let late = self.ack(target, slot).missed(generation, epoch).is_some();
        let done = if late || acked < Phase::Closing {
            Outcome::TimedOut
        } else {
            Outcome::Completed
        };
        let ended = runner.ended(generation);
        let is_running = matches!(member.state(), Ok(State::Joining | State::Live));
        if control.phase() == Ok(Phase::Complete) {
            // Whoever was there at the end is judged by what it had done then; what
            // it does or says later changes nothing.
            let end = self.entered(target, Phase::Complete, epoch);
            if is_running || matches!((ended, end), (Some(ended), Some(end)) if ended > end) {
                return Some(done);
            }
        }
        match runner.verdict(generation) {
            Verdict::Failed => {
                let cause = self.tables.texts[slot].cause.read().0;
                return Some(Outcome::Failed { cause });
            }
            Verdict::Forced => return Some(Outcome::Forced),
            Verdict::None => {}
        }
        match member.state() {
            // It left in order, perhaps before it had anything to do.
            Ok(State::Left) if !late => Some(Outcome::Completed),
            Ok(State::Dead) if acked < Phase::Closing => Some(Outcome::Died),
            Ok(State::Left | State::Dead) => Some(done),
            Ok(State::Live) if acked >= Phase::Closing => Some(done),
            _ => None,
        }
    }

    /// The first phase that waits, or went on, without the runner.
    pub(super) fn blocked_in(
        &self,
        target: Target,
        slot: usize,
        member: Member,
        control: Control,
    ) -> Option<Phase> {
        let epoch = control.epoch();
        let missed = self.ack(target, slot).missed(member.generation(), epoch);
        if missed.is_some() {
            return missed;
        }
        let acked = self.acked(target, slot, member, epoch);
        let phase = control.phase().unwrap_or(Phase::Complete);
        let left = matches!(member.state(), Ok(State::Left));
        (acked < phase.min(Phase::Closing) && !left).then(|| acked.next())
    }
}

/// The whole in one word: the worst that happened to anybody, dying before lagging only
/// if nobody lagged.
pub(super) fn whole(outcomes: &[Option<Outcome>]) -> ShutdownOutcome {
    let has = |wanted: fn(&Outcome) -> bool| outcomes.iter().flatten().any(wanted);
    if has(|o| matches!(o, Outcome::TimedOut | Outcome::Forced)) {
        ShutdownOutcome::TimedOut
    } else if has(|o| matches!(o, Outcome::Died | Outcome::Failed { .. })) {
        ShutdownOutcome::Died
    } else {
        ShutdownOutcome::Completed
    }
}
