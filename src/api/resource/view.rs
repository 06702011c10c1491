//! The resources of a segment as anybody sees them: loads only.

use std::time::Duration;

use crate::api::resource::report::{Leak, Reclaim, ResourceReport, ResourceState, ResourceType};
use crate::api::resource::system;
use crate::api::view::{Target, View};
use crate::phase::Phase;
use crate::sync::{Env, Pulse, Real};
use crate::table::resources::{About, Key, ResourceWord, State};

impl<E: Env<Real>> View<'_, E> {
    /// The registrations that `shows` picks, by record.
    pub(crate) fn resources(
        &self,
        shows: impl Fn(ResourceWord, About) -> bool,
    ) -> Vec<ResourceReport> {
        let table = &self.tables.resources;
        let picked = |index: usize| {
            // One registration throughout: it is searched again after all was read.
            let key = table.key(index);
            let word = table.find(key)?;
            shows(word, table.about(index)).then(|| self.resource(key))?
        };
        (0..table.used()).filter_map(picked).collect()
    }

    /// Those that belong in the report of a scope: all, or one runner's with those that
    /// the dead left.
    pub(crate) fn resources_of(&self, target: Target) -> Vec<ResourceReport> {
        let Target::Slot(slot) = target else {
            return self.resources(|word, about| self.is_current(word, about));
        };
        let member = self.tables.group.member(slot);
        self.resources(|word, about| {
            let is_its = word.runner() == Some(slot) && about.is_of(member);
            let is_left = || {
                word.is_open() && self.is_owner_dead(word) || word.state() == Ok(State::Orphaned)
            };
            is_its || self.is_of_present(word, about) && is_left()
        })
    }

    /// Open with an owner that lives, or of a runner of the present generation.
    fn is_current(&self, word: ResourceWord, about: About) -> bool {
        word.is_open() && !self.is_owner_dead(word) || self.is_of_present(word, about)
    }

    /// Of a runner whose record of the present generation still is in its slot: what the dead of
    /// earlier generations left is history, reclaimed or not.
    fn is_of_present(&self, word: ResourceWord, about: About) -> bool {
        let group = &self.tables.group;
        word.runner().is_some_and(|slot| {
            about.is_of(group.member(slot)) && group.joined(slot) == group.generation.current()
        })
    }

    /// Whether something of a dead owner is still to be cleared.
    pub(crate) fn has_orphans(&self) -> bool {
        let table = &self.tables.resources;
        (0..table.used()).any(|index| {
            let word = table.word(index);
            table.is_to_reclaim(index)
                || word.state() == Ok(State::Orphaned)
                    && table.fate(table.key(index)).is_none()
                    && table.has_identity(index)
                || word.is_open() && self.is_owner_dead(word)
        })
    }

    fn is_owner_dead(&self, word: ResourceWord) -> bool {
        word.process()
            .is_none_or(|process| matches!(self.env.process_pulse(process), Pulse::Dead))
    }

    /// One registration; `None` if it is gone.
    pub(crate) fn resource(&self, key: Key) -> Option<ResourceReport> {
        let tables = self.tables;
        let table = &tables.resources;
        let word = table.find(key)?;
        let texts = tables.resource_texts.get(key.index)?;
        let about = table.about(key.index);
        let now = self.env.now();
        let span = |from: Option<u64>, to: Option<u64>| {
            Some(Duration::from_micros(to?.saturating_sub(from?)))
        };
        let mut state = word.state().ok()?;
        let ended = table.entered(key, State::Closed);
        if state.is_open() && self.is_owner_dead(word) {
            // As good as orphaned, though nobody has written it down yet.
            state = State::Orphaned;
        }
        let path = texts.path.read().0;
        let identity = table.identity(key, &path);
        let is_over = || {
            let member = word.runner().map(|slot| tables.group.member(slot));
            let ours = member.filter(|m| about.is_of(*m) && m.is_live(m.generation()));
            ours.is_none() || tables.group.scope.control().phase() == Ok(Phase::Complete)
        };
        let report = ResourceReport {
            runner: texts.runner.read().0,
            name: texts.name.read().0,
            kind: ResourceType::from_bits(about.kind),
            state: ResourceState::of(state)?,
            since: span(table.entered(key, state), Some(now)).unwrap_or_default(),
            order: about.order,
            depends_on: table
                .dependencies_ever(key.index)
                .filter(|on| table.find(*on).is_some())
                .map(|on| self.full_name(on))
                // Of a name that a dead owner bears, too, until that is marked dead.
                .fold(Vec::new(), |mut names, name| {
                    if !names.contains(&name) {
                        names.push(name);
                    }
                    names
                }),
            took: span(table.entered(key, State::Closing), ended),
            late: span(ended, table.late(key)),
            error: word
                .runner()
                .and_then(|slot| self.error_of(key, slot, about.runner_generation)),
            system: identity.and_then(|identity| system::describe(identity, &path)),
            reclaimed: table
                .fate(key)
                .filter(|_| identity.is_some_and(|i| i[0] != 0))
                .map(Reclaim::of),
            leak: match state {
                State::Dropped => Some(Leak::Dropped),
                State::Orphaned => Some(Leak::OwnerDied),
                _ if state.is_open() && is_over() => Some(Leak::StillActive),
                _ => None,
            },
        };
        // Used again meanwhile: what we have read is not of it.
        table.find(key).map(|_| report)
    }

    /// `runner/name` of a registration.
    pub(crate) fn full_name(&self, key: Key) -> String {
        match self.tables.resource_texts.get(key.index) {
            Some(texts) => format!("{}/{}", texts.runner.read().0, texts.name.read().0),
            None => String::new(),
        }
    }

    /// The newest open resource of a runner id and name.
    pub(crate) fn find_resource(&self, runner: &str, name: &str) -> Option<Key> {
        let table = &self.tables.resources;
        (0..table.used())
            // Before its texts, and looked for again after: a record may come to be
            // another's meanwhile.
            .map(|index| table.key(index))
            .filter(|key| {
                let texts = &self.tables.resource_texts[key.index];
                texts.name.is(name) && texts.runner.is(runner)
            })
            .filter(|key| table.find(*key).is_some_and(|word| word.is_open()))
            .max_by_key(|key| table.entered(*key, State::Active))
    }
}
