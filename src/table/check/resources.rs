//! Registered resources.

use core::sync::atomic::Ordering;

use crate::graph::cycle::way;
use crate::sync::{Mem, Word};
use crate::table::resources::reclaim::{fault, seal, waiting};
use crate::table::resources::{
    Claimant, Key, Resource, ResourceTexts, ResourceWord, Resources, State, TRIED, Target, unpack,
};
use crate::table::slots::Processes;
use crate::width::{RESOURCE, mask};

use super::{At, Invariant, Look, Standing, Witness, standing};

/// Kinds of resources that the API knows.
const KINDS: u8 = 7;

/// A generation that is so far ahead or further is an old one. Half of all: none wraps
/// in the life of a segment but with narrow tags, where nothing is ahead.
const AHEAD: u64 = if cfg!(feature = "narrow") {
    0
} else {
    1 << (RESOURCE - 1)
};

pub(crate) fn resources<M: Mem, W: Witness<M>, const N: usize, const P: usize, const R: usize>(
    look: &mut Look<'_, W>,
    resources: &Resources<M, N>,
    texts: &[ResourceTexts<M>; N],
    processes: &Processes<M, P>,
) {
    let high = resources.high_water.load(Ordering::Acquire);
    if high as usize > N {
        let at = At("resources", 0);
        look.broken(
            Invariant::Reach,
            at,
            "reach beyond their table",
            &[u64::from(high)],
        );
    }
    for index in resources.used()..N {
        let raw = resources.word(index).raw();
        if raw != 0 {
            let high = u64::from(resources.high_water.load(Ordering::Acquire));
            let what = "is used beyond the high-water mark";
            look.broken(Invariant::Reach, At("resource", index), what, &[raw, high]);
        }
    }
    for (index, record) in resources.records.iter().enumerate().take(resources.used()) {
        let at = At("resource", index);
        let word = resources.word(index);
        let is_sane = known::<_, _, P, R>(look, at, word);
        let text = &texts[index];
        let faults = [text.runner.fault(), text.name.fault(), text.path.fault()];
        for fault in faults {
            look.fault(Invariant::Text, at, fault, &[word.raw()]);
        }
        if !is_sane {
            continue;
        }
        owner(look, at, word, processes);
        if word.is_open() || word.is_ended() {
            registered(look, at, word, record);
            sealed(look, at, word, record, text);
            if word.is_open() {
                dependencies(look, at, resources, index, word);
            }
            reclaim(look, at, word, record, processes);
        }
    }
    circles(look, resources, processes);
}

fn known<M: Mem, W: Witness<M>, const P: usize, const R: usize>(
    look: &mut Look<'_, W>,
    at: At,
    word: ResourceWord,
) -> bool {
    let fault = if word.process().is_some_and(|process| process >= P) {
        Some("names a process that there is no room for")
    } else if word.runner().is_some_and(|runner| runner >= R) {
        Some("names a runner that there is no room for")
    } else {
        word.fault()
    };
    look.fault(Invariant::Resource, at, fault, &[word.raw()]);
    fault.is_none()
}

fn owner<M: Mem, W: Witness<M>, const P: usize>(
    look: &mut Look<'_, W>,
    at: At,
    word: ResourceWord,
    processes: &Processes<M, P>,
) {
    let is_claimed = word.state() == Ok(State::Claimed);
    let Some(process) = word.process().filter(|_| is_claimed || word.is_open()) else {
        return;
    };
    let words = [word.raw(), processes.word(process).raw()];
    match standing(processes, process, look.witness) {
        Standing::Free => {
            let what = "belongs to a process that is not attached";
            look.broken(Invariant::Resource, at, what, &words);
        }
        Standing::Dead => {
            let what = "is of a dead process, and not orphaned";
            look.left(Invariant::CountedOut, at, what, &words);
        }
        Standing::Living => {}
    }
}

fn registered<M: Mem, W: Witness<M>>(
    look: &mut Look<'_, W>,
    at: At,
    word: ResourceWord,
    record: &Resource<M>,
) {
    let key = Key {
        index: at.1,
        generation: word.generation(),
    };
    if let Ok(state) = word.state() {
        let fault = match record.since(key, state) {
            None => Some("is in its state since no time"),
            Some(since) if look.is_ahead(since) => Some("is in its state since the future"),
            Some(_) => None,
        };
        let words = [word.raw(), record.times.raw(state)];
        look.fault(Invariant::Resource, at, fault, &words);
    }
    let about = record.about.load(Ordering::Relaxed);
    let kind = about as u8;
    if kind >= KINDS || about >> 8 & mask(24) != 0 {
        look.broken(
            Invariant::Resource,
            at,
            "is of no known type",
            &[word.raw(), about],
        );
    }
}

fn sealed<M: Mem, W>(
    look: &mut Look<'_, W>,
    at: At,
    word: ResourceWord,
    record: &Resource<M>,
    texts: &ResourceTexts<M>,
) {
    let identity = core::array::from_fn(|i| record.identity[i].load(Ordering::Relaxed));
    let sealed = record.seal.load(Ordering::Relaxed);
    if seal(word.generation(), identity, &texts.path.read().0) != sealed {
        let words = [word.raw(), sealed, identity[0], identity[1]];
        look.broken(Invariant::Reclaim, at, "is not what was registered", &words);
    }
}

