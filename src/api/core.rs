//! One attachment of this process to a segment: its mapping, process slot and byte
//! lock, and the answers about who lives that the tables ask for.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::api::holders::{holders, pid_of};
use crate::api::options::Liveness;
use crate::api::own_lock::OwnLock;
use crate::api::signs::{Polls, Signs};
use crate::api::trace;
use crate::error::SegmentError;
use crate::layout::Layout;
use crate::limits::MAX_PROCESSES;
use crate::note::Note;
use crate::os::{clock, fork, process};
use crate::segment::{Body, Opened, refused};
use crate::sync::life;
use crate::sync::{Env, Mem, Owner, Pulse, Real};
use crate::table::Corrupt;
use crate::table::liveness::go_live;
use crate::table::resources::Key;
use crate::table::slots::{Dead, Identity, ProcessWord};
use crate::table::sweep::sweep;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

/// How often and how long an attacher waits for a remover that has every byte lock; it
/// holds them for a few system calls, and the kernel takes them from it if it dies.
const REMOVER_TRIES: u32 = 1000;
const REMOVER_PAUSE: Duration = Duration::from_millis(1);

pub(crate) type Tables = Layout<Real>;

/// The attachment. Dropped by whoever drops it last: the process slot is freed and the
/// byte lock given back.
#[derive(Debug)]
pub(crate) struct Core<M: Mem = Real>
where
    Layout<M>: Body,
{
    opened: Opened<Layout<M>>,
    process: usize,
    /// The own process word, as this process has written it last.
    pub(super) word: AtomicU64,
    /// Asked once: in some C libraries each question is a system call.
    pid: u32,
    /// Id of the keeper thread, once there is one.
    keeper: AtomicU32,
    portable: bool,
    forks: u32,
    /// The number of forks in which a handle is valid; none once the slot is lost. So one
    /// comparison in each call detects both a fork and a lost slot.
    pub(super) usable_in: AtomicU32,
    /// The state of the own life byte.
    pub(super) lock: OwnLock,
    pub(super) polls: Polls,
    /// A byte lock excludes other processes, not other threads of this attachment.
    pub(super) reaping: Mutex<()>,
    /// Its last handle is gone: what still has a reference has no use for it.
    is_over: AtomicBool,
    pub(crate) deaths: trace::Deaths,
}

