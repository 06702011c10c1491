//! The primitives on the real memory: threads of one process, the kernel's futexes and
//! the kernel's own notice of death. The proofs are the models in `loom_tests/`.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::Arc;
use std::thread;

use super::condvar::Condvar;
use super::event::{Event, Goal, Waited};
use super::latch::{Copied, Latch, Text};
use super::life::{self, RealLife};
use super::mutex::{Busy, Mutex, NotLocked, Released};
use super::{Env, LifeArea, Owner, Pulse, Real};
use crate::os::clock;
use crate::width;

const THREADS: usize = 4;
const NEVER: u64 = u64::MAX;

/// Life words for a few threads; the slot is the index.
#[derive(Default)]
struct Lives([RealLife; THREADS]);

impl Env<Real> for Lives {
    fn now(&self) -> u64 {
        clock::now()
    }
    fn process_pulse(&self, process: usize) -> Pulse<'_, Real> {
        let word = self.0[process].word();
        match life::is_marked::<Real>(word) {
            true => Pulse::Dead,
            false => Pulse::Alive((word.load(Ordering::Acquire) != 0).then_some(word)),
        }
    }
    fn thread_pulse(&self, owner: Owner) -> Pulse<'_, Real> {
        self.process_pulse(usize::from(owner.slot))
    }
}

fn owner(slot: usize) -> Owner {
    Owner {
        slot: slot as u16,
        generation: width::mask(width::THREAD),
    }
}

/// Runs one thread per slot, each holding its life word.
fn with_threads(lives: &Lives, body: impl Fn(Owner) + Sync) {
    thread::scope(|scope| {
        for slot in 0..THREADS {
            let body = &body;
            scope.spawn(move || {
                life::hold(&lives.0[slot]).unwrap();
                body(owner(slot));
                life::release(&lives.0[slot]).unwrap();
            });
        }
    });
}

#[test]
fn four_threads_count_together() {
    const ROUNDS: u64 = 100_000;
    let (lives, mutex) = (Lives::default(), Mutex::<Real>::default());
    let count = AtomicU64::new(0);
    with_threads(&lives, |me| {
        for _ in 0..ROUNDS {
            let acquired = mutex.lock(me, &lives, NEVER).unwrap();
            assert!(!acquired.previous_owner_died);
            // Two plain steps: an increment is lost unless the lock excludes.
            count.store(count.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
            assert_eq!(mutex.unlock(me), Released::Freed);
        }
    });
    assert_eq!(count.into_inner(), ROUNDS * THREADS as u64);
    assert_eq!(mutex.owner(), None);
}

#[test]
fn lock_of_an_ended_thread_is_handed_to_the_sleeper() {
    let (lives, mutex) = (
        Arc::new(Lives::default()),
        Arc::new(Mutex::<Real>::default()),
    );
    let (owned, lock) = (Arc::clone(&lives), Arc::clone(&mutex));
    let (tell, told) = std::sync::mpsc::channel();
    let (end, ended) = std::sync::mpsc::channel::<()>();
    let dying = thread::spawn(move || {
        life::hold(&owned.0[0]).unwrap();
        let _acquired = lock.lock(owner(0), &*owned, NEVER).unwrap();
        tell.send(()).unwrap();
        let _ = ended.recv();
    });
    told.recv().unwrap();
    life::hold(&lives.0[1]).unwrap();
    let soon = clock::now() + 2_000;
    let waited_for = owner(0);
    assert_eq!(
        mutex.lock(owner(1), &*lives, soon),
        Err(NotLocked::TimedOut { waited_for })
    );
    assert_eq!(
        mutex.try_lock(owner(1), &*lives),
        Err(Busy::Held(waited_for))
    );
    drop(end);
    assert!(
        mutex
            .lock(owner(1), &*lives, NEVER)
            .unwrap()
            .previous_owner_died
    );
    dying.join().unwrap();
    // Not called whole: the next owner is told, too, until it is.
    assert_eq!(mutex.unlock(owner(1)), Released::Freed);
    assert!(
        mutex
            .lock(owner(1), &*lives, NEVER)
            .unwrap()
            .previous_owner_died
    );
    // Only its owner can.
    mutex.mark_consistent(owner(0));
    assert!(mutex.look().is_inconsistent);
    mutex.mark_consistent(owner(1));
    assert_eq!(mutex.unlock(owner(1)), Released::Freed);
    assert!(
        !mutex
            .lock(owner(1), &*lives, NEVER)
            .unwrap()
            .previous_owner_died
    );
    assert!(!mutex.hand_over(owner(0)));
    assert!(mutex.hand_over(owner(1)));
    assert_eq!(mutex.unlock(owner(1)), Released::NotOurs);
    life::release(&lives.0[1]).unwrap();
}

#[test]
fn notified_threads_go_on_and_the_deadline_holds() {
    let (lives, mutex) = (Lives::default(), Mutex::<Real>::default());
    let (changed, turn) = (Condvar::<Real>::default(), AtomicU32::new(0));
    with_threads(&lives, |me| {
        let _acquired = mutex.lock(me, &lives, NEVER).unwrap();
        for round in 0..200 {
            while turn.load(Ordering::Relaxed) != round * THREADS as u32 + u32::from(me.slot) {
                let awake = changed.wait(&mutex, me, &lives, NEVER, &()).unwrap();
                assert!(!awake.timed_out);
            }
            turn.fetch_add(1, Ordering::Relaxed);
            changed.notify_all();
        }
        assert_eq!(mutex.unlock(me), Released::Freed);
    });
    assert_eq!(turn.into_inner(), 200 * THREADS as u32);
    let me = owner(0);
    let _acquired = mutex.lock(me, &lives, NEVER).unwrap();
    let until = clock::now() + 3_000;
    while !changed
        .wait(&mutex, me, &lives, until, &())
        .unwrap()
        .timed_out
    {}
    assert!(clock::now() >= until);
    assert_eq!(mutex.owner(), Some(me));
    assert_eq!(mutex.unlock(me), Released::Freed);
    assert_eq!(
        changed.wait(&mutex, me, &lives, until, &()),
        Err(NotLocked::NotOurs)
    );
}

#[test]
fn event_is_a_level_with_a_deadline() {
    let (lives, event) = (Lives::default(), Event::<Real>::default());
    let until = clock::now() + 3_000;
    assert_eq!(
        event.wait(event.goal_from_now(), &lives, until),
        Waited::TimedOut
    );
    assert!(clock::now() >= until);
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                assert_eq!(
                    event.wait(event.goal_from_now(), &lives, NEVER),
                    Waited::Set
                )
            });
        }
        // One of them sleeps, or is about to.
        while event.look().1 == 0 {
            thread::yield_now();
        }
        event.set();
        event.set();
    });
    assert!(event.is_set());
    assert_eq!(event.wait(event.goal_from_now(), &lives, 0), Waited::Set);
    event.clear();
    event.clear();
    assert_eq!(
        event.wait(event.goal_from_now(), &lives, 0),
        Waited::TimedOut
    );
}

