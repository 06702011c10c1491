//! The explicit-state search: the shipped algorithms in every schedule, for what loom cannot
//! carry: stops of any length, tags that wrap, four actors.
//!
//! Memory is sequentially consistent here; loom (`loom_tests/`) covers weaker orders. In a
//! search a stop costs nothing: it is an actor that is not scheduled. `cargo test` runs the
//! short form, `ci/search.sh` the long one; with feature `narrow` every tag has a bit or two
//! and wraps within a model. Each search prints one line: states, schedules, and the steps
//! of the longest schedule. A search that is cut short fails.
//!
//! # The code as an automaton
//! An actor's code is deterministic: what it does next follows from the results of its
//! accesses so far. So it is run on a script of results ([`run`]) up to the access that comes
//! next, once for each local situation, and what was learned is kept as a node and an edge of
//! an automaton ([`automaton`]). The search ([`search`]) runs on the automata, a million
//! states in a second; the shipped code itself runs some thousand times. No stack is kept,
//! copied or replayed, no coroutine and no unsafe code are needed.
//!
//! # A state
//! Values of all words, the local state of each actor, the clock, who is dead. Two local
//! states are one if the same results led there; [`world::Actor::call`] and
//! [`world::Actor::state_is`] say what a body still goes on by, so that more of them are.
//! What a body states is checked: all ways to a local state must go on alike.
//!
//! # Time, sleep and death
//! Time passes in explicit steps, as often as a model allows ([`model::Model::ticks`]); with
//! [`model::Model::clock_runs`] each reading of the clock is a later one. A bounded sleep
//! ends when time passes, and by itself when nothing else can happen; one without a bound
//! that no actor ends is a lost wake-up. A mortal actor may be killed before any of its steps
//! ([`model::Model::kills`]): the kernel marks its life words and wakes one sleeper, and
//! frees its lock bytes some time later.
//!
//! # Writing a model
//! ```ignore
//! #[test]
//! fn two_add_one() {
//!     Model::new("two add one").holds(|world| {
//!         let word = world.table("count", &["value"], U64::default);   // any table over Searched
//!         for name in ["first", "second"] {
//!             let word = Rc::clone(&word);
//!             world.actor(name, move |me| {
//!                 me.call("add", || word.fetch_add(1, Ordering::AcqRel));
//!             });
//!         }
//!         world.finally(move |_| assert_eq!(word.load(Ordering::Acquire), 2));
//!     });
//! }
//! ```
//! The closure runs once and builds the tables; bodies run again and again, so they change
//! nothing but words. What a model remembers for its checks is a [`world::Ghost`]. Words have
//! the names of their table for the reader of a failing schedule, which is printed with the
//! fewest stops that a short search finds; `EBBTIDE_SCHEDULE=1` prints those of
//! [`model::Model::must_be_found`], too.
//!
//! # Sizes
//! Without a limit a model is searched whole. [`model::Model::stops`] limits a search to the
//! schedules in which actors are stopped so often while they could go on: complete among
//! these, for models of too many states.
//!
//! # Which models must fail
//! A variant of a step as it was, or might be, is wrapped by
//! [`model::Model::must_be_found`]. What rests on the width of a tag holds in a wide build
//! and must be found in a narrow one, by the same test.
//!
//! - [`run`], [`automaton`], [`memory`], [`world`]: actors, their code and what they share.
//! - [`state`], [`kernel`], [`system`], [`search`], [`choices`], [`schedule`], [`model`],
//!   [`hash`]: the search.
//! - [`adapters`]: everything that models call of the shipped code.
//! - [`engine`]: what the search itself must find.
//! - the rest: the models.

mod adapters;
mod automaton;
mod choices;
mod counting;
mod engine;
mod gate;
mod hash;
mod joining;
mod kernel;
mod locks;
mod memory;
mod model;
mod place;
mod resources;
mod run;
mod schedule;
mod search;
mod slots;
mod stamps;
mod stamps_small;
mod state;
mod system;
mod terms;
mod terms_small;
mod world;
