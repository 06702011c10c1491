//! Checking a whole segment, and what was found.

use std::collections::HashSet;
use std::fmt;
use std::time::Duration;

use crate::api::core::Core;
use crate::api::observer::Observer;
use crate::api::segment::Segment;
use crate::api::signs::Signs;
use crate::error::SegmentError;
use crate::layout::Layout;
use crate::limits::{MAX_PERMITS, MAX_PLACES, MAX_RUNNERS};
use crate::segment::Body;
use crate::sync::{Mem, Real};
use crate::table::check::{self, At, Gravity, Invariant, Look, Roll, Suspicion, Witness};
use crate::table::liveness::Verdict;
use crate::table::slots::ProcessWord;

/// Pauses between the looks: what stands unmoved in all of them is told.
const PAUSES: [Duration; 2] = [Duration::from_millis(2), Duration::from_millis(20)];

/// One thing that is wrong with a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// Which invariant does not hold.
    pub invariant: Invariant,
    /// How bad it is.
    pub gravity: Gravity,
    /// Where: table, index, and the name if it has one.
    pub place: String,
    /// What was found there.
    pub what: String,
}

impl Finding {
    /// What to do about it.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match (self.gravity, self.invariant) {
            (Gravity::Left, _) => {
                "repair it now (`ebbtide check --repair`), or leave it to whoever needs it next"
            }
            (Gravity::Broken, Invariant::Header) => {
                "end its users and remove the segment (`ebbtide rm --force`): nobody can open it"
            }
            (Gravity::Broken, _) => {
                "end its users, remove the segment (`ebbtide rm --force`) and begin anew"
            }
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.invariant.number();
        write!(
            f,
            "{} {}: {} {}",
            number, self.invariant, self.place, self.what
        )
    }
}

/// What a check found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckReport {
    /// What is wrong now, in the order of the invariants.
    pub findings: Vec<Finding>,
    /// What was wrong before the repair, and is not any more; empty without one.
    pub repaired: Vec<Finding>,
}

impl CheckReport {
    /// Whether every invariant holds, and the dead have left nothing.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.findings.is_empty()
    }

    /// Whether nothing but the header was looked at.
    pub(super) fn is_torn(&self) -> bool {
        matches!(&self.findings[..], [one] if one.invariant == Invariant::Header)
    }

    /// How bad the worst finding is; `None` for a sound segment.
    #[must_use]
    pub fn worst(&self) -> Option<Gravity> {
        self.findings.iter().map(|finding| finding.gravity).max()
    }
}

impl Segment {
    /// Checks every invariant of the segment, in use or not. Changes nothing, waits for
    /// nobody and takes some milliseconds; where something looks wrong it looks again,
    /// and tells only what stands unmoved, so steps under way are no findings.
    ///
    /// Of each invariant at most 100 findings are told.
    ///
    /// Another process may break the segment or die at any time, so an answer is of the
    /// time of the call.
    ///
    /// # Errors
    /// [`SegmentError::ForkedHandle`]; `Io` when the kernel refuses to tell of the file.
    ///
    /// # Examples
    /// ```
    /// # fn main() -> Result<(), ebbtide::SegmentError> {
    /// use ebbtide::SegmentOptions;
    ///
    /// # let scratch = tempfile::tempdir().unwrap();
    /// # let options = SegmentOptions::new().directory(scratch.path().join("d"));
    /// let segment = options.create("job-7")?;
    /// assert!(segment.check()?.is_sound());
    /// # Ok(())
    /// # }
    /// ```
    pub fn check(&self) -> Result<CheckReport, SegmentError> {
        let core = self.session().core();
        core.check()?;
        if let Some(fault) = core.opened().fault()? {
            return Ok(torn(&fault));
        }
        Ok(report(core.tables(), core.as_ref()))
    }
}

impl Observer {
    /// Checks every invariant from outside, as [`Segment::check`] does.
    ///
    /// # Errors
    /// [`SegmentError::Io`] when the kernel refuses to tell of the file.
    pub fn check(&self) -> Result<CheckReport, SegmentError> {
        if let Some(fault) = self.fault()? {
            return Ok(torn(&fault));
        }
        Ok(report(self.tables(), self))
    }
}

impl Witness<Real> for Observer {
    fn weigh(&self, process: usize, word: ProcessWord) -> Verdict {
        Signs::weigh(self, process, word)
    }
}

impl<M: Mem> Witness<M> for Core<M>
where
    Layout<M>: Body,
{
    fn weigh(&self, process: usize, word: ProcessWord) -> Verdict {
        match process == self.process() {
            true => Verdict::Living,
            false => Signs::weigh(self, process, word),
        }
    }
}