#[test]
fn latch_is_read_whole_beside_a_busy_writer() {
    const WORDS: usize = 8;
    let latch = Latch::<Real, WORDS>::default();
    thread::scope(|scope| {
        let writer = scope.spawn(|| (1..=200_000).for_each(|n| latch.write(&[n; WORDS])));
        let mut last = 0;
        while !writer.is_finished() {
            let mut words = [0; WORDS];
            if latch.read(&mut words) == Copied::Whole {
                assert_eq!(words, [words[0]; WORDS]);
                assert!(words[0] >= last);
                last = words[0];
            }
        }
    });
}

#[test]
fn short_write_leaves_no_old_words_behind() {
    let latch = Latch::<Real, 3>::default();
    latch.write(&[1, 2, 3, 4]);
    latch.write(&[5]);
    latch.write(&[6]);
    let mut words = [9; 3];
    assert_eq!(latch.read(&mut words), Copied::Whole);
    assert_eq!(words, [6, 0, 0]);
}

#[test]
fn text_is_cut_at_a_character_and_compared_whole() {
    let text = Text::<Real, 3>::default();
    assert_eq!(text.read(), (String::new(), Copied::Whole));
    assert!(text.is(""));
    text.write("0123456789abcdef");
    assert!(text.is("0123456789abcdef") && !text.is("0123456789abcdefg"));
    text.write("0123456789abcdé+");
    assert_eq!(text.read(), ("0123456789abcdé".into(), Copied::Whole));
    text.write("0123456789abcdeé");
    assert_eq!(text.read().0, "0123456789abcde");
    text.write("é");
    assert!(text.is("é") && !text.is("e") && !text.is(""));
    text.write("abc");
    assert!(text.is("abc") && !text.is("abd") && !text.is("xbc"));
}

#[test]
fn one_who_noted_is_notified_by_the_next_notification() {
    for notify in [Condvar::<Real>::notify_one, Condvar::notify_all] {
        let condvar = Condvar::<Real>::default();
        for _ in 0..3 {
            let noted = condvar.note_shared();
            assert!(!condvar.is_notified(noted), "nobody has notified");
            notify(&condvar);
            assert!(condvar.is_notified(noted));
        }
    }
}

