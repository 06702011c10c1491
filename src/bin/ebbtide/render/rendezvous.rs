//! Semaphores and barriers as text and as JSON.

use ebbtide::{BarrierStatus, SemaphoreStatus};
use serde::Serialize;

use super::count;
use super::table::{Cell, Column, Table};

/// Their part of `status`; nothing when there are none.
pub fn section(semaphores: &[SemaphoreStatus], barriers: &[BarrierStatus]) -> String {
    let mut text = String::new();
    if !semaphores.is_empty() {
        let mut table = Table::new(vec![
            Column::left("SEMAPHORE"),
            Column::right("FREE"),
            Column::right("PERMITS"),
            Column::left("HELD BY"),
        ]);
        for semaphore in semaphores {
            table.row(vec![
                Cell::text(&semaphore.name),
                Cell::text(free(semaphore)),
                Cell::text(semaphore.permits),
                listed(&semaphore.holders),
            ]);
        }
        text += &format!(
            "\n{}\n{}",
            count(semaphores.len(), "semaphore"),
            table.render(2)
        );
    }
    if !barriers.is_empty() {
        let mut table = Table::new(vec![
            Column::left("BARRIER"),
            Column::right("WAITING"),
            Column::right("PARTIES"),
            Column::left("BROKEN BY"),
        ]);
        for barrier in barriers {
            let broken = barrier.broken.as_ref();
            table.row(vec![
                Cell::text(&barrier.name),
                Cell::text(barrier.waiting),
                Cell::text(barrier.parties),
                broken.map_or_else(Cell::none, Cell::text),
            ]);
        }
        text += &format!(
            "\n{}\n{}",
            count(barriers.len(), "barrier"),
            table.render(2)
        );
    }
    text
}

fn listed(names: &[String]) -> Cell {
    if names.is_empty() {
        Cell::none()
    } else {
        Cell::text(names.join(", "))
    }
}

fn free(semaphore: &SemaphoreStatus) -> usize {
    semaphore.permits.saturating_sub(semaphore.holders.len())
}

/// One semaphore.
#[derive(Debug, Serialize)]
pub struct Semaphore<'a> {
    name: &'a str,
    permits: usize,
    free: usize,
    holders: &'a [String],
}

/// One barrier.
#[derive(Debug, Serialize)]
pub struct Barrier<'a> {
    name: &'a str,
    parties: usize,
    waiting: usize,
    broken_by: Option<String>,
}

/// The `semaphores` of `status`.
pub fn semaphores(seen: &[SemaphoreStatus]) -> Vec<Semaphore<'_>> {
    seen.iter()
        .map(|semaphore| Semaphore {
            name: &semaphore.name,
            permits: semaphore.permits,
            free: free(semaphore),
            holders: &semaphore.holders,
        })
        .collect()
}

/// The `barriers` of `status`.
pub fn barriers(seen: &[BarrierStatus]) -> Vec<Barrier<'_>> {
    seen.iter()
        .map(|barrier| Barrier {
            name: &barrier.name,
            parties: barrier.parties,
            waiting: barrier.waiting,
            broken_by: barrier.broken.as_ref().map(ToString::to_string),
        })
        .collect()
}
