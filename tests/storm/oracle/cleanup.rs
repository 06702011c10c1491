//! Resources: each cleanup runs at most once, dependents first, and what the dead left is
//! reclaimed once.
//!
//! Every runner registers a file, and a cache that depends on it and perhaps on the file of
//! a runner of another process. The closures write down that they run.
//!
//! - *At most once*: a cleanup that begins a second time finds the count of the first.
//! - *Dependents first*: when the cleanup of a file begins, no cache that depends on it may
//!   be open. The ledger knows which are registered and which have been cleaned up; a cache
//!   that is registered and not cleaned up was given up (its deadline passed) or is of the
//!   dead, or the order is wrong. *Given up* is what the library reports; it counts
//!   only as an excuse, and if the library says that the cache is open, there is none. The
//!   registration is written down after it was made, so a cache that is registered just
//!   now is overlooked, never invented.
//! - *Not after*: the cleanup of a cache that begins after that of a file it depends on was
//!   started before and is late: the library must say that it was given up.
//! - *Reclaimed once*: a reaper writes down each file that its call is reported to have
//!   taken. Two reports of one file, or one of a process that was never killed, are wrong.
//! - *The files themselves*: the file of a living runner is there when its cleanup begins,
//!   and after the storm none is left (`after`).

use std::path::Path;
use std::sync::atomic::Ordering;

use ebbtide::{Reaped, Reclaim, ResourceState, Segment, ShutdownCoordinator};

use super::repeated;
use crate::ledger::Ledger;
use crate::ledger::act::Act;
use crate::ledger::line::{Cache, File, Line};

/// The names of the two resources.
pub const FILE: &str = "file";
pub const CACHE: &str = "cache";

/// What is asked of the library: whether the cache of a runner is open.
pub trait Open {
    fn is_open(&self, runner: &str) -> bool;
}

impl Open for Segment {
    fn is_open(&self, runner: &str) -> bool {
        let open = || {
            let status = ShutdownCoordinator::new(self).status().ok()?;
            let cache = status
                .resources
                .into_iter()
                .find(|one| one.runner == runner && one.name == CACHE)?;
            let open = [
                ResourceState::Active,
                ResourceState::Draining,
                ResourceState::Closing,
            ];
            open.contains(&cache.state).then_some(())
        };
        repeated(open).is_some()
    }
}

/// The cleanup of a file runs: begins by this.
pub fn file_begins(line: Line<'_>, path: &Path, library: &impl Open) {
    let ledger = line.ledger;
    once(
        line,
        FILE,
        line.file_cleanups().fetch_add(1, Ordering::AcqRel),
    );
    for other in ledger.all_lines() {
        let depends = other.index == line.index || other.depends_on() == Some(line.index);
        let is_left = other.cache_is(Cache::Registered) || other.cache_is(Cache::Cleaning);
        if !depends || !is_left || other.may_be_dead() {
            continue;
        }
        ledger.ensure(!library.is_open(&other.id()) || other.may_be_dead(), || {
            let (file, cache) = (line.who(), other.who());
            format!("the file of {file} is cleaned up before the cache of {cache} that needs it")
        });
    }
    ledger.ensure(path.exists() || line.may_be_dead(), || {
        format!("the file of {} was taken away while it lives", line.who())
    });
    ledger.count(Act::Cleanup);
}

/// The cleanup of a cache runs: begins by this.
pub fn cache_begins(line: Line<'_>, library: &impl Open) {
    once(
        line,
        CACHE,
        line.cache_cleanups().fetch_add(1, Ordering::AcqRel),
    );
    line.set_cache(Cache::Cleaning);
    let needed = [Some(line.index), line.depends_on()];
    for on in needed.into_iter().flatten() {
        let on = Line::at(line.ledger, on);
        let has_begun = on.file_cleanups().load(Ordering::Acquire) > 0;
        if has_begun && library.is_open(&line.id()) {
            let (cache, file) = (line.who(), on.who());
            let text =
                format!("the cache of {cache} is cleaned up after the file of {file} it needs");
            line.ledger.violate(&text);
        }
    }
}

/// Ends by this.
pub fn cache_ends(line: Line<'_>) {
    line.set_cache(Cache::Cleaned);
}

#[track_caller]
fn once(line: Line<'_>, name: &str, before: u64) {
    line.ledger.ensure(before == 0, || {
        let who = line.who();
        format!("the cleanup of {name} of {who} runs {} times", before + 1)
    });
}

