//! Named barriers: all pass together, or all are told who broke it.

use std::time::Duration;

use crate::support::{Agent, HANG, both, once};
use ebbtide::{BarrierError, BrokenBy, CrossProcessBarrier};

const FOR_EVER: &str = "3600000";

fn arrive(agent: &mut Agent, parties: usize) {
    agent.tell(&format!("arrive gate {parties} {FOR_EVER}"));
}

fn arrive_and_sleep(agents: &mut [Agent], parties: usize, gate: &CrossProcessBarrier) {
    for (index, agent) in agents.iter_mut().enumerate() {
        arrive(agent, parties);
        crate::support::until_true("it has arrived", || gate.waiting() == index + 1);
        agent.until_asleep();
    }
}

#[test]
fn all_pass_together_and_one_leads_again_and_again() {
    both(here!(), |place| {
        let segment = place.create();
        let gate = CrossProcessBarrier::open(&segment, "gate", 4).unwrap();
        let mut agents: [_; 3] = std::array::from_fn(|_| place.agent(&segment));
        for _ in 0..20 {
            for agent in &mut agents {
                arrive(agent, 4);
            }
            let mut leaders = usize::from(gate.wait().unwrap().is_leader());
            for agent in &mut agents {
                leaders += usize::from(agent.event("arrive") == "leads=true");
            }
            assert_eq!(leaders, 1);
        }
        assert_eq!((gate.waiting(), gate.broken().unwrap()), (0, None));
    });
}

#[test]
fn a_party_that_dies_breaks_it_and_is_named() {
    both(here!(), |place| {
        let segment = place.create();
        let gate = CrossProcessBarrier::open(&segment, "gate", 4).unwrap();
        // Each of them in turn: also one that arrived after all who are left.
        for doomed in 0..3 {
            let ids = ["a", "b", "c"].map(|id| format!("{id}{doomed}"));
            let mut agents = place.runners(&segment, ids.each_ref().map(String::as_str));
            arrive_and_sleep(&mut agents, 4, &gate);
            agents[doomed].kill();
            for (index, agent) in agents.iter_mut().enumerate() {
                if index != doomed {
                    let told = agent.event("arrive");
                    let named = told.contains("the death of") && told.contains(&ids[doomed]);
                    assert!(named, "{told}");
                }
            }
            // For whoever comes later, too, until it is reset.
            let error = gate.wait().unwrap_err();
            assert_is!(
                error,
                BarrierError::BrokenBarrier { by: BrokenBy::Death { ref who }, .. }
                    if who.contains(&ids[doomed])
            );
            gate.reset().unwrap();
            assert_eq!((gate.waiting(), gate.broken().unwrap()), (0, None));
        }
        let mut agents: [_; 3] = std::array::from_fn(|_| place.agent(&segment));
        for agent in &mut agents {
            arrive(agent, 4);
        }
        gate.wait_timeout(HANG).unwrap();
    });
}

#[test]
fn several_parties_killed_at_once_hang_nobody() {
    both(here!(), |place| {
        let segment = place.create();
        let gate = CrossProcessBarrier::open(&segment, "gate", 5).unwrap();
        for _ in 0..5 {
            let mut agents: [_; 4] = std::array::from_fn(|_| place.agent(&segment));
            for agent in &mut agents {
                arrive(agent, 5);
            }
            crate::support::until_true("all have arrived", || gate.waiting() == 4);
            let [survivor, doomed @ ..] = &mut agents;
            doomed.iter_mut().for_each(Agent::shoot);
            assert!(survivor.event("arrive").contains("the death of"));
            doomed.iter_mut().for_each(Agent::kill);
            gate.reset().unwrap();
        }
    });
}

#[test]
fn a_timeout_an_abort_and_a_reset_are_told_to_all() {
    both(here!(), |place| {
        let segment = place.create();
        let gate = CrossProcessBarrier::open(&segment, "gate", 3).unwrap();
        let mut agents = [place.runner(&segment, "a")];
        arrive_and_sleep(&mut agents, 3, &gate);
        let error = gate.wait_timeout(Duration::from_millis(20)).unwrap_err();
        assert_is!(error, BarrierError::TimedOut { arrived: 2, parties: 3, waited, .. }
            if waited.as_millis() >= 20);
        assert!(
            agents[0]
                .event("arrive")
                .contains("broken by the timeout of")
        );
        assert_is!(gate.broken(), Ok(Some(BrokenBy::Timeout { .. })));
        gate.reset().unwrap();

        arrive_and_sleep(&mut agents, 3, &gate);
        gate.abort().unwrap();
        gate.abort().unwrap();
        assert!(agents[0].event("arrive").contains("broken by an abort by"));
        gate.reset().unwrap();
        gate.reset().unwrap();

        arrive_and_sleep(&mut agents, 3, &gate);
        gate.reset().unwrap();
        assert!(agents[0].event("arrive").contains("broken by a reset"));
        assert_eq!((gate.waiting(), gate.broken().unwrap()), (0, None));
    });
}

#[test]
fn a_stopped_party_is_waited_for() {
    both(here!(), |place| {
        let segment = place.create();
        let gate = CrossProcessBarrier::open(&segment, "gate", 3).unwrap();
        let mut agents: [_; 2] = std::array::from_fn(|_| place.agent(&segment));
        arrive_and_sleep(&mut agents, 3, &gate);
        agents[0].stop();
        assert!(gate.wait_timeout(HANG).unwrap().is_leader());
        assert_eq!(agents[1].event("arrive"), "leads=false");
        agents[0].go_on();
        assert_eq!(agents[0].event("arrive"), "leads=false");
    });
}

#[test]
fn the_number_of_parties_is_bounded_and_fixed() {
    once(here!(), |place| {
        let segment = place.create();
        let open = |parties| CrossProcessBarrier::open(&segment, "gate", parties);
        for asked in [0, 65, usize::MAX] {
            assert_is!(open(asked), Err(BarrierError::Parties { limit: 64, .. }));
        }
        let gate = open(1).unwrap();
        assert_is!(
            open(2),
            Err(BarrierError::Mismatch {
                there: 1,
                asked: 2,
                ..
            })
        );
        assert!(gate.wait().unwrap().is_leader());
    });
}
