//! Running one closure of the program on a thread of its own, so that it can be left behind.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, TryRecvError};
use std::time::Duration;

use crate::api::within::{Whose, Within};
use crate::limits::WAIT_BOUND_MICROS;
use crate::sync::mem::ALL;
use crate::sync::{Env, Mem, Real};

/// A word to sleep on, with the value that was read.
pub(crate) type Watched<'c> = (<Real as Mem>::Cell<'c>, u32);

/// Runs a closure; a panic is an error with its message.
pub(crate) fn unpanicked<T>(closure: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(closure)).map_err(|panic| message(&*panic).into())
}

/// Runs a closure that may fail; a panic is an error that says so.
pub(crate) fn caught<T>(closure: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    unpanicked(closure).unwrap_or_else(|panic| Err(format!("panicked: {panic}")))
}

fn message(panic: &(dyn Any + Send)) -> &str {
    if let Some(text) = panic.downcast_ref::<&str>() {
        text
    } else if let Some(text) = panic.downcast_ref::<String>() {
        text
    } else {
        "a value that is not text"
    }
}

/// Starts a thread for the closure of a runner that is called so.
pub(crate) fn spawn(
    name: &str,
    whose: Whose,
    body: impl FnOnce() + Send + 'static,
) -> Result<(), String> {
    let within = Within::started_here(whose);
    let body = move || {
        within.enter();
        body();
    };
    let thread = std::thread::Builder::new().name(format!("ebbtide-{name}"));
    match thread.spawn(body) {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("no thread to run it: {error}")),
    }
}

/// Runs a closure and waits for its end while `left` is not zero. `left` is asked again
/// each time that one of the words that `watched` gives has moved. `Ok(None)` if it was left
/// behind.
///
/// # Errors
/// No thread could be started.
pub(crate) fn run_within<'c, T: Send + 'static>(
    name: &str,
    whose: Whose,
    env: &impl Env<Real>,
    left: &dyn Fn() -> Duration,
    watched: &dyn Fn() -> Vec<Watched<'c>>,
    closure: impl FnOnce() -> T + Send + 'static,
) -> Result<Option<T>, String> {
    let (done, result) = mpsc::channel();
    let ended = Arc::new(AtomicU32::new(0));
    let end = Arc::clone(&ended);
    spawn(name, whose, move || {
        let _ = done.send(closure());
        end.store(1, Ordering::Release);
        Real::wake(Real::cell(&end), ALL);
    })?;
    loop {
        // Before the looks: what changes after this ends the sleep.
        let mut words = watched();
        words.push((Real::cell(&ended), 0));
        match result.try_recv() {
            Ok(result) => return Ok(Some(result)),
            Err(TryRecvError::Disconnected) => return Err("it ended without a word".into()),
            Err(TryRecvError::Empty) => {}
        }
        let left = left().min(Duration::from_micros(WAIT_BOUND_MICROS));
        if left.is_zero() {
            return Ok(None);
        }
        let micros = u64::try_from(left.as_micros()).unwrap_or(u64::MAX);
        Real::wait_any(&words, env.now().saturating_add(micros));
    }
}
