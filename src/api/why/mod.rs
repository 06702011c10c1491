//! Why a shutdown takes so long, in plain sentences: from the phase to who holds it up, to
//! what that one is doing or waiting for, and on to whoever has that.

mod chain;
mod details;
mod unwell;

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use crate::api::holders::pid_of;
use crate::api::report::{Outcome, Reason, RunnerReport, ShutdownOutcome};
use crate::api::text::{count, moment, plain, time};
use crate::api::timeline::{CriticalStep, Timeline};
use crate::api::view::{Target, View, corrupt};
use crate::error::CoordinationError;
use crate::phase::Phase;
use crate::sync::{Env, Real};
use crate::table::control::Control;
use crate::table::member::{Member, State};

/// Blockers that are explained one by one.
const MOST_BLOCKERS: usize = 8;
/// A phase is forced by whoever sees its deadline pass; later than this, nobody has.
const OVERDUE: Duration = Duration::from_millis(100);
/// Steps of the critical path that are told.
const MOST_STEPS: usize = 5;

/// An explanation; as text, one sentence a line.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Why {
    /// Name of the segment.
    pub segment: String,
    /// Where the group stands.
    pub phase: Phase,
    /// Ids of the runners that hold the present phase up.
    pub blockers: Vec<String>,
    /// What there is to say, in order.
    pub sentences: Vec<String>,
    /// What the present or last shutdown spent its time on.
    pub critical_path: Vec<CriticalStep>,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for sentence in &self.sentences {
            writeln!(f, "{sentence}")?;
        }
        Ok(())
    }
}

/// One explanation under way.
struct Telling<'v, 'a, E> {
    view: &'v View<'a, E>,
    control: Control,
    now: u64,
    /// Slots that are explained already.
    told: BTreeSet<usize>,
    sentences: Vec<String>,
}

impl<E: Env<Real>> View<'_, E> {
    /// Explains what holds the group up, or what one runner is at.
    pub(crate) fn why(&self, runner: Option<&str>) -> Result<Why, CoordinationError> {
        let asked = match runner {
            Some(id) => {
                let missing = || CoordinationError::NoSuchRunner { id: id.into() };
                Some(self.find(id).ok_or_else(missing)?)
            }
            None => None,
        };
        let control = self.tables.group.scope.control();
        let phase = control.phase().map_err(corrupt)?;
        let timeline = self.timeline()?;
        let mut telling = Telling {
            view: self,
            control,
            now: self.env.now(),
            told: BTreeSet::new(),
            sentences: Vec::new(),
        };
        telling.opening(phase, timeline.as_ref());
        let blocking: Vec<usize> = self
            .present_slots(&self.present_history())
            .into_iter()
            .filter(|slot| self.lags(Target::All, *slot, control))
            .collect();
        match asked {
            Some((slot, member)) => telling.asked(slot, member, blocking.contains(&slot)),
            None => telling.blockers(phase, &blocking),
        }
        let critical_path = timeline.as_ref().map(|t| t.critical_path.clone());
        if let Some(timeline) = timeline.as_ref().filter(|_| runner.is_none()) {
            telling.failures(timeline);
            telling.spent(timeline);
        }
        let id = |slot: usize| self.tables.texts[slot].id.read().0;
        Ok(Why {
            segment: self.name.into(),
            phase,
            blockers: blocking.into_iter().map(id).collect(),
            sentences: telling.sentences.iter().map(|text| plain(text)).collect(),
            critical_path: critical_path.unwrap_or_default(),
        })
    }
}

impl<E: Env<Real>> Telling<'_, '_, E> {
    fn say(&mut self, sentence: String) {
        self.sentences.push(sentence);
    }

    fn ago(&self, at: u64) -> String {
        time(Duration::from_micros(self.now.saturating_sub(at)))
    }

    fn id(&self, slot: usize) -> String {
        let texts = self.view.tables.texts.get(slot);
        texts.map(|texts| texts.id.read().0).unwrap_or_default()
    }

