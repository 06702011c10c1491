//! The own life byte: asking for bytes through a descriptor that other code of the program
//! may close, and taking the byte again when it was lost.
//!
//! ```text
//! HELD --descriptor closed--> LOST --keeper: open by name, take the byte--> HELD
//!                              |--- the byte is busy, the slot ours ------> ELSEWHERE
//!                              |--- the name leads elsewhere -------------> NAMELESS
//!                              '--- the process word is another's --------> handles are spent
//! ```
//! A process that finds the byte free under a life word that beats sends a message to the
//! keeper's inbox; so does this process when a query of its own descriptor is void. A process
//! without life words checks its descriptor each second, because no other process can know
//! that it lives.
//!
//! No process sweeps one whose life word beats, so that one takes its byte again at any later
//! time. A sweeper that has found the byte of a process without life words free, and that may
//! be stopped, may still sweep it. So after the life byte that process takes its own sweep
//! byte, too, for an instant: if that is busy for longer than a sweeper takes to check again,
//! the slot is lost. Then it takes a new generation, against a sweeper that has lost its own
//! descriptor: every later step of that sweeper fails, except one that it had begun.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::api::core::Core;
use crate::api::signs::{Polls, Signs};
use crate::layout::Layout;
use crate::limits::MAX_PROCESSES;
use crate::note::{Kind, Note, REGAINED};
use crate::os::file::{PROCESS_LOCKS, SWEEP_LOCKS};
use crate::segment::{Body, Void};
use crate::sync::{Mem, Word};
use crate::table::liveness::{Verdict, keeper_sign};
use crate::table::slots::{Byte, Kernel, LOCK_LOST, ProcessWord};
use crate::table::threads::LifeSign;

const HELD: u8 = 0;
const LOST: u8 = 1;
/// It cannot be taken again: the name leads to another file, or to none.
const NAMELESS: u8 = 2;
/// It is held for this process by a copy of the lost description, in this process (`dup`) or
/// in a child.
const ELSEWHERE: u8 = 3;

/// How often and how long a keeper waits for a remover that has every byte for an instant.
const TRIES: u32 = 100;
const PAUSE: Duration = Duration::from_millis(1);

/// The state of the own life byte.
#[derive(Debug, Default)]
pub(crate) struct OwnLock {
    state: AtomicU8,
    /// One thread at a time takes it again.
    retaking: Mutex<()>,
}

/// The file offset of a lock byte.
const fn offset(byte: Byte) -> u64 {
    match byte {
        Byte::Life(process) => PROCESS_LOCKS + process as u64,
        Byte::Sweep(process) => SWEEP_LOCKS + process as u64,
    }
}

