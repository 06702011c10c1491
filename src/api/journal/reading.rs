//! Reading the journal back: numbers become names as far as the tables still know them.

use std::collections::HashMap;
use std::time::Duration;

use crate::api::core::Tables;
use crate::api::journal::record::{HandlerEnd, Journal, JournalEvent, JournalRecord};
use crate::api::journal::writing::TAKEN;
use crate::api::lock_wait::lock_name;
use crate::api::resource::ResourceState;
use crate::api::view::View;
use crate::note::{FORCED, Kind, LATE, Note, OWN, REGAINED, RunnerKey, runner_key};
use crate::phase::{Mode, Phase, ReasonCode};
use crate::sync::{Env, Real};
use crate::table::journal::Found;
use crate::table::journal_record::Entry;
use crate::table::resources::{Key, State};

/// A record as it was written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Raw {
    pub(crate) sequence: u64,
    pub(crate) entry: Entry,
}

/// Who was in which runner slot, as far as the tables or the journal know.
#[derive(Debug, Default)]
pub(crate) struct Names {
    /// From records of joining.
    joined: HashMap<RunnerKey, (String, u32)>,
}

impl Names {
    pub(crate) fn of(raw: &[Raw]) -> Self {
        let joins = raw.iter().filter(|raw| raw.entry.note.kind == Kind::Joined);
        let names = joins.filter_map(|raw| {
            let note = raw.entry.note;
            let pid = u32::try_from(note.argument).unwrap_or(0);
            Some((note.runner?, (note.text.read(), pid)))
        });
        Self {
            joined: names.collect(),
        }
    }

    /// The id of a holder of a slot.
    pub(crate) fn id(&self, tables: &Tables, key: RunnerKey) -> String {
        let slot = usize::from(key.0);
        let is_holder = || runner_key(slot, tables.group.member(slot).generation()) == key;
        if is_holder()
            && let Some(texts) = tables.texts.get(slot)
        {
            let id = texts.id.read().0;
            // The slot may have got a new holder while we read.
            if is_holder() && !id.is_empty() {
                return id;
            }
        }
        match self.joined.get(&key) {
            Some((id, _)) => id.clone(),
            None => format!("slot {slot}"),
        }
    }

    /// Its process id, if its joining is still in the journal.
    pub(crate) fn pid(&self, key: RunnerKey) -> u32 {
        self.joined.get(&key).map_or(0, |(_, pid)| *pid)
    }
}

impl<E: Env<Real>> View<'_, E> {
    /// What is in the ring after a sequence, the holes, and the last sequence.
    pub(crate) fn raw_journal(&self, after: u64) -> (Vec<Raw>, Vec<u64>, u64, u64) {
        let found = self.tables.journal.read_after(after);
        let count = found.records.len() as u64;
        let before = found.first.saturating_sub(1);
        let (raw, holes) = sorted(found);
        (raw, holes, before, before.saturating_add(count))
    }

    pub(crate) fn journal(&self, after: u64) -> Journal {
        let (raw, holes, before, last) = self.raw_journal(after);
        // Names are known from joins before what was asked for, too.
        let names = match after {
            0 => Names::of(&raw),
            _ => Names::of(&self.raw_journal(0).0),
        };
        let now = self.env.now();
        let records = raw.iter().filter_map(|raw| {
            let Entry { at, note, .. } = raw.entry;
            Some(JournalRecord {
                sequence: raw.sequence,
                at: Duration::from_micros(at),
                age: Duration::from_micros(now.saturating_sub(at)),
                pid: raw.entry.pid,
                generation: raw.entry.generation,
                runner: note.runner.map(|key| names.id(self.tables, key)),
                thread: note.thread.map(usize::from),
                own: note.detail & OWN != 0 && has_scope(note.kind),
                event: event(self.tables, &note)?,
            })
        });
        Journal {
            records: records.collect(),
            holes,
            before,
            last,
        }
    }
}

/// What can be read, and the sequences of what cannot: each sequence is the one or the other.
fn sorted(found: Found) -> (Vec<Raw>, Vec<u64>) {
    let (mut raw, mut holes) = (Vec::with_capacity(found.records.len()), Vec::new());
    for (at, words) in found.records.iter().enumerate() {
        let sequence = found.first.saturating_add(at as u64);
        let entry = words.as_ref().and_then(Entry::unpack);
        match entry.filter(|entry| makes_sense(&entry.note)) {
            Some(entry) => raw.push(Raw { sequence, entry }),
            None => holes.push(sequence),
        }
    }
    (raw, holes)
}

/// Whether a note says what its kind can say. A check fits whatever words it was made of.
fn makes_sense(note: &Note) -> bool {
    match note.kind {
        Kind::Phase | Kind::Acknowledged | Kind::HandlerStarted | Kind::HandlerEnded => {
            phase_of(note).is_some()
        }
        Kind::Resource => State::from_bits(u64::from(note.detail)).is_some(),
        _ => true,
    }
}

/// Whether a kind is about the shutdown of a scope: of the group, or with `OWN` of a runner.
pub(crate) const fn has_scope(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Initiated
            | Kind::Merged
            | Kind::Escalated
            | Kind::Cancelled
            | Kind::Phase
            | Kind::Acknowledged
            | Kind::Extended
    )
}

