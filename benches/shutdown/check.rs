//! What one look at the shutdown costs a busy runner.

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use criterion::Criterion;
use ebbtide::{Runner, SegmentOptions, ShutdownCoordinator};
use raw_sync::Timeout;
use raw_sync::events::{Event, EventInit, EventState};
use shared_memory::ShmemConf;

use crate::Fallible;

pub fn run() -> Fallible {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    let mut group = criterion.benchmark_group("check");

    let word = Box::new(AtomicU64::new(0));
    group.bench_function("acquire load (the limit)", |bencher| {
        bencher.iter(|| black_box(&word).load(Ordering::Acquire) & 7 != 0);
    });

    let scratch = tempfile::tempdir()?;
    let segment = SegmentOptions::new()
        .directory(scratch.path().join("segments"))
        .create("check")?;
    let runner = Runner::join(&segment, "runner")?;
    let coordinator = ShutdownCoordinator::new(&segment);
    let handle = coordinator.runner("runner")?;
    group.bench_function("Runner::is_shutting_down", |bencher| {
        bencher.iter(|| black_box(&runner).is_shutting_down());
    });
    group.bench_function("ShutdownCoordinator::check_shutdown_signal", |bencher| {
        bencher.iter(|| black_box(&coordinator).check_shutdown_signal(black_box(handle)));
    });

    let memory = ShmemConf::new().size(4096).create()?;
    // SAFETY: the memory is page-aligned, larger than an event, nobody else's, and it
    // outlives the event (declared before it).
    let (event, _) = unsafe { Event::new(memory.as_ptr(), false) }?;
    group.bench_function("raw_sync event, not set", |bencher| {
        bencher.iter(|| black_box(&event).wait(Timeout::Val(Duration::ZERO)).is_ok());
    });
    event.set(EventState::Signaled)?;
    group.bench_function("raw_sync event, set", |bencher| {
        bencher.iter(|| black_box(&event).wait(Timeout::Infinite).is_ok());
    });
    group.finish();
    Ok(())
}
