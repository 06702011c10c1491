//! What the threads of a model live in: life words, time, and death.

use core::cell::{Cell, RefCell};
use core::sync::atomic::{AtomicBool, Ordering};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::sync::Arc;

use loom::sync::atomic::AtomicU64;
use loom::thread;

use super::memory::{self, Kernel, Life, Loom};
use crate::sync::life;
use crate::sync::mem::{ALL, Woken};
use crate::sync::{Env, Owner, Pulse};

/// A deadline that never comes.
pub(crate) const NEVER: u64 = u64::MAX;
/// Threads a model can spawn; loom allows one more, the model's main thread.
pub(crate) const MAX_ACTORS: usize = 4;
/// Generation of every thread slot in models.
const GENERATION: u64 = 1;
/// More rounds of time than any correct model needs.
const MAX_ROUNDS: usize = 64;

/// The payload of a death.
struct Killed {
    /// By the sweep, at its kill point; not at a place of the model's choice.
    swept: bool,
}

/// The thread to be killed, and how many shared accesses it still makes.
#[derive(Clone, Copy)]
struct Victim {
    thread: thread::ThreadId,
    left: u32,
}

// Loom runs all threads of a model on one system thread, so these are per model.
thread_local! {
    static CURRENT: RefCell<Option<Rc<World>>> = const { RefCell::new(None) };
    static VICTIM: Cell<Option<Victim>> = const { Cell::new(None) };
}

/// A kill point: called before each shared access.
pub(super) fn tick() {
    let Some(victim) = VICTIM.get() else { return };
    if thread::current().id() != victim.thread {
        return;
    }
    match victim.left.checked_sub(1) {
        Some(left) => VICTIM.set(Some(Victim { left, ..victim })),
        None => resume_unwind(Box::new(Killed { swept: true })),
    }
}

/// The world of the execution under way.
pub(super) fn current() -> Rc<World> {
    CURRENT.with_borrow(|world| Rc::clone(world.as_ref().expect("inside a model")))
}

/// The surroundings of one execution of a model. Also the `Env` of its threads.
pub(crate) struct World {
    kernel: Kernel,
    lives: [Life; MAX_ACTORS],
    clock: AtomicU64,
    portable: bool,
    kill_at: Option<u32>,
    /// Set when a victim was killed.
    died: Arc<AtomicBool>,
    /// Of threads not joined yet, by slot.
    handles: RefCell<Vec<Option<thread::JoinHandle<()>>>>,
    /// Which threads' bodies have ended, by slot; not part of the model.
    ended: Cell<[bool; MAX_ACTORS]>,
    /// Threads whose body has not ended; not part of the model.
    running: Cell<usize>,
    driver: thread::Thread,
    driver_is_parked: Cell<bool>,
}

/// One thread of a model.
#[derive(Clone)]
pub(crate) struct Actor {
    me: Owner,
    world: Rc<World>,
}

impl Actor {
    /// Its name in lock words.
    pub(crate) fn me(&self) -> Owner {
        self.me
    }

    /// What it asks about time and the life of others.
    pub(crate) fn env(&self) -> &World {
        &self.world
    }

    /// Dies here: no step is run any more, the kernel marks the life word.
    pub(crate) fn die(&self) -> ! {
        resume_unwind(Box::new(Killed { swept: false }))
    }

    /// Detaches: lets the life word go.
    pub(crate) fn detach(&self) {
        let word = &self.world.lives[usize::from(self.me.slot)].word;
        if word.kernel().swap(0, Ordering::AcqRel) & life::WAITERS != 0 {
            self.world.kernel.wake(memory::Cell::Whole(word), ALL);
        }
    }
}

impl World {
    /// Begins an execution: `kill_at` is for the victim, `died` tells of its death.
    pub(super) fn begin(
        portable: bool,
        deaf: bool,
        kill_at: Option<u32>,
        died: Arc<AtomicBool>,
    ) -> Rc<Self> {
        VICTIM.set(None);
        let world = Rc::new(Self {
            kernel: Kernel::new(deaf),
            lives: Default::default(),
            clock: AtomicU64::new(0),
            portable,
            kill_at,
            died,
            handles: RefCell::default(),
            ended: Cell::default(),
            running: Cell::new(0),
            driver: thread::current(),
            driver_is_parked: Cell::new(false),
        });
        CURRENT.set(Some(Rc::clone(&world)));
        world
    }

    /// Ends an execution; the model must have called one of the `finish` functions.
    pub(super) fn end(&self) {
        assert!(
            self.handles.borrow().iter().all(Option::is_none),
            "the model did not call world.finish()"
        );
        CURRENT.set(None);
    }

    pub(super) fn kernel(&self) -> &Kernel {
        &self.kernel
    }

    /// The name of the thread in a slot.
    pub(crate) fn owner(&self, slot: usize) -> Owner {
        Owner {
            slot: slot as u16,
            generation: GENERATION,
        }
    }

    /// Starts a thread in the next slot; it holds its life word already.
    pub(crate) fn spawn(self: &Rc<Self>, body: impl FnOnce(&Actor) + 'static) {
        self.start(None, body);
    }

    /// Starts the thread that [`kill_sweep`](super::model::kill_sweep) kills.
    pub(crate) fn spawn_victim(self: &Rc<Self>, body: impl FnOnce(&Actor) + 'static) {
        self.start(self.kill_at, body);
    }

