//! Waiting for the end of a shutdown, blocking or as a future: a look, and what to sleep on.

use std::time::Duration;

use crate::api::coordinator::{Aim, ShutdownCoordinator};
use crate::api::core::{Core, deadline};
use crate::api::glances::Glances;
use crate::api::reactor::Sleep;
use crate::api::report::{ShutdownOutcome, ShutdownReport};
use crate::api::request::Scope;
use crate::api::view::{Target, corrupt};
use crate::api::waiting::{Look as Looking, Wait};
use crate::api::within::{self, WaitsFor};
use crate::error::CoordinationError;
use crate::phase::Phase;
use crate::sync::{Env, Real, life};
use crate::table::Corrupt;
use crate::table::control::{Control, Stage};
use crate::table::group::{Laggard as Watched, Look};
use crate::table::member::{Member, State};
use crate::table::scope::Scope as Record;

impl ShutdownCoordinator {
    /// Blocks until the scope's shutdown is complete; if none is on, until one has
    /// begun and completed. Advances phases when that falls to this process, so no
    /// other process is needed. Woken by every phase change and by the death of the
    /// runner waited for.
    ///
    /// Returns with outcome `Cancelled` if it is called off meanwhile.
    ///
    /// Also returns when no shutdown is on and all runners of the scope have ended by
    /// themselves. The report then has no [`began`](ShutdownReport::began), and its outcome is
    /// the worst of the runners'. While no runner has joined in this generation, it waits.
    ///
    /// # Errors
    /// [`CoordinationError::TimedOut`] with the laggards by name, `NoSuchRunner`,
    /// `WithinShutdown` in a closure of a runner that it would wait for,
    /// [`SegmentError::ForkedHandle`](crate::SegmentError::ForkedHandle), `Corrupt`.
    pub fn wait_for_shutdown_complete(
        &self,
        scope: &Scope,
        timeout: Duration,
    ) -> Result<ShutdownReport, CoordinationError> {
        let core = self.checked()?;
        let began = core.now();
        let until = deadline(core, Some(timeout));
        let mut completion = Completion::new(self, scope)?;
        let waits_for = completion.waits_for();
        loop {
            core.deaths.tell(core.tables());
            if let Some(report) = completion.look()? {
                return Ok(report);
            }
            let (scope, look) = match completion.step(core).map_err(corrupt)? {
                Step::Moved => continue,
                Step::Asleep(scope, look) => (scope, look),
            };
            within::refuse(core, "wait_for_shutdown_complete", waits_for)?;
            core.opened().not_removed()?;
            if core.now() >= until {
                let laggards = self.view().laggards(completion.target);
                return Err(CoordinationError::TimedOut {
                    waited: Duration::from_micros(core.now().saturating_sub(began)),
                    phase: completion.seen.phase().map_err(corrupt)?,
                    laggards: laggards.iter().map(ToString::to_string).collect(),
                });
            }
            core.tables().group.sleep(scope, &look, None, core, until);
        }
    }

    /// As [`wait_for_shutdown_complete`](Self::wait_for_shutdown_complete), as a future and
    /// without a timeout. Phases are advanced by the attachment's waiting thread then.
    ///
    /// # Errors
    /// `NoSuchRunner`, [`SegmentError::ForkedHandle`](crate::SegmentError::ForkedHandle);
    /// the future itself `Corrupt`, or `WithinShutdown` when it is first polled in a closure
    /// of a runner that it would wait for.
    pub fn shutdown_complete(
        &self,
        scope: &Scope,
    ) -> Result<Wait<ShutdownReport>, CoordinationError> {
        self.checked()?;
        let mut completion = Completion::new(self, scope)?;
        let waits_for = completion.waits_for();
        let look: Looking<_> =
            Box::new(move |core, sleep| completion.poll(core, sleep).transpose());
        Ok(Wait::new(&self.session, look).refused_within("shutdown_complete", waits_for))
    }
}

/// One wait for the end of a shutdown.
struct Completion {
    coordinator: ShutdownCoordinator,
    /// The runner that is meant, by the name it was asked for.
    scope: Scope,
    aim: Aim,
    target: Target,
    epoch: u64,
    generation: u32,
    seen: Control,
    last: Control,
    /// No shutdown is on, and all runners of the group have ended.
    has_ended: bool,
    glances: Glances,
}

