//! Who had died before a shutdown began, and so is no part of it.

use ebbtide::ShutdownReport;

/// Ids of the runners that had died before the shutdown began, sorted.
pub fn predecessors(report: &ShutdownReport) -> Vec<&str> {
    let ids = report.predecessors.iter().map(|one| one.id.as_str());
    let mut ids: Vec<_> = ids.collect();
    ids.sort_unstable();
    ids
}
