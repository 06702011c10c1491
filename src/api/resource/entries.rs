//! The resources of one runner as its own process knows them: records in the segment and
//! the closures that go with them.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::api::core::{Core, Tables};
use crate::api::failure::{as_error, kind_of, tell};
use crate::api::left::Writing;
use crate::api::resource::cleanup::Run;
use crate::api::resource::news::News;
use crate::api::resource::options::{Again, Once, Probe};
use crate::api::resource::report::ResourceReport;
use crate::api::session::Session;
use crate::api::standing::{Patience, take};
use crate::api::view::View;
use crate::api::within::Whose;
use crate::graph::order::{Node, close_order};
use crate::note::Note;
use crate::phase::Phase;
use crate::sync::{Env, Mem, Pulse, Real};
use crate::table::failures::{Failing, FailureKind, FailureSource};
use crate::table::resources::{Key, Moved, Resources, State};

/// One registration.
pub(crate) struct Entry {
    pub(super) key: Key,
    pub(super) name: String,
    pub(super) timeout: Option<Duration>,
    /// Shared with the thread that runs it, which may overrun.
    pub(super) drain: Option<Arc<Mutex<Again>>>,
    /// Its drain is due or runs.
    pub(super) is_draining: bool,
    pub(super) cleanup: Option<Once>,
    pub(super) force: Option<Once>,
    pub(super) is_alive: Option<Probe>,
}

/// Everything of one runner; shared by its managers, its handle, and threads that run
/// closures.
pub(crate) struct Shared {
    pub(super) session: Arc<Session>,
    pub(super) slot: usize,
    pub(super) generation: u64,
    pub(super) id: String,
    /// The runner's own: keeps the writers of its activity apart, and ends with it.
    pub(super) writing: Arc<Writing>,
    /// No registration of this runner ends, and none gets a dependency, but under this lock:
    /// so no edge is written into a record that is another's by then.
    pub(super) entries: Mutex<Vec<Entry>>,
    /// What went wrong, by registration, in the order it happened.
    pub(super) errors: Mutex<Vec<(Key, String)>>,
    /// How many cleanups run at once.
    pub(super) parallel: AtomicUsize,
    /// The cleanup under way or the last one.
    pub(super) run: Mutex<Run>,
    /// The end of the cleanup under way, in microseconds: for its threads.
    pub(super) until: AtomicU64,
    /// The earliest end that anybody who joined it asked for.
    pub(super) cap: AtomicU64,
    /// A cleanup in a shutdown does not wait for late runners to the last.
    pub(super) in_shutdown: AtomicBool,
    /// What the cleanup under way is to know.
    pub(super) news: Arc<News>,
}

impl Shared {
    pub(crate) fn new(
        session: Arc<Session>,
        (slot, generation): (usize, u64),
        id: &str,
        writing: Arc<Writing>,
    ) -> Self {
        Self {
            session,
            slot,
            generation,
            id: id.into(),
            writing,
            entries: Mutex::default(),
            errors: Mutex::default(),
            parallel: AtomicUsize::new(1),
            run: Mutex::default(),
            until: AtomicU64::new(u64::MAX),
            cap: AtomicU64::new(u64::MAX),
            in_shutdown: AtomicBool::new(false),
            news: Arc::default(),
        }
    }

    pub(super) fn core(&self) -> &Arc<Core> {
        self.session.core()
    }

    /// Whose closures run.
    pub(super) fn whose(&self) -> Whose {
        Whose::new(self.core(), (self.slot, self.generation), &self.id)
    }

    pub(super) fn tables(&self) -> &Tables {
        self.core().tables()
    }

    pub(super) fn table(&self) -> &Resources<Real, { crate::limits::MAX_RESOURCES }> {
        &self.tables().resources
    }

