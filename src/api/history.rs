//! Who belongs to a shutdown, and who is history: runners that died before it began, or that
//! were replaced under their id. Those decide nothing, and are listed apart.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use crate::api::outcome::whole;
use crate::api::report::{Shortening, ShutdownOutcome, ShutdownReport};
use crate::api::view::{Target, View};
use crate::error::SegmentError;
use crate::os::clock;
use crate::phase::Phase;
use crate::sync::{Env, Real};
use crate::table::control::Control;
use crate::table::member::{Member, State};
use core::sync::atomic::Ordering;

/// The runners of one id that died before the present one joined, or before the shutdown
/// began. They are no part of its outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Predecessor {
    /// The id.
    pub id: String,
    /// How many runners of this id died in this generation; those that came after them and
    /// died in the shutdown itself are not among them.
    pub deaths: u64,
    /// When the last of them was found dead.
    pub last_death: Option<SystemTime>,
    /// Process id of the last one as it saw itself; 0 if its record has another holder by now.
    pub pid: u32,
    /// Last words of that one; empty if it left none, or its record has another holder.
    pub last_words: String,
    /// Whether another runner joined under the id after them.
    pub replaced: bool,
}

/// What a generation's tables hold of the past.
#[derive(Default)]
pub(super) struct History {
    pub(super) predecessors: Vec<Predecessor>,
    /// Slots of the dead that are no part of the shutdown.
    slots: BTreeSet<usize>,
}

/// One holder of a slot.
#[derive(Clone, Copy)]
struct Held {
    slot: usize,
    member: Member,
    claimed: u64,
}

impl Held {
    fn is_dead(&self) -> bool {
        self.member.state() == Ok(State::Dead)
    }
}