/// The runners of a group of which no shutdown is on.
enum Crew<'c> {
    /// None has joined in this generation.
    Absent,
    /// At least one has joined, and all have ended.
    Ended,
    /// One that lives.
    Living(Watched<'c, Real>),
    /// Some have joined or ended during the read.
    Moved,
}

/// What there is to do after a look that found no end.
enum Step<'c> {
    /// Look again.
    Moved,
    /// Sleep on this.
    Asleep(&'c Record<Real>, Look<'c, Real>),
}

impl Completion {
    fn new(coordinator: &ShutdownCoordinator, scope: &Scope) -> Result<Self, CoordinationError> {
        let core = coordinator.checked()?;
        let aim = coordinator.target(scope)?;
        let group = &core.tables().group;
        let (target, mut seen) = match aim {
            Aim::All => (Target::All, group.scope.control()),
            Aim::Runner { slot, own, .. } => (Target::Slot(slot), own),
        };
        let mut generation = group.generation.current();
        while target == Target::All && group.scope.control() != seen {
            // Both of one moment.
            seen = group.scope.control();
            generation = group.generation.current();
        }
        Ok(Self {
            coordinator: coordinator.clone(),
            scope: scope.clone(),
            aim,
            target,
            epoch: seen.epoch(),
            generation,
            seen,
            last: seen,
            has_ended: false,
            glances: Glances::new(core),
        })
    }

    fn waits_for(&self) -> WaitsFor {
        match self.aim {
            Aim::All => WaitsFor::Group,
            Aim::Runner { slot, member, .. } => WaitsFor::Runner(slot, member.generation()),
        }
    }

    /// The report, if what was seen last is the end.
    fn look(&mut self) -> Result<Option<ShutdownReport>, CoordinationError> {
        let Self { target, seen, .. } = *self;
        let view = self.coordinator.view();
        let group = &self.coordinator.checked()?.tables().group;
        if self.has_ended {
            return Ok(Some(view.report_of_ended(seen, self.generation)?));
        }
        let over = match self.aim {
            Aim::All => false,
            Aim::Runner { slot, member, .. } => {
                let now = group.member(slot);
                now.generation() != member.generation() || !now.is_counted()
            }
        };
        let phase = seen.phase().map_err(corrupt)?;
        let is_same = seen.epoch() == self.epoch;
        let is_over = match is_same {
            true => phase == Phase::Complete,
            // We slept through its end: a generation begins only after Complete.
            false => group.generation.current() != self.generation,
        };
        if is_over && target == Target::All {
            let ended = if is_same {
                seen
            } else {
                self.last.in_phase(Phase::Complete)
            };
            let mut report = view.report_of(target, ended, self.generation, |_| true)?;
            report.resources = view.resources_of(target);
            return Ok(Some(report));
        }
        if phase == Phase::Complete || over {
            let report = view.report(target)?;
            if let (Aim::Runner { slot, member, .. }, Scope::Runner(id)) = (self.aim, &self.scope)
                && group.member(slot).generation() != member.generation()
            {
                // The slot has a new holder; the old one's record is gone.
                return Err(CoordinationError::NoSuchRunner { id: id.clone() });
            }
            return Ok(Some(report));
        }
        if !is_same {
            let mut report = view.report(target)?;
            report.outcome = ShutdownOutcome::Cancelled;
            return Ok(Some(report));
        }
        self.last = seen;
        Ok(None)
    }