impl<M: Mem> Core<M>
where
    Layout<M>: Body,
{
    /// Takes a process slot. The keeper makes it live.
    pub(crate) fn attach(
        opened: Opened<Layout<M>>,
        liveness: Liveness,
    ) -> Result<Arc<Self>, SegmentError> {
        fork::watch().map_err(|source| refused("watch forks of", opened.path(), source))?;
        // Now, not in the middle of a wait: it starts a thread.
        life::learn().map_err(|source| refused("start a thread for", opened.path(), source))?;
        let forks = fork::fork_count();
        let mut core = Self {
            opened,
            process: usize::MAX,
            word: AtomicU64::new(0),
            pid: std::process::id(),
            keeper: AtomicU32::new(0),
            portable: liveness.is_portable()?,
            forks,
            usable_in: AtomicU32::new(forks),
            lock: OwnLock::default(),
            polls: Polls::default(),
            reaping: Mutex::new(()),
            is_over: AtomicBool::new(false),
            deaths: Default::default(),
        };
        let (slot, word) = core.claim()?;
        core.process = slot;
        core.word = AtomicU64::new(word.raw());
        // From here on dropping `core` gives the slot back.
        core.opened.probe()?;
        core.identify();
        Ok(Arc::new(core))
    }

    /// Says who this process is.
    pub(super) fn identify(&self) {
        // A start of zero: not known, and then nobody signals it.
        let (start_time, pid_namespace) = process::own_identity();
        let identity = Identity {
            pid: self.pid,
            start_time,
            pid_namespace,
            keeper: self.keeper.load(Ordering::Relaxed),
        };
        let processes = &self.tables().processes;
        processes.identify(self.process, self.word(), identity);
    }

    /// Takes a slot: `claim` reaps what it needs, so a dead holder's is taken over.
    fn claim(&self) -> Result<(usize, ProcessWord), SegmentError> {
        let processes = &self.tables().processes;
        for _ in 0..=REMOVER_TRIES {
            if let Some(claimed) = processes.claim(self, |dead| self.sweep(dead)) {
                return Ok(claimed);
            }
            self.opened.probe()?;
            if !self.opened.locks().are_ours() {
                // Other code of the program has closed the descriptor meanwhile.
                self.opened.reopen()?;
            } else if processes.occupied().count() >= MAX_PROCESSES {
                break;
            } else {
                // Room, but no life byte: a remover holds them all for an instant.
                std::thread::sleep(REMOVER_PAUSE);
            }
        }
        match self.opened.locks().are_ours() {
            true => {
                let removed = self.opened.being_removed();
                Err(removed.unwrap_or_else(|| self.processes_full()))
            }
            false => Err(SegmentError::Detached),
        }
    }

    /// The process is fully attached, and `keeper` is the thread of its keeper, which calls this.
    ///
    /// # Errors
    /// `Detached` when the life byte was lost meanwhile, and the slot swept.
    pub(crate) fn go_live(&self, keeper: Owner) -> Result<(), SegmentError> {
        let id = u32::try_from(nix::unistd::gettid().as_raw()).unwrap_or(0);
        self.keeper.store(id, Ordering::Relaxed);
        // Before it is live: from then on this thread stands for the process.
        self.identify();
        let (tables, slot) = (self.tables(), (self.process, self.word()));
        let live = go_live(&tables.processes, &tables.threads, slot, keeper);
        let (Ok(held) | Err(held)) = live;
        self.word.store(held.raw(), Ordering::Release);
        live.map(drop).map_err(|_| SegmentError::Detached)
    }

    #[inline]
    pub(crate) fn tables(&self) -> &Layout<M> {
        self.opened.body()
    }
    pub(crate) fn opened(&self) -> &Opened<Layout<M>> {
        &self.opened
    }
    pub(crate) fn process(&self) -> usize {
        self.process
    }
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }
    pub(crate) fn is_portable(&self) -> bool {
        self.portable
    }

    /// The last handle is gone.
    pub(crate) fn end(&self) {
        self.is_over.store(true, Ordering::Release);
    }

    /// Whether the last handle is gone.
    pub(crate) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Acquire)
    }

    /// Whether this is a forked child of the process that made the handle.
    #[inline]
    pub(crate) fn is_forked(&self) -> bool {
        fork::fork_count() != self.forks
    }

    /// Whether the handle is of no use: in a forked child, or because the process slot was
    /// lost.
    #[inline]
    pub(crate) fn is_spent(&self) -> bool {
        fork::fork_count() != self.usable_in.load(Ordering::Relaxed)
    }

    #[inline]
    pub(crate) fn check(&self) -> Result<(), SegmentError> {
        if self.is_spent() {
            return Err(self.spent());
        }
        Ok(())
    }

    #[cold]
    fn spent(&self) -> SegmentError {
        match self.is_forked() {
            true => SegmentError::ForkedHandle,
            false => SegmentError::Detached,
        }
    }

    /// The own process word.
    pub(crate) fn word(&self) -> ProcessWord {
        ProcessWord::from_raw(self.word.load(Ordering::Acquire))
    }

    /// Clears what a gone process left. Each step may be done again after the sweeper's own
    /// death, and by two sweepers at once.
    pub(crate) fn sweep(&self, dead: &Dead<'_, M>) {
        let tables = self.tables();
        let is_still = || dead.is_still();
        tables.resources.sweep(dead.process(), is_still, self);
        // A corrupt table ends the sweep; the next look at it says so.
        let _ = sweep(&tables.group, &tables.threads, dead, self, |owner| {
            self.hand_over_locks(owner);
        });
    }

    /// Frees every lock that a dead thread holds (each stays marked inconsistent), gives its
    /// permits back, and breaks the barriers that it waited at. It waits for none any more.
    pub(crate) fn hand_over_locks(&self, dead: Owner) {
        let tables = self.tables();
        let is_still = || tables.threads.word(usize::from(dead.slot)).is_of(dead);
        tables.waits.clear_dead(dead, is_still);
        for (index, lock) in tables.locks.iter().enumerate() {
            if lock.hand_over(dead) {
                self.note_owner_died(index, dead, false);
            }
        }
        for adding in [
            tables.lock_names.adding(),
            tables.condvar_names.adding(),
            tables.event_names.adding(),
            tables.semaphore_names.adding(),
            tables.barrier_names.adding(),
        ] {
            adding.hand_over(dead);
        }
        tables.store.writing().hand_over(dead);
        for log in &tables.events {
            log.writer().hand_over(dead);
        }
        for semaphore in &tables.semaphores {
            semaphore.hand_over(dead);
        }
        for barrier in &tables.barriers {
            barrier.hand_over(dead);
        }
    }

    /// Reaps every process that is gone; returns how many.
    pub(crate) fn reap(&self) -> usize {
        self.reap_all().0
    }

    /// The same; also returns the resources of gone processes that were reclaimed.
    pub(crate) fn reap_all(&self) -> (usize, Vec<Key>) {
        let _alone = self.reaping.lock().unwrap_or_else(PoisonError::into_inner);
        let reaped = self.tables().processes.reap(self, |dead| self.sweep(dead));
        (reaped, self.reclaim())
    }

    /// The pid of a process slot, as that process sees itself.
    pub(crate) fn pid_of(&self, process: usize) -> u32 {
        pid_of(self.tables(), process)
    }

    fn processes_full(&self) -> SegmentError {
        SegmentError::Full {
            table: "processes",
            capacity: MAX_PROCESSES,
            held_by: holders(self.tables(), self.tables().processes.occupied()),
        }
    }

    pub(crate) fn corrupt(&self, corrupt: Corrupt) -> SegmentError {
        SegmentError::Corrupt {
            what: format!("{}: {}", self.opened.path().display(), corrupt.0),
        }
    }
}

