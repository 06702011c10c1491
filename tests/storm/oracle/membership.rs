//! Phases, drains, generations and joins: who must be there, and who must be gone.
//!
//! Each registration has a status word in its [line](crate::ledger::line): whether it is a
//! member, of which generation, and the last phase it has done. *Done* is written before
//! the phase is acknowledged (by the last handler of the phase, or before `acknowledge`),
//! *leaving* before it leaves, *joined* after the join returned. So a status that says
//! "member of g, has done d" was true when it was loaded, whatever was stopped: it may
//! have done more, but it had not acknowledged more, and it had not left. Whether it was
//! alive is known from the doom: not doomed *after* the load, it was alive at the load.
//!
//! - *No phase passes without a member* ([`phase_was_seen`]), in patient rounds only: there
//!   no budget ends, no shutdown is cancelled and no mode is `Immediate`, so a phase may be
//!   published only after everybody has acknowledged the one before. A generation then has
//!   one shutdown, so the phase never goes back while the generation lasts: what was seen
//!   before a line is loaded is in effect at the load. A member that has not done the phase
//!   before the one that was seen was left out. A join that returns later with that
//!   generation is none: it was admitted while the group was running, so it is counted.
//! - *Draining waits for work*, in patient rounds only: Closing was seen, and an item of a living member was begun
//!   and is not about to be finished, at one instant after that; or the thread that has the
//!   item sees Closing itself ([`work_is_in_flight`]).
//!   And work that is asked for after Draining was seen is refused ([`work_was_let_in`]).
//! - *Generations do not overlap* ([`generation_has_begun`]), in all rounds: a generation
//!   begins when all members of the one before have left or died. A process that sees a new one (it
//!   began it, or joined it) and then loads a status "member of an older one" of a process
//!   that is not doomed has found an overlap. In `run_shutdown`, which leaves by itself, a
//!   member counts in patient rounds until it has done Closing, and in others not at all.
//! - *`wait_gone` is right* ([`is_still_here`]): a member that has not begun to
//!   leave finds that `wait_gone` has returned for its generation. A joiner that was
//!   stopped in the middle and was admitted into a shutdown that is over finds just that.
//! - *Joins are admitted into Running* ([`was_admitted`]): into a generation that was not
//!   complete before the join was asked for.

use ebbtide::Phase;

use crate::ledger::act::Act;
use crate::ledger::line::Line;
use crate::ledger::{Head, Ledger};

/// Before a join: the last generation known to be complete.
pub fn before_join(ledger: &Ledger) -> u64 {
    ledger.get(Head::Complete)
}

/// The join has returned, and its line says so; `complete` was read before it.
pub fn was_admitted(line: Line<'_>, complete: u64) {
    let generation = line.generation();
    line.ledger.ensure(u64::from(generation) > complete, || {
        let who = line.who();
        format!("{who} was admitted into generation {generation}, though {complete} was complete")
    });
    is_still_here(line);
    generation_has_begun(line.ledger, generation, || line.who());
}

/// Asked by a member that has not begun to leave.
pub fn is_still_here(line: Line<'_>) {
    let (generation, gone) = (line.generation(), line.ledger.get(Head::Gone));
    line.ledger.ensure(u64::from(generation) > gone, || {
        let who = line.who();
        format!("{who} is a member of generation {generation}, but generation {gone} had gone")
    });
}

/// This generation has begun: `by` began it, or has joined it.
pub fn generation_has_begun(ledger: &Ledger, generation: u32, by: impl Fn() -> String) {
    let is_patient = ledger.is_patient();
    for line in ledger.all_lines() {
        let status = line.status();
        let is_old = status.is_member(is_patient) && status.generation() < generation;
        ledger.ensure(!is_old || line.may_be_dead(), || {
            let (who, by, old) = (line.who(), by(), status.generation());
            format!("generation {generation} has begun for {by}; {who} is a member of {old}")
        });
    }
}

/// The group was seen in this phase of this generation. Says nothing in rounds in which a
/// phase may be forced.
pub fn phase_was_seen(ledger: &Ledger, generation: u32, phase: Phase, by: impl Fn() -> String) {
    if !ledger.is_patient() || phase < Phase::Draining {
        return;
    }
    for line in ledger.all_lines() {
        let status = line.status();
        if !status.is_member(true) || status.generation() != generation {
            continue;
        }
        let is_done = status.done() + 1 >= phase as u64;
        ledger.ensure(is_done || line.may_be_dead(), || {
            let (who, by, done) = (line.who(), by(), status.done());
            format!("{phase} of generation {generation} was published for {by}; {who} has done {done} of 3 phases")
        });
        let works = phase >= Phase::Closing && !line.is_joiner() && line.is_working();
        ledger.ensure(!works || line.may_be_dead(), || {
            let (who, by) = (line.who(), by());
            format!("{phase} of generation {generation} was published for {by}; {who} has an item in flight in {phase}")
        });
    }
    ledger.count(Act::Phase);
}

/// An item was begun; `before` is the runner's phase as it was seen before.
pub fn work_was_let_in(line: Line<'_>, before: Phase) {
    let is_late = line.ledger.is_patient() && before >= Phase::Draining;
    line.ledger.ensure(!is_late, || {
        format!("{} was let in with new work in {before}", line.who())
    });
}

