//! Registering, unregistering, and what depends on what.

use std::sync::{Arc, Mutex};

use crate::api::names::check_name;
use crate::api::resource::entries::{Entry, Shared, graph};
use crate::api::resource::manager::ResourceHandle;
use crate::api::resource::options::{Dependency, ResourceOptions};
use crate::api::resource::report::ResourceType;
use crate::error::{CoordinationError, Holder, ResourceError, SegmentError};
use crate::graph::cycle::way;
use crate::limits::{MAX_DEPENDENCIES, MAX_RESOURCES};
use crate::sync::{Env, Pulse};
use crate::table::resources::{About, Identity, Key, Moved, State, Target, name_hash};

/// Nothing the operating system keeps.
const NO_IDENTITY: Identity = [0; 4];

impl Shared {
    pub(super) fn full_name(&self, name: &str) -> String {
        format!("{}/{name}", self.id)
    }

    pub(super) fn register(
        self: &Arc<Self>,
        name: &str,
        kind: ResourceType,
        options: ResourceOptions,
    ) -> Result<ResourceHandle, ResourceError> {
        self.core().check()?;
        check_name(name)?;
        if !self.is_live() {
            let id = self.id.clone();
            return Err(CoordinationError::Left { id }.into());
        }
        // One registration of this runner at a time.
        let mut entries = self.entries();
        let table = self.table();
        entries.retain(|entry| table.find(entry.key).is_some());
        let is_open = |entry: &&Entry| table.find(entry.key).is_some_and(|word| word.is_open());
        let full = self.full_name(name);
        if entries.iter().filter(is_open).any(|e| e.name == name) {
            return Err(ResourceError::Duplicate { name: full });
        }
        let on = self.resolve(&full, &options.depends_on)?;
        let newest = entries
            .iter()
            .filter_map(|entry| table.entered(entry.key, State::Active))
            .max();
        // Strictly newer than the one before, as the order asks for the newest first.
        let now = self.now().max(newest.map_or(0, |newest| newest + 1));

        // Before a record is claimed: what is refused uses no generation up.
        self.refuse_closing(&full, &on)?;
        let key = self.claim()?;
        let texts = &self.tables().resource_texts[key.index];
        texts.runner.write(&self.id);
        texts.name.write(name);
        let system = options.system.as_ref();
        let (identity, path) = system.map_or((NO_IDENTITY, ""), |s| (s.identity, s.path.as_str()));
        texts.path.write(path);
        let about = About {
            runner_generation: self.generation,
            kind: kind.bits(),
            order: options.order,
            called: name_hash(&self.id, name),
        };
        table.describe(key, about, identity, path);
        for on in &on {
            table.try_dependency(key, *on);
        }
        if table.publish(key, now) != Moved::Done {
            return Err(stale(full));
        }
        let note = self.named(key, State::Active);
        self.core().write_note(now, note);
        // Published: whoever closes one of them from now on waits for us, or we see it.
        let refused = self.refuse_closing(&full, &on);
        let refused = refused.and_then(|()| self.refuse_cycle(key, &on));
        if let Err(refused) = refused {
            let _ = self.move_to(key, &[State::Active], State::Free, now);
            return Err(refused);
        }
        for on in &on {
            table.end_try(key, *on, true);
        }
        entries.push(Entry {
            key,
            name: name.into(),
            timeout: options.timeout,
            drain: options.drain.map(|drain| Arc::new(Mutex::new(drain))),
            is_draining: false,
            cleanup: options.cleanup,
            force: options.force,
            is_alive: options.is_alive,
        });
        Ok(ResourceHandle::new(&self.session, key, full))
    }

    /// An error if one of them is not Active. Of a name: if a living owner closes what bears it.
    fn refuse_closing(&self, name: &str, on: &[Target]) -> Result<(), ResourceError> {
        let table = self.table();
        let binds = |key: &Key| {
            let owner = table.find(*key).and_then(|word| word.process());
            owner.is_some_and(|owner| !matches!(self.core().process_pulse(owner), Pulse::Dead))
        };
        let closing = on.iter().find_map(|on| match on {
            Target::Key(on) => Some(*on).filter(|on| !self.is_active(*on)),
            Target::Name(hash) => {
                let closing = |key: &Key| !self.is_active(*key) && binds(key);
                table.holders(*hash).find(closing)
            }
        });
        match closing {
            Some(closing) => Err(ResourceError::DependencyClosing {
                name: name.into(),
                dependency: self.view().full_name(closing),
            }),
            None => Ok(()),
        }
    }

    /// An error if a registration, which is visible already, is on a cycle. Only a cycle that
    /// it closes matters: what others are trying is theirs to take back.
    fn refuse_cycle(&self, key: Key, on: &[Target]) -> Result<(), ResourceError> {
        if on.is_empty() {
            return Ok(());
        }
        let (keys, nodes) = graph(self.core());
        let Some(own) = keys.iter().position(|known| *known == key) else {
            return Ok(());
        };
        let next = |node: usize| nodes[node].depends_on.iter().copied();
        let back = next(own).find_map(|from| way(nodes.len(), from, own, next));
        match back {
            None => Ok(()),
            Some(back) => {
                let cycle = back.last().into_iter().chain(&back);
                let name = |at: &usize| self.view().full_name(keys[*at]);
                Err(ResourceError::Cycle {
                    cycle: cycle.map(name).collect(),
                })
            }
        }
    }

