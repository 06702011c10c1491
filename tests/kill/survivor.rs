//! What must still work after any death, and the peer that hammers meanwhile.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;

use super::memory::Faulty;
use super::operation::{ASK, RECORDED, Scene};
use super::rendezvous;
use super::{Attached, Tables, store};
use crate::api::check::suspicions;
use crate::api::signs::Signs;
use crate::limits::{MAX_RUNNERS, MAX_THREADS};
use crate::note::{Kind, Note};
use crate::phase::Phase;
use crate::segment::{self, Opened, Options, SegmentName};
use crate::sync::Env;
use crate::table::check::Gravity;
use crate::table::control::Stage;
use crate::table::journal_record::Entry;
use crate::table::member::State;
use crate::table::order::Step;
use crate::table::resources::State as ResourceState;

pub(super) const SECONDS: u64 = 1_000_000;
/// The lock everybody fights for.
pub(super) const FIRST_LOCK: usize = 0;
/// Locks that victims deadlock on.
pub(super) const RING: [usize; 2] = [1, 2];
const NAME: &str = "killed";
/// Attachments at the check: the peer's, the survivor's, and that of its seat.
const LIVING: usize = 3;

fn options(directory: &Path) -> Options {
    Options {
        directory: Some(directory.into()),
        mode: 0o600,
    }
}

pub(super) fn create(directory: &Path) -> Opened<Tables> {
    let name = SegmentName::new(NAME).unwrap();
    segment::create::<Tables>(&name, &options(directory)).unwrap()
}

pub(super) fn open(directory: &str) -> Opened<Tables> {
    let name = SegmentName::new(NAME).unwrap();
    segment::open::<Tables>(&name, &options(Path::new(directory))).unwrap()
}