impl<M: Mem> Core<M>
where
    Layout<M>: Body,
{
    /// The result of a query of the own descriptor. Returns `otherwise` and notifies the
    /// keeper if it is void.
    fn heard<T>(&self, answer: Result<T, Void>, otherwise: T) -> T {
        answer.unwrap_or_else(|Void| {
            // The keeper knows already otherwise.
            let is_news = matches!(self.lock.state.load(Ordering::Relaxed), HELD | ELSEWHERE);
            let is_attached = self.process() < MAX_PROCESSES && !self.is_forked();
            if is_attached && is_news {
                self.tables().processes.send(self.process(), LOCK_LOST);
            }
            otherwise
        })
    }

    /// By the keeper, in each of its rounds: takes the own life byte again if it was lost, or
    /// if another process `found` it free.
    pub(crate) fn keep_lock(&self, found: bool) {
        let state = self.lock.state.load(Ordering::Relaxed);
        let is_well = state == HELD && self.opened().locks().are_ours();
        // Without a name it is searched again only on request.
        if !found && (is_well || state == NAMELESS) || self.is_spent() {
            return;
        }
        let retaking = &self.lock.retaking;
        let _alone = retaking.lock().unwrap_or_else(PoisonError::into_inner);
        self.retake();
    }

    fn retake(&self) {
        let before = self.lock.state.load(Ordering::Relaxed);
        let locks = self.opened().locks();
        if !locks.are_ours() {
            self.lock.state.store(LOST, Ordering::Relaxed);
            match self.opened().reopen() {
                Ok(true) => {}
                Ok(false) => return self.live_without(before),
                // No descriptor left, or the like: at the next round.
                Err(_) => return,
            }
        }
        let byte = Byte::Life(self.process());
        let tries = if before == ELSEWHERE { 1 } else { TRIES };
        for _ in 0..tries {
            let is_taken = locks.try_take(offset(byte)).unwrap_or(false);
            let is_mine = self.is_still_mine(is_taken);
            if is_taken && is_mine {
                return self.live_with(before);
            }
            if is_taken {
                // Swept, and the byte is the next holder's; or about to be.
                locks.give_back(offset(byte));
            }
            if !is_mine {
                return self.lose_slot();
            }
            if !locks.are_ours() {
                return;
            }
            if tries > 1 {
                std::thread::sleep(PAUSE);
            }
        }
        self.lock.state.store(ELSEWHERE, Ordering::Relaxed);
    }

    /// Whether the slot is still this process's, and no sweeper has begun to sweep it. A
    /// process without life words has to check: a sweeper may have found its byte free.
    fn is_still_mine(&self, is_taken: bool) -> bool {
        let tables = self.tables();
        let word = self.word();
        let beats = matches!(
            keeper_sign(&tables.threads, self.process(), word),
            LifeSign::Beats(_)
        );
        if beats || !is_taken || self.lock.state.load(Ordering::Relaxed) == HELD {
            return !tables.processes.is_lost(self.process(), word);
        }
        // A sweeper that takes the sweep byte from here on checks the life byte after.
        let sweeps = Byte::Sweep(self.process());
        let is_alone = (0..TRIES).any(|_| {
            let is_taken = self.try_take(sweeps);
            if !is_taken {
                std::thread::sleep(PAUSE);
            }
            is_taken
        });
        // A word that no release writes says nothing.
        let is_mine =
            is_alone && (self.renew_word() || !tables.processes.is_lost(self.process(), word));
        if is_alone {
            self.give_back(sweeps);
        }
        is_mine
    }

    /// Takes a new generation of the own slot; false if the slot is another's. Every step of
    /// a sweep of the present one fails from here on.
    fn renew_word(&self) -> bool {
        let tables = self.tables();
        let Some(renewed) = tables.processes.renew(self.process(), self.word()) else {
            return false;
        };
        self.word.store(renewed.raw(), Ordering::Release);
        self.identify();
        // The records of this process's runners say whose they are.
        for slot in 0..tables.group.used() {
            let member = tables.group.member(slot);
            if member.is_counted() && member.process() == Some(self.process()) {
                let of = &tables.group.runners[slot].process_generation;
                of.store(renewed.generation(), Ordering::Relaxed);
            }
        }
        true
    }

    /// The slot is another's: no handle is of use any more.
    fn lose_slot(&self) {
        // No process reaches this number of forks.
        self.usable_in.store(u32::MAX, Ordering::Relaxed);
    }

    fn live_with(&self, before: u8) {
        let processes = &self.tables().processes;
        if self.lock.state.swap(HELD, Ordering::Relaxed) != HELD || before != HELD {
            processes.set_lockless(self.process(), self.word(), false);
            self.note_lock(REGAINED);
        }
    }

    /// The segment has lost its name: there is no way to open it again.
    fn live_without(&self, before: u8) {
        self.lock.state.store(NAMELESS, Ordering::Relaxed);
        if before != NAMELESS {
            let processes = &self.tables().processes;
            processes.set_lockless(self.process(), self.word(), true);
            self.note_lock(0);
        }
    }

    fn note_lock(&self, detail: u8) {
        let note = Note::new(Kind::LockLost).detail(detail);
        self.note_now(self.of_process(note, Some(self.process())));
    }

    /// Gives the own life byte back, at the end of the attachment.
    pub(super) fn give_own_back(&self) {
        self.give_back(Byte::Life(self.process()));
    }
}

impl<M: Mem> Signs<M> for Core<M>
where
    Layout<M>: Body,
{
    fn layout(&self) -> &Layout<M> {
        self.tables()
    }

    fn polls(&self) -> &Polls {
        &self.polls
    }

    /// The own one is held as long as this process can ask; never steal on a doubt.
    fn is_held(&self, process: usize) -> bool {
        process == self.process() || {
            let answer = self.opened().locks().is_held(offset(Byte::Life(process)));
            self.heard(answer, true)
        }
    }
}

