//! One process slot with all that attaching touches, and the kernel's part in it: lock
//! bytes that go with their holder's life or descriptor.

use core::sync::atomic::Ordering;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use loom::sync::atomic::AtomicU32;

use super::super::memory::Loom;
use super::super::shutdown::group;
use super::super::world::{Actor, MAX_ACTORS, World};
use crate::os::process::Existence;
use crate::sync::{Env, Mem, Pulse};
use crate::table::group::Group;
use crate::table::join::Joined;
use crate::table::liveness::{Verdict, go_live, verdict};
use crate::table::member::State;
use crate::table::slots::{Byte, Dead, Kernel, ProcessWord, Processes};
use crate::table::sweep::sweep;
use crate::table::threads::{LifeSign, Threads};

pub(super) const SLOTS: usize = 1;
/// The one slot.
pub(super) const SLOT: usize = 0;

/// How a model differs from what ships; each but the first must be caught.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Variant {
    #[default]
    Shipped,
    /// The byte alone decides who is dead.
    NoLifeWord,
    /// A sweeper holds the life byte.
    OneByte,
    /// A sweeper does not ask whether it was overtaken.
    Unbound,
    /// What was found before the sweep byte was taken is not checked again after.
    AskedOnce,
    /// A process without life words takes its byte again, and nothing else.
    LifeByteOnly,
    /// The same, with a new word, but without a check for sweepers.
    NoSweepByte,
    /// A keeper's thread slot is live before its process is.
    ThreadFirst,
}

/// The tables, with room for one process.
pub(super) struct Place {
    pub(super) group: Rc<Group<Loom, 1>>,
    pub(super) processes: Processes<Loom, SLOTS>,
    pub(super) threads: Threads<Loom, 1>,
    /// No process ever lives there: a sweeper of it is never overtaken.
    frozen: Processes<Loom, SLOTS>,
    /// Who holds the life byte and the sweep byte: a thread of the model, plus one.
    bytes: [AtomicU32; 2],
    /// Whose descriptor was closed by other code.
    void: [AtomicU32; MAX_ACTORS],
    /// Who is between attach and detach, plus one; outside the model. Two who live are a
    /// violation.
    inside: Cell<u32>,
    /// The thread of the model that a generation of the process slot belongs to; outside the
    /// model. A process here has one thread, its keeper.
    holders: RefCell<HashMap<u64, usize>>,
    has_life_words: bool,
    variant: Variant,
}

/// A process of the model as its kernel knows it.
pub(super) struct Seen<'a> {
    place: &'a Place,
    me: u32,
    env: &'a World,
    first: Cell<Option<Verdict>>,
}

impl Seen<'_> {
    fn cell(&self, byte: Byte) -> &AtomicU32 {
        match byte {
            Byte::Sweep(_) if self.place.variant != Variant::OneByte => &self.place.bytes[1],
            Byte::Life(_) | Byte::Sweep(_) => &self.place.bytes[0],
        }
    }

    fn is_dead(&self, holder: u32) -> bool {
        matches!(self.env.process_pulse(holder as usize - 1), Pulse::Dead)
    }

    fn is_void(&self) -> bool {
        self.place.void[self.me as usize - 1].load(Ordering::Acquire) != 0
    }

    /// True in doubt.
    fn is_held(&self, process: usize) -> bool {
        let holder = self.cell(Byte::Life(process)).load(Ordering::Acquire);
        holder != 0 && !self.is_dead(holder) || self.is_void()
    }
}

impl Kernel for Seen<'_> {
    fn try_take(&self, byte: Byte) -> bool {
        let cell = self.cell(byte);
        let holder = cell.load(Ordering::Acquire);
        let is_free = holder == 0 || holder != self.me && self.is_dead(holder);
        let is_taken = is_free
            && !self.is_void()
            && cell
                .compare_exchange(holder, self.me, Ordering::AcqRel, Ordering::Acquire)
                .is_ok();
        if is_taken && self.is_void() {
            // The kernel gave it back with the descriptor.
            let _ = cell.compare_exchange(self.me, 0, Ordering::AcqRel, Ordering::Acquire);
            return false;
        }
        is_taken
    }

    fn give_back(&self, byte: Byte) {
        if !self.is_void() {
            let cell = self.cell(byte);
            let _ = cell.compare_exchange(self.me, 0, Ordering::AcqRel, Ordering::Acquire);
        }
    }

    fn verdict(&self, process: usize, word: ProcessWord) -> Verdict {
        if self.place.variant == Variant::AskedOnce
            && let Some(first) = self.first.get()
        {
            return first;
        }
        let has_life = self.place.has_life_words && self.place.variant != Variant::NoLifeWord;
        let holder = (word.is_live() && has_life).then(|| self.place.holder(word));
        let sign: LifeSign<'_, Loom> = match holder.map(|actor| self.env.process_pulse(actor)) {
            Some(Pulse::Dead) => LifeSign::Marked,
            Some(Pulse::Alive(Some(life))) => LifeSign::Beats(life),
            Some(Pulse::Alive(None)) | None => LifeSign::Silent,
        };
        let found = verdict(word, sign, || self.is_held(process), || Existence::Unknown);
        self.first.set(Some(found));
        found
    }
}

