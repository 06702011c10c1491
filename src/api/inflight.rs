//! The guard of one item of work.

use crate::api::runner::Runner;

/// One item of work in flight; counted out when it is dropped.
#[derive(Debug)]
#[must_use = "the item is counted out when this is dropped"]
pub struct InFlight<'a> {
    runner: &'a Runner,
}

impl<'a> InFlight<'a> {
    #[inline]
    pub(crate) fn new(runner: &'a Runner) -> Self {
        Self { runner }
    }
}

impl Drop for InFlight<'_> {
    #[inline]
    fn drop(&mut self) {
        // A forked child inherits the guard but not the work.
        if !self.runner.core().is_forked() {
            self.runner.record().gate.end_as(self.runner.key().1);
        }
    }
}