impl<M: Mem> Kernel for Core<M>
where
    Layout<M>: Body,
{
    fn try_take(&self, byte: Byte) -> bool {
        let answer = self.opened().locks().try_take(offset(byte));
        self.heard(answer, false)
    }

    fn give_back(&self, byte: Byte) {
        self.opened().locks().give_back(offset(byte));
    }

    fn verdict(&self, process: usize, word: ProcessWord) -> Verdict {
        if process == self.process() {
            return Verdict::Living;
        }
        let verdict = self.weigh(process, word);
        if verdict == Verdict::LockLost {
            self.tables().processes.send(process, LOCK_LOST);
        }
        verdict
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::api::core::Tables;
    use crate::api::options::Liveness;
    use crate::api::session::Session;
    use crate::segment::{self, Opened, Options, SegmentName};
    use crate::{Segment, SegmentError, SegmentOptions};

    /// A segment that another process is attached to, for all that the kernel knows.
    struct Place {
        other: Segment,
        files: Options,
        _scratch: tempfile::TempDir,
    }

    impl Place {
        fn new() -> Self {
            let scratch = tempfile::tempdir().unwrap();
            let directory = scratch.path().join("d");
            let options = SegmentOptions::new().directory(&directory);
            Self {
                other: options.create("own").unwrap(),
                files: Options {
                    directory: Some(directory),
                    ..Options::default()
                },
                _scratch: scratch,
            }
        }

        fn open(&self) -> Opened<Tables> {
            segment::open(&SegmentName::new("own").unwrap(), &self.files).unwrap()
        }

        fn attach(&self) -> Arc<Core> {
            Core::attach(self.open(), Liveness::Auto).unwrap()
        }

        fn is_held(&self, core: &Core) -> bool {
            self.other.session().core().is_held(core.process())
        }
    }

    /// As other code of the program does.
    fn close(opened: &Opened<Tables>) {
        nix::unistd::close(opened.locks().number()).unwrap();
        assert!(!opened.locks().are_ours());
    }

    #[test]
    fn what_was_closed_before_the_claim_is_opened_again() {
        let place = Place::new();
        let opened = place.open();
        close(&opened);
        let core = Core::attach(opened, Liveness::Auto).unwrap();
        assert!(core.opened().locks().are_ours() && place.is_held(&core));
    }

    #[test]
    fn a_process_that_loses_its_lock_while_it_attaches_takes_it_again_once_it_is_live() {
        let place = Place::new();
        let core = place.attach();
        close(core.opened());
        assert!(!place.is_held(&core));
        let session = Session::start(Arc::clone(&core)).unwrap();
        assert_eq!(place.other.reap().unwrap(), 0);
        while !place.is_held(&core) {
            std::thread::yield_now();
        }
        assert!(core.check().is_ok());
        drop(session);
        assert!(core.tables().processes.word(core.process()).is_live());
        drop(core);
        assert_eq!(place.other.reap().unwrap(), 0);
    }

    #[test]
    fn a_process_swept_while_it_attaches_detects_it_and_does_no_harm() {
        let place = Place::new();
        let core = place.attach();
        close(core.opened());
        assert_eq!(place.other.reap().unwrap(), 1);
        let next = place.attach();
        assert_eq!(next.process(), core.process());
        let refused = Session::start(Arc::clone(&core));
        assert!(
            matches!(refused, Err(SegmentError::Detached)),
            "{refused:?}"
        );
        let word = next.word();
        drop(core);
        assert_eq!(next.tables().processes.word(next.process()), word);
        assert!(place.is_held(&next));
        let session = Session::start(next).unwrap();
        assert_eq!(place.other.reap().unwrap(), 0);
        drop(session);
    }

    #[test]
    fn a_number_that_became_a_strangers_is_void_and_not_locked() {
        let place = Place::new();
        let core = place.attach();
        let number = core.opened().locks().number();
        close(core.opened());
        // Other tests open files, too: any of them may get the number.
        let stranger = std::fs::File::open("/proc/self/exe").unwrap();
        let locks = core.opened().locks();
        assert_eq!(locks.is_held(offset(Byte::Life(7))), Err(Void), "{number}");
        assert_eq!(locks.try_take(offset(Byte::Life(7))), Err(Void));
        locks.give_back(offset(Byte::Life(7)));
        assert!(core.is_held(7) && !core.try_take(Byte::Sweep(7)));
        assert_eq!(core.reap(), 0);
        drop(core);
        assert!(stranger.metadata().is_ok());
    }
}
