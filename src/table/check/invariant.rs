//! The invariants that the checker knows, by number.

use core::fmt;

macro_rules! invariants {
    ($($number:literal $variant:ident $name:literal: $says:literal,)*) => {
        /// One invariant of a segment. `docs/design.md`, section "Checking", tells of each
        /// what it follows from and what a look can see of it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        #[repr(u8)]
        pub enum Invariant {
            $(#[doc = $says] $variant = $number,)*
        }

        impl Invariant {
            /// All, by number.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// Its lower-case name, used by the command line and in JSON.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }

            /// What it says, in one sentence.
            #[must_use]
            pub const fn statement(self) -> &'static str {
                match self { $(Self::$variant => $says),* }
            }
        }
    };
}

invariants! {
    1 Header "header": "The header is the one that the segment was born with, and the file has its size.",
    2 Control "control": "A control word has a known phase, mode and reason, and nothing else when no shutdown is on.",
    3 PhaseTimes "phase-times": "A phase has a time only once it is published, in the order of the phases, and never of the future.",
    4 Request "request": "A request is of a known state and process, and its shares make the whole.",
    5 Generation "generation": "The generation began with an epoch that has begun, and nobody joined a later one.",
    6 Member "member": "A membership word has a known state and phase, names a process, and no phase is done before the runner is live.",
    7 Reach "reach": "Nothing was ever used beyond the mark to which everybody looks.",
    8 Holder "holder": "A counted runner belongs to the present holder of its process slot.",
    9 Identity "identity": "No two living runners have the same id.",
    10 Acknowledgement "acknowledgement": "An acknowledgement is of a phase that was published, of no later shutdown, and has its time.",
    11 Passing "passing": "A phase went on without a living runner only when its time was up.",
    12 Record "record": "A runner's record (gate, own acknowledgement, progress, verdict, end) is of its present holder.",
    13 Text "text": "A text fits its room and is text.",
    14 Process "process": "A process slot has a known state, and a keeper exactly while it is live.",
    15 Thread "thread": "A thread slot has a known state, and names a process exactly while it is used.",
    16 Attached "attached": "A used thread slot belongs to a used process slot, and to a thread that has not ended while its process lives.",
    17 Lock "lock": "A lock word is one that is ever written; a free one has no waiters.",
    18 Owner "owner": "A lock, permit or place belongs to a living thread, or is marked as handed over, and to none that there has not been.",
    19 Names "names": "Names stand at the beginning of their table, each once.",
    20 Event "event": "The ring of an event has the entries that its number says.",
    21 Semaphore "semaphore": "Only the permits that there are can be held.",
    22 Barrier "barrier": "A barrier's words are such as are ever written.",
    23 Counted "counted": "Whoever is counted at a barrier has a place of its generation.",
    24 Commit "commit": "No stamp of the shared state is above the commit, but under the writers' lock; one version of each entry is committed.",
    25 Version "version": "A committed version is a whole key and value.",
    26 Path "path": "A key is found on its path, once.",
    27 Wait "wait": "Who waits for a lock is a living thread, since some time ago, for a lock that there is.",
    28 Order "order": "The lock orders that were taken have no circle that was not told.",
    29 Resource "resource": "A resource's word has a known state and owner, and the time of that state.",
    30 Dependency "dependency": "A dependency is on something that was registered, and open resources depend on one another in no circle.",
    31 Reclaim "reclaim": "What is to be reclaimed is what was registered, has ended, and is claimed by one that lives.",
    32 Swept "swept": "A process that is gone has been swept, and one that lives holds its lock.",
    33 CountedOut "counted-out": "Runners and resources of the dead have been counted out.",
    34 Advance "advance": "What nobody holds up goes on.",
}

impl Invariant {
    /// Its number.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }
}

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