#[test]
fn a_notification_that_finds_nobody_moves_nothing() {
    let [once, twice] = [(); 2].map(|()| Condvar::<Real>::default());
    once.notify_one();
    assert!(!once.is_notified(0), "nobody has ever slept here");
    for condvar in [&once, &twice] {
        let _ = condvar.note_shared();
        condvar.notify_one();
    }
    twice.notify_all();
    assert_eq!(once.note_shared(), twice.note_shared());
}

#[test]
fn without_a_journal_nothing_is_noted() {
    let number = Lives::default().note(1, || unreachable!("nobody keeps it"));
    assert_eq!(number, 0);
}

#[test]
fn who_looks_at_a_lock_is_told_what_no_transition_makes() {
    let lock = Mutex::<Real>::default();
    let look = lock.look();
    assert_eq!((look.word, look.owner, look.fault), (0, None, None));
    assert!(!look.is_inconsistent);
    assert!(!lock.take_free(owner(2)).unwrap().previous_owner_died);
    assert_eq!(
        (lock.look().owner, lock.look().fault),
        (Some(owner(2)), None)
    );
    assert!(lock.hand_over(owner(2)));
    let look = lock.look();
    assert_eq!((look.owner, look.fault), (None, None));
    assert!(look.is_inconsistent, "its owner died inside");
    for impossible in [0b100, 1] {
        lock.write_raw(impossible);
        let look = lock.look();
        assert_eq!((look.word, look.owner), (impossible, None));
        assert!(look.fault.is_some());
    }
}

#[test]
fn an_event_counts_its_settings_whatever_its_flags_are() {
    let event = Event::<Real>::default();
    assert_eq!(event.look(), (0, 0));
    assert_eq!((event.set(), event.set()), (1, 2));
    let (number, set) = event.look();
    assert_eq!((number, set != 0, event.is_set()), (2, true, true));
    event.clear();
    event.clear();
    assert_eq!((event.look(), event.is_set()), ((2, 0), false));
    assert!(event.arm(Goal::Take).is_some());
    let (number, waited_for) = event.look();
    assert_eq!((number, waited_for == 0, event.is_set()), (2, false, false));
    assert_ne!(waited_for, set);
    assert_eq!(event.set(), 3);
    assert_eq!(event.look(), (3, set), "the sleepers were woken");
    event.write_raw(u64::MAX);
    assert_eq!((event.set(), event.sequence()), (0, 0), "numbers wrap");
}

#[test]
fn each_goal_of_an_event_is_reached_by_its_own_change() {
    let event = Event::<Real>::default();
    event.set();
    event.set();
    let is_reached = |goal| event.arm(goal).is_none();
    assert!(is_reached(Goal::After(1)) && !is_reached(Goal::After(2)));
    assert!(is_reached(Goal::Set { came: 2 }), "it is set");
    assert!(is_reached(Goal::Take) && !event.is_set() && !is_reached(Goal::Take));
    assert!(is_reached(Goal::Set { came: 1 }), "it was set since");
    assert!(!is_reached(Goal::Set { came: 2 }) && !is_reached(event.goal_from_now()));
    let asleep_on = event.arm(Goal::Take).map(|cell| cell.1);
    assert_eq!(event.arm(Goal::After(2)).map(|cell| cell.1), asleep_on);
}

#[test]
fn the_first_to_wait_for_an_event_sleeps_on_the_word_that_it_leaves() {
    let event = Event::<Real>::default();
    let asleep_on = |goal| event.arm(goal).map(|cell| cell.1);
    let first = asleep_on(Goal::Take);
    assert!(first.is_some());
    assert_eq!(asleep_on(Goal::Take), first, "nothing has moved since");
}

#[test]
fn a_text_that_no_writer_writes_has_a_fault() {
    let text = Text::<Real, 3>::default();
    assert_eq!(text.fault(), None);
    for sound in ["a", "é", "0123456789abcdef"] {
        text.write(sound);
        assert_eq!(text.fault(), None, "{sound}");
    }
    let letter = u64::from(b'a');
    for wrong in [
        [17, 0, 0],
        [u64::MAX, 0, 0],
        [0, letter, 0],
        [8, 0, letter],
        [1, 0xff, 0],
    ] {
        text.write_raw(&wrong);
        assert!(text.fault().is_some(), "{wrong:?}");
    }
}