    pub(super) fn entries(&self) -> MutexGuard<'_, Vec<Entry>> {
        lock(&self.entries)
    }

    pub(super) fn now(&self) -> u64 {
        self.core().now()
    }

    pub(super) fn view(&self) -> View<'_, Core> {
        View {
            name: self.core().opened().name().as_str(),
            tables: self.tables(),
            env: self.core(),
        }
    }

    /// Moves a registration from one of some states to another, and writes that down.
    pub(super) fn move_to(&self, key: Key, from: &[State], to: State, now: u64) -> Moved {
        // Before: a record that is freed may have another name at once.
        let note = self.named(key, to);
        let moved = self.table().move_to(key, from, to, now);
        if moved == Moved::Done {
            self.core().write_note(now, note);
        }
        moved
    }

    /// The note that a registration is in a state, with its name.
    pub(super) fn named(&self, key: Key, state: State) -> Note {
        let texts = self.tables().resource_texts.get(key.index);
        let name = texts.map(|texts| texts.name.read().0).unwrap_or_default();
        self.table().became(key, state).text(&name)
    }

    /// The words of the shutdowns that may bound a closure or a cleanup, as they are now.
    pub(super) fn control_cells(&self) -> impl Iterator<Item = (<Real as Mem>::Cell<'_>, u32)> {
        let group = &self.tables().group;
        let own = group.runners.get(self.slot).map(|runner| &runner.own);
        [Some(&group.scope), own]
            .into_iter()
            .flatten()
            .map(|scope| (scope.cell(), scope.control().futex_half()))
    }

    /// Whether the runner is still registered.
    pub(super) fn is_live(&self) -> bool {
        let member = self.tables().group.member(self.slot);
        member.is_live(self.generation)
    }

    /// Says what the runner is doing.
    pub(super) fn announce(&self, text: &str) {
        // Before the lock, which a thread of a fork's parent may hold for ever.
        if self.core().is_forked() {
            return;
        }
        let writing = self.writing.begin();
        if writing.is_some() && self.is_live() {
            self.tables().texts[self.slot].set_activity(text, self.now());
        }
    }

    /// Moves a registration to its end, as [`move_to`](Self::move_to).
    pub(super) fn end(&self, key: Key, from: &[State], to: State, now: u64) -> Moved {
        // Waits for one that adds a dependency to it.
        let _entries = self.entries();
        self.move_to(key, from, to, now)
    }

    /// Marks resources whose object has gone.
    pub(super) fn mark_dropped(&self) {
        for entry in self.entries().iter() {
            if entry.is_alive.as_ref().is_some_and(|is_alive| !is_alive()) {
                let from = [State::Active, State::Draining];
                let _ = self.move_to(entry.key, &from, State::Dropped, self.now());
            }
        }
    }

    /// The open resources of this runner in the order of closing, which takes those of all
    /// runners into account: ours may be tied to one another through theirs.
    pub(super) fn in_order(&self) -> Vec<Key> {
        let (keys, nodes) = graph(self.core());
        let order = close_order(&nodes).unwrap_or_else(|_| {
            // Only strange bytes make a cycle: then what each says for itself.
            let mut all: Vec<_> = (0..nodes.len()).collect();
            all.sort_by_key(|at| (nodes[*at].order, std::cmp::Reverse(nodes[*at].age)));
            all
        });
        let own: Vec<Key> = self.entries().iter().map(|entry| entry.key).collect();
        order
            .into_iter()
            .map(|at| keys[at])
            .filter(|key| own.contains(key))
            .collect()
    }

    /// Keeps what went wrong, here and, while the runner is registered, in the segment.
    pub(super) fn note(&self, key: Key, source: FailureSource, kind: FailureKind, cause: &str) {
        let error = as_error(source, kind, cause);
        lock(&self.errors).push((key, error));
        // Before the lock, which a thread of a fork's parent may hold for ever.
        if self.core().is_forked() {
            return;
        }
        let name = self.plan_of(key).map(|(name, _)| name);
        let failing = Failing {
            source,
            kind,
            phase: match source {
                FailureSource::Drain => Phase::Draining,
                _ => Phase::Closing,
            },
            name: name.as_deref().unwrap_or_default(),
            cause,
            resource: Some(key),
        };
        let writing = self.writing.begin();
        if writing.is_some() && self.is_live() {
            tell(self.core(), (self.slot, self.generation), None, &failing);
        }
    }

    /// The same of an error or a panic of a closure.
    pub(super) fn note_error(&self, key: Key, source: FailureSource, error: &str) {
        let (kind, cause) = kind_of(error);
        self.note(key, source, kind, cause);
    }

    pub(super) fn errors_of(&self, key: Key) -> Option<String> {
        let errors = lock(&self.errors);
        let of_it = errors.iter().filter(|(of, _)| *of == key);
        let texts: Vec<_> = of_it.map(|(_, text)| text.as_str()).collect();
        (!texts.is_empty()).then(|| texts.join("; "))
    }

    /// What is still to be closed, or being closed; nothing if the patience ends.
    pub(crate) fn open(&self, patience: Patience) -> Vec<(Key, String)> {
        let Some(entries) = take(&self.entries, patience) else {
            return Vec::new();
        };
        let is_open = |entry: &&Entry| {
            let word = self.table().find(entry.key);
            word.is_some_and(|word| word.is_open())
        };
        let open = entries.iter().filter(is_open);
        open.map(|entry| (entry.key, entry.name.clone())).collect()
    }

    /// What is known of one registration.
    pub(super) fn report_of(&self, key: Key) -> Option<ResourceReport> {
        let mut report = self.view().resource(key)?;
        report.error = self.errors_of(key).or(report.error);
        Some(report)
    }

    /// What went wrong is known to this process only.
    pub(crate) fn add_errors(&self, reports: &mut [ResourceReport]) {
        let own = self.reports();
        for report in reports.iter_mut().filter(|r| r.runner == self.id) {
            if let Some(known) = own.iter().find(|known| known.name == report.name) {
                // The whole text, where the segment has its first bytes.
                report.error.clone_from(&known.error);
            }
        }
    }

    /// All of this runner, those that ended first and in the order of their ends.
    pub(crate) fn reports(&self) -> Vec<ResourceReport> {
        self.mark_dropped();
        let mut keys: Vec<Key> = self.entries().iter().map(|entry| entry.key).collect();
        // Each key is read once: it may change in the segment meanwhile.
        keys.sort_by_cached_key(|key| {
            let ended = self.table().entered(*key, State::Closed);
            ended.unwrap_or(u64::MAX)
        });
        keys.into_iter()
            .filter_map(|key| self.report_of(key))
            .collect()
    }
}