fn report<W: Witness<Real>>(tables: &Layout<Real>, witness: &W) -> CheckReport {
    let findings = suspicions(tables, witness)
        .into_iter()
        .map(|suspicion| told(tables, &suspicion))
        .collect();
    CheckReport {
        findings,
        repaired: Vec::new(),
    }
}

/// A segment whose header or size is not its own: nothing else is looked at.
fn torn(fault: &SegmentError) -> CheckReport {
    let finding = Finding {
        invariant: Invariant::Header,
        gravity: Gravity::Broken,
        place: "header".into(),
        what: fault.to_string(),
    };
    CheckReport {
        findings: vec![finding],
        repaired: Vec::new(),
    }
}

/// What stands unmoved in several looks.
pub(crate) fn suspicions<M: Mem, W: Witness<M>>(tables: &Layout<M>, witness: &W) -> Vec<Suspicion> {
    let mut standing = look(tables, witness);
    for pause in PAUSES {
        if standing.is_empty() {
            break;
        }
        std::thread::sleep(pause);
        let seen: HashSet<Suspicion> = look(tables, witness).into_iter().collect();
        standing.retain(|suspicion| seen.contains(suspicion));
    }
    standing.sort_by_key(|suspicion| (suspicion.invariant, suspicion.at.1));
    standing
}

fn look<M: Mem, W: Witness<M>>(tables: &Layout<M>, witness: &W) -> Vec<Suspicion> {
    let mut look = Look::new(witness);
    let Layout {
        processes, threads, ..
    } = tables;
    let roll = Roll {
        group: &tables.group,
        texts: &tables.texts,
        processes,
    };
    check::processes(&mut look, processes);
    check::threads(&mut look, threads, processes);
    check::group(&mut look, &roll);
    check::failures(&mut look, &tables.failures);
    for (index, lock) in tables.locks.iter().enumerate() {
        check::lock(&mut look, At("lock", index), lock, threads);
    }
    check::waits(&mut look, &tables.waits, threads);
    check::order(&mut look, &tables.order);
    check::names(&mut look, "lock", &tables.lock_names);
    check::names(&mut look, "condition variable", &tables.condvar_names);
    check::names(&mut look, "event", &tables.event_names);
    check::names(&mut look, "semaphore", &tables.semaphore_names);
    check::names(&mut look, "barrier", &tables.barrier_names);
    let adding = [
        tables.lock_names.adding(),
        tables.condvar_names.adding(),
        tables.event_names.adding(),
        tables.semaphore_names.adding(),
        tables.barrier_names.adding(),
    ];
    for (index, adding) in adding.into_iter().enumerate() {
        check::lock(&mut look, At("lock of a directory", index), adding, threads);
    }
    for (index, event) in tables.events.iter().enumerate() {
        check::event(&mut look, index, event, threads);
    }
    for (index, semaphore) in tables.semaphores.iter().enumerate() {
        check::semaphore(&mut look, index, semaphore, threads);
    }
    for (index, barrier) in tables.barriers.iter().enumerate() {
        check::barrier(&mut look, index, barrier, threads);
    }
    check::store(&mut look, &tables.store, threads);
    check::resources::<_, _, _, _, MAX_RUNNERS>(
        &mut look,
        &tables.resources,
        &tables.resource_texts,
        processes,
    );
    look.found
}

/// A suspicion as people read it.
fn told(tables: &Layout<Real>, suspicion: &Suspicion) -> Finding {
    let At(table, index) = suspicion.at;
    let name = match table {
        "runner" => tables.texts.get(index).map(|texts| texts.id.read().0),
        "lock" | "lock order" => tables.lock_names.name(index),
        "condition variable" => tables.condvar_names.name(index),
        "event" | "lock of setters" => tables.event_names.name(index),
        "semaphore" => tables.semaphore_names.name(index),
        "permit" => tables.semaphore_names.name(index / MAX_PERMITS),
        "barrier" => tables.barrier_names.name(index),
        "place" => tables.barrier_names.name(index / MAX_PLACES),
        "resource" => tables.resource_texts.get(index).map(|t| t.name.read().0),
        _ => None,
    };
    let place = match name.filter(|name| !name.is_empty()) {
        Some(name) => format!("{table} {index} {name:?}"),
        None => format!("{table} {index}"),
    };
    Finding {
        invariant: suspicion.invariant,
        gravity: suspicion.gravity,
        place,
        what: suspicion.what.into(),
    }
}
