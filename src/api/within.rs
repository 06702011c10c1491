//! Whose closure a thread runs, so that a call that would wait for that very closure is
//! refused at once.
//!
//! Handlers, drains, cleanups and force closures run on threads of this library. Each such
//! thread knows the runner that it works for, and the runners whose closures started that
//! one. Threads that a closure starts by itself are not known.

use std::cell::RefCell;
use std::sync::Arc;

use crate::api::core::Core;
use crate::error::CoordinationError;
use crate::phase::Phase;
use crate::segment::Identity;

thread_local! {
    static WITHIN: RefCell<Option<Arc<Within>>> = const { RefCell::new(None) };
}

/// The runner whose closure is run.
#[derive(Clone, Debug)]
pub(crate) struct Whose {
    segment: Identity,
    slot: usize,
    generation: u64,
    id: String,
}

impl Whose {
    pub(crate) fn new(core: &Core, (slot, generation): (usize, u64), id: &str) -> Self {
        Self {
            segment: core.opened().identity(),
            slot,
            generation,
            id: id.into(),
        }
    }
}

/// What a thread works for.
#[derive(Debug)]
pub(crate) struct Within {
    whose: Whose,
    /// What the thread that started it works for.
    outer: Option<Arc<Within>>,
}

impl Within {
    /// A closure of this runner, started by this thread.
    pub(crate) fn started_here(whose: Whose) -> Arc<Self> {
        Arc::new(Self {
            whose,
            outer: here(),
        })
    }

    /// This thread runs that closure, until its end.
    pub(crate) fn enter(self: Arc<Self>) {
        let _ = WITHIN.try_with(|within| within.replace(Some(self)));
    }
}

fn here() -> Option<Arc<Within>> {
    let within = WITHIN.try_with(|within| within.borrow().clone());
    within.ok().flatten()
}

/// What a call waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WaitsFor {
    /// Every runner of the group, unless its shutdown is over.
    Group,
    /// The holder of a slot of this generation.
    Runner(usize, u64),
    /// Every runner that joined this generation of the group.
    Generation(u32),
}

/// Refuses a call that would wait for a closure that it is made in.
pub(crate) fn refuse(
    core: &Core,
    call: &'static str,
    waits_for: WaitsFor,
) -> Result<(), CoordinationError> {
    let mut next = here();
    while let Some(within) = next {
        let whose = &within.whose;
        if whose.segment == core.opened().identity() && does_wait(core, whose, waits_for) {
            return Err(CoordinationError::WithinShutdown {
                id: whose.id.clone(),
                call,
            });
        }
        next = within.outer.clone();
    }
    Ok(())
}

fn does_wait(core: &Core, whose: &Whose, waits_for: WaitsFor) -> bool {
    let group = &core.tables().group;
    let is_meant = match waits_for {
        WaitsFor::Group => group.scope.control().phase() != Ok(Phase::Complete),
        WaitsFor::Runner(slot, generation) => (slot, generation) == (whose.slot, whose.generation),
        WaitsFor::Generation(generation) => group.joined(whose.slot) == generation,
    };
    is_meant && group.member(whose.slot).is_live(whose.generation)
}
