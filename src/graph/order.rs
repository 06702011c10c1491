//! In which order things are closed: dependents before what they depend on, then
//! lower order first, then newest first. And the cycle, if there is one.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// One thing to be closed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Node {
    /// Lower ones first, among those that nothing else puts in order.
    pub(crate) order: i32,
    /// Larger is newer.
    pub(crate) age: u64,
    /// What it depends on, by index; those are closed after it. Others than nodes are ignored.
    pub(crate) depends_on: Vec<usize>,
}

/// A way along dependencies that ends where it begins: `[a, b, a]` as a list of indices,
/// the first repeated at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cycle(pub(crate) Vec<usize>);

/// The order of closing.
///
/// # Errors
/// The cycle that makes an order impossible.
pub(crate) fn close_order(nodes: &[Node]) -> Result<Vec<usize>, Cycle> {
    // How many that depend on a node are still to be closed.
    let mut dependents = vec![0_usize; nodes.len()];
    for node in nodes {
        for on in edges(node, nodes.len()) {
            dependents[on] += 1;
        }
    }
    let key = |index: usize| {
        let node = &nodes[index];
        // Of equals the last one, as it came last.
        Reverse((node.order, Reverse(node.age), Reverse(index)))
    };
    let mut ready: BinaryHeap<_> = (0..nodes.len())
        .filter(|index| dependents[*index] == 0)
        .map(key)
        .collect();
    let mut order = Vec::with_capacity(nodes.len());
    while let Some(Reverse((_, _, Reverse(index)))) = ready.pop() {
        order.push(index);
        for on in edges(&nodes[index], nodes.len()) {
            dependents[on] -= 1;
            if dependents[on] == 0 {
                ready.push(key(on));
            }
        }
    }
    if order.len() == nodes.len() {
        return Ok(order);
    }
    Err(find_cycle(nodes).unwrap_or(Cycle(Vec::new())))
}

/// A cycle of dependencies, if there is any.
fn find_cycle(nodes: &[Node]) -> Option<Cycle> {
    #[derive(Clone, Copy, PartialEq, Eq)]
    enum Seen {
        No,
        OnPath,
        Done,
    }
    let mut seen = vec![Seen::No; nodes.len()];
    for start in 0..nodes.len() {
        if seen[start] != Seen::No {
            continue;
        }
        // The path from `start`, each with the number of its next edge.
        let mut path = vec![(start, 0)];
        seen[start] = Seen::OnPath;
        while let Some((node, edge)) = path.last_mut() {
            let Some(&on) = nodes[*node].depends_on.get(*edge) else {
                seen[*node] = Seen::Done;
                path.pop();
                continue;
            };
            *edge += 1;
            match seen.get(on) {
                Some(Seen::No) => {
                    seen[on] = Seen::OnPath;
                    path.push((on, 0));
                }
                Some(Seen::OnPath) => {
                    let from = path.iter().position(|(node, _)| *node == on)?;
                    let mut cycle: Vec<_> = path[from..].iter().map(|(node, _)| *node).collect();
                    cycle.push(on);
                    return Some(Cycle(cycle));
                }
                Some(Seen::Done) | None => {}
            }
        }
    }
    None
}

fn edges(node: &Node, count: usize) -> impl Iterator<Item = usize> + '_ {
    node.depends_on
        .iter()
        .copied()
        .filter(move |on| *on < count)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn node(order: i32, age: u64, depends_on: &[usize]) -> Node {
        Node {
            order,
            age,
            depends_on: depends_on.to_vec(),
        }
    }

    /// Looks at everything again for every choice.
    fn naive_order(nodes: &[Node]) -> Option<Vec<usize>> {
        let mut order: Vec<usize> = Vec::new();
        while order.len() < nodes.len() {
            let next = (0..nodes.len())
                .filter(|index| !order.contains(index))
                .filter(|index| {
                    let waits = |other: usize| {
                        nodes[other].depends_on.contains(index) && !order.contains(&other)
                    };
                    !(0..nodes.len()).any(waits)
                })
                .min_by_key(|index| {
                    let node = &nodes[*index];
                    (node.order, Reverse(node.age), Reverse(*index))
                })?;
            order.push(next);
        }
        Some(order)
    }

    /// Whether some node reaches itself, by the closure of all edges.
    fn naive_has_cycle(nodes: &[Node]) -> bool {
        let count = nodes.len();
        let mut reach = vec![vec![false; count]; count];
        for (from, node) in nodes.iter().enumerate() {
            for on in edges(node, count) {
                reach[from][on] = true;
            }
        }
        for via in 0..count {
            for from in 0..count {
                for to in 0..count {
                    reach[from][to] |= reach[from][via] && reach[via][to];
                }
            }
        }
        (0..count).any(|node| reach[node][node])
    }

    fn graphs(dense: bool) -> impl Strategy<Value = Vec<Node>> {
        let edges = if dense { 0..4_usize } else { 0..2 };
        let node = (
            -2..3_i32,
            0..4_u64,
            prop::collection::vec(0..14_usize, edges),
        )
            .prop_map(|(order, age, depends_on)| Node {
                order,
                age,
                depends_on,
            });
        prop::collection::vec(node, 0..12)
    }

    proptest! {
        #[test]
        fn order_and_cycle_agree_with_the_naive_ones(nodes in prop_oneof![graphs(false), graphs(true)]) {
            let naive = naive_order(&nodes);
            prop_assert_eq!(naive.is_none(), naive_has_cycle(&nodes));
            match close_order(&nodes) {
                Ok(order) => prop_assert_eq!(Some(order), naive),
                Err(Cycle(cycle)) => {
                    prop_assert!(naive.is_none());
                    prop_assert!(cycle.len() > 1);
                    prop_assert_eq!(cycle.first(), cycle.last());
                    for pair in cycle.windows(2) {
                        prop_assert!(nodes[pair[0]].depends_on.contains(&pair[1]));
                    }
                }
            }
        }
    }

    #[test]
    fn dependents_go_first_whatever_their_order_says() {
        // queue 100 <- lock 50, event 10.
        let nodes = [node(100, 1, &[]), node(50, 2, &[0]), node(10, 3, &[])];
        assert_eq!(close_order(&nodes), Ok(vec![2, 1, 0]));
        // A dependent with a late order keeps what it needs open.
        let nodes = [node(0, 1, &[]), node(900, 2, &[0]), node(5, 3, &[])];
        assert_eq!(close_order(&nodes), Ok(vec![2, 1, 0]));
        // Newest first.
        let nodes = [node(0, 1, &[]), node(0, 2, &[]), node(0, 3, &[])];
        assert_eq!(close_order(&nodes), Ok(vec![2, 1, 0]));
    }

    #[test]
    fn a_cycle_is_spelled() {
        let nodes = [node(0, 1, &[1]), node(0, 2, &[2]), node(0, 3, &[1])];
        assert_eq!(close_order(&nodes), Err(Cycle(vec![1, 2, 1])));
        let own = [node(0, 1, &[0])];
        assert_eq!(find_cycle(&own), Some(Cycle(vec![0, 0])));
    }
}
