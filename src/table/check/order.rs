//! The memory of lock orders.

use core::sync::atomic::Ordering;

use crate::limits::MAX_LOCKS;
use crate::sync::{Mem, Word};
use crate::table::order::{Order, Pairs, ROW, VALID};

use super::{At, Invariant, Look, Witness};

/// For each lock, the locks that come after it along any way.
struct Ways(Vec<[u64; ROW]>);

impl Ways {
    /// The closure of a set of pairs (Warshall): a fixed number of steps, whatever is set.
    fn of<M: Mem>(pairs: &Pairs<M>) -> Self {
        let mut ways = vec![[0_u64; ROW]; MAX_LOCKS];
        for (row, words) in ways.iter_mut().zip(pairs.0.chunks(ROW)) {
            for (word, bits) in row.iter_mut().zip(words) {
                *word = bits.load(Ordering::Acquire);
            }
        }
        for through in 0..MAX_LOCKS {
            let further = ways[through];
            for row in &mut ways {
                if row[through / 64] >> (through % 64) & 1 != 0 {
                    row.iter_mut()
                        .zip(further)
                        .for_each(|(to, more)| *to |= more);
                }
            }
        }
        Self(ways)
    }

    fn has(&self, (from, to): (usize, usize)) -> bool {
        self.0[from][to / 64] >> (to % 64) & 1 != 0
    }
}

/// A pair of a circle in whose knot (the locks that lead to one another) nothing was told.
fn untold<M: Mem>(order: &Order<M>, ways: &Ways) -> Option<(usize, usize)> {
    let closes = |pair: &(usize, usize)| pair.0 != pair.1 && ways.has((pair.1, pair.0));
    let same = |a: usize, b: usize| ways.has((a, b)) && ways.has((b, a));
    // One of each knot is enough, so there are at most as many as locks.
    let mut told: Vec<usize> = Vec::new();
    for (held, wanted) in order.violated.all() {
        if same(held, wanted) && !told.iter().any(|known| same(*known, held)) {
            told.push(held);
        }
    }
    let is_told = |lock: usize| told.iter().any(|known| same(*known, lock));
    order
        .taken
        .all()
        .find(|pair| closes(pair) && !is_told(pair.0))
}

pub(crate) fn order<M: Mem, W: Witness<M>>(look: &mut Look<'_, W>, order: &Order<M>) {
    for (index, record) in order.records.iter().enumerate() {
        let at = At("lock-order record", index);
        let word = record.word.load(Ordering::Acquire);
        if word == 0 {
            continue;
        }
        let (held, wanted) = (word >> 16 & 0xffff, word & 0xffff);
        let is_pair = word >> 32 == VALID >> 32 && held != wanted;
        if !is_pair || held.max(wanted) as usize >= MAX_LOCKS {
            look.broken(Invariant::Order, at, "is of no pair of locks", &[word]);
        }
        let begun = order.begun.load(Ordering::Acquire);
        if begun <= index as u64 {
            look.broken(Invariant::Order, at, "was never begun", &[word, begun]);
        }
        let when = record.at.load(Ordering::Relaxed);
        if look.is_ahead(when) {
            look.broken(Invariant::Order, at, "is of the future", &[word, when]);
        }
        look.fault(Invariant::Text, at, record.runner.fault(), &[word]);
    }
    let told: Vec<_> = order.violated.all().collect();
    let ways = Ways::of(&order.taken);
    for (held, wanted) in told {
        let at = At("lock order", held);
        if held == wanted || !ways.has((wanted, held)) {
            let what = "was told, and closes no circle";
            look.broken(Invariant::Order, at, what, &[held as u64, wanted as u64]);
        }
    }
    for lock in 0..MAX_LOCKS {
        if order.taken.has((lock, lock)) {
            let at = At("lock order", lock);
            look.broken(
                Invariant::Order,
                at,
                "is of a lock and itself",
                &[lock as u64],
            );
        }
    }
    // Whoever lives may be about to tell it.
    if look.is_deserted
        && let Some((held, wanted)) = untold(order, &ways)
    {
        let at = At("lock order", held);
        let what = "closes a circle that nobody told";
        look.left(Invariant::Order, at, what, &[held as u64, wanted as u64]);
    }
}

impl<M: Mem> Order<M> {
    /// Marks what closes a circle that nobody told, as whoever set both halves at one
    /// instant with another and died before it could. To be called when nobody else lives:
    /// who is told of as the first to close a circle also says so.
    pub(crate) fn tell_circles(&self) {
        // Each round tells a knot, and there are fewer of them than locks.
        for _ in 0..MAX_LOCKS {
            let Some(pair) = untold(self, &Ways::of(&self.taken)) else {
                return;
            };
            self.violated.add(pair);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::Real;

    fn order(taken: &[(usize, usize)], violated: &[(usize, usize)]) -> Order<Real> {
        let order = Order::default();
        taken.iter().for_each(|pair| _ = order.taken.add(*pair));
        violated
            .iter()
            .for_each(|pair| _ = order.violated.add(*pair));
        order
    }

    fn untold_of(order: &Order<Real>) -> Option<(usize, usize)> {
        untold(order, &Ways::of(&order.taken))
    }

    #[test]
    fn a_lock_comes_after_another_if_there_is_a_way() {
        // Chains across the words of a row, that meet, and a circle.
        let taken = [
            (200, 5),
            (5, 70),
            (70, 63),
            (63, 64),
            (64, 255),
            (3, 70),
            (9, 8),
            (8, 130),
            (130, 9),
            (130, 66),
        ];
        let order = order(&taken, &[]);
        let ways = Ways::of(&order.taken);
        let near = [
            0, 3, 5, 7, 8, 9, 62, 63, 64, 65, 66, 70, 71, 128, 130, 200, 255,
        ];
        for (from, to) in near.into_iter().flat_map(|from| near.map(|to| (from, to))) {
            let mut first = order.taken.all().filter(|pair| pair.0 == from);
            let is_way = first.any(|(_, next)| order.way(next, to).is_some());
            assert_eq!(ways.has((from, to)), is_way, "{from} to {to}");
        }
    }

    #[test]
    fn one_pair_that_is_told_tells_its_knot_and_no_other() {
        let knots = [(3, 4), (4, 5), (5, 3), (5, 10), (10, 11), (11, 10)];
        assert_eq!(untold_of(&order(&knots, &[])), Some((3, 4)));
        // Any pair of the first, from wherever; the second comes after it.
        for told in [(3, 4), (5, 4), (4, 3)] {
            assert_eq!(untold_of(&order(&knots, &[told])), Some((10, 11)));
        }
        for told in [(10, 11), (11, 10)] {
            assert_eq!(untold_of(&order(&knots, &[told])), Some((3, 4)));
            assert_eq!(untold_of(&order(&knots, &[told, (4, 3)])), None);
        }
        // What was told is of no knot: one leads to the other, or neither, or it is one lock.
        for told in [(5, 10), (10, 5), (3, 99), (99, 3), (99, 99)] {
            assert_eq!(untold_of(&order(&knots, &[told])), Some((3, 4)), "{told:?}");
        }
        // A lock and itself is another matter.
        assert_eq!(untold_of(&order(&[(7, 7), (1, 2)], &[])), None);
    }

    #[test]
    fn all_that_is_untold_is_told() {
        let order = order(&[(3, 4), (4, 3), (10, 11), (11, 10)], &[]);
        order.tell_circles();
        assert_eq!(untold_of(&order), None);
        assert_eq!(order.violated.all().count(), 2);
    }
}
