//! The process tests: real processes, real signals, one segment each.
//!
//! One binary of many modules, as fifty binaries take minutes to link. A test's child
//! processes are this binary run again with the test's name (see [`support`]).

#[macro_use]
mod support;

mod async_barrier;
mod async_condvar;
mod async_waits;
mod bare_clone;
mod barrier;
mod budget;
mod cancel;
mod checking;
#[cfg(feature = "cli")]
mod cli;
#[cfg(feature = "cli")]
mod cli_bytes;
#[cfg(feature = "cli")]
mod cli_bytes_living;
mod close_is_a_value;
mod condvar;
mod coordinatorless;
mod creation;
mod deadlocks;
mod death;
mod descriptors;
mod documents;
mod draining;
mod ended;
mod event_ring;
mod events;
mod failures;
mod fork;
mod fork_looking;
mod fork_rest;
mod full_tables;
mod generations;
mod handlers;
mod held_locks;
mod history;
mod hostile;
mod hostile_bytes;
mod hostile_calls;
mod hostile_files;
mod instance;
mod isolation;
mod joining;
mod journal;
mod laggards;
mod layers;
mod level_triggered;
mod lock_panics;
mod locks;
mod merging;
mod mixed;
mod no_leftovers;
mod noticing;
mod observing;
mod outcomes;
mod pollable;
#[cfg(feature = "cli")]
mod removed;
mod removing;
mod resources;
mod resources_across;
mod resources_closing;
mod resources_late;
mod resources_left;
mod resources_named;
mod resources_told;
mod second_start;
mod segment_refusals;
mod semaphore;
mod signals;
mod state;
mod state_hostile;
mod state_prepared;
mod state_watch;
mod systemd;
mod taking;
mod timeline;
mod tokens;
#[cfg(feature = "tracing")]
mod traces;
mod two_scopes;
mod users;
mod why;
mod within;