/// An item of the caller is in flight; `phase` is its runner's after it was begun.
pub fn work_is_in_flight(line: Line<'_>, phase: Phase) {
    let is_late = line.ledger.is_patient() && phase >= Phase::Closing;
    line.ledger.ensure(!is_late, || {
        format!("{} has an item in flight in {phase}", line.who())
    });
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;
    use crate::ledger::line::{Count, State};
    use crate::ledger::scratch;
    use crate::plan::Kind;

    fn patient() -> (tempfile::TempDir, Ledger) {
        let (directory, ledger) = scratch();
        let kind = Kind::Patient as u64;
        ledger.head(Head::Kind).store(kind, Ordering::Relaxed);
        (directory, ledger)
    }

    fn member(ledger: &Ledger, process: usize, generation: u32) -> Line<'_> {
        let line = Line::take(ledger, process);
        line.set_joined(generation);
        line
    }

    fn see(ledger: &Ledger, generation: u32, phase: Phase) -> u64 {
        phase_was_seen(ledger, generation, phase, || "the test".into());
        ledger.get(Head::Violations)
    }

    fn begin(ledger: &Ledger, generation: u32) -> u64 {
        generation_has_begun(ledger, generation, || "the test".into());
        ledger.get(Head::Violations)
    }

    #[test]
    fn a_phase_that_everybody_has_done_may_pass() {
        let (_directory, ledger) = patient();
        let [first, second] = [1, 2].map(|process| member(&ledger, process, 7));
        // Neither of this generation, nor a member, nor alive.
        let _ = member(&ledger, 3, 6);
        member(&ledger, 4, 7).set_state(State::Leaving);
        let _ = (member(&ledger, 5, 7), ledger.doom(5));
        let _ = Line::take(&ledger, 6);
        for (done, next) in [
            (Phase::Signaling, Phase::Draining),
            (Phase::Draining, Phase::Closing),
            (Phase::Closing, Phase::Complete),
        ] {
            first.set_done(done);
            second.set_done(done);
            assert_eq!(see(&ledger, 7, next), 0, "{:?}", ledger.violations());
        }
    }

    #[test]
    fn a_phase_that_passes_without_a_stopped_member_is_caught() {
        let (_directory, ledger) = patient();
        let [first, stopped] = [1, 2].map(|process| member(&ledger, process, 7));
        first.set_done(Phase::Signaling);
        assert_eq!(see(&ledger, 7, Phase::Signaling), 0);
        assert_eq!(see(&ledger, 7, Phase::Draining), 1);
        assert!(ledger.violations()[0].contains(&stopped.id()));
        // Forced in other rounds: nothing is said.
        let mixed = Kind::Mixed as u64;
        ledger.head(Head::Kind).store(mixed, Ordering::Relaxed);
        assert_eq!(see(&ledger, 7, Phase::Draining), 1);
    }

    #[test]
    fn work_in_flight_in_closing_is_caught() {
        let (_directory, ledger) = patient();
        let line = member(&ledger, 1, 7);
        line.add(2, Count::Begun);
        line.set_done(Phase::Draining);
        assert_eq!(see(&ledger, 7, Phase::Draining), 0);
        assert_eq!(see(&ledger, 7, Phase::Closing), 1);
        line.add(2, Count::Leaving);
        assert_eq!(see(&ledger, 7, Phase::Closing), 1);
        work_was_let_in(line, Phase::Signaling);
        assert_eq!(ledger.get(Head::Violations), 1);
        work_was_let_in(line, Phase::Draining);
        assert_eq!(ledger.get(Head::Violations), 2);
        work_is_in_flight(line, Phase::Draining);
        assert_eq!(ledger.get(Head::Violations), 2);
        work_is_in_flight(line, Phase::Closing);
        assert_eq!(ledger.get(Head::Violations), 3);
    }

    #[test]
    fn generations_that_overlap_are_caught() {
        let (_directory, ledger) = scratch();
        let [gone, driving, dead] = [1, 2, 3].map(|process| member(&ledger, process, 7));
        gone.set_state(State::Leaving);
        driving.set_state(State::Driving);
        ledger.doom(3);
        let _ = dead;
        assert_eq!(begin(&ledger, 7), 0);
        assert_eq!(begin(&ledger, 8), 0, "{:?}", ledger.violations());
        let left = member(&ledger, 4, 7);
        assert_eq!(begin(&ledger, 8), 1);
        left.set_state(State::Closed);
        assert_eq!(begin(&ledger, 8), 1);
    }

    #[test]
    fn in_patient_rounds_one_that_drives_counts_until_it_has_done_all() {
        let (_directory, ledger) = patient();
        let driving = member(&ledger, 1, 7);
        driving.set_state(State::Driving);
        assert_eq!(begin(&ledger, 8), 1);
        driving.set_done(Phase::Closing);
        assert_eq!(begin(&ledger, 8), 1);
    }

    #[test]
    fn a_join_into_what_is_over_is_caught() {
        let (_directory, ledger) = scratch();
        let complete = before_join(&ledger);
        let line = member(&ledger, 1, 7);
        was_admitted(line, complete);
        assert_eq!(ledger.get(Head::Violations), 0);
        // While it was stopped in the join.
        ledger.raise(Head::Gone, 7);
        was_admitted(line, complete);
        assert_eq!(ledger.get(Head::Violations), 1);
        ledger.raise(Head::Complete, 8);
        let late = member(&ledger, 2, 8);
        was_admitted(late, before_join(&ledger));
        assert!(
            ledger.get(Head::Violations) > 1,
            "{:?}",
            ledger.violations()
        );
    }
}
