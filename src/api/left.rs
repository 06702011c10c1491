//! Whether a handle's runner has left: as one more word that is read beside the control words
//! of the segment, and under the lock of those who write into the runner's record.
//!
//! Texts are written by plain stores, so nothing but this lock keeps a thread that was stopped
//! in the middle from writing into the record of the slot's next holder. A writer reads under
//! the lock whether the runner has left; leaving says so under the lock, before it gives the
//! slot up. So leaving waits for a writer in progress, and a later writer writes nothing.
//! A stopped writer delays the leaving of its own process's runner and nothing else. The lock
//! is held for stores and loads only: no code of the user runs under it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::table::control::Control;

/// Zero, a scope that is running, until it is set; then one that is complete.
///
/// Stored with release and read with acquire; where it is read relaxed, it decides nothing
/// but itself.
#[derive(Debug, Default)]
pub(super) struct Left(AtomicU64);

impl Left {
    /// As a control word.
    #[inline]
    pub(super) fn control(&self) -> Control {
        Control::from_raw(self.0.load(Ordering::Relaxed))
    }

    #[inline]
    pub(super) fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire) != 0
    }

    /// Sets it; only by [`Writing::end`].
    fn set(&self) {
        self.0.store(Control::COMPLETE.raw(), Ordering::Release);
    }
}

/// The right of this process's threads to write into a runner's record, one at a time, until
/// the runner leaves.
///
/// Not to be asked for in a forked child: a thread of the parent may hold it for ever.
#[derive(Debug, Default)]
pub(crate) struct Writing(Mutex<bool>);

/// A write in progress.
#[must_use]
pub(crate) struct Written<'a> {
    _has_left: MutexGuard<'a, bool>,
}