    /// Where the group stands, and how long it may take.
    fn opening(&mut self, phase: Phase, timeline: Option<&Timeline>) {
        let name = self.view.name;
        let generation = self.view.tables.group.generation.current();
        let Some(timeline) = timeline.filter(|_| phase != Phase::Running) else {
            self.say(format!(
                "{name} is running, in generation {generation}: no shutdown is on."
            ));
            if let Some(last) = timeline {
                let how = match last.outcome {
                    ShutdownOutcome::Cancelled => "was called off after",
                    _ => "took",
                };
                self.say(format!(
                    "The last one, of generation {}, {how} {}.",
                    last.generation,
                    time(last.total)
                ));
            }
            return;
        };
        let why = asked_by(&timeline.reason);
        let began = moment::utc(timeline.began);
        if phase == Phase::Complete {
            let outcome = match timeline.outcome {
                ShutdownOutcome::Completed => "everybody completed",
                ShutdownOutcome::Died if !has_completed(timeline) => {
                    "somebody died or failed, nobody completed"
                }
                ShutdownOutcome::Died => "somebody died or failed, all others completed",
                ShutdownOutcome::Abandoned => "somebody went away midway, nobody died or was late",
                ShutdownOutcome::CompletedWithFailures => "everybody completed, with failures",
                _ => "somebody was late",
            };
            let ended = timeline.ended.map(moment::ago).unwrap_or_default();
            self.say(format!(
                "{name} was shut down in {} of {} (generation {generation}, {}, {why}): {outcome}{}.",
                time(timeline.total),
                time(timeline.budget),
                timeline.mode,
                self.casualties(timeline),
            ));
            self.say(format!("It began {began} and ended {ended}."));
            self.details(timeline);
            return;
        }
        let until = |deadline: Duration| time(deadline.saturating_sub(timeline.total));
        let last = timeline.phases.last();
        let phase_left = last.map(|phase| until(phase.deadline));
        let overdue = last.map(|phase| timeline.total.saturating_sub(phase.deadline));
        self.say(format!(
            "{name} has been shutting down for {} since {began} ({}, {why}).",
            time(timeline.total),
            timeline.mode
        ));
        self.details(timeline);
        if let Some(overdue) = overdue.filter(|overdue| *overdue >= OVERDUE) {
            self.say(format!(
                "It is in {phase}, overdue by {}; nobody who runs is there to force it: `ebbtide wait {name}`.",
                time(overdue)
            ));
            return;
        }
        self.say(format!(
            "It is in {phase}, which goes on without the late ones in {}; {} are left for everything.",
            phase_left.unwrap_or_default(),
            until(timeline.budget)
        ));
    }

    /// Who was late, died or failed, each with the first phase that it had not done.
    fn casualties(&self, timeline: &Timeline) -> String {
        let mut told = String::new();
        for how in ["late", "died", "failed", "abandoned", "with failures"] {
            let runners = timeline.runners.iter();
            let those: Vec<_> = runners
                .filter(|runner| runner.outcome.as_ref().and_then(casualty) == Some(how))
                .collect();
            if those.is_empty() {
                continue;
            }
            let mut names: Vec<String> = Vec::new();
            for runner in those.iter().take(MOST_BLOCKERS) {
                let mut about: Vec<String> = Vec::new();
                about.extend(runner.blocked_in.map(|phase| phase.to_string()));
                let slot = self.view.find(&runner.id).map(|(slot, _)| slot);
                if slot.is_some_and(|slot| self.view.is_stopped(slot)) {
                    about
                        .push("its process is stopped: continue it (kill -CONT) or kill it".into());
                }
                names.push(match about.is_empty() {
                    true => runner.id.clone(),
                    false => format!("{} ({})", runner.id, about.join(", ")),
                });
            }
            if those.len() > names.len() {
                names.push(format!("and {} more", those.len() - names.len()));
            }
            told.push_str(&format!("; {how}: {}", names.join(", ")));
        }
        told
    }

    fn blockers(&mut self, phase: Phase, slots: &[usize]) {
        if slots.is_empty() {
            match phase {
                Phase::Running => self.unwell(),
                Phase::Complete => {}
                _ => self.say("It waits for nobody: whoever looks next goes on.".into()),
            }
            return;
        }
        for slot in slots.iter().take(MOST_BLOCKERS) {
            let scope = &self.view.tables.group.scope;
            let entered = scope.entered(phase, self.control.epoch());
            let since = entered.map_or(String::new(), |at| format!(" for {}", self.ago(at)));
            let who = self.introduced(*slot);
            self.say(format!(
                "It has waited for {who}{since}: that one has not acknowledged {phase}."
            ));
            self.chain(*slot);
        }
        if slots.len() > MOST_BLOCKERS {
            let more = count(slots.len() - MOST_BLOCKERS, "more runner");
            self.say(format!("It waits for {more}, too."));
        }
    }

    /// A runner with its process id.
    fn introduced(&self, slot: usize) -> String {
        let tables = self.view.tables;
        let process = tables.group.member(slot).process();
        match process.map_or(0, |process| pid_of(tables, process)) {
            0 => self.id(slot),
            pid => format!("{} (pid {pid})", self.id(slot)),
        }
    }

