//! One generation after the other: beginning the next, and waiting for the last to be gone.

use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::api::coordinator::ShutdownCoordinator;
use crate::api::core::{Core, deadline};
use crate::api::view::corrupt;
use crate::api::waiting::{Look, Wait};
use crate::api::within::{self, WaitsFor};
use crate::error::CoordinationError;
use crate::limits;
use crate::note::{Kind, Note};
use crate::sync::{Env, Mem, Pulse, Real};
use crate::table::liveness::Verdict;
use crate::table::member::State;
use crate::table::renewal::Renewal;
use crate::table::slots::Kernel;

impl ShutdownCoordinator {
    /// Begins the next generation after Complete; returns its number. New runners may
    /// join then. Dead runners of the old one are counted out first; living ones must
    /// have left, so that generations never overlap.
    ///
    /// # Errors
    /// [`CoordinationError::NotComplete`], `Occupied` with a runner that still lives.
    pub fn begin_generation(&self) -> Result<u32, CoordinationError> {
        let core = self.checked()?;
        let renewal = core
            .tables()
            .group
            .begin_next(core, |control| self.view().count_ended(control));
        match renewal.map_err(corrupt)? {
            Renewal::Begun(generation) => {
                begun(core, generation);
                Ok(generation)
            }
            Renewal::NotComplete(generation, phase) => {
                Err(CoordinationError::NotComplete { generation, phase })
            }
            Renewal::Occupied(generation, slot, member) => Err(CoordinationError::Occupied {
                generation,
                id: core.tables().texts[slot].id.read().0,
                pid: member.process().map_or(0, |process| core.pid_of(process)),
            }),
        }
    }

    /// Blocks until no runner of a generation lives any more: each has left or died, and
    /// the processes of the dead are gone with all they held.
    ///
    /// # Errors
    /// [`CoordinationError::Occupied`] with one that is left when the timeout passes;
    /// `WithinShutdown` in a closure of such a runner.
    pub fn wait_gone(&self, generation: u32, timeout: Duration) -> Result<(), CoordinationError> {
        let core = self.checked()?;
        let group = &core.tables().group;
        let until = deadline(core, Some(timeout));
        loop {
            let control = group.fenced_control();
            let left = (0..group.used()).find_map(|slot| self.holds_generation(slot, generation));
            let Some((slot, process)) = left else {
                return Ok(());
            };
            core.opened().not_removed()?;
            if core.now() >= until {
                return Err(CoordinationError::Occupied {
                    generation,
                    id: core.tables().texts[slot].id.read().0,
                    pid: core.pid_of(process),
                });
            }
            within::refuse(core, "wait_gone", WaitsFor::Generation(generation))?;
            // No notice tells that a process is *gone*; a dying one takes as long as
            // its memory. Look every 10 ms, sooner when the control word moves.
            let soon = core.now().saturating_add(limits::PORTABLE_POLL_MICROS);
            let word = group.scope.cell();
            let _ = Real::wait(word, control.futex_half(), until.min(soon));
        }
    }

    /// As [`wait_gone`](Self::wait_gone), as a future and without a timeout.
    ///
    /// # Errors
    /// Of the future: [`CoordinationError::WithinShutdown`] when it is first polled in a closure
    /// of such a runner; [`SegmentError::ForkedHandle`](crate::SegmentError::ForkedHandle).
    pub fn gone(&self, generation: u32) -> Wait<()> {
        let coordinator = self.clone();
        let look: Look<_> = Box::new(move |core, sleep| {
            let group = &core.tables().group;
            let control = group.fenced_control();
            let mut slots = 0..group.used();
            if !slots.any(|slot| coordinator.holds_generation(slot, generation).is_some()) {
                return Some(Ok(()));
            }
            sleep.on(group.scope.cell(), control.futex_half());
            sleep.soon();
            None
        });
        Wait::new(&self.session, look).refused_within("gone", WaitsFor::Generation(generation))
    }

    /// Slot and process, if the slot's runner is of the generation and not gone.
    fn holds_generation(&self, slot: usize, generation: u32) -> Option<(usize, usize)> {
        let core = self.session.core();
        let group = &core.tables().group;
        let member = group.member(slot);
        let process = member.process()?;
        if group.joined(slot) != generation {
            return None;
        }
        // Loaded before the signs are asked for.
        let word = core.tables().processes.word(process);
        let is_gone = || core.verdict(process, word) == Verdict::Gone;
        let is_there = match member.state().ok()? {
            State::Live => match core.process_pulse(process) {
                Pulse::Alive(_) => true,
                Pulse::Dead => {
                    group.count_out(slot, member, core.as_ref());
                    !is_gone()
                }
            },
            // Once it is gone it is reaped, and the slot word is free. Its process slot may
            // have a new holder, who is somebody else.
            State::Dead => {
                let holder = group.runners[slot]
                    .process_generation
                    .load(Ordering::Relaxed);
                !word.is_free() && word.generation() == holder && !is_gone()
            }
            _ => false,
        };
        is_there.then_some((slot, process))
    }
}

/// Writes down that this process has begun a generation.
pub(crate) fn begun(core: &Core, generation: u32) {
    core.note_now(Note::new(Kind::Renewed).argument(u64::from(generation)));
}