impl Writing {
    /// Begins a write, after the one in progress; `None` once the runner has left.
    pub(crate) fn begin(&self) -> Option<Written<'_>> {
        let has_left = self.lock();
        (!*has_left).then_some(Written {
            _has_left: has_left,
        })
    }

    /// Waits for the write in progress and ends the right; false if it has ended before.
    pub(super) fn end(&self, left: &Left) -> bool {
        let mut has_left = self.lock();
        if *has_left {
            return false;
        }
        *has_left = true;
        left.set();
        true
    }

    fn lock(&self) -> MutexGuard<'_, bool> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

    use tempfile::TempDir;

    use crate::error::CoordinationError;
    use crate::limits::MAX_IN_FLIGHT;
    use crate::sync::Word;
    use crate::table::runner::Verdict;
    use crate::{
        ResourceManager, ResourceOptions, ResourceType, Runner, Scope, Segment, SegmentOptions,
        ShutdownCoordinator, ShutdownRequest,
    };
    use core::sync::atomic::Ordering;

    fn joined() -> (Segment, Runner, TempDir) {
        let scratch = tempfile::tempdir().unwrap();
        let options = SegmentOptions::new().directory(scratch.path().join("d"));
        let segment = options.create("left").unwrap();
        let runner = Runner::join(&segment, "old").unwrap();
        (segment, runner, scratch)
    }

    /// The runner leaves, and its slot comes to another one.
    fn next_holder(segment: &Segment, old: &Runner) -> Runner {
        old.leave();
        let coordinator = ShutdownCoordinator::new(segment);
        let request = ShutdownRequest::new();
        coordinator
            .initiate_shutdown(&Scope::All, &request)
            .unwrap();
        coordinator.begin_generation().unwrap();
        let next = Runner::join(segment, "next").unwrap();
        assert_eq!(next.key().0, old.key().0);
        next
    }

    /// Nothing was written into its record but by itself, which has done nothing.
    fn assert_untouched(segment: &Segment, next: &Runner) {
        let status = ShutdownCoordinator::new(segment).status().unwrap();
        let [report] = &status.runners[..] else {
            panic!("{status:?}")
        };
        assert_eq!(report.id, "next");
        assert_eq!(
            (report.activity.is_none(), report.last_words.as_str()),
            (true, "")
        );
        assert_eq!(
            (report.progress, report.in_flight, next.in_flight()),
            (0, 0, 0)
        );
        assert_eq!(next.texts().cause.read().0, "");
        assert_eq!(next.record().verdict(next.slot_generation()), Verdict::None);
        let check = segment.check().unwrap();
        assert!(check.is_sound(), "{check:#?}");
    }

    /// A thread was stopped after it had found that the runner has not left: what it does next
    /// is to ask for the right to write, or to move a word of its generation.
    #[test]
    fn a_thread_that_goes_on_in_the_next_holders_time_writes_nothing() {
        let (segment, old, _scratch) = joined();
        let generation = old.slot_generation();
        let extended = {
            old.progress();
            old.record().progress_to_extend(generation).unwrap()
        };
        let next = next_holder(&segment, &old);
        assert!(matches!(old.writing(), Err(CoordinationError::Left { .. })));
        assert!(old.close_gate().is_none());
        old.reopen_gate();
        old.record().judge(generation, Verdict::Forced);
        old.record().count_progress(generation);
        old.record().extended(generation, extended);
        old.set_activity("late");
        old.progress();
        old.fail("late");
        old.leave_forced();
        assert!(old.set_last_words("late").is_err());
        assert_untouched(&segment, &next);
    }

    #[test]
    fn a_manager_that_goes_on_in_the_next_holders_time_announces_nothing() {
        let (segment, old, _scratch) = joined();
        let manager = ResourceManager::new(&old);
        let next = std::cell::OnceCell::new();
        let (sender, receiver) = mpsc::channel();
        let options = ResourceOptions::new().drain(move |_| {
            sender.send(()).unwrap();
            Ok::<_, std::io::Error>(())
        });
        manager
            .register_resource("queue", ResourceType::Queue, options)
            .unwrap();
        let _ = next.set(next_holder(&segment, &old));
        manager.cleanup_resources(Duration::from_secs(60)).unwrap();
        receiver.recv().unwrap();
        assert_untouched(&segment, next.get().unwrap());
    }

    /// A thread is stopped in the middle of a write: its process's leave waits, and the slot
    /// is not given up.
    #[test]
    fn leaving_waits_for_a_write_in_progress() {
        let (segment, old, _scratch) = joined();
        let (slot, generation) = old.key();
        let is_live = || {
            let group = &segment.session().core().tables().group;
            group.member(slot).is_live(generation)
        };
        let (begins, begun) = mpsc::channel();
        thread::scope(|scope| {
            let written = old.writing().unwrap();
            let leaving = scope.spawn(|| {
                begins.send(()).unwrap();
                old.leave();
            });
            begun.recv().unwrap();
            old.texts().last_words.write("the last");
            assert!(is_live() && !old.left.is_set());
            drop(written);
            leaving.join().unwrap();
        });
        assert!(!is_live() && old.left.is_set());
        assert_eq!(old.texts().last_words.read().0, "the last");
    }

    /// Draining was forced while an item was in progress.
    #[test]
    fn an_item_that_ends_in_the_next_holders_time_is_not_counted_there() {
        let (segment, old, _scratch) = joined();
        let item = old.begin().unwrap();
        let next = next_holder(&segment, &old);
        let own = next.begin().unwrap();
        assert_eq!((old.in_flight(), next.in_flight()), (0, 1));
        drop(item);
        assert_eq!(next.in_flight(), 1);
        drop(own);
        assert_untouched(&segment, &next);
    }

    #[test]
    fn items_beyond_what_can_be_counted_are_refused_with_the_limit() {
        let (_segment, runner, _scratch) = joined();
        let word = runner.record().gate.word();
        Word::fetch_add(word, u64::from(MAX_IN_FLIGHT) - 1, Ordering::Relaxed);
        let item = runner.begin().unwrap();
        let error = runner.begin().unwrap_err();
        assert!(
            matches!(&error, CoordinationError::TooManyItems { id, limit } if id == "old" && *limit == MAX_IN_FLIGHT)
        );
        assert!(error.to_string().contains("finish some first"), "{error}");
        drop(item);
        assert_eq!(runner.in_flight(), MAX_IN_FLIGHT - 1);
        drop(runner.begin().unwrap());
        Word::fetch_add(
            word,
            1_u64.wrapping_sub(u64::from(MAX_IN_FLIGHT)),
            Ordering::Relaxed,
        );
    }
}
