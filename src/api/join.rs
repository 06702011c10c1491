//! Registering a process as a runner.

use std::sync::Arc;
use std::time::Duration;

use crate::api::coordinator::ShutdownCoordinator;
use crate::api::core::{Core, deadline};
use crate::api::generations;
use crate::api::holders::holders;
use crate::api::names::check_name;
use crate::api::runner::Runner;
use crate::api::segment::Segment;
use crate::api::session::Session;
use crate::api::signals;
use crate::api::view::{Target, View, corrupt};
use crate::error::{CoordinationError, SegmentError};
use crate::limits;
use crate::note::{Kind, Note};
use crate::phase::Phase;
use crate::sync::Env;
use crate::table::control::Control;
use crate::table::group::Look;
use crate::table::join::{Claimed, Joined};

/// How often a join is tried again when another joiner of the same id is under way.
const JOIN_TRIES: usize = 16;

impl Runner {
    /// Registers this process under an id of 1 to 64 bytes, unique among living runners.
    ///
    /// After the shutdown of a group that nobody had joined, begins the next generation and
    /// joins that. See [`join_or_begin`](Self::join_or_begin) for a second start in general.
    ///
    /// # Errors
    /// [`CoordinationError::ShuttingDown`] when a shutdown is on or over (no slot is
    /// used), also for an id that a living runner has; `DuplicateRunner`, `InvalidName`, and
    /// [`SegmentError::Full`] with who holds the slots.
    pub fn join(segment: &Segment, id: &str) -> Result<Self, CoordinationError> {
        check_name(id)?;
        let session = segment.session();
        let core = session.core();
        core.check()?;
        core.opened().probe()?;
        let mut refusal = CoordinationError::DuplicateRunner {
            id: id.into(),
            pid: 0,
        };
        for _ in 0..JOIN_TRIES {
            match Self::try_join(session, core, id) {
                Ok(Some(runner)) => {
                    signals::joined(&runner);
                    return Ok(runner);
                }
                Ok(None) => std::thread::yield_now(),
                Err(error) => {
                    refusal = error;
                    break;
                }
            }
        }
        Err(over_by_shutdown(core, refusal))
    }

