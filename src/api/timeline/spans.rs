//! What runners were busy with, from the journal: starts and ends, paired.

use std::collections::HashMap;

use crate::api::core::Tables;
use crate::api::journal::{HandlerEnd, Raw, key_of, resource_name, state_of};
use crate::api::resource::ResourceState;
use crate::api::timeline::{SpanKind, TimelineSpan};
use crate::note::{Kind, RunnerKey as Key};
use crate::table::resources::Key as Resource;

use super::build::Frame;

/// Something that has begun: where it is told.
type Place = (Key, usize);

/// All of the frame, by runner.
pub(super) fn spans(
    tables: &Tables,
    frame: &Frame,
    within: &[Raw],
) -> HashMap<Key, Vec<TimelineSpan>> {
    let mut all: HashMap<Key, Vec<TimelineSpan>> = HashMap::new();
    let mut handlers: HashMap<u64, Place> = HashMap::new();
    let mut resources: HashMap<Resource, Place> = HashMap::new();
    for raw in within {
        let (at, note) = (frame.offset(raw.entry.at), &raw.entry.note);
        let Some(runner) = note.runner else { continue };
        let begin = |all: &mut HashMap<Key, Vec<TimelineSpan>>, kind, name| {
            let spans = all.entry(runner).or_default();
            spans.push(TimelineSpan {
                kind,
                name,
                from: at,
                until: None,
                end: None,
            });
            (runner, spans.len() - 1)
        };
        let finish = |all: &mut HashMap<Key, Vec<TimelineSpan>>, place: Place, end| {
            let spans = all.get_mut(&place.0);
            if let Some(span) = spans.and_then(|spans| spans.get_mut(place.1)) {
                span.until = Some(at.max(span.from));
                span.end = Some(end);
            }
        };
        match note.kind {
            Kind::HandlerStarted => {
                let place = begin(&mut all, SpanKind::Handler, note.text.read());
                handlers.insert(raw.sequence, place);
            }
            Kind::HandlerEnded => {
                let end = HandlerEnd::from_bits(note.detail >> 3).name();
                if let Some(place) = handlers.remove(&note.argument) {
                    finish(&mut all, place, end);
                }
            }
            Kind::Resource => {
                let Some(key) = key_of(note) else { continue };
                let state = state_of(note);
                let end = state.map_or("Unregistered", ResourceState::name);
                if let Some(place) = resources.remove(&key) {
                    finish(&mut all, place, end);
                }
                let kind = match state {
                    Some(ResourceState::Draining) => SpanKind::Draining,
                    Some(ResourceState::Closing) => SpanKind::Closing,
                    _ => continue,
                };
                let place = begin(&mut all, kind, resource_name(tables, note));
                resources.insert(key, place);
            }
            _ => {}
        }
    }
    for spans in all.values_mut() {
        spans.sort_by_key(|span| span.from);
    }
    all
}
