//! Registering a process as a runner.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::api::core::{Core, holders};
use crate::api::names::check_name;
use crate::api::runner::Runner;
use crate::api::segment::Segment;
use crate::api::session::Session;
use crate::api::view::{Target, View, corrupt};
use crate::error::{CoordinationError, SegmentError};
use crate::limits;
use crate::note::{Kind, Note};
use crate::sync::Env;
use crate::table::control::Control;
use crate::table::join::{Claimed, Joined};

/// How often a join is tried again when another joiner of the same id is under way.
const JOIN_TRIES: usize = 16;

impl Runner {
    /// Registers this process under an id of 1 to 64 bytes, unique among living runners.
    ///
    /// # Errors
    /// [`CoordinationError::ShuttingDown`] when a shutdown is on or over (no slot is
    /// used), `DuplicateRunner`, `InvalidName`, and [`SegmentError::Full`] with who holds
    /// the slots.
    pub fn join(segment: &Segment, id: &str) -> Result<Self, CoordinationError> {
        check_name(id)?;
        let session = segment.session();
        let core = session.core();
        core.check()?;
        core.opened().probe()?;
        for _ in 0..JOIN_TRIES {
            match Self::try_join(session, core, id)? {
                Some(runner) => return Ok(runner),
                None => std::thread::yield_now(),
            }
        }
        Err(CoordinationError::DuplicateRunner {
            id: id.into(),
            pid: 0,
        })
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
            return Err(refused(core, control));
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
            Claimed::Refused(control) => return Err(refused(core, control)),
            Claimed::Full => {
                let living = (0..group.used()).filter_map(|slot| group.member(slot).process());
                return Err(CoordinationError::Segment(SegmentError::Full {
                    table: "runners",
                    capacity: limits::MAX_RUNNERS,
                    held_by: holders(tables, living),
                }));
            }
        };
        let (runner, texts) = (&group.runners[claim.slot], &tables.texts[claim.slot]);
        texts.id.write(id);
        texts.activity.write("");
        texts.last_words.write("");
        texts.cause.write("");
        runner
            .pid
            .store(u64::from(std::process::id()), Ordering::Release);
        runner.past.write(earlier, current);
        let generation = tables.processes.word(core.process()).generation();
        runner
            .process_generation
            .store(generation, Ordering::Release);
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
            Joined::Refused(control) => Err(refused(core, control)),
        }
    }
}

fn duplicate(core: &Core, other: usize, id: &str) -> CoordinationError {
    let process = core.tables().group.member(other).process();
    CoordinationError::DuplicateRunner {
        id: id.into(),
        pid: process.map_or(0, |process| core.pid_of(process)),
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
    let start = core.tables().group.scope.started(control.epoch(), now);
    let deadlines = core.tables().group.scope.deadlines_from(control, start);
    CoordinationError::ShuttingDown {
        phase,
        reason: view.reason(Target::All, control).to_string(),
        remaining: Duration::from_micros(deadlines.overall.saturating_sub(now)),
    }
}
