//! What became of a runner, and of all: judged from the words, by whoever asks.

use crate::api::report::{Outcome, RunnerReport, ShutdownOutcome};
use crate::api::view::{Target, View};
use crate::limits::READ_TRIES;
use crate::phase::Phase;
use crate::sync::{Env, Real};
use crate::table::control::Control;
use crate::table::member::{Member, State};
use crate::table::runner::Verdict;

impl<E: Env<Real>> View<'_, E> {
    /// The record of the holder of a slot: of one holder, unless the slot comes to another
    /// one during each of `READ_TRIES` reads.
    pub(super) fn runner(&self, target: Target, slot: usize, control: Control) -> RunnerReport {
        // A claimant raises it before it writes anything.
        let holder = || self.tables.group.member(slot).generation();
        let mut tries = 0;
        loop {
            tries += 1;
            let before = holder();
            let report = self.runner_now(target, slot, control);
            if holder() == before || tries == READ_TRIES {
                return report;
            }
        }
    }

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

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::sync::{Owner, Pulse};
    use crate::{Runner, SegmentOptions};

    /// The slot comes to another holder when the clock is read for the first time.
    struct Meddled<'a> {
        meddle: &'a dyn Fn(),
        times: Cell<u32>,
    }

    impl Env<Real> for Meddled<'_> {
        fn now(&self) -> u64 {
            if self.times.replace(self.times.get() + 1) == 0 {
                (self.meddle)();
            }
            1_000_000
        }
        fn process_pulse(&self, _process: usize) -> Pulse<'_, Real> {
            Pulse::Alive(None)
        }
        fn thread_pulse(&self, _owner: Owner) -> Pulse<'_, Real> {
            Pulse::Alive(None)
        }
    }

    #[test]
    fn a_record_is_of_one_holder() {
        let scratch = tempfile::tempdir().unwrap();
        let options = SegmentOptions::new().directory(scratch.path().join("d"));
        let segment = options.create("read").unwrap();
        let runner = Runner::join(&segment, "old").unwrap();
        runner.progress();
        let tables = segment.session().core().tables();
        let meddle = || {
            let (group, texts) = (&tables.group, &tables.texts[0]);
            let claimed = group.member(0).claimed(0);
            assert!(group.swap_member(0, group.member(0), claimed));
            group.runners[0].renew(claimed.generation(), || true);
            texts.id.write("next");
            texts.set_activity("at work", 900_000);
            let live = claimed.with_state(State::Live);
            assert!(group.swap_member(0, claimed, live));
        };
        let env = Meddled {
            meddle: &meddle,
            times: Cell::new(0),
        };
        let view = View {
            name: "read",
            tables,
            env: &env,
        };
        let report = view.runner(Target::All, 0, Control::from_raw(0));
        assert_eq!((report.id.as_str(), report.progress), ("next", 0));
        let since = report.activity.map(|activity| activity.since.as_micros());
        assert_eq!(since, Some(100_000));
        assert_eq!(env.times.get(), 2, "it was read again");
    }
}