impl<E: Env<Real>> View<'_, E> {
    /// The predecessors of a generation: the dead for whose id a later runner joined in that
    /// generation, and those that ended before `since`.
    pub(super) fn history(&self, generation: u32, since: Option<u64>) -> History {
        let group = &self.tables.group;
        let held: Vec<Held> = (0..group.used())
            .filter(|slot| group.joined(*slot) == generation)
            .map(|slot| Held {
                slot,
                member: group.member(slot),
                claimed: group.claimed_at(slot),
            })
            .filter(|held| {
                let state = held.member.state();
                matches!(state, Ok(State::Live | State::Left | State::Dead))
            })
            .collect();
        let recent = |held: &Held| group.runners[held.slot].past.read(generation).recent;
        // The usual case reads no text.
        if !held.iter().any(|held| held.is_dead() || recent(held) > 0) {
            return History::default();
        }
        let mut of_id: BTreeMap<String, Vec<Held>> = BTreeMap::new();
        for held in held {
            let id = self.tables.texts[held.slot].id.read().0;
            of_id.entry(id).or_default().push(held);
        }
        let mut history = History::default();
        for (id, held) in of_id {
            let newest = held.iter().max_by_key(|held| (held.claimed, held.slot));
            let Some(newest) = newest.copied() else {
                continue;
            };
            let had_died = newest.is_dead()
                && since.is_some_and(|since| {
                    let ended = self.ended(newest.slot, newest.member);
                    ended.is_some_and(|ended| ended < since)
                });
            let is_past = |one: &&Held| one.is_dead() && (one.slot != newest.slot || had_died);
            let past: Vec<Held> = held.iter().filter(is_past).copied().collect();
            history.slots.extend(past.iter().map(|held| held.slot));
            // Records of the dead are used again when the table is full.
            let deaths = u64::from(recent(&newest)).saturating_add(u64::from(had_died));
            let deaths = deaths.max(past.len() as u64);
            if deaths == 0 {
                continue;
            }
            let last = past.iter().max_by_key(|held| (held.claimed, held.slot));
            let ended = last.and_then(|last| self.ended(last.slot, last.member));
            let ended = ended.or_else(|| group.runners[newest.slot].past.read(generation).last);
            history.predecessors.push(Predecessor {
                deaths,
                last_death: ended.map(clock::wall),
                pid: last.map_or(0, |last| {
                    group.runners[last.slot].pid.load(Ordering::Acquire) as u32
                }),
                last_words: last.map_or_else(String::new, |last| {
                    self.tables.texts[last.slot].last_words.read().0
                }),
                replaced: !had_died,
                id,
            });
        }
        history
    }

    /// The history of the present generation, as the shutdown that is on or over has it.
    pub(super) fn present_history(&self) -> History {
        let scope = &self.tables.group.scope;
        let control = scope.control();
        let start = (control.phase() != Ok(Phase::Running))
            .then(|| scope.entered(Phase::Signaling, control.epoch()));
        self.history(self.tables.group.generation.current(), start.flatten())
    }

    /// What became of the shutdown of the group that is on or over, from its slots without
    /// history.
    pub(super) fn present_outcome(
        &self,
        control: Control,
        slots: &[usize],
    ) -> Option<ShutdownOutcome> {
        let phase = control.phase().ok()?;
        let start = self.entered(Target::All, Phase::Signaling, control.epoch());
        match phase {
            Phase::Running => None,
            Phase::Complete => {
                // A status also shows those that left before it began.
                let was_in_it = |slot: &&usize| {
                    let member = self.tables.group.member(**slot);
                    let is_left = member.state() == Ok(State::Left);
                    !is_left
                        || start.is_none_or(|start| {
                            self.ended(**slot, member)
                                .is_none_or(|ended| ended >= start)
                        })
                };
                let slots = slots.iter().filter(was_in_it);
                let outcomes: Vec<_> = slots
                    .map(|slot| {
                        let member = self.tables.group.member(*slot);
                        self.outcome(Target::All, *slot, member, control)
                    })
                    .collect();
                Some(whole(&outcomes))
            }
            _ => Some(ShutdownOutcome::Running),
        }
    }

    /// The report of a group whose runners have all ended by themselves, with no shutdown on.
    pub(super) fn report_of_ended(
        &self,
        control: Control,
        generation: u32,
    ) -> Result<ShutdownReport, SegmentError> {
        let mut report = self.report_of(Target::All, control, generation, |_| false)?;
        let history = self.history(generation, None);
        let slots = self.slots(generation, None, &history);
        let outcome = |slot: &usize| {
            let member = self.tables.group.member(*slot);
            self.outcome(Target::All, *slot, member, control)
        };
        report.outcome = whole(&slots.iter().map(outcome).collect::<Vec<_>>());
        let runner = |slot| self.runner(Target::All, slot, control);
        report.runners = slots.into_iter().map(runner).collect();
        report.predecessors = history.predecessors;
        report.resources = self.resources_of(Target::All);
        Ok(report)
    }

    /// Who shortened the budget of the shutdown that `control` is of.
    pub(super) fn shortening(&self, target: Target, control: Control) -> Option<Shortening> {
        let by = self.scope_of(target)?.shortened.get(control.epoch())?;
        Some(Shortening {
            pid: by.pid,
            after: Duration::from_millis(by.after_millis),
            budget: Duration::from_millis(u64::from(control.budget_millis())),
        })
    }

    /// Counts the shutdown that is complete, before its generation ends.
    pub(super) fn count_ended(&self, control: Control) {
        let slots = self.present_slots(&self.present_history());
        let Some(outcome) = self.present_outcome(control, &slots) else {
            return;
        };
        let index = ShutdownOutcome::ENDS.iter().position(|end| *end == outcome);
        let scope = &self.tables.group.scope;
        if let Some(index) = index {
            let endings = &self.tables.tallies.endings;
            endings.count(index, control.epoch(), || scope.control() == control);
        }
    }

    /// Slots of the present generation, with living ones of older ones and without history.
    pub(super) fn present_slots(&self, history: &History) -> Vec<usize> {
        self.slots(self.tables.group.generation.current(), None, history)
    }

    /// Slots of a generation (of the present one with living ones of older ones) without
    /// history; with `since`, without those that left before that instant.
    pub(super) fn slots(
        &self,
        generation: u32,
        since: Option<u64>,
        history: &History,
    ) -> Vec<usize> {
        let group = &self.tables.group;
        let is_current = generation == group.generation.current();
        (0..group.used())
            .filter(|slot| {
                let member = group.member(*slot);
                let ours = group.joined(*slot) == generation;
                match member.state() {
                    // A joiner is counted, so it is shown.
                    Ok(State::Joining | State::Live) => ours || is_current,
                    Ok(State::Dead) => ours && !history.slots.contains(slot),
                    Ok(State::Left) => {
                        let ended = self.ended(*slot, member);
                        ours && ended.is_none_or(|ended| since.is_none_or(|since| ended >= since))
                    }
                    _ => false,
                }
            })
            .collect()
    }

    /// The newest slot of an id: a living runner before an ended one.
    pub(crate) fn find(&self, id: &str) -> Option<(usize, Member)> {
        self.find_all(id).into_iter().next()
    }

    /// Every slot of an id, the newest first.
    pub(super) fn find_all(&self, id: &str) -> Vec<(usize, Member)> {
        let group = &self.tables.group;
        let of_id = (0..group.used()).filter_map(|slot| {
            let member = group.member(slot);
            let shown = matches!(member.state(), Ok(State::Live | State::Left | State::Dead));
            (shown && self.tables.texts.get(slot)?.id.is(id)).then_some((slot, member))
        });
        let mut all: Vec<_> = of_id.collect();
        // Each key is read once: it may change in the segment meanwhile.
        all.sort_by_cached_key(|(slot, member)| {
            let newness = (
                member.is_counted(),
                group.joined(*slot),
                self.ended(*slot, *member),
            );
            std::cmp::Reverse(newness)
        });
        all
    }

    /// When the holder of a slot left, or was found dead.
    pub(super) fn ended(&self, slot: usize, member: Member) -> Option<u64> {
        let is_over = matches!(member.state(), Ok(State::Left | State::Dead));
        let runner = self.tables.group.runners.get(slot)?;
        runner.ended(member.generation()).filter(|_| is_over)
    }
}
