//! Named events: a level that can be read at any time.

use std::time::Duration;

use crate::support::{self, both, once};
use ebbtide::{CrossProcessCondvar, CrossProcessEvent, limits};

#[test]
fn a_set_event_is_seen_by_all_and_consumed_by_none() {
    both(here!(), |place| {
        let segment = place.create();
        let flag = CrossProcessEvent::open(&segment, "go").unwrap();
        assert!(!flag.is_set());
        let mut waiters: [_; 4] = std::array::from_fn(|_| place.agent(&segment));
        for waiter in &mut waiters {
            waiter.tell("await go 3600000");
        }
        let mut setter = place.agent(&segment);
        assert_eq!(setter.ask("set go"), "ok");
        for waiter in &mut waiters {
            assert_eq!(waiter.event("await"), "true");
            // Again, and too late to be woken.
            waiter.tell("await go 0");
            assert_eq!(waiter.event("await"), "true");
        }
        assert!(flag.is_set());
        assert!(flag.wait(Some(Duration::ZERO)).unwrap());
        setter.kill();
        assert!(flag.is_set());
    });
}

#[test]
fn a_cleared_event_is_waited_for_again() {
    both(here!(), |place| {
        let segment = place.create();
        let flag = CrossProcessEvent::open(&segment, "go").unwrap();
        for _ in 0..2 {
            flag.set().unwrap();
        }
        for _ in 0..2 {
            flag.clear().unwrap();
        }
        assert!(!flag.is_set());
        assert!(!flag.wait(Some(Duration::from_millis(20))).unwrap());
        let mut waiter = place.agent(&segment);
        waiter.tell("await go 20");
        assert_eq!(waiter.event("await"), "false");
    });
}

#[test]
fn a_killed_waiter_keeps_no_other_from_being_woken() {
    both(here!(), |place| {
        let segment = place.create();
        let flag = CrossProcessEvent::open(&segment, "go").unwrap();
        let mut waiters: [_; 4] = std::array::from_fn(|_| place.agent(&segment));
        for waiter in &mut waiters {
            waiter.tell("await go 3600000");
            assert!(waiter.ask("report all").starts_with("Running"));
        }
        let [first, rest @ ..] = &mut waiters;
        first.shoot();
        flag.set().unwrap();
        for waiter in rest {
            assert_eq!(waiter.event("await"), "true");
        }
    });
}

#[test]
fn set_and_cleared_in_turn_by_two_processes_no_turn_is_lost() {
    both(here!(), |place| {
        let segment = place.create();
        let (ping, pong) = (
            CrossProcessEvent::open(&segment, "ping").unwrap(),
            CrossProcessEvent::open(&segment, "pong").unwrap(),
        );
        let mut player = place.agent(&segment);
        player.tell("play 300");
        for _ in 0..300 {
            ping.set().unwrap();
            assert!(pong.wait(Some(support::HANG)).unwrap());
            pong.clear().unwrap();
        }
        assert_eq!(player.event("play"), "ok");
    });
}

#[test]
fn tables_of_names_have_an_end_and_are_apart() {
    once(here!(), |place| {
        let segment = place.create();
        for index in 0..limits::MAX_EVENTS {
            CrossProcessEvent::open(&segment, &index.to_string()).unwrap();
        }
        let error = CrossProcessEvent::open(&segment, "one more")
            .unwrap_err()
            .to_string();
        assert!(error.contains("events is full"), "{error}");
        for index in 0..limits::MAX_CONDVARS {
            CrossProcessCondvar::open(&segment, &index.to_string()).unwrap();
        }
        let error = CrossProcessCondvar::open(&segment, "one more")
            .unwrap_err()
            .to_string();
        assert!(error.contains("condition variables is full"), "{error}");
        CrossProcessEvent::open(&segment, "0")
            .unwrap()
            .set()
            .unwrap();
        assert!(!CrossProcessEvent::open(&segment, "1").unwrap().is_set());
    });
}
