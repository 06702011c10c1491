//! The locks of a segment: as a page, as a document, as a graph.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::time::Duration;

use ebbtide::{HeldLock, InconsistentLock, LockThread, OrderViolation, WaitEdge, WantedLock};
use serde_json::{Value, json};

use super::table::{Cell, Column, Table, heading, verdict};
use super::{count, time};
use crate::output::plain;

/// All that a detector says.
pub struct Seen<'a> {
    pub segment: &'a str,
    pub owners: Vec<HeldLock>,
    pub inconsistent: Vec<InconsistentLock>,
    pub waiters: Vec<WantedLock>,
    pub graph: Vec<WaitEdge>,
    pub deadlocks: Vec<Vec<WaitEdge>>,
    pub violations: Vec<OrderViolation>,
    pub order: Vec<(String, String)>,
}

/// The page for people.
pub fn page(seen: &Seen<'_>) -> String {
    let held = count(seen.owners.len(), "lock");
    let waiting = count(seen.waiters.len(), "thread");
    let title = format!("{}: {held} held, {waiting} waiting", seen.segment);
    let mut text = format!("{}\n", heading(&title));
    for cycle in &seen.deadlocks {
        let _ = writeln!(text, "\n{}", verdict("Deadlock", false));
        for edge in cycle {
            let _ = writeln!(text, "  {}", plain(&edge.to_string()));
        }
    }
    if !seen.owners.is_empty() || !seen.waiters.is_empty() {
        text.push('\n');
        text.push_str(&table(&seen.owners, &seen.waiters));
    }
    text.push_str(&marked(&seen.inconsistent));
    if !seen.violations.is_empty() {
        let _ = writeln!(text, "\n{}", verdict("Taken in conflicting orders", false));
        for violation in &seen.violations {
            let _ = writeln!(text, "  {}", plain(&violation.to_string()));
        }
    }
    text
}

/// The section of `status`; nothing if no lock is held, wanted or inconsistent.
pub fn section(
    owners: &[HeldLock],
    inconsistent: &[InconsistentLock],
    waiters: &[WantedLock],
) -> String {
    let marked = marked(inconsistent);
    if owners.is_empty() && waiters.is_empty() {
        return marked;
    }
    let held = count(owners.len(), "lock");
    let waiting = count(waiters.len(), "thread");
    let table = table(owners, waiters);
    format!("\n{held} held, {waiting} waiting\n{table}{marked}")
}

/// A line for each lock that is inconsistent, after an empty one.
fn marked(inconsistent: &[InconsistentLock]) -> String {
    let mut text = String::new();
    for (at, one) in inconsistent.iter().enumerate() {
        let how = if one.panicked { "panicked" } else { "died" };
        let first = if at == 0 { "\n" } else { "" };
        let lock = plain(&one.lock);
        let _ = writeln!(
            text,
            "{first}  {lock} is inconsistent: an owner {how} under it; the next owner repairs \
             what it protects and calls mark_consistent"
        );
    }
    text
}

fn table(owners: &[HeldLock], waiters: &[WantedLock]) -> String {
    let mut table = Table::new(vec![
        Column::left("LOCK"),
        Column::left("HELD BY"),
        Column::left("WAITED FOR BY"),
        Column::right("FOR"),
    ]);
    for held in owners {
        let owner = match held.alive {
            true => Cell::text(&held.owner),
            false => Cell::text(format!("{}, dead", held.owner)).bad(),
        };
        table.row(vec![
            Cell::text(&held.lock),
            owner,
            Cell::none(),
            Cell::none(),
        ]);
    }
    for wanted in waiters {
        table.row(vec![
            Cell::text(&wanted.lock),
            Cell::none(),
            Cell::text(&wanted.waiter),
            Cell::text(time(wanted.since)),
        ]);
    }
    table.render(2)
}

/// The document. Field names are a contract with scripts: add, never rename.
pub fn document(seen: &Seen<'_>) -> Value {
    let violations = seen.violations.iter().map(|violation| {
        json!({
            "held": violation.held,
            "wanted": violation.wanted,
            "order": violation.order,
            "pid": violation.pid,
            "runner": violation.runner,
            "ago_us": violation.ago.map(micros),
        })
    });
    let order = seen.order.iter();
    json!({
        "segment": seen.segment,
        "owners": held(&seen.owners),
        "inconsistent": inconsistent(&seen.inconsistent),
        "waiters": wanted(&seen.waiters),
        "wait_for": edges(&seen.graph),
        "deadlocks": seen.deadlocks.iter().map(|cycle| edges(cycle)).collect::<Vec<_>>(),
        "violations": violations.collect::<Vec<_>>(),
        "order": order.map(|(first, second)| json!([first, second])).collect::<Vec<_>>(),
    })
}

