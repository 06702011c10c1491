//! A registered process.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::api::core::{Core, Tables};
use crate::api::driver::Driver;
use crate::api::left::{Left, Writing, Written};
use crate::api::noticing::Noticed;
use crate::api::report::ShutdownReport;
use crate::api::resource::Shared as Resources;
use crate::api::session::Session;
use crate::api::standing::Standing;
use crate::api::view::{Target, View};
use crate::error::CoordinationError;
use crate::note::{Kind, Note, OWN};
use crate::phase::{Mode, Phase};
use crate::segment::Within;
use crate::sync::{Env, Real};
use crate::table::control::Control;
use crate::table::join::Claim;
use crate::table::runner::{Runner as Record, Texts};
use crate::table::scope::Scope;

/// A runner: this process, registered under an id, counted by every phase.
///
/// All methods take `&self`; share it by reference or `Arc` among threads. Dropping it
/// leaves ([`leave`](Self::leave)).
///
/// # Examples
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use ebbtide::{Runner, SegmentOptions};
///
/// # let scratch = tempfile::tempdir()?;
/// # let options = SegmentOptions::new().directory(scratch.path().join("d"));
/// let segment = options.create("job")?;
/// let runner = Runner::join(&segment, "runner-1")?;
/// if !runner.is_shutting_down() {
///     let item = runner.begin()?; // counted until it is dropped
///     // … work …
///     drop(item);
/// }
/// runner.leave();
/// # Ok(())
/// # }
/// ```
pub struct Runner {
    session: Arc<Session>,
    /// The group's scope and this runner's record, at hand.
    group: Within<Core, Scope<Real>>,
    record: Within<Core, Record<Real>>,
    slot: usize,
    /// Of the slot.
    generation: u64,
    group_generation: u32,
    id: String,
    /// Keeps this process's threads apart where the segment has one writer, and ends with the
    /// runner.
    pub(super) writing: Arc<Writing>,
    /// What it has done, and what it has registered.
    standing: Arc<Standing>,
    pub(super) left: Left,
    pub(super) noticed: Noticed,
    /// The report of the shutdown it went through; locked while it does.
    finished: Mutex<Option<ShutdownReport>>,
}

impl Runner {
    pub(crate) fn new(
        session: &Arc<Session>,
        claim: Claim,
        group_generation: u32,
        id: &str,
    ) -> Self {
        let core = session.core();
        let standing = Arc::new(Standing::new((claim.slot, claim.generation)));
        session.stands(&standing);
        Self {
            session: Arc::clone(session),
            group: Within::new(core, |core| &core.tables().group.scope),
            record: Within::new(core, |core| &core.tables().group.runners[claim.slot]),
            slot: claim.slot,
            generation: claim.generation,
            group_generation,
            id: id.into(),
            writing: Arc::clone(&standing.writing),
            standing,
            left: Left::default(),
            noticed: Noticed::default(),
            finished: Mutex::new(None),
        }
    }

    /// The id this runner registered under.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The generation of the group that this runner joined, from 1.
    #[must_use]
    pub fn generation(&self) -> u32 {
        self.group_generation
    }

    /// Whether a shutdown of the group or of this runner is on or over, or it has left:
    /// two atomic loads of the segment and one of this handle, no call, no lock, while none is
    /// on. Level-triggered: once true it stays true for every thread, unless the shutdown is
    /// cancelled.
    ///
    /// The first time that it is true it acknowledges Signaling, as this runner knows of the
    /// shutdown from now on: what it finishes before it calls
    /// [`run_shutdown`](Self::run_shutdown) is charged to Draining. A runner with a handler of
    /// Signaling acknowledges that phase in `run_shutdown`, which runs it. The same holds for
    /// [`wait_for_shutdown`](Self::wait_for_shutdown), its future and its descriptor, and for
    /// [`begin`](Self::begin) that refuses. [`phase`](Self::phase) only looks, also in a signal
    /// handler.
    #[inline]
    #[must_use]
    pub fn is_shutting_down(&self) -> bool {
        let (group, own) = self.controls();
        // Three loads, of which no one waits for another, and one comparison.
        let is_on = Control::any_shutting_down([group, own, self.left.control()]);
        if is_on {
            self.notice(group, own, true);
        }
        is_on
    }

