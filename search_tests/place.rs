//! One process slot with its lock bytes and the thread slots of its holders.

use core::sync::atomic::Ordering;
use std::cell::Cell;
use std::rc::Rc;

use super::adapters;
use super::memory::{Searched, U64};
use super::world::{Actor, Byte, Ghost, World};
use crate::os::process::Existence;
use crate::sync::{Env, LifeArea, Owner, Pulse, Word};
use crate::table::liveness::{Verdict, go_live, keeper_sign, verdict};
use crate::table::slots::{self, Dead, Kernel, LOCK_LOST, ProcessWord, Processes};
use crate::table::sweep::sweep;
use crate::table::threads::Threads;

/// The one slot.
const SLOT: usize = 0;
/// Processes of a model.
const PROCESSES: usize = 4;

/// How the steps differ from what ships; each but the first must be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    Shipped,
    /// The byte alone decides who is dead.
    NoLifeWord,
    /// The sweep byte is the life byte.
    OneByte,
    /// A sweeper does not ask whether it was overtaken.
    Unbound,
    /// What was found before the sweep byte was taken is not checked again after.
    AskedOnce,
}

/// The tables and the lock bytes.
pub(super) struct Place {
    group: Rc<adapters::Table<1>>,
    processes: Processes<Searched, 1>,
    threads: Threads<Searched, 2>,
    /// A slot in which no process ever lives: a sweeper of it is never overtaken.
    frozen: Processes<Searched, 1>,
    life: Byte,
    sweeping: Byte,
    /// Whose descriptor was closed by other code.
    void: [U64; PROCESSES],
    /// The process that is inside, plus one.
    inside: Ghost,
    manner: Manner,
    has_life_words: bool,
}

/// The result of attaching: with the word under which the slot is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Attached {
    Inside((ProcessWord, Owner)),
    /// The slot has a living holder, or was swept from under the claimant.
    Not,
}

/// What a process asks of the kernel.
struct Seen<'a> {
    place: &'a Place,
    me: usize,
    first: Cell<Option<Verdict>>,
}

impl Seen<'_> {
    fn byte(&self, byte: slots::Byte) -> &Byte {
        match byte {
            slots::Byte::Sweep(_) if self.place.manner != Manner::OneByte => &self.place.sweeping,
            slots::Byte::Life(_) | slots::Byte::Sweep(_) => &self.place.life,
        }
    }

    /// Whether other code has closed the descriptor: its queries are void.
    fn is_void(&self) -> bool {
        self.place.void[self.me].load(Ordering::Acquire) != 0
    }
}

impl Kernel for Seen<'_> {
    fn try_take(&self, byte: slots::Byte) -> bool {
        // One system call; the name of the description is asked for after it.
        self.place
            .one_step(|| !self.is_void() && self.byte(byte).try_lock(self.me))
            && !self.is_void()
    }
    fn give_back(&self, byte: slots::Byte) {
        self.place.one_step(|| {
            if !self.is_void() {
                self.byte(byte).unlock(self.me);
            }
        });
    }
    fn verdict(&self, process: usize, word: ProcessWord) -> Verdict {
        if let (Manner::AskedOnce, Some(first)) = (self.place.manner, self.first.get()) {
            return first;
        }
        let found = self.place.weigh(process, word, || {
            let holder = self.place.life.holder();
            holder.is_some() || self.is_void()
        });
        self.first.set(Some(found));
        found
    }
}

impl Place {
    pub(super) fn new(world: &mut World, manner: Manner, has_life_words: bool) -> Rc<Self> {
        let founder = world.founder();
        let group = adapters::group::<1>(world, 0, &founder);
        world.table("place", &["word"], || Self {
            group,
            processes: Processes::default(),
            threads: Threads::default(),
            frozen: Processes::default(),
            life: Byte::default(),
            sweeping: Byte::default(),
            void: Default::default(),
            inside: Ghost::default(),
            manner,
            has_life_words,
        })
    }

    fn one_step<T>(&self, call: impl FnOnce() -> T) -> T {
        super::run::one_step(call)
    }