impl Drop for Shared {
    /// The last manager goes, and nobody is left who could close what is open: a leak.
    fn drop(&mut self) {
        if self.core().is_forked() {
            return;
        }
        let now = self.now();
        for entry in self.entries().iter() {
            let open = [State::Active, State::Draining, State::Closing];
            let _ = self.move_to(entry.key, &open, State::Dropped, now);
            self.table().forgo_reclaim(entry.key);
        }
    }
}

/// The open resources of all runners, and what depends on what.
/// Those of the dead bind nobody: one may have died before it took a wrong edge back.
pub(super) fn graph(core: &Core) -> (Vec<Key>, Vec<Node>) {
    let table = &core.tables().resources;
    let binds = |index: &usize| {
        let word = table.word(*index);
        let is_dead = |process| matches!(core.process_pulse(process), Pulse::Dead);
        word.is_open() && !word.process().is_none_or(is_dead)
    };
    let open = (0..table.used()).filter(binds);
    let keys: Vec<Key> = open.map(|index| table.key(index)).collect();
    let nodes = keys
        .iter()
        .map(|key| {
            let on = table.dependencies(key.index);
            Node {
                order: table.about(key.index).order,
                age: table.entered(*key, State::Active).unwrap_or(0),
                depends_on: on
                    .filter_map(|on| keys.iter().position(|key| *key == on))
                    .collect(),
            }
        })
        .collect();
    (keys, nodes)
}

/// A closure that panicked poisons nothing that matters.
pub(super) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;

    use super::*;
    use crate::{ResourceManager, ResourceOptions, ResourceType, Runner, SegmentOptions};

    /// One thread is stopped between finding a registration Active and storing its edge;
    /// another one of the process that gives the registration up waits for it.
    #[test]
    fn a_registration_does_not_end_while_it_gets_a_dependency() {
        let scratch = tempfile::tempdir().unwrap();
        let options = SegmentOptions::new().directory(scratch.path().join("d"));
        let segment = options.create("edges").unwrap();
        let runner = Runner::join(&segment, "a").unwrap();
        let manager = ResourceManager::new(&runner);
        let [on, from] = ["on", "from"].map(|name| {
            let options = ResourceOptions::new();
            let kind = ResourceType::Custom;
            manager.register_resource(name, kind, options).unwrap().key
        });
        let shared = runner.resources_or_new();
        let table = shared.table();
        let state = || table.word(from.index).state();
        let (begins, begun) = mpsc::channel();
        thread::scope(|scope| {
            let entries = shared.entries();
            let ending = scope.spawn(|| {
                begins.send(()).unwrap();
                shared.end(from, &[State::Active], State::TimedOut, shared.now())
            });
            begun.recv().unwrap();
            assert!(table.try_dependency(from, on));
            table.end_try(from, on, true);
            assert_eq!(state(), Ok(State::Active));
            drop(entries);
            assert_eq!(ending.join().unwrap(), Moved::Done);
        });
        assert_eq!(state(), Ok(State::TimedOut));
        assert!(table.dependencies(from.index).eq([on]));
    }
}
