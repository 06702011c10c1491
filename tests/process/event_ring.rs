//! Events that say something: order, lag, one taker, several at once, and kills.

use std::time::Duration;

use crate::support::{Agent, Child, HANG, both, both_with, event, once, until_true};
use ebbtide::{
    CrossProcessEvent, Delivery, EventError, EventKind, EventOptions, Reset, Segment, limits,
};

fn auto(segment: &Segment, name: &str) -> CrossProcessEvent {
    let options = EventOptions::new().reset(Reset::Auto);
    options.open(segment, name).unwrap()
}

#[track_caller]
fn set(delivery: Option<Delivery>) -> ebbtide::EventSet {
    match delivery {
        Some(Delivery::Set(set)) => set,
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_set_is_numbered_and_read_in_order_by_every_subscriber() {
    both(here!(), |place| {
        let segment = place.create();
        let news = CrossProcessEvent::open(&segment, "news").unwrap();
        assert_eq!((news.latest().unwrap(), news.sequence()), (None, 0));
        let mut readers: [_; 2] = std::array::from_fn(|_| place.agent(&segment));
        for reader in &mut readers {
            reader.tell("next news 100");
            reader.event("subscribed");
        }
        let mut early = news.subscribe().unwrap();
        assert_eq!(early.try_next().unwrap(), None);
        assert_eq!(early.next(Some(Duration::from_millis(5))).unwrap(), None);
        for number in 1..=100_u32 {
            let payload = vec![number as u8; number as usize];
            let sequence = news.set_with(EventKind::Custom(number), &payload).unwrap();
            assert_eq!(sequence, u64::from(number));
            for reader in &mut readers {
                assert_eq!(reader.event("delivered"), format!("{number} {number}"));
            }
            assert_eq!(set(early.next(None).unwrap()).payload, payload);
        }
        // A late one sees the latest first, another only what is to come.
        let mut late = news.subscribe().unwrap();
        assert_eq!(set(late.next(None).unwrap()).sequence, 100);
        assert_eq!(late.try_next().unwrap(), None);
        let mut later = news.subscribe_from_now().unwrap();
        assert_eq!(later.try_next().unwrap(), None);
        news.clear().unwrap();
        let latest = news.latest().unwrap().unwrap();
        assert_eq!(
            (latest.sequence, latest.kind),
            (100, EventKind::Custom(100))
        );
    });
}

#[test]
fn what_is_replaced_is_counted_and_never_silent() {
    once(here!(), |place| {
        let segment = place.create();
        let news = CrossProcessEvent::open(&segment, "news").unwrap();
        let ring = limits::EVENT_RING as u64;
        let mut slow = news.subscribe().unwrap();
        for _ in 0..ring {
            news.set().unwrap();
        }
        // Exactly as many as are kept.
        for number in 1..=10 {
            assert_eq!(set(slow.try_next().unwrap()).sequence, number);
        }
        for _ in 0..ring {
            news.set().unwrap();
        }
        let missed = Delivery::Lagged { missed: ring - 10 };
        assert_eq!(slow.try_next().unwrap(), Some(missed));
        for number in ring + 1..=2 * ring {
            assert_eq!(set(slow.try_next().unwrap()).sequence, number);
        }
        assert_eq!(slow.try_next().unwrap(), None);
    });
}

#[test]
fn a_payload_has_a_limit_and_a_reset_is_fixed() {
    once(here!(), |place| {
        let segment = place.create();
        let news = CrossProcessEvent::open(&segment, "news").unwrap();
        let whole = vec![9; limits::EVENT_PAYLOAD_BYTES];
        news.set_with(EventKind::Error, &whole).unwrap();
        let latest = news.latest().unwrap().unwrap();
        assert_eq!((latest.kind, latest.payload), (EventKind::Error, whole));
        let error = news.set_with(EventKind::Error, &[0; 257]).unwrap_err();
        assert_is!(
            error,
            EventError::Payload {
                length: 257,
                limit: 256
            }
        );
        assert_eq!(news.sequence(), 1);
        let options = EventOptions::new().reset(Reset::Auto);
        let error = options.open(&segment, "news").unwrap_err();
        assert_is!(
            error,
            EventError::Reset {
                there: "manual",
                asked: "auto",
                ..
            }
        );
        auto(&segment, "ticket");
        let as_it_is = CrossProcessEvent::open(&segment, "ticket").unwrap();
        assert_eq!(as_it_is.reset(), Reset::Auto);
        let options = EventOptions::new().reset(Reset::Manual);
        assert_is!(
            options.open(&segment, "ticket"),
            Err(EventError::Reset { .. })
        );
    });
}

#[test]
fn a_set_that_resets_itself_goes_to_exactly_one() {
    both(here!(), |place| {
        let segment = place.create();
        let ticket = auto(&segment, "ticket");
        let mut waiters: [_; 4] = std::array::from_fn(|_| place.agent(&segment));
        for waiter in &mut waiters {
            waiter.tell("claim ticket 3600000");
            waiter.until_asleep();
        }
        for left in (0..4).rev() {
            ticket.set().unwrap();
            until_true("one more has it", || claims(&mut waiters) == 4 - left);
            assert!(!ticket.is_set());
            assert_eq!(claims(&mut waiters), 4 - left);
        }
        // Kept for one who comes later, and once only.
        ticket.set().unwrap();
        ticket.set().unwrap();
        assert!(ticket.wait(None).unwrap());
        assert!(!ticket.wait_timeout(Duration::from_millis(5)).unwrap());
    });
}

fn claims(waiters: &mut [Agent]) -> usize {
    let had = waiters.iter_mut().map(|waiter| waiter.has("claim"));
    had.filter(|had| *had).count()
}

#[test]
fn a_killed_waiter_keeps_nobody_from_a_set_that_resets_itself() {
    both(here!(), |place| {
        let segment = place.create();
        let ticket = auto(&segment, "ticket");
        for _ in 0..10 {
            let mut waiters: [_; 2] = std::array::from_fn(|_| place.agent(&segment));
            for waiter in &mut waiters {
                waiter.tell("claim ticket 3600000");
                waiter.until_asleep();
            }
            let [doomed, waiter] = &mut waiters;
            doomed.shoot();
            // If it takes one and dies, the next is the other's.
            ticket.set().unwrap();
            doomed.kill();
            until_true("the survivor has one", || {
                if !ticket.is_set() && !waiter.has("claim") {
                    ticket.set().unwrap();
                }
                waiter.has("claim")
            });
            ticket.clear().unwrap();
        }
    });
}

#[test]
fn several_are_waited_for_at_once() {
    both(here!(), |place| {
        let segment = place.create();
        let many: Vec<_> = (0..120)
            .map(|index| CrossProcessEvent::open(&segment, &format!("{index}")).unwrap())
            .collect();
        let mut refs: Vec<_> = many.iter().collect();
        let soon = Some(Duration::from_millis(5));
        assert_eq!(CrossProcessEvent::wait_any(&refs, soon).unwrap(), None);
        let mut setter = place.agent(&segment);
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| CrossProcessEvent::wait_any(&refs, None).unwrap());
            assert_eq!(setter.ask("set 77"), "ok");
            assert_eq!(waiter.join().unwrap(), Some(77));
        });
        assert_eq!(setter.ask("set 5"), "ok");
        assert_eq!(CrossProcessEvent::wait_any(&refs, None).unwrap(), Some(5));
        // Of one that resets itself only what is answered is taken.
        let ticket = auto(&segment, "ticket");
        ticket.set().unwrap();
        let found = CrossProcessEvent::wait_any(&[&many[5], &ticket], None).unwrap();
        assert_eq!((found, ticket.is_set()), (Some(0), true));
        let found = CrossProcessEvent::wait_any(&[&many[6], &ticket], None).unwrap();
        assert_eq!((found, ticket.is_set()), (Some(1), false));
        refs.extend(&many[..9]);
        let error = CrossProcessEvent::wait_any(&refs, None).unwrap_err();
        assert_is!(
            error,
            EventError::Count {
                count: 129,
                limit: 128
            }
        );
        assert_is!(
            CrossProcessEvent::wait_any(&[], None),
            Err(EventError::Count { count: 0, .. })
        );
    });
}