fn dependencies<M: Mem, W, const N: usize>(
    look: &mut Look<'_, W>,
    at: At,
    resources: &Resources<M, N>,
    index: usize,
    word: ResourceWord,
) {
    for dependency in &resources.records[index].depends_on {
        let raw = dependency.load(Ordering::Acquire);
        if raw == 0 {
            continue;
        }
        let on = match unpack(raw) {
            // Whoever bears the name, if anybody does.
            Some(Target::Name(_)) => continue,
            Some(Target::Key(on)) if on.index < N => Some(on),
            _ => None,
        };
        let Some(on) = on else {
            let words = [word.raw(), raw];
            look.broken(
                Invariant::Dependency,
                at,
                "depends on nothing that there is",
                &words,
            );
            continue;
        };
        let there = resources.word(on.index);
        // The record may have been used again since, never before.
        let ahead = on.generation.wrapping_sub(there.generation()) & mask(RESOURCE);
        if ahead != 0 && ahead < AHEAD {
            let words = [word.raw(), raw, there.raw()];
            let what = "depends on a registration to come";
            look.broken(Invariant::Dependency, at, what, &words);
        }
    }
}

fn reclaim<M: Mem, W: Witness<M>, const P: usize>(
    look: &mut Look<'_, W>,
    at: At,
    word: ResourceWord,
    record: &Resource<M>,
    processes: &Processes<M, P>,
) {
    let raw = record.reclaim.load(Ordering::Acquire);
    let words = [word.raw(), raw];
    let Ok(state) = word.state() else { return };
    let found = fault(raw, word.generation(), state);
    look.fault(Invariant::Reclaim, at, found, &words);
    let Some(claimant) = waiting(raw).filter(|_| found.is_none()) else {
        return;
    };
    // Whether an open one is marked by a sweeper, or by mistake, does not show.
    let Some(claimant) = claimant else {
        look.left(Invariant::Reclaim, at, "is to be reclaimed", &words);
        return;
    };
    let of = processes.word(claimant.process);
    let is_present = Claimant::new(claimant.process, of.generation()) == claimant;
    if claimant.process >= P {
        let what = "is claimed by a process that there is no room for";
        look.broken(Invariant::Reclaim, at, what, &words);
    } else if !is_present || standing(processes, claimant.process, look.witness) != Standing::Living
    {
        let words = [word.raw(), raw, of.raw()];
        look.left(
            Invariant::Reclaim,
            at,
            "is claimed by one that is gone",
            &words,
        );
    }
}

/// Open ones whose owners live make no circle of edges that are not tried: each owner looks
/// before it lets its edge stand. An edge stands while its registration is open, so if the
/// words are the same after all edges were read, the whole circle stood in between.
fn circles<M: Mem, W: Witness<M>, const N: usize, const P: usize>(
    look: &mut Look<'_, W>,
    resources: &Resources<M, N>,
    processes: &Processes<M, P>,
) {
    let words: Vec<_> = (0..resources.used()).map(|i| resources.word(i)).collect();
    let witness = look.witness;
    let binds = |word: &ResourceWord| {
        let owner = word.process().filter(|_| word.is_open());
        owner.is_some_and(|owner| standing(processes, owner, witness) == Standing::Living)
    };
    let binding: Vec<bool> = words.iter().map(binds).collect();
    let edges: Vec<Vec<usize>> = (0..words.len())
        .map(|index| {
            let raws = resources.records[index].depends_on.iter();
            let edges = raws.map(|raw| raw.load(Ordering::Acquire));
            let standing = edges.filter(|raw| binding[index] && raw & TRIED == 0);
            let leads_to = |on: Target, at: &usize| {
                let generation = words[*at].generation();
                let key = Key {
                    index: *at,
                    generation,
                };
                binding[*at]
                    && match on {
                        Target::Key(on) => on == key,
                        Target::Name(hash) => resources.called(key) == Some(hash),
                    }
            };
            standing
                .filter_map(unpack)
                .flat_map(|on| (0..words.len()).filter(move |at| leads_to(on, at)))
                .collect()
        })
        .collect();
    let stood: Vec<bool> = (0..words.len())
        .map(|index| resources.word(index) == words[index])
        .collect();
    for index in on_circles(&edges, &stood) {
        let what = "depends on itself in a circle";
        let at = At("resource", index);
        look.broken(Invariant::Dependency, at, what, &[words[index].raw()]);
    }
}

/// The nodes on a circle of edges between nodes that stood.
fn on_circles(edges: &[Vec<usize>], stood: &[bool]) -> Vec<usize> {
    let next = |index: usize| {
        let on = edges[index].iter().copied();
        on.filter(move |on| stood[index] && stood[*on])
    };
    let is_on_one =
        |index: &usize| next(*index).any(|on| way(edges.len(), on, *index, next).is_some());
    (0..edges.len()).filter(is_on_one).collect()
}

#[cfg(test)]
mod tests {
    use super::on_circles;

    #[test]
    fn a_circle_is_of_nodes_that_stood() {
        // 0 and 1, 2 alone, 3 before a circle, 4 after one; 5, 6, 7 once more.
        let edges = [
            vec![1],
            vec![4, 0],
            vec![2],
            vec![0, 2],
            vec![],
            vec![6],
            vec![7],
            vec![4, 5],
        ];
        let mut stood = [true; 8];
        assert_eq!(on_circles(&edges, &stood), [0, 1, 2, 5, 6, 7]);
        for (moved, left) in [
            (0, &[2, 5, 6, 7][..]),
            (1, &[2, 5, 6, 7]),
            (2, &[0, 1, 5, 6, 7]),
            (4, &[0, 1, 2, 5, 6, 7]),
            (6, &[0, 1, 2]),
        ] {
            stood[moved] = false;
            assert_eq!(on_circles(&edges, &stood), left, "{moved} moved");
            stood[moved] = true;
        }
    }
}
