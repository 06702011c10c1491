//! What one record of the journal says, packed into its words.
//!
//! ```text
//! when:  [ detail:8 | kind:8 | microseconds:48 ]
//! who:   [ -:2 | slot generation:16 | runner slot + 1 :11 | thread slot + 1 :13 | pid:22 ]
//! where: [ group generation:32 | length of the text:8 | epoch:24 ]
//! what:  argument
//! text:  24 bytes
//! ```
//! A thread is identified by its slot alone, without the slot's generation: it is advice for
//! people, no step follows from it, and the pid is stored beside it.
//!
//! Of the slot's generation and of the epoch only these low bits are kept: the journal is
//! advice, and no protocol decision reads it. Compare what is kept (`note.rs`).

use crate::limits::{MAX_RUNNERS, MAX_THREADS};
use crate::note::{Kind, Note, Short, kept_epoch};

use super::journal::Words;

const MICROS: u64 = (1 << 48) - 1;
const PID: u64 = (1 << 22) - 1;
const THREAD: u64 = (1 << 13) - 1;
const RUNNER: u64 = (1 << 11) - 1;
const THREAD_SHIFT: u32 = 22;
const RUNNER_SHIFT: u32 = 35;
const GENERATION_SHIFT: u32 = 46;

const _: () = assert!(MAX_THREADS < THREAD as usize && MAX_RUNNERS < RUNNER as usize);

/// A note with who wrote it, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Microseconds of the segment's clock.
    pub(crate) at: u64,
    /// Of the writer, as it sees itself.
    pub(crate) pid: u32,
    /// Of the group.
    pub(crate) generation: u32,
    pub(crate) note: Note,
}

impl Entry {
    pub(crate) fn pack(&self) -> Words {
        let note = &self.note;
        let runner = note.runner.map_or(0, |(slot, generation)| {
            ((u64::from(slot) + 1) & RUNNER) << RUNNER_SHIFT
                | u64::from(generation) << GENERATION_SHIFT
        });
        let thread = note.thread.map_or(0, |slot| (u64::from(slot) + 1) & THREAD);
        let [first, second, third] = note.text.words;
        [
            self.at & MICROS | (note.kind as u64) << 48 | u64::from(note.detail) << 56,
            u64::from(self.pid) & PID | thread << THREAD_SHIFT | runner,
            kept_epoch(note.epoch)
                | u64::from(note.text.length) << 24
                | u64::from(self.generation) << 32,
            note.argument,
            first,
            second,
            third,
        ]
    }

    /// `None` for a kind that this release does not know.
    pub(crate) fn unpack(words: &Words) -> Option<Self> {
        let [when, who, whence, argument, text @ ..] = *words;
        let runner = (who >> RUNNER_SHIFT & RUNNER).checked_sub(1);
        let thread = (who >> THREAD_SHIFT & THREAD).checked_sub(1);
        let runner = runner.filter(|slot| *slot < MAX_RUNNERS as u64);
        let thread = thread.filter(|slot| *slot < MAX_THREADS as u64);
        Some(Self {
            at: when & MICROS,
            pid: (who & PID) as u32,
            generation: (whence >> 32) as u32,
            note: Note {
                kind: Kind::from_bits((when >> 48) as u8)?,
                detail: (when >> 56) as u8,
                runner: runner.map(|slot| (slot as u16, (who >> GENERATION_SHIFT) as u16)),
                thread: thread.map(|slot| slot as u16),
                epoch: kept_epoch(whence),
                argument,
                text: Short {
                    words: text,
                    length: (whence >> 24) as u8,
                },
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn fields_do_not_overlap() {
        let note = Note::new(Kind::HandlerEnded)
            .detail(0xff)
            .runner(MAX_RUNNERS - 1, u64::from(u16::MAX))
            .thread(MAX_THREADS as u16 - 1)
            .epoch(kept_epoch(u64::MAX))
            .argument(u64::MAX)
            .text("a name of a handler, cut");
        let entry = Entry {
            at: MICROS,
            pid: PID as u32,
            generation: u32::MAX,
            note,
        };
        assert_eq!(Entry::unpack(&entry.pack()), Some(entry));
        let least = Entry {
            at: 0,
            pid: 0,
            generation: 0,
            note: Note::new(Kind::Joined),
        };
        assert_eq!(Entry::unpack(&least.pack()), Some(least));
    }

    #[test]
    fn a_slot_that_does_not_exist_is_nobody() {
        let words = |runner: u64, thread: u64| {
            let who = (thread + 1) << THREAD_SHIFT | (runner + 1) << RUNNER_SHIFT;
            [(Kind::Joined as u64) << 48, who, 0, 0, 0, 0, 0]
        };
        let (runners, threads) = (MAX_RUNNERS as u64, MAX_THREADS as u64);
        let named = |runner, thread| {
            let note = Entry::unpack(&words(runner, thread)).unwrap().note;
            (note.runner.is_some(), note.thread.is_some())
        };
        assert_eq!(named(runners - 1, threads - 1), (true, true));
        assert_eq!(named(runners, threads), (false, false));
    }

    proptest! {
        #[test]
        fn any_words_are_an_entry_within_bounds_or_none(words: [u64; 7]) {
            if let Some(entry) = Entry::unpack(&words) {
                let runner = entry.note.runner.map_or(0, |(slot, _)| usize::from(slot));
                let thread = entry.note.thread.map_or(0, usize::from);
                prop_assert!(runner < MAX_RUNNERS && thread < MAX_THREADS);
                prop_assert!(entry.note.text.read().chars().count() <= Short::BYTES + 1);
            }
        }
    }
}