/// The result of an attempt to attach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Attached {
    /// Holds the slot under this word.
    Inside(ProcessWord),
    /// The slot is taken.
    Full,
    /// It was swept on the way, for it had lost its byte.
    Overtaken,
}

impl Place {
    pub(super) fn new(world: &World) -> Self {
        Self {
            group: group::<1>(world, 0),
            processes: Processes::default(),
            threads: Threads::default(),
            frozen: Processes::default(),
            bytes: Default::default(),
            void: Default::default(),
            inside: Cell::new(0),
            holders: RefCell::default(),
            has_life_words: true,
            variant: Variant::Shipped,
        }
    }

    /// As a variant has it, with life words or without.
    pub(super) fn of(world: &World, variant: Variant, has_life_words: bool) -> Rc<Self> {
        Rc::new(Self {
            variant,
            has_life_words,
            ..Self::new(world)
        })
    }

    /// Starts a process that acts in the place.
    pub(super) fn spawn(
        self: &Rc<Self>,
        world: &Rc<World>,
        body: impl FnOnce(&Self, &Actor) + 'static,
    ) {
        let place = Rc::clone(self);
        world.spawn(move |actor| body(&place, actor));
    }

    fn holder(&self, word: ProcessWord) -> usize {
        let holders = self.holders.borrow();
        *holders.get(&word.generation()).expect("it was claimed")
    }

    pub(super) fn seen<'a>(&'a self, actor: &'a Actor) -> Seen<'a> {
        Seen {
            place: self,
            me: u32::from(actor.me().slot) + 1,
            env: actor.env(),
            first: Cell::new(None),
        }
    }

    /// Other code closes the descriptor of a process: its bytes are free.
    pub(super) fn close(&self, actor: &Actor) {
        let me = u32::from(actor.me().slot) + 1;
        self.void[me as usize - 1].store(1, Ordering::Release);
        for cell in &self.bytes {
            let _ = cell.compare_exchange(me, 0, Ordering::AcqRel, Ordering::Acquire);
        }
    }

    /// The keeper opens the segment again and takes the byte, as `Core::keep_lock` does. The
    /// word under which the slot is still ours.
    pub(super) fn retake(&self, actor: &Actor, word: ProcessWord) -> Option<ProcessWord> {
        let seen = self.seen(actor);
        self.void[usize::from(actor.me().slot)].store(0, Ordering::Release);
        while !seen.try_take(Byte::Life(SLOT)) {
            if self.processes.word(SLOT) != word {
                return None;
            }
            // A claimant that had seen the slot free has it for an instant.
            Loom::relax();
        }
        let mine = match self.variant {
            _ if self.has_life_words => (self.processes.word(SLOT) == word).then_some(word),
            Variant::LifeByteOnly => (self.processes.word(SLOT) == word).then_some(word),
            Variant::NoSweepByte => self.processes.renew(SLOT, word),
            // A sweeper does not check again.
            _ => seen.try_take(Byte::Sweep(SLOT)).then(|| {
                let mine = self.processes.renew(SLOT, word);
                seen.give_back(Byte::Sweep(SLOT));
                mine
            })?,
        };
        if mine.is_none() {
            seen.give_back(Byte::Life(SLOT));
        }
        mine
    }

    fn sweep(&self, dead: &Dead<'_, Loom>, env: &World) {
        let frozen = Dead::of(&self.frozen, dead.process());
        let dead = match self.variant {
            Variant::Unbound => &frozen,
            _ => dead,
        };
        sweep(&self.group, &self.threads, dead, env, |_| ()).unwrap();
    }

    /// Sweeps the slot if its holder is gone.
    pub(super) fn reap(&self, actor: &Actor) -> usize {
        let seen = self.seen(actor);
        self.processes
            .reap(&seen, |dead| self.sweep(dead, actor.env()))
    }

