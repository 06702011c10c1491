//! The loom models: the shipped algorithms, run on a modelled memory and a modelled
//! kernel, in every order of steps (up to the stated bound).
//!
//! `cargo test --features loom` runs them; no other flag. One test is one model (or a
//! few) and prints one line per model: executions explored and preemption bound. A
//! search that is cut short fails.
//!
//! - [`memory`]: the memory [`memory::Loom`] and its futex kernel.
//! - [`world`]: what a model's threads live in: life words, time, deaths.
//! - [`model`]: how a model is run: [`model::Model`], [`model::kill_sweep`],
//!   [`model::must_fail`].
//! - the rest: the models, one file per primitive, each with its broken twins.
//!
//! # Writing a model
//! ```ignore
//! #[test]
//! fn waiter_sees_the_event() {
//!     Model::new("event, 1 setter, 1 waiter").bound(3).check(|world| {
//!         let event = Rc::new(Event::<Loom>::default());      // any table over Loom
//!         let shared = Rc::clone(&event);
//!         world.spawn(move |actor| {                          // thread slot 0
//!             assert_eq!(shared.wait(actor.env(), NEVER), Waited::Set);
//!         });
//!         world.spawn(move |_| event.set());                  // thread slot 1
//!         world.finish();
//!     });
//! }
//! ```
//! The closure runs once per execution and builds everything anew. At most four
//! threads can be spawned; thread slot = process slot = order of spawning, and each
//! holds its life word from before its first step. What loom runs is single-threaded
//! underneath: share with `Rc`, and keep bookkeeping outside the model (which it must
//! not see) in `std` cells. Plain data under proof belongs in `loom::cell::Cell`, which
//! reports races.
//!
//! # Time
//! [`world::World::finish`] joins with the clock standing still: a lost wake-up is a
//! deadlock, and loom reports it. [`world::World::finish_in_time`] joins and lets time
//! pass whenever nothing else can happen, again and again: every sleeper with a bound
//! comes back; a sleeper without one is reported. [`world::World::time_passes`] is one
//! step of time at a place of the model's choice.
//!
//! # Death
//! [`model::kill_sweep`] runs a model again and again; the thread made by
//! [`world::World::spawn_victim`] is killed before its k-th shared access (atomic
//! access, fence, futex call), for k = 0, 1, … until it gets through alive. Death is an
//! unwind that runs no step of any algorithm, so hold no guards with a `Drop`; then the
//! kernel marks the life word and wakes one sleeper of it. The survivors' assertions
//! are the proof; [`world::Actor::die`] is a death at a chosen place.
//!
//! # Broken twins
//! [`model::must_fail`] wraps a check (or sweep) of a deliberately broken variant and
//! fails if it is *not* caught.

mod advance;
mod barrier;
mod barrier_withdraw;
mod condvar;
mod condvar_shared;
mod deadlock;
mod drain;
mod ended;
mod endings;
mod event;
mod event_log;
mod failures;
mod join;
mod journal;
mod latch;
mod late;
mod late_join;
mod leave;
mod life;
mod membership;
pub(crate) mod memory;
mod merge;
pub(crate) mod model;
mod mutex;
mod mutex_poll;
mod mutex_twins;
mod panic;
mod record;
mod renewal;
mod resources;
mod resources_named;
pub(crate) mod semaphore;
pub(crate) mod shutdown;
mod slots;
mod stamps;
mod store;
mod store_known;
mod store_twins;
mod terms;
mod told;
pub(crate) mod world;
