//! What the ledger knows of a process: whether it may be dead.
//!
//! The parent marks a process *doomed* before it sends the signal that may end it. A
//! death follows its signal, and the library reports a death only after it
//! happened; so a process that gets a report of a death and then finds no mark got
//! one of a death that did not happen. No process ends in the middle of the storm in any
//! other way: that is a violation by itself (`population`).
//!
//! *Ended* is set after the parent has waited for the process: none of its instructions
//! runs any more.

use std::sync::atomic::{AtomicU64, Ordering};

use super::{Head, Ledger, PROCESSES, PROCESSES_AT};

pub const PROCESS_WORDS: usize = 4;

const MARKS: usize = 0;
const PID: usize = 1;
const STOPS: usize = 2;
const END_TICK: usize = 3;

const DOOMED: u64 = 1;
const ENDED: u64 = 2;
const SURVIVES_TERM: u64 = 4;
const CLOSED: u64 = 8;

impl Ledger {
    fn process(&self, process: usize, word: usize) -> &AtomicU64 {
        assert!(process < PROCESSES && word < PROCESS_WORDS);
        self.word(PROCESSES_AT + process * PROCESS_WORDS + word)
    }

    fn mark(&self, process: usize, mark: u64) {
        self.process(process, MARKS)
            .fetch_or(mark, Ordering::AcqRel);
    }

    fn is_marked(&self, process: usize, mark: u64) -> bool {
        self.process(process, MARKS).load(Ordering::Acquire) & mark != 0
    }

    pub fn set_pid(&self, process: usize, pid: u32) {
        self.process(process, PID)
            .store(pid.into(), Ordering::Release);
    }

    pub fn pid(&self, process: usize) -> u32 {
        self.process(process, PID).load(Ordering::Acquire) as u32
    }

    /// Before the signal that ends it is sent.
    pub fn doom(&self, process: usize) {
        self.mark(process, DOOMED);
    }

    pub fn is_doomed(&self, process: usize) -> bool {
        self.is_marked(process, DOOMED)
    }

    /// The parent has waited for it.
    pub fn end(&self, process: usize) {
        let tick = self.add(Head::Ticks);
        self.process(process, END_TICK)
            .store(tick, Ordering::Release);
        self.mark(process, DOOMED | ENDED);
    }

    /// The tick after its end; none yet: it may do anything still.
    pub fn end_tick(&self, process: usize) -> u64 {
        match self.process(process, END_TICK).load(Ordering::Acquire) {
            0 => u64::MAX,
            tick => tick,
        }
    }

    pub fn has_ended(&self, process: usize) -> bool {
        self.is_marked(process, ENDED)
    }

    /// It has a handler for SIGTERM: that signal does not end it.
    pub fn survives_term(&self, process: usize) -> bool {
        self.is_marked(process, SURVIVES_TERM)
    }

    pub fn set_survives_term(&self, process: usize) {
        self.mark(process, SURVIVES_TERM);
    }

    /// It is about to close all descriptors, those of the library among them.
    pub fn set_closed(&self, process: usize) {
        self.mark(process, CLOSED);
    }

    pub fn has_closed(&self, process: usize) -> bool {
        self.is_marked(process, CLOSED)
    }

    pub fn note_stop(&self, process: usize) {
        self.process(process, STOPS).fetch_add(1, Ordering::AcqRel);
        self.add(Head::Stops);
    }

    /// A process for a report: its number and pid, and what was done to it.
    pub fn describe(&self, process: usize) -> String {
        let stops = self.process(process, STOPS).load(Ordering::Acquire);
        let mut text = format!("process {process} (pid {}", self.pid(process));
        if stops > 0 {
            text += &format!(", stopped {stops} times");
        }
        if self.has_closed(process) {
            text += ", has closed its descriptors";
        }
        if self.is_doomed(process) {
            text += ", killed";
        }
        text + ")"
    }
}