    fn is_active(&self, key: Key) -> bool {
        let word = self.table().find(key);
        word.is_some_and(|word| word.state() == Ok(State::Active))
    }

    fn resolve(&self, name: &str, depends_on: &[Dependency]) -> Result<Vec<Target>, ResourceError> {
        if depends_on.len() > MAX_DEPENDENCIES {
            return Err(ResourceError::TooManyDependencies {
                name: name.into(),
                limit: MAX_DEPENDENCIES,
            });
        }
        let one = |dependency: &Dependency| match dependency {
            Dependency::Handle(handle) => self.key_of(handle).map(Target::Key),
            Dependency::Named(on) => named(name, on),
        };
        depends_on.iter().map(one).collect()
    }

    /// A handle of the open resource that bears a name now.
    pub(super) fn find(self: &Arc<Self>, full_name: &str) -> Result<ResourceHandle, ResourceError> {
        self.core().check()?;
        let (runner, name) = split(full_name)?;
        let key = self.view().find_resource(runner, name);
        let key = key.ok_or_else(|| stale(full_name.into()))?;
        Ok(ResourceHandle::new(&self.session, key, full_name.into()))
    }

    /// The registration of a handle, of whatever runner of this segment.
    pub(super) fn key_of(&self, handle: &ResourceHandle) -> Result<Key, ResourceError> {
        let is_here = handle.is_of(&self.session) && self.table().find(handle.key).is_some();
        if is_here {
            Ok(handle.key)
        } else {
            Err(stale(handle.full_name().into()))
        }
    }

    fn claim(&self) -> Result<Key, ResourceError> {
        let group = &self.tables().group;
        let claim = || {
            self.table()
                .claim(self.core().process(), self.slot, |word, about| {
                    let member = word.runner().map(|slot| group.member(slot));
                    member.is_none_or(|member| !about.is_of(member) || !member.is_counted())
                })
        };
        let claimed = claim().or_else(|| {
            // Full: perhaps of the dead.
            self.core().reap();
            claim()
        });
        claimed.ok_or_else(|| {
            let view = self.view();
            let mut held_by: Vec<Holder> = view
                .resources(|_, _| true)
                .into_iter()
                .map(|resource| Holder {
                    name: format!("runner {:?}", resource.runner),
                    pid: 0,
                })
                .collect();
            held_by.sort_by(|a, b| a.name.cmp(&b.name));
            held_by.dedup_by(|a, b| a.name == b.name);
            SegmentError::Full {
                table: "resources",
                capacity: MAX_RESOURCES,
                held_by,
            }
            .into()
        })
    }

    pub(super) fn unregister(&self, handle: &ResourceHandle) -> Result<bool, ResourceError> {
        self.core().check()?;
        let mut entries = self.entries();
        let key = self.key_of(handle)?;
        let Some(at) = entries.iter().position(|entry| entry.key == key) else {
            return Err(stale(handle.full_name().into()));
        };
        let from = [
            State::Active,
            State::Draining,
            State::Closed,
            State::Failed,
            State::TimedOut,
            State::Dropped,
        ];
        match self.move_to(key, &from, State::Free, self.now()) {
            Moved::Done => {
                let gone = entries.remove(at);
                // Unlocked: a closure may own a manager or a handle.
                drop(entries);
                drop(gone);
                Ok(true)
            }
            // Its cleanup is running, or it is not ours to give up.
            Moved::Was(_) => Ok(false),
            Moved::Stale => Err(stale(handle.full_name().into())),
        }
    }

    pub(super) fn add_dependency(
        &self,
        handle: &ResourceHandle,
        on: &Dependency,
    ) -> Result<(), ResourceError> {
        self.core().check()?;
        // Held to the end: while the registration is Active under it, the record is ours.
        let entries = self.entries();
        let key = self.key_of(handle)?;
        let full = handle.full_name();
        let on = match on {
            Dependency::Handle(on) => Target::Key(self.key_of(on)?),
            Dependency::Named(on) => named(full, on)?,
        };
        if !entries.iter().any(|entry| entry.key == key) {
            return Err(stale(full.into()));
        }
        let table = self.table();
        if !self.is_active(key) {
            return Err(ResourceError::DependencyClosing {
                name: full.into(),
                dependency: full.into(),
            });
        }
        if !table.try_dependency(key, on) {
            return Err(ResourceError::TooManyDependencies {
                name: full.into(),
                limit: MAX_DEPENDENCIES,
            });
        }
        // The edge is there: of two processes that close a cycle at once one sees it, or both.
        let refused = self.refuse_cycle(key, &[on]);
        let refused = refused.and_then(|()| self.refuse_closing(full, &[on]));
        table.end_try(key, on, refused.is_ok());
        refused
    }
}

/// The target of a dependency by name.
fn named(name: &str, on: &str) -> Result<Target, ResourceError> {
    if on == name {
        return Err(ResourceError::Cycle {
            cycle: vec![name.into(), name.into()],
        });
    }
    let (runner, on) = split(on)?;
    Ok(Target::Name(name_hash(runner, on)))
}

/// Runner and name of a full name.
fn split(full_name: &str) -> Result<(&str, &str), ResourceError> {
    let (runner, name) = full_name.split_once('/').unwrap_or(("", full_name));
    check_name(runner)?;
    check_name(name)?;
    Ok((runner, name))
}

pub(super) fn stale(name: String) -> ResourceError {
    ResourceError::Stale { name }
}
