//! The words of a barrier.
//!
//! ```text
//! control: [ process + 1 :11 | generation:36 | withdrawn:6 | SHARED:1 | arrived:7 | state:3 ]
//! holder:  the name of the thread that has the place (sync/owner.rs), or zero
//! since:   [ -:16 | generation:36 | BROKEN:1 | process + 1 :11 ], or zero
//! ```
//! A place is `holder` and `since`: whose it is, and the generation in which it arrived. The
//! first is a name that never comes back; the second is written by its holder, and means
//! something only together with it.
//!
//! SHARED: a party of this generation waits, or waited, on a thread that waits for other
//! things besides. `withdrawn` counts, modulo 64, the parties that came and went again: an
//! arrival after a withdrawal never makes the word what it was before both.

use crate::limits::MAX_PROCESSES;
use crate::width;

use super::Corrupt;

const STATE: u64 = 0b111;
const ARRIVED_SHIFT: u32 = 3;
const ARRIVED_ONE: u64 = 1 << ARRIVED_SHIFT;
const ARRIVED: u64 = 0x7f << ARRIVED_SHIFT;
const SHARED: u64 = 1 << 10;
const WITHDRAWN_ONE: u64 = 1 << 11;
const WITHDRAWN: u64 = 0x3f << 11;
const GENERATION_SHIFT: u32 = 17;
const GENERATION: u64 = width::mask(width::BARRIER);
const PROCESS_SHIFT: u32 = GENERATION_SHIFT + width::BARRIER;
const PROCESS: u64 = 0x7ff;

/// Set in `since`: that generation was broken and reset.
const BROKEN: u64 = 1 << 11;
const SINCE_SHIFT: u32 = 12;

const _: () = assert!(MAX_PROCESSES < PROCESS as usize);
const _: () = assert!(PROCESS_SHIFT + 11 <= u64::BITS);
const _: () = assert!(SINCE_SHIFT + width::BARRIER <= u64::BITS);

/// What broke a barrier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub(crate) enum Cause {
    Died = 1,
    TimedOut = 2,
    Aborted = 3,
    Reset = 4,
}

/// That a barrier is broken, and by which process slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Broken {
    pub(crate) cause: Cause,
    pub(crate) process: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Control(pub(super) u64);

impl Control {
    pub(super) fn broken(self) -> Result<Option<Broken>, Corrupt> {
        let cause = match self.0 & STATE {
            0 => return Ok(None),
            1 => Cause::Died,
            2 => Cause::TimedOut,
            3 => Cause::Aborted,
            4 => Cause::Reset,
            _ => return Err(Corrupt("barrier: unknown state")),
        };
        let process = self.process();
        Ok(Some(Broken { cause, process }))
    }
    pub(super) const fn process(self) -> Option<usize> {
        ((self.0 >> PROCESS_SHIFT & PROCESS) as usize).checked_sub(1)
    }
    /// What no release writes, if it is that.
    pub(super) fn fault(self) -> Option<&'static str> {
        match (self.broken(), self.process()) {
            (Err(_), _) => Some("has no such state"),
            (Ok(None), Some(_)) => Some("is whole, and broken by somebody"),
            (Ok(Some(_)), None) => Some("is broken by nobody"),
            _ => None,
        }
    }
    pub(super) const fn is_open(self) -> bool {
        self.0 & STATE == 0
    }
    pub(super) const fn arrived(self) -> u64 {
        (self.0 & ARRIVED) >> ARRIVED_SHIFT
    }
    pub(super) const fn generation(self) -> u64 {
        self.0 >> GENERATION_SHIFT & GENERATION
    }
    pub(super) const fn next(self) -> Self {
        Self((self.generation().wrapping_add(1) & GENERATION) << GENERATION_SHIFT)
    }
    pub(super) const fn is_shared(self) -> bool {
        self.0 & SHARED != 0
    }
    /// One more has arrived; on a thread that waits for other things besides, or not.
    pub(super) const fn with_one(self, is_shared: bool) -> Self {
        let shared = if is_shared { SHARED } else { 0 };
        Self((self.0 + ARRIVED_ONE) | shared)
    }
    /// One of those who arrived goes away again; not of nobody.
    pub(super) const fn without_one(self) -> Self {
        let withdrawn = (self.0 + WITHDRAWN_ONE) & WITHDRAWN;
        Self((self.0 & !WITHDRAWN | withdrawn) - ARRIVED_ONE)
    }
    pub(super) const fn broken_by(self, cause: Cause, process: usize) -> Self {
        let kept = self.0 & (GENERATION << GENERATION_SHIFT | ARRIVED);
        let process = (process as u64 + 1) & PROCESS;
        Self(kept | cause as u64 | process << PROCESS_SHIFT)
    }
}

/// In which generation the holder of a place arrived, and of which process it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Since(pub(super) u64);

impl Since {
    /// A place whose holder has not arrived yet, or has none.
    pub(super) const NEVER: Self = Self(0);