/// Sets as fast as it can, for ever: the number it got, again and again.
fn hammer(child: &Child) {
    let segment = child.open();
    let news = CrossProcessEvent::open(&segment, "news").unwrap();
    event("ready");
    for length in (1..=256).cycle() {
        let payload = vec![length as u8; length];
        let kind = EventKind::Custom(length as u32);
        news.set_with(kind, &payload).unwrap();
    }
}

#[test]
fn setters_killed_at_any_time_leave_every_set_whole_and_numbered() {
    both_with(here!(), &[("hammer", hammer)], |place| {
        let segment = place.create();
        let news = CrossProcessEvent::open(&segment, "news").unwrap();
        let mut reader = news.subscribe_from_now().unwrap();
        let (mut next, mut read) = (1, 0);
        for _ in 0..15 {
            let mut setters: [_; 2] =
                std::array::from_fn(|_| Agent::spawn(place, "hammer", Some(&segment)));
            for setter in &mut setters {
                setter.event("ready");
            }
            let enough = news.sequence() + 200;
            while news.sequence() < enough {
                match reader.next(Some(HANG)).unwrap().expect("they set on") {
                    Delivery::Lagged { missed } => next += missed,
                    Delivery::Set(set) => {
                        assert_eq!(set.sequence, next);
                        let length = set.payload.len();
                        assert_eq!(set.kind, EventKind::Custom(length as u32));
                        assert!(set.payload.iter().all(|byte| *byte == length as u8));
                        (next, read) = (next + 1, read + 1);
                    }
                }
            }
            for setter in &mut setters {
                setter.shoot();
            }
            for setter in &mut setters {
                setter.kill();
            }
            // Whatever they were in the middle of.
            let before = news.sequence();
            assert_eq!(
                news.set_with(EventKind::Custom(1), &[1]).unwrap(),
                before + 1
            );
        }
        assert!(read > 100, "{read}");
    });
}