    /// Performs the advance that is due, and says whether to look again or to sleep.
    fn step<'c>(&mut self, core: &'c Core) -> Result<Step<'c>, Corrupt> {
        let group = &core.tables().group;
        self.glances.take(core)?;
        let (scope, look) = match self.aim {
            Aim::All => (&group.scope, group.advance(core)?),
            Aim::Runner { slot, .. } => (&group.runners[slot].own, group.advance_own(slot, core)?),
        };
        let control = look.control();
        let before = std::mem::replace(&mut self.seen, control);
        if control.epoch() != before.epoch() || control.stage()? != before.stage()? {
            return Ok(Step::Moved);
        }
        let Aim::Runner { slot, .. } = self.aim else {
            return self.step_idle(core, look);
        };
        // Also ends when the runner leaves or dies, even while no shutdown of it is on:
        // idle or not, watch its life word.
        let member = group.member(slot);
        let life = match member.is_counted() {
            true => group.alive(slot, member, core)?,
            false => None,
        };
        let Some(life) = life else {
            self.seen = scope.control();
            return Ok(Step::Moved);
        };
        let look = match look {
            Look::Idle(control) => Look::Blocked {
                control,
                laggard: Watched { slot, life },
                until: u64::MAX,
            },
            blocked @ Look::Blocked { .. } => blocked,
        };
        Ok(Step::Asleep(scope, look))
    }

    /// What there is to do about the group after `look`: while no shutdown is on, the wait
    /// also ends when all runners have ended, so it watches one that lives.
    fn step_idle<'c>(&mut self, core: &'c Core, look: Look<'c, Real>) -> Result<Step<'c>, Corrupt> {
        let scope = &core.tables().group.scope;
        let Look::Idle(control) = look else {
            return Ok(Step::Asleep(scope, look));
        };
        if control.stage()? != Stage::Phase(Phase::Running) {
            return Ok(Step::Asleep(scope, look));
        }
        match crew(core, control, self.generation)? {
            Crew::Absent => Ok(Step::Asleep(scope, look)),
            Crew::Moved => Ok(Step::Moved),
            Crew::Ended => {
                self.has_ended = true;
                Ok(Step::Moved)
            }
            Crew::Living(laggard) => {
                let look = Look::Blocked {
                    control,
                    laggard,
                    until: u64::MAX,
                };
                Ok(Step::Asleep(scope, look))
            }
        }
    }

    /// The report, or what to sleep on.
    fn poll<'c>(
        &mut self,
        core: &'c Core,
        sleep: &mut Sleep<'c>,
    ) -> Result<Option<ShutdownReport>, CoordinationError> {
        loop {
            if let Some(report) = self.look()? {
                return Ok(Some(report));
            }
            if let Step::Asleep(scope, look) = self.step(core).map_err(corrupt)? {
                arm(scope, &look, sleep);
                return Ok(None);
            }
        }
    }
}

/// Reads who of the group lives while no shutdown is on. Every membership word is read twice,
/// and words do not come back: what both reads agree on was so between them.
fn crew(core: &Core, control: Control, generation: u32) -> Result<Crew<'_>, Corrupt> {
    let group = &core.tables().group;
    let members: Vec<Member> = (0..group.used()).map(|slot| group.member(slot)).collect();
    let mut has_ended = false;
    for (slot, member) in members.iter().enumerate() {
        let state = member.state()?;
        if member.is_counted() {
            return Ok(match group.alive(slot, *member, core)? {
                Some(life) => Crew::Living(Watched { slot, life }),
                // Marked dead by that call.
                None => Crew::Moved,
            });
        }
        let is_ended = matches!(state, State::Left | State::Dead);
        has_ended |= is_ended && group.joined(slot) == generation;
    }
    let is_same = |(slot, member): (usize, &Member)| group.member(slot) == *member;
    if members.len() != group.used() || !members.iter().enumerate().all(is_same) {
        return Ok(Crew::Moved);
    }
    Ok(match has_ended {
        _ if group.scope.control() != control => Crew::Moved,
        true => Crew::Ended,
        false => Crew::Absent,
    })
}

/// Has `sleep` end when something about a blocked phase may have changed.
fn arm<'c>(scope: &'c Record<Real>, look: &Look<'c, Real>, sleep: &mut Sleep<'c>) {
    sleep.on(scope.cell(), look.control().futex_half());
    if let Look::Blocked { laggard, until, .. } = look {
        sleep.until(*until);
        match laggard.life {
            Some(word) => match life::arm::<Real>(word) {
                Some(value) => sleep.on_life(word, value),
                // Dead this instant: look at once.
                None => sleep.until(0),
            },
            None => sleep.soon(),
        }
    }
}