    pub(super) const fn new(generation: u64, process: usize) -> Self {
        let process = (process as u64 + 1) & PROCESS;
        Self(process | (generation & GENERATION) << SINCE_SHIFT)
    }
    pub(super) const fn process(self) -> Option<usize> {
        ((self.0 & PROCESS) as usize).checked_sub(1)
    }
    /// Whether it is of the generation of a control word.
    pub(super) const fn is_of(self, control: Control) -> bool {
        self.process().is_some() && self.0 >> SINCE_SHIFT == control.generation()
    }
    pub(super) const fn is_broken(self) -> bool {
        self.0 & BROKEN != 0
    }
    pub(super) const fn broken(self) -> Self {
        Self(self.0 | BROKEN)
    }
    /// What no release writes, if it is that.
    pub(super) const fn fault(self) -> Option<&'static str> {
        match self.process() {
            _ if self.0 >> SINCE_SHIFT > GENERATION => Some("has bits that nobody sets"),
            None if self.0 != 0 => Some("is of no process"),
            Some(process) if process >= MAX_PROCESSES => {
                Some("is of a process that there is no room for")
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A word with something in every field that survives there.
    fn busy() -> Control {
        let generation = Control(GENERATION << GENERATION_SHIFT);
        generation.with_one(false).with_one(true).with_one(false)
    }

    #[test]
    fn arrivals_are_counted_beside_the_generation() {
        let three = busy();
        assert_eq!((three.arrived(), three.generation()), (3, GENERATION));
        assert!(three.is_shared() && three.is_open());
        assert!(!Control(0).with_one(false).is_shared());
        assert_eq!((three.process(), three.fault()), (None, None));
    }

    #[test]
    fn a_withdrawal_changes_the_word_and_only_the_count() {
        let mut word = busy();
        for _ in 0..63 {
            let (before, after) = (word, word.without_one().with_one(false));
            assert!(after.0 != busy().0, "it looks as if nobody had withdrawn");
            assert_eq!(before.without_one().arrived(), 2);
            assert_eq!((after.arrived(), after.generation()), (3, GENERATION));
            assert!(after.is_shared() && after.is_open() && after.process().is_none());
            word = after;
        }
        assert_eq!(word.without_one().with_one(false).0, busy().0);
    }

    #[test]
    fn the_next_generation_begins_empty_and_whole() {
        let next = Control(1 << GENERATION_SHIFT).with_one(true).next();
        assert_eq!((next.generation(), next.arrived()), (2, 0));
        assert!(next.is_open() && !next.is_shared());
        assert_eq!(busy().next().0, 0, "generations wrap within their field");
    }

    #[test]
    fn a_broken_word_says_by_what_and_by_whom() {
        for cause in [Cause::Died, Cause::TimedOut, Cause::Aborted, Cause::Reset] {
            for process in [0, 1, 1023] {
                let word = busy().without_one().broken_by(cause, process);
                assert!(!word.is_open() && !word.is_shared());
                assert_eq!((word.arrived(), word.generation()), (2, GENERATION));
                let process = Some(process);
                assert_eq!(word.broken(), Ok(Some(Broken { cause, process })));
                assert_eq!((word.process(), word.fault()), (process, None));
            }
        }
    }

    #[test]
    fn words_that_no_release_writes_are_told() {
        assert!(Control(5).broken().is_err() && Control(5).fault().is_some());
        let by_nobody = Control(Cause::Reset as u64);
        assert!(by_nobody.fault().is_some());
        let whole = Control(3 << PROCESS_SHIFT);
        assert_eq!((whole.broken(), whole.process()), (Ok(None), Some(2)));
        assert!(whole.fault().is_some());
    }

    #[test]
    fn a_place_says_since_when_and_of_which_process() {
        let now = |generation: u64| Control(generation << GENERATION_SHIFT);
        for process in [0, 1, MAX_PROCESSES - 1] {
            for generation in [0, 1, GENERATION] {
                for since in [
                    Since::new(generation, process),
                    Since::new(generation, process).broken(),
                ] {
                    assert!(since.is_of(now(generation).with_one(true)));
                    assert!(!since.is_of(now(generation ^ 1)));
                    assert_eq!((since.process(), since.fault()), (Some(process), None));
                }
                let since = Since::new(generation, process);
                assert!(!since.is_broken() && since.broken().is_broken());
            }
        }
    }

    #[test]
    fn one_that_has_not_arrived_is_of_no_generation() {
        assert!(!Since::NEVER.is_of(Control(0)));
        assert_eq!((Since::NEVER.process(), Since::NEVER.fault()), (None, None));
        assert!(Since(1 << SINCE_SHIFT).fault().is_some());
        assert!(Since::NEVER.broken().fault().is_some());
        assert!(Since::new(0, MAX_PROCESSES).fault().is_some());
        assert!(Since(1 << 63 | 1).fault().is_some());
    }
}
