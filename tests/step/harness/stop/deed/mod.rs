//! What actors are asked to do and to check. A deed that finds something wrong panics.
//!
//! - `names`: segments.
//! - `life`: generations and shutdowns.
//! - `hold`: locks, permits, threads, events, values, records.
//! - `look`: what must be so when nothing is under way.

mod hold;
mod life;
mod look;
mod names;

use super::actor::Actor;

/// One deed, with the text of its argument; returns what it has to say.
pub type Deed = fn(&mut Actor, &str) -> String;

pub fn named(name: &str) -> Deed {
    let mut all = [names::ALL, life::ALL, hold::ALL, look::ALL]
        .into_iter()
        .flatten();
    match all.find(|(each, _)| *each == name) {
        Some((_, deed)) => *deed,
        None => panic!("there is no deed {name:?}"),
    }
}

/// The number that an argument is; 1 for none.
fn number(argument: &str) -> u64 {
    argument.parse().unwrap_or(1)
}
