//! Harness of the process tests.
//!
//! A test's child processes are the test binary run again with the test's own name, so
//! a test function is entered by the parent (which runs the body) and by each child
//! (which plays a role). [`both`] tells them apart, and runs the body once per
//! liveness back end. Parent and child talk line by line over pipes; nothing is
//! ordered by sleeping.
//!
//! Nothing outlives a test: children are killed and waited for when their handle is
//! dropped, end by themselves when the parent's pipe closes, and are killed by the
//! kernel when the parent dies. [`Place`] checks that nothing is left behind.
mod agent;
mod blocking;
mod child;
mod ending;
mod orders;
mod place;
mod rendezvous;
mod tasks;
mod untested;
mod users;

use std::io::Write;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use ebbtide::Liveness;

pub use agent::Agent;
pub use child::{Child, answer, die, event, reply, summary};
pub use ending::{end_of, killer};
// For the storm and the strange surroundings, which are binaries of their own.
pub use place::{Place, Shutdown, outcome};
pub use tasks::{is_readable, on_each_runtime, poll_once, until_readable};
pub use untested::{is_portable_forced, untested};
pub use users::{NOBODY, become_nobody, give_away, take_back};
#[allow(unused_imports)]
pub use {
    agent::until_asleep,
    agent::until_stopped,
    child::{PARENT, play},
};

/// How long anything is waited for before it counts as hung. No test is about speed.
pub const HANG: Duration = Duration::from_secs(30);

/// How long one test may take on one back end before the whole run is aborted.
const TEST_LIMIT: Duration = Duration::from_secs(120);

/// What a child does; the default role, [`orders::serve`], follows orders.
pub type Role = fn(&Child);

/// Runs the body once per liveness back end. In a child process: follows orders.
pub fn both(name: &'static str, body: impl Fn(&Place)) {
    both_with(name, &[], body);
}

/// The same for a test whose children have roles of their own.
pub fn both_with(name: &'static str, roles: &[(&str, Role)], body: impl Fn(&Place)) {
    if child::play(roles) {
        return;
    }
    for liveness in [Liveness::Auto, Liveness::Portable] {
        on(name, liveness, &body);
    }
}

/// For tests of which the back end can make no difference.
pub fn once(name: &'static str, body: impl Fn(&Place)) {
    once_with(name, &[], body);
}

/// The same with roles.
pub fn once_with(name: &'static str, roles: &[(&str, Role)], body: impl Fn(&Place)) {
    if !child::play(roles) {
        on(name, Liveness::Auto, &body);
    }
}

/// Runs the body once on one back end. Not in a child process: see [`play`].
pub fn on(name: &'static str, liveness: Liveness, body: &impl Fn(&Place)) {
    // Shown when the test fails.
    println!("--- {name} with {liveness:?}");
    watched(name, || {
        let place = Place::new(name, liveness);
        body(&place);
        place.finish();
    });
}

/// Aborts the run when `body` hangs: a hung test must not become a hung suite.
fn watched(name: &'static str, body: impl FnOnce()) {
    let (done, is_done) = mpsc::channel::<()>();
    let dog = std::thread::spawn(move || {
        if is_done.recv_timeout(TEST_LIMIT) == Err(RecvTimeoutError::Timeout) {
            // Past the test runner, which keeps what a test prints until it ends.
            let text = format!("{name} hangs: aborted after {TEST_LIMIT:?}\n");
            let _ = std::io::stderr().write_all(text.as_bytes());
            std::process::abort();
        }
    });
    body();
    drop(done);
    dog.join().unwrap();
}

/// Looks until the answer is there.
///
/// # Panics
/// Nothing within [`HANG`].
#[track_caller]
pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + HANG;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "not within {HANG:?}: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Looks until it is so.
#[track_caller]
pub fn until_true(what: &str, mut look: impl FnMut() -> bool) {
    until(what, || look().then_some(()));
}

/// The name of the test function this stands in, as the test runner knows it.
macro_rules! here {
    () => {{
        fn marker() {}
        $crate::support::name_of(marker)
    }};
}

/// See [`here!`].
pub fn name_of<F>(_: F) -> &'static str {
    let path = std::any::type_name::<F>();
    let path = path.strip_suffix("::marker").unwrap();
    path.split_once("::").unwrap().1
}

/// Asserts that a value has a shape, and shows it if not.
macro_rules! assert_is {
    ($value:expr, $pattern:pat $(if $guard:expr)? $(,)?) => {{
        match $value {
            $pattern $(if $guard)? => {}
            ref other => panic!("expected {}, got {other:?}", stringify!($pattern $(if $guard)?)),
        }
    }};
}
