//! Two resources of each runner: a file that nobody may leave behind, and a cache that
//! depends on it, and perhaps on the file of another runner.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ebbtide::{ResourceManager, ResourceOptions, ResourceType, Runner, SystemResource};

use super::Member;
use crate::ledger::act::Act;
use crate::ledger::line::{File, Line};
use crate::oracle::cleanup::{self, CACHE, FILE};

pub fn path(member: &Member, line: &Line<'_>) -> PathBuf {
    member.scratch.join("files").join(line.id())
}

pub fn register(member: &mut Member, runner: &Runner, line: Line<'_>) -> ResourceManager {
    let manager = ResourceManager::new(runner);
    let path = path(member, &line);
    std::fs::write(&path, "").unwrap();
    line.set_file(File::Created);
    let (ledger, index) = (Arc::clone(&member.ledger), line.index);
    let segment = member.segment.clone();
    let file = ResourceOptions::new()
        .system(SystemResource::file(&path).unwrap())
        .cleanup(move |_| {
            let line = Line::at(&ledger, index);
            cleanup::file_begins(line, &path, &segment);
            std::fs::remove_file(&path)?;
            line.set_file(File::Removed);
            Ok::<_, std::io::Error>(())
        });
    let file = match manager.register_resource(FILE, ResourceType::File, file) {
        Ok(file) => file,
        Err(error) => {
            // 1024 of the dead at most, until a process reaps.
            println!("no resource: {error}");
            return manager;
        }
    };
    line.set_file(File::Registered);
    member.ledger.count(Act::Resource);
    let (other, nap) = (other(member, line), member.random.below(2_000));
    let cache = |depends: Option<usize>, nap: u64| {
        let ledger = Arc::clone(&member.ledger);
        let segment = member.segment.clone();
        let options = ResourceOptions::new().depends_on(&file);
        let options = match depends {
            Some(other) => {
                let name = format!("{}/{FILE}", Line::at(&ledger, other).id());
                options.depends_on_named(&name)
            }
            None => options,
        };
        let options = options.cleanup(move |_| {
            let line = Line::at(&ledger, index);
            cleanup::cache_begins(line, &segment);
            std::thread::sleep(Duration::from_micros(nap));
            cleanup::cache_ends(line);
            Ok::<_, std::io::Error>(())
        });
        manager.register_resource(CACHE, ResourceType::Custom, options)
    };
    // Before: a process that closes that file from now on finds it, or the registration is
    // refused.
    line.set_depends_on(other);
    let mut registered = cache(other, nap);
    if registered.is_err() && other.is_some() {
        // The other one closes, or is gone.
        line.set_depends_on(None);
        registered = cache(None, nap);
    }
    // Refused when the shutdown closes its own file already.
    if registered.is_ok() {
        line.register_cache();
    }
    manager
}

/// A runner of another process whose file is registered. Not in patient rounds: a runner
/// that is shut down alone waits for the cache of one that is not, up to its budget.
fn other(member: &mut Member, line: Line<'_>) -> Option<usize> {
    if member.ledger.is_patient() || !member.random.once_in(3) {
        return None;
    }
    let back = 1 + member.random.below(8) as usize;
    let other = Line::at(&member.ledger, line.index.checked_sub(back)?);
    (other.file_is(File::Registered) && !other.may_be_dead()).then_some(other.index)
}
