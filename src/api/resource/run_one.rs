//! Running one closure of a resource on a thread of its own, so that it can be left behind.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{self, TryRecvError};
use std::time::{Duration, Instant};

use crate::api::resource::entries::Shared;
use crate::api::resource::options::{CleanupContext, Once};
use crate::limits;
use crate::sync::{Mem, Real};
use crate::table::resources::Key;

/// A day is as good as for ever for one closure.
const LONGEST: Duration = Duration::from_secs(86_400);

/// Runs a closure; a panic is an error with its message.
pub(super) fn caught<T>(closure: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(closure)) {
        Ok(result) => result,
        Err(panic) => Err(format!("panicked: {}", message(&*panic))),
    }
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

pub(super) fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> Result<(), String> {
    let thread = std::thread::Builder::new().name(format!("ebbtide-{name}"));
    match thread.spawn(body) {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("no thread to run it: {error}")),
    }
}

impl Shared {
    pub(super) fn context(&self, name: &str, time: Duration) -> CleanupContext {
        CleanupContext {
            name: name.into(),
            runner: self.id.clone(),
            deadline: Instant::now() + time.min(LONGEST),
        }
    }

    /// Runs a closure and waits for it at most as long as `left` says. `Ok(None)` if it
    /// was left behind.
    pub(super) fn run_within(
        &self,
        name: &str,
        time: Option<Duration>,
        left: &dyn Fn() -> Duration,
        closure: Once,
    ) -> Result<Option<()>, String> {
        let begin = Instant::now();
        let remaining = || {
            let own = time.map_or(LONGEST, |time| time.saturating_sub(begin.elapsed()));
            own.min(left())
        };
        let context = self.context(name, remaining());
        let (done, result) = mpsc::channel();
        let news = Arc::clone(&self.news);
        spawn(name, move || {
            let _ = done.send(caught(|| closure(&context)));
            news.poke();
        })?;
        loop {
            // Before the looks: what changes after this ends the sleep.
            let mut cells = vec![self.news.watch()];
            cells.extend(self.control_cells());
            match result.try_recv() {
                Ok(result) => return result.map(Some),
                Err(TryRecvError::Disconnected) => {
                    return Err("it ended without a word".into());
                }
                Err(TryRecvError::Empty) => {}
            }
            let left = remaining();
            if left.is_zero() {
                return Ok(None);
            }
            let bound = left.min(Duration::from_micros(limits::WAIT_BOUND_MICROS));
            Real::wait_any(&cells, self.after(bound));
        }
    }

    /// Name and timeout of an entry.
    pub(super) fn plan_of(&self, key: Key) -> Option<(String, Option<Duration>)> {
        let entries = self.entries();
        let entry = entries.iter().find(|entry| entry.key == key)?;
        Some((entry.name.clone(), entry.timeout))
    }
}
