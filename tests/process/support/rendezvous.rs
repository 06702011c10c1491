//! Orders about events with payloads, semaphores and barriers; all may block.

use std::time::Duration;

use ebbtide::{
    CrossProcessBarrier, CrossProcessEvent, CrossProcessSemaphore, Delivery, EventKind, Segment,
};

use super::child::{answer, event};

/// - `claim NAME MILLIS`: waits for an event that resets itself.
/// - `next NAME COUNT`: subscribes, tells so, and tells `COUNT` deliveries.
/// - `permit NAME PERMITS MILLIS`: takes a permit and keeps it for ever.
/// - `arrive NAME PARTIES MILLIS`: waits at a barrier.
pub(super) fn follow(segment: &Segment, words: &[&str]) -> String {
    let number = |index: usize| words[index].parse::<u64>().unwrap();
    let millis = |index: usize| Duration::from_millis(number(index));
    match words[0] {
        "claim" => {
            let ticket = CrossProcessEvent::open(segment, words[1]).unwrap();
            answer(ticket.wait_timeout(millis(2)))
        }
        "next" => {
            let told = CrossProcessEvent::open(segment, words[1]).unwrap();
            let mut told = told.subscribe_from_now().unwrap();
            event("subscribed");
            for _ in 0..number(2) {
                event(&format!("delivered {}", shown(told.next(None).unwrap())));
            }
            "ok".into()
        }
        "permit" => {
            let semaphore =
                CrossProcessSemaphore::open(segment, words[1], number(2) as usize).unwrap();
            match semaphore.acquire_timeout(millis(3)) {
                Ok(permit) => {
                    event("permitted");
                    std::thread::park_timeout(Duration::from_secs(3600));
                    drop(permit);
                    "ok".into()
                }
                Err(error) => format!("err {error:?}"),
            }
        }
        _ => {
            let barrier = CrossProcessBarrier::open(segment, words[1], number(2) as usize).unwrap();
            match barrier.wait_timeout(millis(3)) {
                Ok(passed) => format!("leads={}", passed.is_leader()),
                Err(error) => format!("err {error}"),
            }
        }
    }
}

fn shown(delivery: Option<Delivery>) -> String {
    match delivery {
        Some(Delivery::Set(set)) => {
            assert_eq!(set.kind, EventKind::Custom(set.payload.len() as u32));
            format!("{} {}", set.sequence, set.payload.len())
        }
        Some(Delivery::Lagged { missed }) => format!("lagged {missed}"),
        None => "nothing".into(),
    }
}