    fn seen(&self, me: &Actor) -> Seen<'_> {
        Seen {
            place: self,
            me: me.index(),
            first: Cell::new(None),
        }
    }

    fn weigh(&self, process: usize, word: ProcessWord, is_held: impl FnOnce() -> bool) -> Verdict {
        let sign = match self.has_life_words && self.manner != Manner::NoLifeWord {
            true => keeper_sign(&self.threads, process, word),
            false => crate::table::threads::LifeSign::Silent,
        };
        verdict(word, sign, is_held, || Existence::Unknown)
    }

    /// What a process finds about the slot's holder.
    pub(super) fn verdict(&self, me: &Actor) -> Verdict {
        self.seen(me).verdict(SLOT, self.processes.word(SLOT))
    }

    fn sweep(&self, dead: &Dead<'_, Searched>, me: &Actor) {
        let frozen = Dead::of(&self.frozen, dead.process());
        let dead = match self.manner {
            Manner::Unbound => &frozen,
            _ => dead,
        };
        sweep(&self.group, &self.threads, dead, me, |_| ()).unwrap();
    }

    /// Sweeps the slot if its holder is gone; notifies its keeper if it has lost its byte.
    pub(super) fn reap(&self, me: &Actor) -> usize {
        let seen = self.seen(me);
        let word = self.processes.word(SLOT);
        if !word.is_free() && seen.verdict(SLOT, word) == Verdict::LockLost {
            self.processes.send(SLOT, LOCK_LOST);
        }
        let seen = self.seen(me);
        self.processes.reap(&seen, |dead| self.sweep(dead, me))
    }

    /// As `api/core.rs` and `api/seat.rs` attach.
    pub(super) fn attach(&self, me: &Actor) -> Attached {
        let seen = self.seen(me);
        let claimed = self.processes.claim(&seen, |dead| self.sweep(dead, me));
        let Some((_, word)) = claimed else {
            return Attached::Not;
        };
        let owner = self.threads.attach(SLOT).expect("a slot for each holder");
        let thread = self.threads.get(owner.slot.into()).expect("attached");
        if self.has_life_words {
            thread.life.hold().unwrap();
        }
        match go_live(&self.processes, &self.threads, (SLOT, word), owner) {
            Ok(word) => Attached::Inside((word, owner)),
            Err(held) => {
                self.free_thread(owner);
                self.processes.free(SLOT, held);
                seen.give_back(slots::Byte::Life(SLOT));
                Attached::Not
            }
        }
    }

    fn free_thread(&self, owner: Owner) {
        let slot = owner.slot.into();
        if self.has_life_words {
            self.threads.get(slot).expect("attached").life.release();
        }
        let word = self.threads.word(slot);
        if word.is_of(owner) {
            self.threads.free(slot, word);
        }
    }

    /// Goes inside: another one may be there only if it is dead.
    pub(super) fn enter(&self, me: &Actor) {
        me.atomically(|| {
            let other = self.inside.get();
            let is_alone = other == 0 || self.is_killed(other as usize - 1, me);
            assert!(is_alone, "two processes in one slot");
            self.inside.set(me.index() as u64 + 1);
        });
    }

    /// Goes out again, with all that it had.
    pub(super) fn leave(&self, me: &Actor, (word, owner): (ProcessWord, Owner)) {
        me.atomically(|| {
            assert_eq!(self.processes.word(SLOT), word, "a living one was swept");
            let thread = self.threads.word(owner.slot.into());
            let is_its = thread.is_live() && thread.is_of(owner);
            assert!(is_its, "a thread of a living one was swept");
            self.inside.set(0);
        });
    }

    fn is_killed(&self, process: usize, me: &Actor) -> bool {
        matches!(me.process_pulse(process), Pulse::Dead)
    }

    /// Other code closes the descriptor of a process: its bytes are free.
    pub(super) fn close(&self, process: usize) {
        self.one_step(|| {
            self.void[process].store(1, Ordering::Release);
            self.life.unlock(process);
            self.sweeping.unlock(process);
        });
    }

    /// A round of the keeper: it takes the byte again if it was lost, as `Core::keep_lock`
    /// does where there are life words. False if the slot is another's.
    pub(super) fn keep_byte(&self, me: &Actor, word: ProcessWord) -> bool {
        let is_told = self.processes.take_inbox(SLOT) & LOCK_LOST != 0;
        let seen = self.seen(me);
        if !is_told && !seen.is_void() {
            return true;
        }
        self.void[me.index()].store(0, Ordering::Release);
        // A claimant that saw the slot free may have it for an instant.
        for _ in 0..3 {
            if seen.try_take(slots::Byte::Life(SLOT)) {
                break;
            }
        }
        self.processes.word(SLOT) == word
    }

    /// As `api/seat.rs` and `api/core.rs` detach.
    pub(super) fn detach(&self, me: &Actor, (word, owner): (ProcessWord, Owner)) {
        // One that has lost its byte may be swept from here on: it has nothing any more.
        self.free_thread(owner);
        self.processes.free(SLOT, word);
        self.seen(me).give_back(slots::Byte::Life(SLOT));
    }

    /// Whether a process holds the slot and the kernel has freed its life byte.
    pub(super) fn is_buried(&self, process: usize) -> bool {
        self.one_step(|| {
            !self.processes.word(SLOT).is_free() && self.life.holder() != Some(process)
        })
    }

    /// At the end: the slot is free, or that of a dead one; nobody sweeps it.
    pub(super) fn check(&self, me: &Actor) {
        let word = self.processes.word(SLOT);
        let holder = self.life.holder();
        let found = self.weigh(SLOT, word, || holder.is_some());
        assert_eq!(found, Verdict::Gone, "the slot is lost");
        for holder in [self.life.holder(), self.sweeping.holder()] {
            let is_free = holder.is_none_or(|process| self.is_killed(process, me));
            assert!(is_free, "a byte is held by nobody who lives there");
        }
    }
}
