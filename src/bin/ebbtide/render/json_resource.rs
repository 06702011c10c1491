//! A resource as JSON.

use std::time::Duration;

use ebbtide::{Leak, Reclaim, ResourceReport};
use serde::Serialize;

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// A resource in `status`, `shutdown` and `wait`.
#[derive(Debug, Serialize)]
pub struct Resource<'a> {
    name: &'a str,
    runner: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    state: &'static str,
    since_us: u64,
    order: i32,
    depends_on: &'a [String],
    took_us: Option<u64>,
    late_us: Option<u64>,
    system: Option<&'a str>,
    reclaimed: Option<&'static str>,
    leak: Option<&'static str>,
}

pub fn resources(all: &[ResourceReport]) -> Vec<Resource<'_>> {
    all.iter().map(Resource::of).collect()
}

impl<'a> Resource<'a> {
    fn of(resource: &'a ResourceReport) -> Self {
        Self {
            name: &resource.name,
            runner: &resource.runner,
            kind: resource.kind.name(),
            state: resource.state.name(),
            since_us: micros(resource.since),
            order: resource.order,
            depends_on: &resource.depends_on,
            took_us: resource.took.map(micros),
            late_us: resource.late.map(micros),
            system: resource.system.as_deref(),
            reclaimed: resource.reclaimed.map(Reclaim::name),
            leak: resource.leak.map(Leak::name),
        }
    }
}
