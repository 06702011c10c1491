//! Who lives: how an attachment and an observer ask the kernel about processes.
//!
//! `table/liveness.rs` weighs what is found here. Polls ask less than sweeps do: a poll of a
//! process without life words asks for its byte and its pid (a microsecond both), and for
//! the start time (seven) each tenth time only.

use core::sync::atomic::{AtomicU8, Ordering};

use crate::layout::Layout;
use crate::limits::MAX_PROCESSES;
use crate::os::process::{self, Existence};
use crate::segment::Body;
use crate::sync::{Mem, Owner, Pulse};
use crate::table::liveness::{self, Verdict};
use crate::table::slots::{Identity, ProcessWord};
use crate::table::threads::LifeSign;

/// One of this many polls of one process also reads the start time.
const POLLS: u8 = 10;

/// How often each process was polled.
#[derive(Debug)]
pub(crate) struct Polls(Box<[AtomicU8; MAX_PROCESSES]>);

impl Default for Polls {
    fn default() -> Self {
        Self(Box::new([const { AtomicU8::new(0) }; MAX_PROCESSES]))
    }
}

impl Polls {
    /// Whether this poll of a process is to be a thorough one; the first is.
    fn is_due(&self, process: usize) -> bool {
        self.0.get(process).is_some_and(|polls| {
            let count = polls.load(Ordering::Relaxed);
            // Threads that poll at once may count as one.
            polls.store((count + 1) % POLLS, Ordering::Relaxed);
            count == 0
        })
    }
}

/// What can ask the kernel about the processes of a segment.
pub(crate) trait Signs<M: Mem>
where
    Layout<M>: Body,
{
    fn layout(&self) -> &Layout<M>;
    fn polls(&self) -> &Polls;
    /// Whether somebody (this process included) holds the life byte of a slot; in doubt, yes.
    fn is_held(&self, process: usize) -> bool;

    /// Who the holder of a slot is, if it is of our own pid namespace: elsewhere the numbers
    /// mean others.
    fn comparable(&self, process: usize, word: ProcessWord) -> Option<Identity> {
        let identity = self.layout().processes.identity(process, word)?;
        let is_known = identity.pid != 0 && identity.start_time != 0 && identity.pid_namespace != 0;
        let (_, namespace) = process::own_identity();
        (is_known && identity.pid_namespace == namespace).then_some(identity)
    }

    /// Whether the process that holds a slot under `word` exists.
    fn existence(&self, process: usize, word: ProcessWord) -> Existence {
        match self.comparable(process, word) {
            Some(identity) => process::existence(identity.pid, identity.start_time),
            None => Existence::Unknown,
        }
    }

    /// What all signs say about the holder of a slot; `word` was loaded before.
    fn weigh(&self, process: usize, word: ProcessWord) -> Verdict {
        let sign = liveness::keeper_sign(&self.layout().threads, process, word);
        let is_held = || self.is_held(process);
        liveness::verdict::<M>(word, sign, is_held, || self.existence(process, word))
    }

    /// Whether the holder of a slot lives. Nothing overrules a keeper's word that beats;
    /// without one the byte must be held, and the process exist.
    fn is_there(&self, process: usize) -> bool {
        let tables = self.layout();
        let word = tables.processes.word(process);
        let sign = liveness::keeper_sign(&tables.threads, process, word);
        matches!(sign, LifeSign::Beats(_)) || self.is_held(process) && self.exists(process, word)
    }

    /// Whether a process exists, as a poll asks.
    fn exists(&self, process: usize, word: ProcessWord) -> bool {
        let Some(identity) = self.comparable(process, word) else {
            return true;
        };
        process::may_have_pid(identity.pid)
            && (!self.polls().is_due(process)
                || process::existence(identity.pid, identity.start_time) != Existence::Gone)
    }

    /// Returns the life of a process by its life words, or without them by the other signs.
    fn process_life(&self, process: usize, word: ProcessWord) -> Pulse<'_, M> {
        let keeper = word.keeper().filter(|_| word.is_live());
        let threads = &self.layout().threads;
        threads.pulse_of_process(process, keeper, || self.is_there(process))
    }

    /// The life of a thread, likewise.
    fn thread_life(&self, owner: Owner) -> Pulse<'_, M> {
        let tables = self.layout();
        let keeper = |process| tables.processes.word(process).keeper();
        let is_there = |process| self.is_there(process);
        tables.threads.pulse_of_thread(owner, keeper, is_there)
    }
}
