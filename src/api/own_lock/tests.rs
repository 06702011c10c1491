//! Lost bytes, one by one, and the steps of processes that were swept.

use std::sync::Arc;

use super::*;
use crate::api::core::Tables;
use crate::api::options::Liveness;
use crate::api::seat::Seat;
use crate::api::session::Session;
use crate::segment::{self, Opened, Options, SegmentName};
use crate::sync::{LifeArea, life};
use crate::table::slots::{Identity, ORDER};
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
fn who_loses_its_lock_while_it_attaches_takes_it_again_once_it_is_live() {
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

/// As one of another pid namespace: nobody here can ask for it.
fn hide_identity(core: &Core) {
    let processes = &core.tables().processes;
    processes.identify(core.process(), core.word(), Identity::default());
}

/// It exists, so the free byte means that the lock is lost: a sweep would give its thread slot
/// away, and it is about to hold a life word there.
#[test]
fn one_that_attaches_is_not_swept_while_its_process_exists() {
    for liveness in [Liveness::Auto, Liveness::Portable] {
        let place = Place::new();
        let core = Core::attach(place.open(), liveness).unwrap();
        let owner = core.tables().threads.attach(core.process()).unwrap();
        close(core.opened());
        assert!(!place.is_held(&core));
        assert_eq!(place.other.reap().unwrap(), 0);
        let thread = core.tables().threads.word(owner.slot.into());
        assert!(thread.is_of(owner) && thread.process() == Some(core.process()));
        assert!(!core.tables().processes.word(core.process()).is_free());
    }
}

#[test]
fn who_is_swept_while_it_attaches_is_told_and_harms_nobody() {
    let place = Place::new();
    let core = place.attach();
    hide_identity(&core);
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

/// It was stopped between its thread slot and its life word, swept, and the slot is that of a
/// living thread of another process.
#[test]
fn one_that_was_swept_leaves_the_life_word_of_the_slots_next_thread() {
    let place = Place::new();
    let core = place.attach();
    hide_identity(&core);
    let owner = core.tables().threads.attach(core.process()).unwrap();
    close(core.opened());
    assert_eq!(place.other.reap().unwrap(), 1);
    let other = Arc::clone(place.other.session().core());
    let seat = Seat::take(&other).unwrap();
    assert_eq!(seat.owner.slot, owner.slot);
    let threads = &core.tables().threads;
    let life = threads.get(owner.slot.into()).unwrap().life.word();
    let before = life.load(Ordering::Acquire);
    assert!(!threads.clear_life(owner, |_| true));
    // Nor if the thread seems dead from there, or is: the slot is another's.
    assert!(!threads.clear_life(owner, |_| false));
    assert_eq!(life.load(Ordering::Acquire), before);
    assert_eq!(before != 0, !other.is_portable());
    drop(seat);
    assert!(!threads.clear_life(owner, |_| true));
}

/// What is cleared is of a dead thread: its mark, or an id that nobody has.
#[test]
fn a_life_word_is_cleared_of_the_dead_only() {
    let place = Place::new();
    let core = place.attach();
    let threads = &core.tables().threads;
    let owner = threads.attach(core.process()).unwrap();
    let life = threads.get(owner.slot.into()).unwrap().life.word();
    for (value, lives, expected) in [
        (0, true, Some(0)),
        (life::OWNER_DIED, true, Some(0)),
        (life::OWNER_DIED | life::WAITERS, true, Some(0)),
        (77, false, Some(0)),
        (77 | life::WAITERS, false, Some(0)),
        (77, true, None),
        (77 | life::WAITERS, true, None),
    ] {
        life.store(value, Ordering::Release);
        assert_eq!(threads.clear_life(owner, |_| lives), expected.is_some());
        let left = life.load(Ordering::Acquire);
        assert_eq!(left, expected.unwrap_or(value), "{value:#x}");
    }
    life.store(0, Ordering::Release);
}

/// The next holder's keeper gets all its messages.
#[test]
fn the_keeper_of_one_that_has_lost_its_slot_takes_no_messages_of_the_next() {
    let place = Place::new();
    let core = Core::attach(place.open(), Liveness::Portable).unwrap();
    let session = Session::start(Arc::clone(&core)).unwrap();
    hide_identity(&core);
    close(core.opened());
    // Unless its keeper was quicker, and has the byte again.
    if place.other.reap().unwrap() == 0 {
        return;
    }
    let next = place.attach();
    assert_eq!(next.process(), core.process());
    let processes = &next.tables().processes;
    for _ in 0..5 {
        processes.send(next.process(), ORDER);
        while core.check().is_ok() {
            // It wakes each second, and for the message.
            std::thread::yield_now();
        }
        session.watch(0);
        let messages = processes.take_inbox(next.process(), next.word());
        assert_eq!(messages, Some(ORDER));
    }
    drop(session);
    assert!(place.is_held(&next));
    let messages = processes.take_inbox(next.process(), next.word());
    assert_eq!(
        messages,
        Some(0),
        "the end of the one before wakes nobody here"
    );
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