    /// One runner, whether or not anybody waits for it.
    fn asked(&mut self, slot: usize, member: Member, is_blocking: bool) {
        let who = self.introduced(slot);
        let report = self.view.runner(Target::All, slot, self.control);
        let state = member.state();
        let phase = self.control.phase().unwrap_or(Phase::Running);
        if is_blocking {
            self.say(format!(
                "It waits for {who}: that one has not acknowledged {phase}."
            ));
            self.chain(slot);
            return;
        }
        if let Some(Outcome::TimedOut | Outcome::Forced) = report.outcome {
            let in_phase = report.blocked_in.map(|phase| format!(" in {phase}"));
            self.say(format!(
                "{} was late{}: the shutdown went on without it.",
                report.id,
                in_phase.unwrap_or_default()
            ));
        }
        if let Some(phase) = report.late_but_done() {
            let id = &report.id;
            self.say(format!("{id} was late in {phase}, and caught up in time."));
        }
        for failure in &report.failures {
            self.say(format!("{failure}."));
        }
        match state {
            Ok(State::Dead) => self.ended(slot, &report, "was found dead"),
            Ok(State::Left) => self.ended(slot, &report, "left"),
            _ if !report.alive => {
                self.say(format!("{who} is dead: whoever looks next counts it out."));
                self.last_record(slot);
            }
            _ => {
                let own = self.view.tables.group.runners[slot].own.control();
                let done = Phase::ACKNOWLEDGED.into_iter().zip(report.acknowledged);
                let mut done = done.filter_map(|(phase, at)| Some((phase, at?)));
                let last = done.next_back();
                self.say(match last {
                    _ if self.view.lags(Target::Slot(slot), slot, own) => format!(
                        "{who} is shut down alone, and has not acknowledged {}.",
                        report.own_phase
                    ),
                    Some((phase, at)) => format!(
                        "Nobody waits for {who}: it acknowledged {phase} {} after the start.",
                        time(at)
                    ),
                    None => format!("Nobody waits for {who}."),
                });
                self.chain(slot);
            }
        }
    }

    fn ended(&mut self, slot: usize, report: &RunnerReport, how: &str) {
        let tables = self.view.tables;
        let member = tables.group.member(slot);
        let ended = tables.group.runners[slot].ended(member.generation());
        let ago = ended.map_or(String::new(), |at| format!(" {} ago", self.ago(at)));
        let before = match report.blocked_in {
            Some(phase) => format!(", before it had acknowledged {phase}"),
            None => String::new(),
        };
        let who = self.introduced(slot);
        self.say(format!("{who} {how}{ago}{before}."));
        if let Some(activity) = &report.activity {
            self.say(format!("It was at: {}.", activity.text));
        }
        if !report.last_words.is_empty() {
            self.say(format!("Its last words: {}.", report.last_words));
        }
        self.last_record(slot);
    }

    /// Who was late and caught up, and what failed.
    fn failures(&mut self, timeline: &Timeline) {
        let done = [Outcome::Completed, Outcome::CompletedWithFailures];
        for runner in &timeline.runners {
            let is_done = runner.outcome.as_ref().is_some_and(|it| done.contains(it));
            if let Some(phase) = runner.late.filter(|_| is_done) {
                let id = &runner.id;
                self.say(format!("{id} was late in {phase}, and caught up in time."));
            }
        }
        let all = || timeline.runners.iter().flat_map(|runner| &runner.failures);
        for failure in all().take(MOST_BLOCKERS) {
            self.say(format!("{failure}."));
        }
        if all().count() > MOST_BLOCKERS {
            let more = count(all().count() - MOST_BLOCKERS, "more failure");
            self.say(format!("There is {more}: see the report."));
        }
    }

    /// The largest parts of the critical path.
    fn spent(&mut self, timeline: &Timeline) {
        let mut steps: Vec<&CriticalStep> = timeline.critical_path.iter().collect();
        steps.sort_by_key(|step| std::cmp::Reverse(step.took()));
        let worth = |step: &&&CriticalStep| step.took() * 20 >= timeline.total;
        let mut told: Vec<_> = steps.iter().filter(worth).take(MOST_STEPS).collect();
        told.sort_by_key(|step| step.from);
        for step in told {
            self.say(spent_on(step, timeline.total));
        }
    }
}

/// `3.2 s of 3.4 s: runner-2 closing kv-cache, which waited for runner-1/client.`
fn spent_on(step: &CriticalStep, total: Duration) -> String {
    format!("{} of {}: {step}.", time(step.took()), time(total))
}

fn has_completed(timeline: &Timeline) -> bool {
    let mut outcomes = timeline.runners.iter().map(|runner| &runner.outcome);
    outcomes.any(|outcome| *outcome == Some(Outcome::Completed))
}

fn asked_by(reason: &Reason) -> String {
    match reason.pid {
        0 => reason.to_string(),
        pid => format!("{reason}, asked by pid {pid}"),
    }
}

/// What became of a runner whose end was not in order.
fn casualty(outcome: &Outcome) -> Option<&'static str> {
    match outcome {
        Outcome::TimedOut | Outcome::Forced => Some("late"),
        Outcome::Died => Some("died"),
        Outcome::Failed { .. } => Some("failed"),
        Outcome::Abandoned => Some("abandoned"),
        Outcome::CompletedWithFailures => Some("with failures"),
        _ => None,
    }
}
