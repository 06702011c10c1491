//! The oracles: for each primitive, what must be true whatever is killed or stopped, and
//! how it is known without asking the library.
//!
//! | module | primitive | what must hold |
//! |---|---|---|
//! | [`bank`] | locks | one owner at a time; the sum of the accounts; taken over only from the dead |
//! | [`permits`] | semaphores | never more living holders than permits |
//! | [`numbers`] | events | numbers dense and unique; each reader gets each set once, or how many it missed |
//! | [`tickets`] | auto-reset events | each set is taken at most once |
//! | [`meeting`] | barriers | nobody passes before all have arrived; one leader for each passage |
//! | [`store`] | shared state | snapshots equal one commit of the log, and never an old one |
//! | [`cleanup`] | resources | at most once, dependents first, reclaimed once and only of the dead |
//! | [`membership`] | phases, drains, generations, joins | see there |
//! | [`books`] | in-flight items | begun = finished + orphaned |
//! | [`outcomes`] | reports | each outcome fits what was done to the runner; the whole is the worst of them |
//! | [`deaths`] | liveness | who is reported dead was sent a signal that ends it |
//! | [`terms`] | initiations | the terms are one initiator's, and do not go away again |
//! | [`journal`] | journal, timeline | records and times in order |
//!
//! # What all of them rest on
//! The books are in the [ledger](super::ledger). Each oracle is one of three kinds:
//!
//! - *Under the primitive's own protection* (`bank`, `store`): what is written there
//!   without any atomic read-modify-write stays consistent only if the primitive excludes.
//! - *Brackets*: an act is announced before the call and confirmed after it. The effect
//!   lies between the two, so counts of announcements bound it from above and counts of
//!   confirmations from below. A killed or stopped process leaves a bracket open, which
//!   only widens the bounds.
//! - *Two reads of words that never return to a value*: what has the same value in both
//!   was so at every instant in between, however long the reader was stopped.
//!
//! None of them uses time: being stopped makes no statement false, only late. Where a
//! statement must be compared with what the library reports, and the report is put
//! together from several words, it counts only when it is repeated ([`repeated`]).
//!
//! Every module has tests in which the oracle is shown histories that are right and
//! histories that are wrong. The storms of `main.rs` over broken members show that the
//! oracles are asked.

pub mod bank;
pub mod books;
pub mod cleanup;
pub mod deaths;
pub mod journal;
pub mod meeting;
pub mod membership;
pub mod numbers;
pub mod outcomes;
pub mod permits;
pub mod store;
pub mod terms;
pub mod tickets;

use std::time::Duration;

/// The result, if it is the same three times. For results that are put together from
/// several words while others change them: a process that was stopped in between may have
/// read parts of two states, but not the same parts three times over.
pub fn repeated<T: PartialEq>(ask: impl Fn() -> Option<T>) -> Option<T> {
    let first = ask()?;
    for _ in 0..2 {
        std::thread::sleep(Duration::from_millis(2));
        if ask().as_ref() != Some(&first) {
            return None;
        }
    }
    Some(first)
}