    /// The same by a sweeper whose descriptor other code closes as soon as it has begun.
    pub(super) fn close_in_the_sweep(&self, actor: &Actor) {
        let seen = self.seen(actor);
        self.processes.reap(&seen, |dead| {
            self.close(actor);
            self.sweep(dead, actor.env());
        });
    }

    pub(super) fn give_life_back(&self, actor: &Actor) {
        self.seen(actor).give_back(Byte::Life(SLOT));
    }

    /// Takes the slot, up to the state in which the byte is the holder's only sign of life.
    pub(super) fn claim(&self, actor: &Actor) -> Option<ProcessWord> {
        let seen = self.seen(actor);
        let sweep = |dead: &Dead<'_, Loom>| self.sweep(dead, actor.env());
        let (slot, word) = self.processes.claim(&seen, sweep)?;
        assert_eq!(slot, SLOT);
        Some(word)
    }

    /// Becomes live, and joins as a runner.
    pub(super) fn enter(&self, actor: &Actor, word: ProcessWord) -> Attached {
        let me = usize::from(actor.me().slot);
        self.holders.borrow_mut().insert(word.generation(), me);
        // None: an overtaken process has the thread slot for a moment longer.
        let owner = self.threads.attach(SLOT);
        let live = owner.ok_or(word).and_then(|owner| match self.variant {
            Variant::ThreadFirst if !self.threads.go_live(owner, SLOT) => Err(word),
            Variant::ThreadFirst => {
                let live = self.processes.go_live(SLOT, word, owner.slot.into());
                live.ok_or(word)
            }
            _ => go_live(&self.processes, &self.threads, (SLOT, word), owner),
        });
        let word = match live {
            Ok(word) => word,
            Err(held) => {
                self.processes.free(SLOT, held);
                let mine = self.threads.word(0);
                if owner.is_some_and(|owner| owner.generation == mine.generation()) {
                    self.threads.free(0, mine);
                }
                self.give_life_back(actor);
                return Attached::Overtaken;
            }
        };
        let claim = self.group.claim(SLOT, &Alive(actor.env())).unwrap();
        let claim = claim.slot().expect("swept, so free");
        let joined = self
            .group
            .publish(claim, &Alive(actor.env()), |_| false)
            .unwrap();
        assert!(matches!(joined, Joined::Live(_)));
        Attached::Inside(word)
    }

    /// Attaches, and is inside.
    pub(super) fn attach(&self, actor: &Actor) -> Attached {
        match self.claim(actor) {
            Some(word) => self.enter(actor, word),
            None => Attached::Full,
        }
    }

    /// Is inside alone, with all that it has.
    pub(super) fn is_whole(&self, actor: &Actor, word: ProcessWord) {
        let me = u32::from(actor.me().slot) + 1;
        let other = self.inside.replace(me);
        let is_gone = other == 0 || self.seen(actor).is_dead(other);
        assert!(is_gone, "two holders of one slot");
        assert_eq!(
            self.processes.word(SLOT),
            word,
            "its slot was taken from it"
        );
        assert_eq!(
            self.group.member(0).state(),
            Ok(State::Live),
            "it was taken for dead"
        );
        assert!(!self.threads.word(0).is_free(), "its thread was swept");
        self.inside.set(0);
    }

    pub(super) fn detach(&self, actor: &Actor, word: ProcessWord) {
        let generation = self.group.member(0).generation();
        let env = Alive(actor.env());
        assert!(self.group.leave(0, generation, &env).unwrap());
        let thread = self.threads.word(0);
        assert!(self.threads.free(0, thread), "it was swept");
        assert!(self.processes.free(SLOT, word), "its slot was swept");
        self.seen(actor).give_back(Byte::Life(SLOT));
    }

    /// A whole life in the slot.
    pub(super) fn live(&self, actor: &Actor) -> bool {
        let Attached::Inside(word) = self.attach(actor) else {
            return false;
        };
        self.is_whole(actor, word);
        self.detach(actor, word);
        true
    }
}

/// In these models process slot 0 has several holders in turn, so the life of "process 0"
/// is not that of thread 0; nobody waits here, so it is enough that it lives.
pub(super) struct Alive<'a>(pub(super) &'a World);

impl Env<Loom> for Alive<'_> {
    fn now(&self) -> u64 {
        self.0.now()
    }
    fn process_pulse(&self, _process: usize) -> Pulse<'_, Loom> {
        Pulse::Alive(None)
    }
    fn thread_pulse(&self, owner: crate::sync::Owner) -> Pulse<'_, Loom> {
        self.0.thread_pulse(owner)
    }
}