/// A reaper's call has returned.
pub fn reclaimed(ledger: &Ledger, reaped: &Reaped) {
    for one in &reaped.resources {
        reclaim(ledger, &one.runner, &one.name, one.reclaimed);
    }
}

fn reclaim(ledger: &Ledger, runner: &str, name: &str, how: Option<Reclaim>) {
    let Some(line) = Line::of(ledger, runner).filter(|_| name == FILE) else {
        return ledger.violate(&format!("{runner}/{name} was reclaimed, and has no line"));
    };
    let before = line.reclaims().fetch_add(1, Ordering::AcqRel);
    ledger.ensure(before == 0, || {
        let who = line.who();
        format!("the file of {who} was reclaimed {} times", before + 1)
    });
    ledger.ensure(line.may_be_dead(), || {
        format!(
            "the file of {}, who was never killed, was reclaimed",
            line.who()
        )
    });
    ledger.ensure(how != Some(Reclaim::Refused), || {
        format!("the file of {} could not be reclaimed", line.who())
    });
    ledger.count(Act::Reclaimed);
}

/// After the storm: files of the dead that were registered are gone, exactly those.
pub fn at_end(ledger: &Ledger) {
    let folder = ledger.directory().join("files");
    for line in ledger.all_lines() {
        let path = folder.join(line.id());
        let is_theirs = line.file_is(File::Registered) && line.may_be_dead();
        ledger.ensure(!(is_theirs && path.exists()), || {
            format!("the file of {} is left", line.who())
        });
        // Of those who were killed before they could register it.
        let _ = std::fs::remove_file(path);
    }
    let left = std::fs::read_dir(folder).map_or(0, Iterator::count);
    ledger.ensure(left == 0, || format!("{left} files have no owner"));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{Head, scratch};

    /// A library that says this of every cache.
    struct Says(bool);

    impl Open for Says {
        fn is_open(&self, _runner: &str) -> bool {
            self.0
        }
    }

    fn registered(ledger: &Ledger, process: usize) -> Line<'_> {
        let line = Line::take(ledger, process);
        line.register_cache();
        line
    }

    fn count(ledger: &Ledger) -> u64 {
        ledger.get(Head::Violations)
    }

    #[test]
    fn dependents_first_is_right_and_so_is_one_that_was_given_up_or_died() {
        let (directory, ledger) = scratch();
        let [first, second, third] = [1, 2, 3].map(|process| registered(&ledger, process));
        second.set_depends_on(Some(first.index));
        third.set_depends_on(Some(first.index));
        for line in [first, second] {
            cache_begins(line, &Says(true));
            cache_ends(line);
        }
        ledger.doom(3);
        file_begins(first, directory.path(), &Says(true));
        // Given up before: it is late.
        file_begins(second, directory.path(), &Says(false));
        assert_eq!(count(&ledger), 0, "{:?}", ledger.violations());
    }

    #[test]
    fn the_wrong_order_is_caught_on_either_side() {
        let (directory, ledger) = scratch();
        let [first, second] = [1, 2].map(|process| registered(&ledger, process));
        second.set_depends_on(Some(first.index));
        cache_begins(first, &Says(true));
        cache_ends(first);
        file_begins(first, directory.path(), &Says(true));
        assert_eq!(count(&ledger), 1, "the other one's cache is open");
        cache_begins(second, &Says(true));
        assert_eq!(count(&ledger), 2);
    }

    #[test]
    fn a_second_run_and_a_file_that_is_gone_are_caught() {
        let (directory, ledger) = scratch();
        let line = registered(&ledger, 1);
        for _ in 0..2 {
            cache_begins(line, &Says(true));
            cache_ends(line);
        }
        assert_eq!(count(&ledger), 1);
        let path = directory.path().join("none");
        file_begins(line, &path, &Says(true));
        assert_eq!(count(&ledger), 2);
        file_begins(line, directory.path(), &Says(true));
        assert_eq!(count(&ledger), 3);
    }

    #[test]
    fn a_file_is_reclaimed_once_and_only_of_the_dead() {
        let (_directory, ledger) = scratch();
        let [dead, living] = [1, 2].map(|process| Line::take(&ledger, process));
        ledger.doom(1);
        let take = |line: Line<'_>| reclaim(&ledger, &line.id(), FILE, Some(Reclaim::Reclaimed));
        take(dead);
        assert_eq!(count(&ledger), 0);
        take(dead);
        assert_eq!(count(&ledger), 1);
        take(living);
        assert_eq!(count(&ledger), 2);
        reclaim(&ledger, "somebody", FILE, Some(Reclaim::Absent));
        assert_eq!(count(&ledger), 3);
    }
}
