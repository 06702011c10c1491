//! Whether every slot of the tables can be had again after a storm.

use std::sync::Barrier;

use ebbtide::limits::{MAX_RUNNERS, MAX_THREADS};
use ebbtide::{CoordinationError, CrossProcessLock, LockError, Runner, Segment, SegmentError};

/// Thread slots that others have: our keeper, and the threads that checked before.
const TAKEN: usize = 8;
const STACK_BYTES: usize = 64 * 1024;

/// Takes them all at once.
///
/// # Errors
/// The first that could not be had.
pub fn are_free(segment: &Segment) -> Result<(), String> {
    runners(segment)?;
    threads(segment)
}

fn runners(segment: &Segment) -> Result<(), String> {
    let mut all = Vec::new();
    for index in 0..MAX_RUNNERS {
        match Runner::join(segment, &format!("slot-{index}")) {
            Ok(runner) => all.push(runner),
            Err(error) => return Err(format!("runner slot {index}: {error}")),
        }
    }
    match Runner::join(segment, "one too many") {
        Err(CoordinationError::Segment(SegmentError::Full { .. })) => Ok(()),
        other => Err(format!("one runner too many: {other:?}")),
    }
}

fn threads(segment: &Segment) -> Result<(), String> {
    let lock = CrossProcessLock::open(segment, "slots").unwrap();
    let all_have_tried = Barrier::new(MAX_THREADS - TAKEN);
    let lost = std::thread::scope(|scope| {
        let take = || {
            // Held by another or not, it takes a seat to ask.
            let had = match lock.try_lock() {
                Ok(_) | Err(LockError::WouldBlock { .. }) => Ok(()),
                Err(error) => Err(format!("thread slot: {error:?}")),
            };
            all_have_tried.wait();
            had
        };
        let spawn = |_| {
            let thread = std::thread::Builder::new().stack_size(STACK_BYTES);
            thread.spawn_scoped(scope, take).unwrap()
        };
        let all: Vec<_> = (0..MAX_THREADS - TAKEN).map(spawn).collect();
        let ended = all.into_iter().map(|thread| thread.join().unwrap());
        ended.filter_map(Result::err).collect::<Vec<_>>()
    });
    match lost.first() {
        None => Ok(()),
        Some(first) => Err(format!(
            "{} thread slots are lost; {first:.200}",
            lost.len()
        )),
    }
}