/// The locks that are held, here and in `status`.
pub fn held(owners: &[HeldLock]) -> Vec<Value> {
    let one = |held: &HeldLock| json!({ "lock": held.lock, "owner": thread(&held.owner), "alive": held.alive });
    owners.iter().map(one).collect()
}

/// The locks that are inconsistent, likewise.
pub fn inconsistent(locks: &[InconsistentLock]) -> Vec<Value> {
    let one = |one: &InconsistentLock| json!({ "lock": one.lock, "panicked": one.panicked });
    locks.iter().map(one).collect()
}

/// The waits for locks, likewise.
pub fn wanted(waiters: &[WantedLock]) -> Vec<Value> {
    let one = |wanted: &WantedLock| {
        let since = micros(wanted.since);
        json!({ "lock": wanted.lock, "waiter": thread(&wanted.waiter), "since_us": since })
    };
    waiters.iter().map(one).collect()
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

fn thread(thread: &LockThread) -> Value {
    json!({ "runner": thread.runner, "pid": thread.pid, "thread": thread.slot })
}

fn edges(edges: &[WaitEdge]) -> Vec<Value> {
    let edge = |edge: &WaitEdge| {
        json!({
            "waiter": thread(&edge.waiter),
            "lock": edge.lock,
            "holder": thread(&edge.holder),
        })
    };
    edges.iter().map(edge).collect()
}

/// The wait-for graph for Graphviz: threads are boxes, locks are ellipses, and arrows go
/// from who waits over the lock to who holds it. Deadlocks are red, and orders in which
/// locks were taken are dotted, red where they conflict.
pub fn dot(seen: &Seen<'_>) -> String {
    let stuck: BTreeSet<(usize, &str)> = seen
        .deadlocks
        .iter()
        .flatten()
        .map(|edge| (edge.waiter.slot, edge.lock.as_str()))
        .collect();
    let colour = |is_bad: bool| if is_bad { " [color=red]" } else { "" };
    let mut text = format!("digraph {} {{\n", quoted(seen.segment));
    let mut threads: Vec<&LockThread> = seen.owners.iter().map(|held| &held.owner).collect();
    threads.extend(seen.waiters.iter().map(|wanted| &wanted.waiter));
    threads.sort_by_key(|thread| thread.slot);
    threads.dedup_by_key(|thread| thread.slot);
    for thread in threads {
        let label = quoted(&thread.to_string());
        let _ = writeln!(text, "  t{} [shape=box, label={label}];", thread.slot);
    }
    for held in &seen.owners {
        let (lock, owner) = (quoted(&held.lock), held.owner.slot);
        let is_stuck = seen.deadlocks.iter().flatten();
        let is_stuck = is_stuck.into_iter().any(|edge| edge.lock == held.lock);
        let _ = writeln!(text, "  {lock} -> t{owner}{};", colour(is_stuck));
    }
    for wanted in &seen.waiters {
        let (lock, waiter) = (quoted(&wanted.lock), wanted.waiter.slot);
        let is_stuck = stuck.contains(&(waiter, wanted.lock.as_str()));
        let _ = writeln!(text, "  t{waiter} -> {lock}{};", colour(is_stuck));
    }
    for (first, second) in &seen.order {
        let (first, second) = (quoted(first), quoted(second));
        let _ = writeln!(text, "  {first} -> {second} [style=dotted];");
    }
    for violation in &seen.violations {
        let (held, wanted) = (quoted(&violation.held), quoted(&violation.wanted));
        let _ = writeln!(text, "  {held} -> {wanted} [style=dotted, color=red];");
    }
    text.push_str("}\n");
    text
}

/// A quoted id of the DOT language: the quotation mark is escaped, and a backslash (which
/// would begin an escape of labels, or escape the mark that ends the id) is doubled.
fn quoted(text: &str) -> String {
    let text = plain(text).replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{text}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_end_their_quotes() {
        assert_eq!(quoted("a\"b\\"), "\"a\\\"b\\\\\"");
        assert_eq!(quoted("a\nb\x1b"), "\"a b\u{fffd}\"");
    }
}