    fn start(self: &Rc<Self>, kill_at: Option<u32>, body: impl FnOnce(&Actor) + 'static) {
        let slot = self.handles.borrow().len();
        assert!(slot < MAX_ACTORS, "loom has room for {MAX_ACTORS} threads");
        self.lives[slot]
            .word
            .kernel()
            .store(slot as u32 + 1, Ordering::Release);
        self.running.set(self.running.get() + 1);
        let actor = Actor {
            me: self.owner(slot),
            world: Rc::clone(self),
        };
        let handle = thread::spawn(move || actor.live(kill_at, body));
        self.handles.borrow_mut().push(Some(handle));
    }

    /// Joins all threads while the clock stands still: a lost wake-up is a deadlock.
    pub(crate) fn finish(&self) {
        self.join([true; MAX_ACTORS]);
    }

    fn join(&self, which: [bool; MAX_ACTORS]) {
        let due: Vec<_> = {
            let mut handles = self.handles.borrow_mut();
            handles
                .iter_mut()
                .zip(which)
                .filter_map(|(handle, due)| handle.take_if(|_| due))
                .collect()
        };
        for handle in due {
            handle.join().unwrap();
        }
    }

    /// Joins all threads; time passes whenever nothing else can happen.
    pub(crate) fn finish_in_time(&self) {
        let mut rounds = 0;
        while self.running.get() > 0 {
            if self.kernel.asleep() < self.running.get() {
                // No branch point between the look and the park.
                self.driver_is_parked.set(true);
                thread::park();
                self.driver_is_parked.set(false);
                continue;
            }
            // Time makes every store visible: what the dead and the done wrote, too.
            self.join(self.ended.get());
            assert!(
                self.time_passes(),
                "lost: every thread sleeps, none with a bound"
            );
            rounds += 1;
            assert!(
                rounds < MAX_ROUNDS,
                "no end: {MAX_ROUNDS} bounded sleeps in a row"
            );
        }
        self.finish();
    }

    /// One step of time: all sleepers with a bound come back, and the clock stands at
    /// the first of their bounds. Answers whether there was any.
    pub(crate) fn time_passes(&self) -> bool {
        let Some(next) = self.kernel.time_out() else {
            return false;
        };
        self.clock.fetch_max(next, Ordering::AcqRel);
        true
    }

    /// The clock moves to `now`, and no sleeper has been timed out yet: what follows
    /// races with deadlines that have passed.
    pub(crate) fn clock_moves(&self, now: u64) {
        self.clock.fetch_max(now, Ordering::AcqRel);
    }

    pub(super) fn sleep(&self, cells: &[(memory::Cell<'_>, u32)], until: u64) -> Woken {
        self.kernel.wait(cells, until, || self.tell_driver())
    }

    /// Lets the driver of time go on when nothing else can happen.
    fn tell_driver(&self) {
        if self.driver_is_parked.get() && self.kernel.asleep() == self.running.get() {
            self.driver.unpark();
        }
    }

    /// The kernel's part in the death of a thread: mark, and wake one.
    fn bury(&self, slot: usize) {
        let word = &self.lives[slot].word;
        let mut value = word.look(Ordering::Acquire);
        // Only a word that the dying thread holds.
        while value & life::TID == slot as u32 + 1 {
            let marked = value & life::WAITERS | life::OWNER_DIED;
            match word
                .kernel()
                .compare_exchange(value, marked, Ordering::AcqRel, Ordering::Acquire)
            {
                Ok(_) if value & life::WAITERS != 0 => {
                    return self.kernel.wake(memory::Cell::Whole(word), 1);
                }
                Ok(_) => return,
                Err(moved) => value = moved,
            }
        }
    }

    /// The life word of the thread in a slot.
    pub(crate) fn life(&self, slot: usize) -> &memory::U32 {
        &self.lives[slot].word
    }

    fn pulse(&self, slot: usize) -> Pulse<'_, Loom> {
        let Some(Life { word }) = self.lives.get(slot) else {
            return Pulse::Dead;
        };
        tick();
        // SYNC POINT life-mark: one look, as `life::is_marked` has it.
        match word.look(Ordering::Acquire) {
            value if value & life::OWNER_DIED != 0 => Pulse::Dead,
            // Not started yet, or detached: there is nothing to sleep on.
            0 => Pulse::Alive(None),
            _ if self.portable => Pulse::Alive(None),
            _ => Pulse::Alive(Some(word)),
        }
    }
}

impl Actor {
    fn live(self, kill_at: Option<u32>, body: impl FnOnce(&Self)) {
        if let Some(left) = kill_at {
            VICTIM.set(Some(Victim {
                thread: thread::current().id(),
                left,
            }));
        }
        let end = catch_unwind(AssertUnwindSafe(|| body(&self)));
        if kill_at.is_some() {
            VICTIM.set(None);
        }
        match end {
            Ok(()) => {}
            Err(payload) => match payload.downcast_ref::<Killed>() {
                Some(killed) => {
                    if killed.swept {
                        self.world.died.store(true, Ordering::Relaxed);
                    }
                    self.world.bury(usize::from(self.me.slot));
                }
                None => resume_unwind(payload),
            },
        }
        let mut ended = self.world.ended.get();
        ended[usize::from(self.me.slot)] = true;
        self.world.ended.set(ended);
        self.world.running.set(self.world.running.get() - 1);
        self.world.tell_driver();
    }
}

impl Env<Loom> for World {
    fn now(&self) -> u64 {
        self.clock.load(Ordering::Relaxed)
    }

    fn process_pulse(&self, process: usize) -> Pulse<'_, Loom> {
        self.pulse(process)
    }

    fn thread_pulse(&self, owner: Owner) -> Pulse<'_, Loom> {
        match owner.generation {
            GENERATION => self.pulse(usize::from(owner.slot)),
            _ => Pulse::Dead,
        }
    }
}
