//! What became of a runner, and of all: judged from the words, by whoever asks.

use crate::api::report::{Outcome, Reason, RunnerReport, ShutdownOutcome};
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
        let is_over = self.ack(target, slot).is_over(generation, epoch);
        let verdict = runner.verdict(generation);
        let done = match self.has_failures(target, slot, member, epoch) {
            // Of one that was late, it is known whether it was ended by force then.
            _ if (is_over || acked < Phase::Closing) && verdict == Verdict::Forced => {
                Outcome::Forced
            }
            _ if is_over || acked < Phase::Closing => Outcome::TimedOut,
            true => Outcome::CompletedWithFailures,
            false => Outcome::Completed,
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
        match verdict {
            Verdict::Failed => {
                let cause = self.tables.texts[slot].cause.read().0;
                return Some(Outcome::Failed { cause });
            }
            Verdict::Forced => return Some(Outcome::Forced),
            Verdict::Abandoned => return Some(Outcome::Abandoned),
            Verdict::None => {}
        }
        match member.state() {
            // It left in order, perhaps before it had anything to do.
            Ok(State::Left) if acked < Phase::Closing => {
                let is_flawed = self.has_failures(target, slot, member, epoch);
                Some(match is_flawed {
                    true => Outcome::CompletedWithFailures,
                    false => Outcome::Completed,
                })
            }
            Ok(State::Dead) if acked < Phase::Closing => Some(Outcome::Died),
            Ok(State::Left | State::Dead) => Some(done),
            Ok(State::Live) if acked >= Phase::Closing => Some(done),
            _ => None,
        }
    }

    pub(crate) fn reason(&self, target: Target, control: Control) -> Reason {
        let epoch = control.epoch();
        let (request, text) = match target {
            Target::All => (&self.tables.group.scope.request, &self.tables.reason),
            Target::Slot(slot) => (
                &self.tables.group.runners[slot].own.request,
                &self.tables.texts[slot].reason,
            ),
        };
        Reason {
            code: control.code(),
            text: request.text(epoch, text).unwrap_or_default(),
            pid: request.terms(epoch).pid,
        }
    }

    /// The first phase that went on without a runner which has not missed the overall deadline.
    pub(super) fn late(
        &self,
        target: Target,
        slot: usize,
        member: Member,
        control: Control,
    ) -> Option<Phase> {
        let (ack, epoch) = (self.ack(target, slot), control.epoch());
        let generation = member.generation();
        let missed = ack.missed(generation, epoch);
        missed.filter(|_| !ack.is_over(generation, epoch))
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
        let ack = self.ack(target, slot);
        let acked = self.acked(target, slot, member, epoch);
        let phase = control.phase().unwrap_or(Phase::Complete);
        // One that has caught up is late, and blocks nothing any more.
        let has_timed_out = ack.is_over(member.generation(), epoch)
            || acked < Phase::Closing && phase == Phase::Complete;
        let missed = ack.missed(member.generation(), epoch);
        if missed.is_some() && has_timed_out {
            return missed;
        }
        let left = matches!(member.state(), Ok(State::Left));
        (acked < phase.min(Phase::Closing) && !left).then(|| acked.next())
    }
}

/// The whole in one word: the worst that happened to anybody.
pub(super) fn whole(outcomes: &[Option<Outcome>]) -> ShutdownOutcome {
    let has = |wanted: fn(&Outcome) -> bool| outcomes.iter().flatten().any(wanted);
    if has(|o| matches!(o, Outcome::TimedOut | Outcome::Forced)) {
        ShutdownOutcome::TimedOut
    } else if has(|o| matches!(o, Outcome::Died | Outcome::Failed { .. })) {
        ShutdownOutcome::Died
    } else if has(|o| matches!(o, Outcome::Abandoned)) {
        ShutdownOutcome::Abandoned
    } else if has(|o| matches!(o, Outcome::CompletedWithFailures)) {
        ShutdownOutcome::CompletedWithFailures
    } else {
        ShutdownOutcome::Completed
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::sync::{Owner, Pulse};
    use std::time::Duration;

    use crate::{Runner, Scope, SegmentOptions, ShutdownCoordinator, ShutdownRequest};

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

    /// Its own shutdown is over, and it goes away in the middle of that of all.
    #[test]
    fn what_is_told_after_the_end_changes_no_outcome() {
        let scratch = tempfile::tempdir().unwrap();
        let options = SegmentOptions::new().directory(scratch.path().join("d"));
        let segment = options.create("end").unwrap();
        let [one, _other] = ["one", "other"].map(|id| Runner::join(&segment, id).unwrap());
        one.register_shutdown_handler(Phase::Closing, 0, "close", |_| ())
            .unwrap();
        let coordinator = ShutdownCoordinator::new(&segment);
        let request = ShutdownRequest::new().timeout(Duration::from_secs(3600));
        let its_own = Scope::runner("one");
        coordinator.initiate_shutdown(&its_own, &request).unwrap();
        for phase in Phase::ACKNOWLEDGED {
            one.acknowledge(phase).unwrap();
        }
        let outcome = || {
            coordinator.report(&its_own).unwrap().runners[0]
                .outcome
                .clone()
        };
        assert_eq!(outcome(), Some(Outcome::Completed));
        coordinator
            .initiate_shutdown(&Scope::All, &request)
            .unwrap();
        // So that the end and what is told later have different times.
        let end = segment.session().core().now();
        while segment.session().core().now() == end {}
        one.leave();
        assert_eq!(outcome(), Some(Outcome::Completed));
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
