//! Directories of names.

use core::sync::atomic::Ordering;
use std::collections::HashMap;

use crate::sync::{Mem, Word};
use crate::table::names::{Names, USED};

use super::{At, Invariant, Look};

pub(crate) fn names<M: Mem, W, const N: usize>(
    look: &mut Look<'_, W>,
    table: &'static str,
    names: &Names<M, N>,
) {
    let mut known = HashMap::new();
    let mut first_unused = None;
    for (index, entry) in names.entries.iter().enumerate() {
        let at = At(table, index);
        let used = entry.used.load(Ordering::Acquire);
        if used > USED {
            look.broken(Invariant::Names, at, "is neither used nor unused", &[used]);
        }
        if used != USED {
            first_unused = first_unused.or(Some(index));
            continue;
        }
        let fault = entry.text.fault();
        look.fault(Invariant::Text, at, fault, &[used]);
        if let Some(before) = first_unused {
            // Unless it has been used since: they are from the first on, and stay.
            let again = names.entries[before].used.load(Ordering::Acquire);
            let words = [before as u64, again];
            look.broken(Invariant::Names, at, "comes after a gap", &words);
        }
        let name = entry.text.read().0;
        if fault.is_some() {
            continue;
        }
        if name.is_empty() {
            look.broken(Invariant::Names, at, "has no name", &[used]);
        } else if let Some(other) = known.insert(name, index) {
            look.broken(
                Invariant::Names,
                at,
                "has the name of another",
                &[other as u64],
            );
        }
    }
}
