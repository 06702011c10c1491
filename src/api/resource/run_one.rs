//! Running one closure of a resource.

use std::time::{Duration, Instant};

use crate::api::closure::{self, caught};
use crate::api::resource::entries::Shared;
use crate::api::resource::options::{CleanupContext, Once};
use crate::table::resources::Key;

/// A day is as good as for ever for one closure.
const LONGEST: Duration = Duration::from_secs(86_400);

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
        let watched = || {
            let mut cells = vec![self.news.watch()];
            cells.extend(self.control_cells());
            cells
        };
        let run = move || caught(|| closure(&context));
        let env = self.core().as_ref();
        closure::run_within(name, self.whose(), env, &remaining, &watched, run)?.transpose()
    }

    /// Name and timeout of an entry.
    pub(super) fn plan_of(&self, key: Key) -> Option<(String, Option<Duration>)> {
        let entries = self.entries();
        let entry = entries.iter().find(|entry| entry.key == key)?;
        Some((entry.name.clone(), entry.timeout))
    }
}