/// A peer in a thread of its own: takes the lock, advances, reaps, looks.
pub(super) struct Peer {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Peer {
    pub(super) fn start(directory: &str, portable: bool, reaps: bool) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (directory, stopped) = (directory.to_string(), Arc::clone(&stop));
        let (attached, is_attached) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            let scene = Scene::attach(&directory, portable);
            let seat = scene.seat();
            let _ = attached.send(());
            while !stopped.load(Ordering::Relaxed) {
                take_lock(&scene.core, &seat);
                let _ = scene.tables().group.advance(scene.core.as_ref()).unwrap();
                let _ = scene.tables().texts[0].last_words.read();
                store::is_whole(&scene.core);
                if reaps {
                    scene.core.reap();
                }
            }
        });
        // If it never is, the join at the end says why.
        let _ = is_attached.recv();
        Self {
            stop,
            thread: Some(thread),
        }
    }

    pub(super) fn end(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread
            .take()
            .unwrap()
            .join()
            .expect("the peer sees no violation");
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn take_lock(core: &Attached, seat: &crate::api::seat::Seat<'_, Faulty>) {
    let lock = &core.tables().locks[FIRST_LOCK];
    let acquired = lock
        .lock(seat.owner, core.as_ref(), core.now() + 30 * SECONDS)
        .expect("the lock comes within its time");
    if acquired.previous_owner_died {
        lock.mark_consistent(seat.owner);
    }
    let _ = lock.unlock(seat.owner);
}

/// Does everything once: nothing may hang, and what the dead left must be cleared.
pub(super) fn check(directory: &str, portable: bool) {
    let mut scene = Scene::attach(directory, portable);
    let core = Arc::clone(&scene.core);
    let seat_scene = Scene::attach(directory, portable);
    let seat = seat_scene.seat();
    let tables = core.tables();

    // Before anything is settled: the dead may have left something, and broken nothing.
    let found = suspicions(tables, core.as_ref());
    assert!(
        found.iter().all(|one| one.gravity == Gravity::Left),
        "{found:#?}"
    );
    take_lock(&seat_scene.core, &seat);
    locks_go_on(&seat_scene.core, &seat);
    words_are_whole(tables);
    store::check(&seat_scene.core, &seat);
    let until = core.now() + 30 * SECONDS;
    let name = tables.lock_names.find_or_add(
        "survivor's lock",
        seat.owner,
        seat_scene.core.as_ref(),
        until,
    );
    assert!(name.is_ok(), "{name:?}");
    rendezvous::check(&seat_scene, &seat);
    journal_goes_on(&core);

    complete(&core);
    renew(&core);
    // A dying process keeps its byte lock a little longer than its life, and the peer may
    // be in the middle of reaping it: wait for the slot, not for the byte lock.
    while tables.processes.occupied().count() > LIVING {
        core.reap();
        assert!(core.now() < until, "a dead process is never reaped");
    }
    nothing_is_left_of_the_dead(&core);
    // The peer may be at it this moment.
    let resources = &tables.resources;
    while (0..resources.used()).any(|index| resources.is_to_reclaim(index)) {
        core.reap();
        assert!(core.now() < until, "a resource is never reclaimed");
    }

    assert!(scene.join("survivor"), "the next generation is open");
    scene.initiate();
    for phase in Phase::ACKNOWLEDGED {
        scene.acknowledge(phase);
    }
    assert_eq!(tables.group.scope.control().phase(), Ok(Phase::Complete));
    every_invariant_holds(&core);
    scene.leave();
    every_invariant_holds(&core);
}

/// The peer is at work meanwhile.
fn every_invariant_holds(core: &Attached) {
    let found = suspicions(core.tables(), core.as_ref());
    assert!(found.is_empty(), "{found:#?}");
}

/// Whatever phase the dead left, the group completes.
fn complete(core: &Attached) {
    let group = &core.tables().group;
    group.generation.help(&group.scope).unwrap();
    let _ = group.scope.initiate(ASK, || core.now()).unwrap();
    let until = core.now() + 30 * SECONDS;
    loop {
        let _ = group.advance(core.as_ref()).unwrap();
        let seen = group.scope.control();
        match seen.stage().unwrap() {
            Stage::Phase(Phase::Complete) => return,
            Stage::Phase(Phase::Running) => {
                let _ = group.scope.initiate(ASK, || core.now()).unwrap();
            }
            _ => {
                let moved = group.wait_past(seen, core.as_ref(), until).unwrap();
                assert!(moved.is_some(), "the phase waits for the dead");
            }
        }
    }
}

fn renew(core: &Attached) {
    let group = &core.tables().group;
    let before = group.generation.current();
    let control = group.scope.control();
    assert!(group.generation.begin(&group.scope, control).unwrap());
    assert_eq!(group.generation.current(), before + 1);
}

fn nothing_is_left_of_the_dead(core: &Attached) {
    let tables = core.tables();
    for slot in 0..MAX_RUNNERS {
        let state = tables.group.member(slot).state().unwrap();
        assert!(
            matches!(state, State::Free | State::Left | State::Dead),
            "slot {slot} is {state:?}"
        );
    }
    for index in 0..tables.resources.used() {
        let word = tables.resources.word(index);
        let held = word.process().is_some_and(|process| core.is_held(process));
        assert!(
            word.state() == Ok(ResourceState::Free) || word.is_ended() || held,
            "resource {index} belongs to nobody"
        );
    }
    for slot in 0..MAX_THREADS {
        let word = tables.threads.word(slot);
        let held = word.process().is_none_or(|process| core.is_held(process));
        assert!(
            word.is_free() || held,
            "thread slot {slot} belongs to nobody"
        );
        assert!(held && !word.is_free() || tables.waits.is_clear(slot));
    }
}

/// What the dead held is to be had, and the orders they took can be read and added to.
fn locks_go_on(core: &Attached, seat: &crate::api::seat::Seat<'_, Faulty>) {
    let tables = core.tables();
    for lock in RING.map(|index| &tables.locks[index]) {
        let until = core.now() + 30 * SECONDS;
        let _ = lock.lock(seat.owner, core.as_ref(), until).unwrap();
        let _ = lock.unlock(seat.owner);
    }
    let [first, second] = RING;
    assert_eq!(tables.order.step(first, second), Step::InOrder);
    let back = tables.order.step(second, first);
    assert!(matches!(back, Step::Closes { .. }), "{back:?}");
    assert!(
        tables
            .order
            .violated
            .all()
            .all(|pair| pair == (second, first))
    );
}

/// A record can be written and read, and the dead have left one hole at most.
fn journal_goes_on(core: &Attached) {
    let note = Note::new(Kind::Extended).argument(1).text("survivor");
    let mine = core.note_now(note);
    let journal = &core.tables().journal;
    let entry = journal.read(mine).and_then(|words| Entry::unpack(&words));
    assert_eq!(entry.map(|entry| entry.note), Some(note));
    let until = core.now() + 30 * SECONDS;
    // The peer may be in the middle of one.
    while journal
        .read_after(0)
        .records
        .iter()
        .filter(|r| r.is_none())
        .count()
        > 1
    {
        assert!(core.now() < until, "more than one record is lost");
    }
    for words in journal.read_after(0).records.iter().flatten() {
        let note = Entry::unpack(words).expect("a record of ours").note;
        assert!(note.kind != Kind::Extended || [1, RECORDED].contains(&note.argument));
    }
}

fn words_are_whole(tables: &Tables) {
    for slot in 0..tables.group.used() {
        let (words, _) = tables.texts[slot].last_words.read();
        assert!(
            ["", "new words, whole or not at all"].contains(&words.as_str()),
            "torn: {words:?}"
        );
    }
}