    /// The furthest phase of the group's and this runner's own shutdown; Complete once
    /// it has left.
    #[must_use]
    pub fn phase(&self) -> Phase {
        if self.left.is_set() {
            return Phase::Complete;
        }
        let (group, own) = self.controls();
        let phase = |control: Control| control.phase().unwrap_or(Phase::Complete);
        phase(group).max(phase(own))
    }

    /// The harder of the modes under way.
    #[must_use]
    pub fn mode(&self) -> Mode {
        let (group, own) = self.controls();
        group.mode().max(own.mode())
    }

    /// How long the present phase may still take before it is forced, for programs that
    /// acknowledge by hand (a handler is given its deadline). The shorter one if both the
    /// group and this runner alone are shut down; zero when it is over; `None` while no
    /// shutdown is on. An extension may lengthen it. Never blocks.
    #[must_use]
    pub fn phase_remaining(&self) -> Option<Duration> {
        match Driver::new(self).deadline_micros() {
            u64::MAX => None,
            until => {
                let left = until.saturating_sub(self.core().now());
                Some(Duration::from_micros(left))
            }
        }
    }

    /// Whether in-flight work should stop early: the mode is Fast or Immediate.
    #[inline]
    #[must_use]
    pub fn should_abort(&self) -> bool {
        self.mode() >= Mode::Fast
    }

    /// Counts a step of progress: the proof that [`extend`](Self::extend) asks for.
    pub fn progress(&self) {
        if self.check().is_ok() {
            self.record().count_progress(self.slot_generation());
        }
    }

    /// Says what this runner is doing, for whoever looks from outside; cut to 120
    /// bytes. An empty text takes it back.
    pub fn set_activity(&self, text: &str) {
        if self.check().is_ok()
            && let Ok(_writing) = self.writing()
        {
            self.texts().set_activity(text, self.core().now());
        }
    }

    /// Publishes this runner's last words, at most 256 bytes. They stay readable after
    /// its end, however it ends, until its slot is used again. The last ones stand.
    ///
    /// # Errors
    /// `Left`; [`SegmentError::ForkedHandle`](crate::SegmentError::ForkedHandle).
    pub fn set_last_words(&self, text: &str) -> Result<(), CoordinationError> {
        self.check()?;
        let _writing = self.writing()?;
        self.texts().last_words.write(text);
        Ok(())
    }

    /// Asks for more time for the present phase; returns what was granted, which may be
    /// less. All runners get it, as the deadlines are everybody's.
    ///
    /// # Errors
    /// [`CoordinationError::NoProgress`] unless [`progress`](Self::progress) moved since
    /// the last extension; `CapReached` when the overall cap leaves nothing;
    /// `NotShuttingDown`; `Left`.
    pub fn extend(&self, more: Duration) -> Result<Duration, CoordinationError> {
        self.check()?;
        let record = self.record();
        let (group, own) = self.controls();
        let core = self.core();
        let (scope, control, of) =
            if group.is_shutting_down() && group.phase() != Ok(Phase::Complete) {
                (&core.tables().group.scope, group, 0)
            } else if own.is_shutting_down() && own.phase() != Ok(Phase::Complete) {
                (&record.own, own, OWN)
            } else {
                return Err(CoordinationError::NotShuttingDown);
            };
        let _writing = self.writing()?;
        let generation = self.slot_generation();
        let progress =
            record
                .progress_to_extend(generation)
                .ok_or_else(|| CoordinationError::NoProgress {
                    id: self.id.clone(),
                    progress: record.progress(generation),
                })?;
        let more = u64::try_from(more.as_micros()).unwrap_or(u64::MAX);
        let granted = scope.extend(control, more, core.now());
        if granted == 0 {
            return Err(CoordinationError::CapReached);
        }
        record.extended(generation, progress);
        let note = Note::new(Kind::Extended).detail(of).argument(granted);
        core.note_now(
            note.runner(self.slot, self.generation)
                .epoch(control.epoch()),
        );
        Ok(Duration::from_micros(granted))
    }

