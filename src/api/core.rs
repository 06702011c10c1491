//! One attachment of this process to a segment: its mapping, process slot and byte
//! lock, and the answers about who lives that the tables ask for.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::api::options::Liveness;
use crate::api::trace;
use crate::error::{Holder, SegmentError};
use crate::layout::Layout;
use crate::limits::MAX_PROCESSES;
use crate::note::Note;
use crate::os::{clock, file, fork, process};
use crate::segment::{Body, Opened, refused};
use crate::sync::life;
use crate::sync::{Env, Mem, Owner, Pulse, Real, Word};
use crate::table::Corrupt;
use crate::table::resources::Key;
use crate::table::slots::Gone;
use crate::table::sweep::sweep;
use core::sync::atomic::{AtomicBool, Ordering};

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
    /// Asked once: in some C libraries each question is a system call.
    pid: u32,
    portable: bool,
    forks: u32,
    /// A byte lock excludes other processes, not other threads of this attachment.
    reaping: Mutex<()>,
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
        let mut core = Self {
            opened,
            process: usize::MAX,
            pid: std::process::id(),
            portable: liveness.is_portable()?,
            forks: fork::fork_count(),
            reaping: Mutex::new(()),
            is_over: AtomicBool::new(false),
            deaths: Default::default(),
        };
        // `claim` reaps what it needs: a dead holder's slot is taken over.
        let processes = &core.tables().processes;
        let claim = || processes.claim(&core, |dead| core.sweep(dead));
        let mut slot = claim();
        for _ in 0..REMOVER_TRIES {
            if slot.is_some() || processes.occupied().count() >= MAX_PROCESSES {
                break;
            }
            // Room, but no byte lock: a remover holds them all for an instant.
            core.opened.probe()?;
            std::thread::sleep(REMOVER_PAUSE);
            slot = claim();
        }
        let Some(slot) = slot else {
            core.opened.probe()?;
            let removed = core.opened.being_removed();
            return Err(removed.unwrap_or_else(|| core.processes_full()));
        };
        core.process = slot;
        // From here on dropping `core` gives the slot back.
        core.opened.probe()?;
        if let Some(record) = core.tables().processes.get(slot) {
            let pid = core.pid;
            record.pid.store(u64::from(pid), Ordering::Relaxed);
            // A start of zero: not known, and then nobody signals it.
            let (start, namespace) = process::own_identity();
            record.start_time.store(start, Ordering::Relaxed);
            record.pid_namespace.store(namespace, Ordering::Relaxed);
        }
        Ok(Arc::new(core))
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

    /// Whether this is the process that made the handle, not a forked child of it.
    #[inline]
    pub(crate) fn is_forked(&self) -> bool {
        fork::fork_count() != self.forks
    }

    #[inline]
    pub(crate) fn check(&self) -> Result<(), SegmentError> {
        if self.is_forked() {
            return Err(SegmentError::ForkedHandle);
        }
        Ok(())
    }

    /// Clears what a gone process left. By the holder of its byte lock; each step may be
    /// done again after the sweeper's own death.
    pub(crate) fn sweep(&self, dead: usize) {
        let tables = self.tables();
        let word = tables.processes.word(dead);
        let is_same = || tables.processes.word(dead) == word;
        tables.resources.sweep(dead, is_same, self);
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

pub(crate) fn pid_of<M: Mem>(tables: &Layout<M>, process: usize) -> u32 {
    tables
        .processes
        .get(process)
        .map_or(0, |record| record.pid.load(Ordering::Relaxed) as u32)
}

/// The processes of some slots, by the name of a runner they hold.
pub(crate) fn holders<M: Mem>(
    tables: &Layout<M>,
    slots: impl Iterator<Item = usize>,
) -> Vec<Holder> {
    let group = &tables.group;
    slots
        .map(|process| {
            let pid = pid_of(tables, process);
            let runner = (0..group.used()).find(|slot| {
                let member = group.member(*slot);
                member.is_counted() && member.process() == Some(process)
            });
            let name = match runner {
                Some(slot) => format!("runner {:?}", tables.texts[slot].id.read().0),
                None => format!("process {process}"),
            };
            Holder { name, pid }
        })
        .collect()
}

impl<M: Mem> Env<M> for Core<M>
where
    Layout<M>: Body,
{
    fn now(&self) -> u64 {
        clock::now()
    }

    fn process_pulse(&self, process: usize) -> Pulse<'_, M> {
        let tables = self.tables();
        let word = tables.processes.word(process);
        if word.is_free() {
            return Pulse::Dead;
        }
        let keeper = word.keeper().filter(|_| word.is_live() && !self.portable);
        let pulse = tables
            .threads
            .pulse_of_process(process, keeper, || self.is_held(process));
        if matches!(pulse, Pulse::Dead) {
            // One that has freed its slot meanwhile has left in order.
            let is_same = || tables.processes.word(process) == word;
            let whose = || is_same().then(|| (word.generation(), self.pid_of(process)));
            self.deaths.saw(process, whose);
        }
        pulse
    }

    fn thread_pulse(&self, owner: Owner) -> Pulse<'_, M> {
        let tables = self.tables();
        let keeper = |process| tables.processes.word(process).keeper();
        let pulse = tables
            .threads
            .pulse_of_thread(owner, keeper, |process| self.is_held(process));
        match pulse {
            Pulse::Alive(Some(_)) if self.portable => {
                let word = self.tables().threads.word(usize::from(owner.slot));
                match word.process() {
                    Some(process) if self.is_held(process) => Pulse::Alive(None),
                    _ => Pulse::Dead,
                }
            }
            pulse => pulse,
        }
    }

    fn note(&self, at: u64, note: impl FnOnce() -> Note) -> u64 {
        self.write_note(at, note())
    }
}

impl<M: Mem> Gone for Core<M>
where
    Layout<M>: Body,
{
    fn try_claim(&self, process: usize) -> bool {
        let offset = file::PROCESS_LOCKS + process as u64;
        process != self.process
            && self
                .opened
                .locks()
                .is_ok_and(|locks| file::try_lock(locks, offset).unwrap_or(false))
    }

    fn release(&self, process: usize) {
        if let Ok(locks) = self.opened.locks() {
            let _ = file::unlock(locks, file::PROCESS_LOCKS + process as u64);
        }
    }

    /// When in doubt (the kernel refuses to say) it is held: never steal.
    fn is_held(&self, process: usize) -> bool {
        if process == self.process {
            return true;
        }
        let offset = file::PROCESS_LOCKS + process as u64;
        match self.opened.locks() {
            Ok(locks) => file::is_held_by_other(locks, offset).unwrap_or(true),
            Err(_) => true,
        }
    }
}

impl<M: Mem> Drop for Core<M>
where
    Layout<M>: Body,
{
    fn drop(&mut self) {
        if self.is_forked() || self.process == usize::MAX {
            return;
        }
        self.tables().processes.free(self.process);
        let locks = self.opened.locks();
        if let Ok(locks) = locks {
            let _ = file::unlock(locks, file::PROCESS_LOCKS + self.process as u64);
        }
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
