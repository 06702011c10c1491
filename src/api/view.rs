//! Reading a whole segment without touching it: loads only, so it works on a read-only
//! mapping. Builds statuses and reports.

use std::time::Duration;

use crate::api::core::Tables;
use crate::api::detector;
use crate::api::history::History;
use crate::api::holders::pid_of;
use crate::api::outcome::whole;
use crate::api::report::{
    Activity, Outcome, PhaseReport, RunnerReport, ShutdownOutcome, ShutdownReport,
};
use crate::api::status::{Laggard, Status};
use crate::error::SegmentError;
use crate::os::{clock, process};
use crate::phase::Phase;
use crate::sync::{Env, Pulse, Real};
use crate::table::Corrupt;
use crate::table::ack::Ack;
use crate::table::control::Control;
use crate::table::member::{Member, State};
use crate::table::scope::Scope;
use core::sync::atomic::Ordering;

/// The tables, and how to learn who lives.
pub(crate) struct View<'a, E> {
    pub(crate) name: &'a str,
    pub(crate) tables: &'a Tables,
    pub(crate) env: &'a E,
}

/// The scope a report is about.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    All,
    /// A runner slot.
    Slot(usize),
}

impl<E: Env<Real>> View<'_, E> {
    /// The words of a scope; of a slot that there is.
    pub(super) fn scope_of(&self, target: Target) -> Option<&Scope<Real>> {
        let group = &self.tables.group;
        match target {
            Target::All => Some(&group.scope),
            Target::Slot(slot) => group.runners.get(slot).map(|runner| &runner.own),
        }
    }

    fn control(&self, target: Target) -> Control {
        let scope = self.scope_of(target);
        scope.map_or(Control::from_raw(0), Scope::control)
    }

    pub(super) fn entered(&self, target: Target, phase: Phase, epoch: u64) -> Option<u64> {
        self.scope_of(target)?.entered(phase, epoch)
    }

    /// The whole status.
    pub(crate) fn status(&self) -> Result<Status, SegmentError> {
        let control = self.control(Target::All);
        let phase = control.phase().map_err(corrupt)?;
        let epoch = control.epoch();
        let now = self.env.now();
        let scope = &self.tables.group.scope;
        let start = (phase != Phase::Running)
            .then(|| scope.entered(Phase::Signaling, epoch))
            .flatten();
        let end = start.and_then(|_| scope.entered(Phase::Complete, epoch));
        let deadlines = start.map(|start| scope.deadlines_from(control, start));
        let history = self.present_history();
        let runners = self.present_slots(&history);
        let laggards = runners
            .iter()
            .filter(|slot| self.lags(Target::All, **slot, control))
            .map(|slot| self.laggard(Target::All, *slot, control))
            .collect();
        let until = |instant: u64| micros(instant.saturating_sub(now));
        Ok(Status {
            segment: self.name.into(),
            generation: self.tables.group.generation.current(),
            phase,
            outcome: self.present_outcome(control, &runners),
            began: start.map(clock::wall),
            ended: end.map(clock::wall),
            mode: control.mode(),
            reason: (phase != Phase::Running).then(|| self.reason(Target::All, control)),
            shortened: start.and_then(|_| self.shortening(Target::All, control)),
            elapsed: start.map(|start| micros(end.unwrap_or(now).saturating_sub(start))),
            remaining: deadlines.map(|d| until(d.overall)),
            phase_remaining: deadlines.map(|d| until(d.phase)),
            phase_overdue: deadlines
                .filter(|_| phase != Phase::Complete)
                .map(|d| micros(now.saturating_sub(d.phase)))
                .filter(|overdue| !overdue.is_zero()),
            laggards,
            runners: runners
                .into_iter()
                .map(|slot| self.runner(Target::All, slot, control))
                .collect(),
            predecessors: history.predecessors,
            attached: self
                .tables
                .processes
                .occupied()
                .filter(|process| matches!(self.env.process_pulse(*process), Pulse::Alive(_)))
                .count(),
            lockless: self.lockless(),
            keys: crate::api::state_keys::seen_keys(self.tables),
            locks: detector::held(self.tables, self.env),
            inconsistent_locks: detector::inconsistent(self.tables),
            lock_waits: detector::wanted(self.tables, self.env),
            events: self.events().unwrap_or_default(),
            semaphores: self.semaphores(),
            barriers: self.barriers(),
            resources: self.resources_of(Target::All),
        })
    }

    /// The report of a scope's present or last shutdown.
    pub(crate) fn report(&self, target: Target) -> Result<ShutdownReport, SegmentError> {
        let mut report = self.report_showing(target, |_| true)?;
        report.resources = self.resources_of(target);
        Ok(report)
    }

    /// The same with the records of some runners only; the outcome is of all.
    pub(crate) fn report_showing(
        &self,
        target: Target,
        shows: impl Fn(usize) -> bool,
    ) -> Result<ShutdownReport, SegmentError> {
        let generation = self.tables.group.generation.current();
        self.report_of(target, self.control(target), generation, shows)
    }

    /// The report of the shutdown that `control` is of, which may be of an ended
    /// generation: then with those whose records nobody has used again.
    pub(crate) fn report_of(
        &self,
        target: Target,
        control: Control,
        generation: u32,
        shows: impl Fn(usize) -> bool,
    ) -> Result<ShutdownReport, SegmentError> {
        let phase = control.phase().map_err(corrupt)?;
        let epoch = control.epoch();
        let now = self.env.now();
        let began = self.entered(target, Phase::Signaling, epoch);
        let start = began.unwrap_or(now);
        let mut phases = Vec::new();
        for each in Phase::ACKNOWLEDGED {
            let entered = self.entered(target, each, epoch);
            let left = self.entered(target, each.next(), epoch).unwrap_or(now);
            if let (true, Some(entered)) = (each <= phase, entered) {
                phases.push(PhaseReport {
                    phase: each,
                    duration: micros(left.saturating_sub(entered)),
                });
            }
        }
        let end = self
            .entered(target, Phase::Complete, epoch)
            .filter(|_| phase == Phase::Complete);
        let history = match target {
            Target::All => self.history(generation, Some(start)),
            Target::Slot(_) => History::default(),
        };
        let slots = match target {
            Target::All => self.slots(generation, Some(start), &history),
            Target::Slot(slot) => vec![slot],
        };
        let outcomes: Vec<_> = slots
            .iter()
            .map(|slot| {
                let member = self.tables.group.member(*slot);
                self.outcome(target, *slot, member, control)
            })
            .collect();
        let ended_alone = matches!(target, Target::Slot(_)) && outcomes.iter().all(Option::is_some);
        let runners = slots
            .into_iter()
            .filter(|slot| shows(*slot))
            .map(|slot| self.runner(target, slot, control))
            .collect();
        let outcome = if phase == Phase::Complete || ended_alone {
            whole(&outcomes)
        } else {
            ShutdownOutcome::Running
        };
        Ok(ShutdownReport {
            segment: self.name.into(),
            generation,
            outcome,
            mode: control.mode(),
            reason: self.reason(target, control),
            shortened: self.shortening(target, control),
            began: began.map(clock::wall),
            ended: end.map(clock::wall),
            total: micros(end.unwrap_or(now).saturating_sub(start)),
            phases,
            runners,
            predecessors: history.predecessors,
            handlers: Vec::new(),
            resources: Vec::new(),
        })
    }

    /// Who a phase of `target` waits for, by name.
    pub(crate) fn laggards(&self, target: Target) -> Vec<Laggard> {
        let control = self.control(target);
        let slots = match target {
            Target::All => self.present_slots(&self.present_history()),
            Target::Slot(slot) => vec![slot],
        };
        slots
            .into_iter()
            .filter(|slot| self.lags(target, *slot, control))
            .map(|slot| self.laggard(target, slot, control))
            .collect()
    }

    pub(super) fn acked(&self, target: Target, slot: usize, member: Member, epoch: u64) -> Phase {
        self.ack(target, slot).acked(member.generation(), epoch)
    }

    pub(super) fn ack(&self, target: Target, slot: usize) -> Ack {
        match target {
            Target::All => self.tables.group.ack(slot),
            Target::Slot(_) => self.tables.group.own_ack(slot),
        }
    }

    pub(super) fn lags(&self, target: Target, slot: usize, control: Control) -> bool {
        let member = self.tables.group.member(slot);
        let Ok(phase) = control.phase() else {
            return false;
        };
        phase != Phase::Running
            && phase != Phase::Complete
            && member.is_counted()
            && self.acked(target, slot, member, control.epoch()) < phase
            && self.is_alive(member)
    }

    fn is_alive(&self, member: Member) -> bool {
        member
            .process()
            .is_some_and(|process| matches!(self.env.process_pulse(process), Pulse::Alive(_)))
    }

    /// Whether the kernel says that a runner's process is stopped; false where it cannot be
    /// asked, as in another pid namespace.
    pub(super) fn is_stopped(&self, slot: usize) -> bool {
        let process = self.tables.group.member(slot).process();
        let processes = &self.tables.processes;
        let Some(identity) = process.and_then(|process| processes.present(process)) else {
            return false;
        };
        process::pid_namespace().is_ok_and(|ours| ours == identity.pid_namespace)
            && process::is_stopped(identity.pid, identity.start_time)
    }

    fn laggard(&self, target: Target, slot: usize, control: Control) -> Laggard {
        let report = self.runner(target, slot, control);
        let epoch = control.epoch();
        let member = self.tables.group.member(slot);
        // The first that it has not done; a forced one goes before the present one.
        let present = control.phase().unwrap_or(Phase::Running);
        let phase = self.acked(target, slot, member, epoch).next().min(present);
        let entered = self.entered(target, phase, epoch);
        let since = entered.map_or(0, |entered| self.env.now().saturating_sub(entered));
        Laggard {
            id: report.id,
            pid: report.pid,
            stopped: self.is_stopped(slot),
            phase,
            since: micros(since),
            in_flight: report.in_flight,
            activity: report.activity,
            locks_held: report.locks_held,
            lock_wanted: report.lock_wanted,
        }
    }

    pub(super) fn runner_now(&self, target: Target, slot: usize, control: Control) -> RunnerReport {
        let group = &self.tables.group;
        let (runner, texts) = (&group.runners[slot], &self.tables.texts[slot]);
        let member = group.member(slot);
        let epoch = control.epoch();
        let now = self.env.now();
        let (scope, times) = match target {
            Target::All => (&group.scope, &runner.group_times),
            Target::Slot(_) => (&runner.own, &runner.own_times),
        };
        let start = self.entered(target, Phase::Signaling, epoch);
        let after = |stamp: Option<u64>| Some(micros(stamp?.saturating_sub(start?)));
        let acked = self.acked(target, slot, member, epoch);
        let alive = member.is_counted() && self.is_alive(member);
        let generation = member.generation();
        let process = member.process().filter(|_| alive);
        let (locks_held, lock_wanted) = self.locks_of(process);
        let outcome = self.outcome(target, slot, member, control);
        let id = texts.id.read().0;
        let earlier = runner.past.read(group.joined(slot));
        // A stopped one that was late is stopped after the end, too.
        let is_done = matches!(
            outcome,
            Some(Outcome::Completed | Outcome::CompletedWithFailures)
        );
        RunnerReport {
            failures: self.failures_of(target, slot, member, epoch, &id),
            untold_failures: runner.untold(generation),
            late: self.late(target, slot, member, control),
            id,
            pid: process.map_or(runner.pid.load(Ordering::Acquire) as u32, |p| {
                pid_of(self.tables, p)
            }),
            alive,
            dead: member.state() == Ok(State::Dead) || member.is_counted() && !alive,
            ended: after(self.ended(slot, member)),
            stopped: alive && !is_done && self.is_stopped(slot),
            outcome,
            blocked_in: self.blocked_in(target, slot, member, control),
            observed: after(times.observed_in(scope, epoch)),
            acknowledged: core::array::from_fn(|i| {
                let done = Phase::ACKNOWLEDGED[i] <= acked;
                after(times.done_in(scope, i, epoch).filter(|_| done))
            }),
            in_flight: runner.gate.count(generation),
            progress: runner.progress(generation),
            activity: texts.activity().map(|(text, since)| Activity {
                text,
                since: micros(now.saturating_sub(since)),
            }),
            locks_held,
            lock_wanted,
            last_words: texts.last_words.read().0,
            own_phase: runner.own.control().phase().unwrap_or(Phase::Running),
            restarts: earlier.deaths,
            last_death: earlier.last.map(clock::wall),
        }
    }
}

pub(crate) fn corrupt(what: Corrupt) -> SegmentError {
    SegmentError::Corrupt {
        what: what.0.into(),
    }
}

fn micros(micros: u64) -> Duration {
    Duration::from_micros(micros)
}
