//! Ways and cycles in a graph of numbered nodes that is given by a function.

use std::collections::VecDeque;

/// Follows the only way out of each node, from `start` until it comes back there: the
/// nodes on the way, `start` first. `None` when the way ends, runs into a circle that
/// `start` is not on, or is longer than `limit`.
pub(crate) fn back_to<N: Copy + PartialEq>(
    start: N,
    limit: usize,
    mut next: impl FnMut(N) -> Option<N>,
) -> Option<Vec<N>> {
    let mut way = Vec::new();
    let mut node = start;
    for _ in 0..limit {
        way.push(node);
        node = next(node)?;
        if node == start {
            return Some(way);
        }
    }
    None
}

/// All cycles of a graph in which each node has at most one way out. Each cycle begins
/// with its lowest node, and they are in the order of these.
pub(crate) fn all(nodes: usize, next: impl Fn(usize) -> Option<usize>) -> Vec<Vec<usize>> {
    // In which walk a node was met first; 0 is never.
    let mut met = vec![0; nodes];
    let mut cycles = Vec::new();
    for start in 0..nodes {
        let mut node = start;
        while met[node] == 0 {
            met[node] = start + 1;
            match next(node).filter(|next| *next < nodes) {
                Some(next) => node = next,
                None => break,
            }
            // Met in this very walk: a circle that no earlier walk has seen.
            if met[node] == start + 1 {
                let mut cycle = back_to(node, nodes, &next).unwrap_or_default();
                let lowest = cycle.iter().enumerate().min_by_key(|(_, node)| **node);
                let lowest = lowest.map_or(0, |(place, _)| place);
                cycle.rotate_left(lowest);
                cycles.push(cycle);
            }
        }
    }
    cycles.sort();
    cycles
}

/// A shortest way from `from` to `to`, both ends included; of one node when they are the
/// same. Asks for the ways out of each node at most once.
pub(crate) fn way<I: IntoIterator<Item = usize>>(
    nodes: usize,
    from: usize,
    to: usize,
    next: impl Fn(usize) -> I,
) -> Option<Vec<usize>> {
    if from >= nodes || to >= nodes {
        return None;
    }
    // Where each node was come to from.
    let mut before = vec![usize::MAX; nodes];
    before[from] = from;
    let mut due = VecDeque::from([from]);
    while let Some(node) = due.pop_front() {
        if node == to {
            let mut way = vec![to];
            let mut node = to;
            while node != from {
                node = before[node];
                way.push(node);
            }
            way.reverse();
            return Some(way);
        }
        for next in next(node) {
            if before.get(next) == Some(&usize::MAX) {
                before[next] = node;
                due.push_back(next);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NODES: usize = 12;

    /// Whether a step-by-step walk of `NODES` steps comes back.
    fn comes_back(next: &[Option<usize>], start: usize) -> bool {
        let mut node = Some(start);
        (0..NODES).any(|_| {
            node = node.and_then(|node| next[node]);
            node == Some(start)
        })
    }

    /// Which nodes can be reached, by the closure of Warshall.
    fn closure(edges: &[(usize, usize)]) -> Vec<Vec<bool>> {
        let mut reach = vec![vec![false; NODES]; NODES];
        for (from, to) in edges {
            reach[*from][*to] = true;
        }
        for middle in 0..NODES {
            for from in 0..NODES {
                for to in 0..NODES {
                    reach[from][to] |= reach[from][middle] && reach[middle][to];
                }
            }
        }
        reach
    }

    fn one_way_out() -> impl Strategy<Value = Vec<Option<usize>>> {
        prop::collection::vec(prop::option::weighted(0.8, 0..NODES), NODES)
    }

    proptest! {
        #[test]
        fn a_walk_comes_back_exactly_from_the_nodes_of_cycles(next in one_way_out()) {
            for start in 0..NODES {
                let way = back_to(start, NODES, |node| next[node]);
                prop_assert_eq!(way.is_some(), comes_back(&next, start));
                for (place, node) in way.iter().flatten().enumerate() {
                    let way = way.as_ref().unwrap();
                    prop_assert_eq!(next[*node], Some(way[(place + 1) % way.len()]));
                }
            }
        }

        #[test]
        fn every_node_of_a_cycle_is_in_one_cycle_and_no_other_node_is(next in one_way_out()) {
            let cycles = all(NODES, |node| next[node]);
            for start in 0..NODES {
                let found = cycles.iter().filter(|cycle| cycle.contains(&start)).count();
                prop_assert_eq!(found, usize::from(comes_back(&next, start)));
            }
            for cycle in &cycles {
                prop_assert_eq!(cycle.iter().min(), cycle.first());
                for (place, node) in cycle.iter().enumerate() {
                    prop_assert_eq!(next[*node], Some(cycle[(place + 1) % cycle.len()]));
                }
            }
        }

        #[test]
        fn a_way_is_found_exactly_where_there_is_one(
            edges in prop::collection::vec((0..NODES, 0..NODES), 0..30),
        ) {
            let reach = closure(&edges);
            for (from, reached) in reach.iter().enumerate() {
                for (to, is_reached) in reached.iter().enumerate() {
                    let way = way(NODES, from, to, |node| {
                        let out = edges.iter().filter(move |edge| edge.0 == node);
                        out.map(|edge| edge.1)
                    });
                    prop_assert_eq!(way.is_some(), from == to || *is_reached);
                    let Some(way) = way else { continue };
                    prop_assert_eq!((way[0], way[way.len() - 1]), (from, to));
                    prop_assert!(way.windows(2).all(|two| edges.contains(&(two[0], two[1]))));
                }
            }
        }
    }

    #[test]
    fn nodes_that_do_not_exist_lead_nowhere() {
        assert_eq!(way(3, 0, 7, |_| [7]), None);
        assert_eq!(way(3, 7, 0, |_| [0]), None);
        assert_eq!(all(2, |_| Some(9)), Vec::<Vec<usize>>::new());
        assert_eq!(all(2, |_| Some(2)), Vec::<Vec<usize>>::new());
        assert_eq!(back_to(0, 100, |node| Some(node + 1)), None);
    }
}