impl<M: Mem> Env<M> for Core<M>
where
    Layout<M>: Body,
{
    fn now(&self) -> u64 {
        clock::now()
    }

    fn ends_wait(&self, now: u64, until: u64) -> bool {
        now >= until || self.opened.is_removed()
    }

    fn process_pulse(&self, process: usize) -> Pulse<'_, M> {
        let tables = self.tables();
        let word = tables.processes.word(process);
        if word.is_free() {
            return Pulse::Dead;
        }
        let pulse = match self.portable {
            true => self.polled(process),
            false => self.process_life(process, word),
        };
        if matches!(pulse, Pulse::Dead) {
            // One that has freed its slot meanwhile has left in order.
            let is_same = || tables.processes.word(process) == word;
            let whose = || is_same().then(|| (word.generation(), self.pid_of(process)));
            self.deaths.saw(process, whose);
        }
        pulse
    }

    fn thread_pulse(&self, owner: Owner) -> Pulse<'_, M> {
        match self.thread_life(owner) {
            Pulse::Alive(Some(_)) if self.portable => {
                let word = self.tables().threads.word(usize::from(owner.slot));
                word.process()
                    .map_or(Pulse::Dead, |process| self.polled(process))
            }
            pulse => pulse,
        }
    }

    fn is_stopped(&self, process: usize) -> bool {
        let identity = self.tables().processes.present(process);
        identity.is_some_and(|identity| {
            process::pid_namespace().is_ok_and(|ours| ours == identity.pid_namespace)
                && process::is_stopped(identity.pid, identity.start_time)
        })
    }

    fn note(&self, at: u64, note: impl FnOnce() -> Note) -> u64 {
        self.write_note(at, note())
    }
}

impl<M: Mem> Core<M>
where
    Layout<M>: Body,
{
    /// The life of a process for one that sleeps on no life word.
    fn polled(&self, process: usize) -> Pulse<'_, M> {
        match self.is_there(process) {
            true => Pulse::Alive(None),
            false => Pulse::Dead,
        }
    }
}

impl<M: Mem> Drop for Core<M>
where
    Layout<M>: Body,
{
    fn drop(&mut self) {
        // A child that was made without fork handlers has another pid.
        let is_child = self.is_forked() || self.pid != std::process::id();
        if is_child || self.process == usize::MAX {
            return;
        }
        self.tables().processes.free(self.process, self.word());
        self.give_own_back();
    }
}

/// The absolute end of a timeout; none is for ever.
pub(crate) fn deadline(core: &impl Env<Real>, timeout: Option<Duration>) -> u64 {
    match timeout {
        Some(timeout) => {
            let micros = u64::try_from(timeout.as_micros()).unwrap_or(u64::MAX);
            core.now().saturating_add(micros)
        }
        None => u64::MAX,
    }
}