pub(crate) fn phase_of(note: &Note) -> Option<Phase> {
    Phase::from_bits(u64::from(note.detail & 0b111))
}

pub(crate) fn mode_of(note: &Note) -> Mode {
    Mode::from_bits(u64::from(note.detail & 0b11))
}

pub(crate) fn code_of(note: &Note) -> ReasonCode {
    ReasonCode::from_bits(u64::from(note.detail >> 2 & 0b111))
}

pub(crate) fn state_of(note: &Note) -> Option<ResourceState> {
    State::from_bits(u64::from(note.detail)).and_then(ResourceState::of)
}

/// The registration that a record of a resource is about.
pub(crate) fn key_of(note: &Note) -> Option<Key> {
    Key::unpacked(note.argument)
}

/// The name of the resource of a record.
pub(crate) fn resource_name(tables: &Tables, note: &Note) -> String {
    let key = key_of(note).filter(|key| tables.resources.find(*key).is_some());
    let texts = key.and_then(|key| tables.resource_texts.get(key.index));
    let name = texts.map(|texts| texts.name.read().0);
    // Not of a record that was used again meanwhile.
    let name = name.filter(|_| key.is_some_and(|key| tables.resources.find(key).is_some()));
    name.unwrap_or_else(|| note.text.read())
}

pub(crate) fn event(tables: &Tables, note: &Note) -> Option<JournalEvent> {
    let micros = Duration::from_micros(note.argument);
    let budget = Duration::from_millis(note.argument);
    let lock = |index: u64| lock_name(tables, index as u32 as usize);
    Some(match note.kind {
        Kind::Joined => JournalEvent::Joined,
        Kind::Left => JournalEvent::Left {
            failed: note.detail != 0,
        },
        Kind::Died => JournalEvent::Died,
        Kind::Initiated => JournalEvent::Initiated {
            mode: mode_of(note),
            code: code_of(note),
            text: note.text.read(),
            budget,
        },
        Kind::Merged => JournalEvent::Merged {
            mode: mode_of(note),
            budget,
        },
        Kind::Escalated => JournalEvent::Escalated {
            from: Mode::from_bits(note.argument),
            to: mode_of(note),
        },
        Kind::Cancelled => JournalEvent::Cancelled,
        Kind::Phase => JournalEvent::Phase {
            phase: phase_of(note)?,
            forced: note.detail & FORCED != 0,
            took: micros,
        },
        Kind::Acknowledged => JournalEvent::Acknowledged {
            phase: phase_of(note)?,
            late: note.detail & LATE != 0,
        },
        Kind::HandlerStarted => JournalEvent::HandlerStarted {
            name: note.text.read(),
            phase: phase_of(note)?,
        },
        Kind::HandlerEnded => JournalEvent::HandlerEnded {
            name: note.text.read(),
            phase: phase_of(note)?,
            end: HandlerEnd::from_bits(note.detail >> 3),
            started: note.argument,
        },
        Kind::Resource => JournalEvent::Resource {
            name: resource_name(tables, note),
            state: state_of(note),
        },
        Kind::Extended => JournalEvent::Extended { granted: micros },
        Kind::OwnerDied => JournalEvent::OwnerDied {
            lock: lock(note.argument),
            taken: note.detail == TAKEN,
        },
        Kind::Deadlock => JournalEvent::Deadlock {
            lock: lock(note.argument),
            members: usize::from(note.detail),
        },
        Kind::LockOrder => JournalEvent::LockOrder {
            held: lock(note.argument),
            wanted: lock(note.argument >> 32),
        },
        Kind::Renewed => JournalEvent::Generation {
            generation: note.argument as u32,
        },
        Kind::LockLost => JournalEvent::LockLost {
            regained: note.detail == REGAINED,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(kind: Kind, detail: u8) -> Option<[u64; 7]> {
        let entry = Entry {
            at: 1,
            pid: 1,
            generation: 1,
            note: Note::new(kind).detail(detail),
        };
        Some(entry.pack())
    }

    #[test]
    fn a_sequence_is_a_record_or_a_hole_whatever_its_bits_are() {
        const NO_PHASE: u8 = 0b111;
        const NO_STATE: u8 = u8::MAX;
        let kinds = (1..Kind::COUNT as u8).filter_map(Kind::from_bits);
        let mut records: Vec<_> = kinds.clone().map(|kind| words(kind, NO_PHASE)).collect();
        records.extend([words(Kind::Resource, NO_STATE), None]);
        let count = records.len();
        let (raw, holes) = sorted(Found { first: 5, records });
        assert_eq!(raw.len() + holes.len(), count);
        let bad = [
            Kind::Phase,
            Kind::Acknowledged,
            Kind::HandlerStarted,
            Kind::HandlerEnded,
        ];
        let mut expected: Vec<u64> = (5..)
            .zip(kinds)
            .filter(|(_, kind)| bad.contains(kind))
            .map(|(sequence, _)| sequence)
            .collect();
        expected.extend([count as u64 + 3, count as u64 + 4]);
        assert_eq!(holes, expected);
    }
}
