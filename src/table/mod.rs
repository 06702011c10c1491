//! The shared records and the protocol on them: safe code over a [`Mem`](crate::sync::Mem),
//! without a clock, a process or a mapping. What must be asked of the world comes in
//! through [`Env`](crate::sync::Env).

pub(crate) mod ack;
pub(crate) mod acknowledge;
pub(crate) mod barrier;
#[cfg(test)]
mod barrier_tests;
pub(crate) mod barrier_wait;
pub(crate) mod barrier_word;
mod bells;
pub(crate) mod check;
pub(crate) mod commit;
pub(crate) mod control;
pub(crate) mod deadlines;
pub(crate) mod endings;
pub(crate) mod entry;
pub(crate) mod event_log;
pub(crate) mod extension;
pub(crate) mod failures;
pub(crate) mod generation;
pub(crate) mod group;
#[cfg(test)]
mod group_tests;
pub(crate) mod inflight;
pub(crate) mod join;
pub(crate) mod journal;
pub(crate) mod journal_record;
pub(crate) mod key;
#[cfg(test)]
pub(crate) mod known;
pub(crate) mod life_sign;
pub(crate) mod liveness;
pub(crate) mod member;
mod millis;
pub(crate) mod names;
pub(crate) mod order;
pub(crate) mod own;
pub(crate) mod past;
pub(crate) mod place;
pub(crate) mod reason;
pub(crate) mod renewal;
pub(crate) mod request;
#[cfg(test)]
mod request_tests;
pub(crate) mod resources;
pub(crate) mod runner;
pub(crate) mod scope;
#[cfg(test)]
mod scope_tests;
pub(crate) mod semaphore;
pub(crate) mod semaphore_poll;
pub(crate) mod shortened;
pub(crate) mod slots;
pub(crate) mod stamp;
#[cfg(test)]
pub(crate) mod stopped;
pub(crate) mod store;
#[cfg(test)]
mod store_tests;
pub(crate) mod sweep;
pub(crate) mod tallies;
pub(crate) mod threads;
#[cfg(test)]
mod threads_tests;
pub(crate) mod times;
pub(crate) mod waits;
mod watch;

/// A value in the segment that no release writes. Carries what and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Corrupt(pub(crate) &'static str);