    /// Registers this process as [`join`](Self::join) does; if a shutdown is on or over, waits
    /// until it is Complete and the runners of that generation are gone, and begins the next
    /// generation or joins the one that another process began. With a timeout of zero it
    /// never waits.
    ///
    /// Processes that call it at once become members of the same generation.
    ///
    /// # Errors
    /// When the timeout has passed: [`CoordinationError::ShuttingDown`] while the shutdown is
    /// on, `Occupied` with a runner that still lives. Otherwise as `join`.
    ///
    /// # Examples
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use ebbtide::{Runner, Scope, SegmentOptions, ShutdownCoordinator, ShutdownRequest};
    ///
    /// # let scratch = tempfile::tempdir()?;
    /// # let options = SegmentOptions::new().directory(scratch.path().join("d"));
    /// let segment = options.open_or_create("job")?;
    /// for _ in 0..2 {
    ///     let runner = Runner::join_or_begin(&segment, "worker", Duration::from_secs(30))?;
    ///     let coordinator = ShutdownCoordinator::new(&segment);
    ///     coordinator.initiate_shutdown(&Scope::All, &ShutdownRequest::new())?;
    ///     runner.run_shutdown()?;
    /// }
    /// assert_eq!(ShutdownCoordinator::new(&segment).status()?.generation, 2);
    /// # Ok(())
    /// # }
    /// ```
    pub fn join_or_begin(
        segment: &Segment,
        id: &str,
        timeout: Duration,
    ) -> Result<Self, CoordinationError> {
        let coordinator = ShutdownCoordinator::new(segment);
        let core = segment.session().core().as_ref();
        core.check()?;
        let until = deadline(core, Some(timeout));
        // Each turn returns, waits, or follows a step to another phase.
        loop {
            let refused = match Self::join(segment, id) {
                Err(error @ CoordinationError::ShuttingDown { .. }) => error,
                joined => return joined,
            };
            match coordinator.begin_generation() {
                Ok(_) => {}
                Err(CoordinationError::NotComplete { .. }) => {
                    let group = &core.tables().group;
                    let look = group.advance(core).map_err(|c| core.corrupt(c))?;
                    // Idle: Running, or Complete.
                    if let Look::Blocked { .. } = look {
                        if core.now() >= until {
                            return Err(refused);
                        }
                        group.sleep(&group.scope, &look, None, core, until);
                    }
                }
                Err(CoordinationError::Occupied { generation, .. }) if core.now() < until => {
                    let left = until.saturating_sub(core.now());
                    coordinator.wait_gone(generation, Duration::from_micros(left))?;
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn try_join(
        session: &Arc<Session>,
        core: &Arc<Core>,
        id: &str,
    ) -> Result<Option<Self>, CoordinationError> {
        let tables = core.tables();
        let group = &tables.group;
        let same = |other: usize| tables.texts[other].id.is(id);
        // A join that is refused claims no slot: check the group, then its runners.
        let control = group.renewed_control().map_err(|c| core.corrupt(c))?;
        if control.is_shutting_down() {
            return unless_of_nobody(core, control);
        }
        let taken = group.taken(None, core.as_ref(), same);
        match taken.map_err(|c| core.corrupt(c))? {
            Some(Joined::Duplicate(other)) => return Err(duplicate(core, other, id)),
            Some(_) => return Ok(None),
            None => {}
        }
        // The claim may take one of the records that this is read from.
        let earlier = group.earlier(same);
        let current = group.generation.current();
        let claim = || {
            let claimed = group.claim(core.process(), core.as_ref());
            claimed.map_err(|c| core.corrupt(c))
        };
        let mut claimed = claim()?;
        if matches!(claimed, Claimed::Full) {
            core.reap();
            claimed = claim()?;
        }
        let claim = match claimed {
            Claimed::Slot(claim) => claim,
            Claimed::Refused(control) => return unless_of_nobody(core, control),
            Claimed::Full => {
                let living = (0..group.used()).filter_map(|slot| group.member(slot).process());
                return Err(CoordinationError::Segment(SegmentError::Full {
                    table: "runners",
                    capacity: limits::MAX_RUNNERS,
                    held_by: holders(tables, living),
                }));
            }
        };
        let texts = &tables.texts[claim.slot];
        // A swept claimant's slot is another's; then publishing it fails.
        if group.is_claimed(claim) {
            texts.id.write(id);
            texts.activity.write("");
            texts.last_words.write("");
            texts.cause.write("");
            group.runners[claim.slot].past.write(earlier, current);
        }
        let generation = tables.processes.word(core.process()).generation();
        group.describe(claim, std::process::id(), generation);
        let same = |other: usize| tables.texts[other].id.is(id);
        let joined = group
            .publish(claim, core.as_ref(), same)
            .map_err(|c| core.corrupt(c))?;
        match joined {
            Joined::Live(generation) => {
                let note = Note::new(Kind::Joined).runner(claim.slot, claim.generation);
                core.note_now(note.argument(u64::from(core.pid())).text(id));
                Ok(Some(Self::new(session, claim, generation, id)))
            }
            Joined::Contended => Ok(None),
            Joined::Duplicate(other) => Err(duplicate(core, other, id)),
            Joined::Refused(control) => unless_of_nobody(core, control),
        }
    }
}

/// Returns the shutdown instead of a taken id or a full table if one has begun since the join
/// read the phase: the join would be refused in any case.
fn over_by_shutdown(core: &Core, refusal: CoordinationError) -> CoordinationError {
    let is_taken = matches!(
        refusal,
        CoordinationError::DuplicateRunner { .. }
            | CoordinationError::Segment(SegmentError::Full { .. })
    );
    match core.tables().group.renewed_control() {
        Ok(control) if is_taken && control.is_shutting_down() => refused(core, control),
        _ => refusal,
    }
}

fn duplicate(core: &Core, other: usize, id: &str) -> CoordinationError {
    let process = core.tables().group.member(other).process();
    CoordinationError::DuplicateRunner {
        id: id.into(),
        pid: process.map_or(0, |process| core.pid_of(process)),
    }
}

/// Refuses a join, but after a shutdown that had no runner: then the join is to be retried
/// in the generation that this call begins.
fn unless_of_nobody(core: &Core, control: Control) -> Result<Option<Runner>, CoordinationError> {
    let view = View {
        name: core.opened().name().as_str(),
        tables: core.tables(),
        env: core,
    };
    let group = &core.tables().group;
    let begun = group.begin_after_nobody(|control| view.count_ended(control));
    match begun.map_err(|c| core.corrupt(c))? {
        Some(generation) => {
            generations::begun(core, generation);
            Ok(None)
        }
        None => Err(refused(core, control)),
    }
}

fn refused(core: &Core, control: Control) -> CoordinationError {
    let view = View {
        name: core.opened().name().as_str(),
        tables: core.tables(),
        env: core,
    };
    let phase = match control.phase().map_err(corrupt) {
        Ok(phase) => phase,
        Err(error) => return error.into(),
    };
    let now = core.now();
    if phase == Phase::Complete {
        return CoordinationError::ShuttingDown {
            phase,
            reason: view.reason(Target::All, control).to_string(),
            remaining: Duration::ZERO,
        };
    }
    let start = core.tables().group.scope.started(control.epoch(), now);
    let deadlines = core.tables().group.scope.deadlines_from(control, start);
    CoordinationError::ShuttingDown {
        phase,
        reason: view.reason(Target::All, control).to_string(),
        remaining: Duration::from_micros(deadlines.overall.saturating_sub(now)),
    }
}