    /// Records that this runner has seen the shutdown.
    pub(crate) fn observe(&self, group: Control, own: Control) {
        let record = self.record();
        let scopes = [
            (group, &record.group_times, &*self.group),
            (own, &record.own_times, &record.own),
        ];
        for (control, times, scope) in scopes {
            if control.is_shutting_down() {
                times.observe(scope, control.epoch(), self.core().now());
            }
        }
    }

    #[inline]
    pub(crate) fn controls(&self) -> (Control, Control) {
        (self.group.control(), self.record.own.control())
    }

    /// The outcome of all, the record of this runner. Records of everybody in every
    /// runner's report would make the end of a shutdown cost N² records.
    pub(crate) fn own_report(&self, target: Target) -> Result<ShutdownReport, CoordinationError> {
        let shows = |slot| slot == self.slot;
        let mut report = self.view().report_showing(target, shows)?;
        report.resources = self.view().resources_of(Target::Slot(self.slot));
        if let Some(resources) = self.resources() {
            resources.add_errors(&mut report.resources);
        }
        Ok(report)
    }

    pub(super) fn view(&self) -> View<'_, Core> {
        View {
            name: self.core().opened().name().as_str(),
            tables: self.tables(),
            env: self.core(),
        }
    }

    pub(crate) fn session(&self) -> &Arc<Session> {
        &self.session
    }
    #[inline]
    pub(crate) fn core(&self) -> &Arc<Core> {
        self.record.whole()
    }
    pub(super) fn tables(&self) -> &Tables {
        self.core().tables()
    }
    #[inline]
    pub(crate) fn record(&self) -> &Record<Real> {
        &self.record
    }
    pub(super) fn texts(&self) -> &Texts<Real> {
        &self.tables().texts[self.slot]
    }
    /// Slot and its generation.
    #[inline]
    pub(crate) fn key(&self) -> (usize, u64) {
        (self.slot, self.generation)
    }

    /// Of the slot; what this runner's words in the segment bear.
    #[inline]
    pub(super) fn slot_generation(&self) -> u64 {
        self.generation
    }

    pub(super) fn finished(&self) -> MutexGuard<'_, Option<ShutdownReport>> {
        self.finished.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a write into this runner's record, after the one in progress; the error is
    /// that it has left. Not in a forked child.
    pub(super) fn writing(&self) -> Result<Written<'_>, CoordinationError> {
        let written = self.writing.begin();
        let is_live = || {
            self.tables()
                .group
                .member(self.slot)
                .is_live(self.generation)
        };
        written.filter(|_| is_live()).ok_or_else(|| self.spent())
    }

    pub(super) fn standing(&self) -> &Standing {
        &self.standing
    }

    /// What it has registered, if anything.
    pub(crate) fn resources(&self) -> Option<&Arc<Resources>> {
        self.standing.resources.get()
    }

    pub(crate) fn resources_or_new(&self) -> &Arc<Resources> {
        self.standing.resources.get_or_init(|| {
            let (session, writing) = (Arc::clone(&self.session), Arc::clone(&self.writing));
            Arc::new(Resources::new(session, self.key(), &self.id, writing))
        })
    }

    pub(crate) fn check(&self) -> Result<(), CoordinationError> {
        if self.core().is_spent() || self.left.is_set() {
            return Err(self.spent());
        }
        Ok(())
    }

    #[cold]
    pub(super) fn spent(&self) -> CoordinationError {
        if let Err(error) = self.core().check() {
            return error.into();
        }
        CoordinationError::Left {
            id: self.id.clone(),
        }
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.fail("dropped by a panic");
        }
        self.leave();
    }
}

impl fmt::Debug for Runner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runner")
            .field("id", &self.id)
            .field("slot", &self.slot)
            .field("phase", &self.phase())
            .finish_non_exhaustive()
    }
}
