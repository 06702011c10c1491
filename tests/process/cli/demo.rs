//! The demo: what it promises, on both liveness back ends.

use super::support::{self, Place, both};
use nix::sys::signal::Signal;
use serde_json::Value;

/// Checks a round's document against the contract; returns how many had each outcome.
#[track_caller]
fn check(round: &Value, runners: usize) -> [usize; 3] {
    let keys = |value: &Value| {
        value
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect::<Vec<_>>()
    };
    let mut top = keys(round);
    top.sort();
    let expected = [
        "broadcast_us",
        "generation",
        "leftovers",
        "outcome",
        "phases",
        "runners",
        "segment",
        "total_us",
    ];
    assert_eq!(top, expected);
    assert_eq!(round["leftovers"], 0);
    assert!(round["total_us"].is_u64());
    let phases = round["phases"].as_array().unwrap();
    let names: Vec<_> = phases
        .iter()
        .map(|phase| phase["phase"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["signaling", "draining", "closing"]);
    assert!(phases.iter().all(|phase| phase["us"].is_u64()));
    for rank in ["min", "p50", "p99", "max"] {
        assert!(round["broadcast_us"][rank].is_u64(), "{round:#}");
    }
    let all = round["runners"].as_array().unwrap();
    assert_eq!(all.len(), runners);
    let mut counts = [0; 3];
    for runner in all {
        assert!(
            runner["id"].is_string() && runner["pid"].is_u64(),
            "{runner:#}"
        );
        let place = match runner["outcome"].as_str().unwrap() {
            "Completed" => {
                assert_eq!(
                    runner["items_begun"], runner["items_finished"],
                    "{runner:#}"
                );
                assert!(runner["items_begun"].as_u64().unwrap() > 0);
                assert!(runner["blocked_in"].is_null());
                for phase in ["signaling", "draining", "closing"] {
                    assert!(runner["ack_us"][phase].is_u64(), "{runner:#}");
                }
                0
            }
            "Died" => 1,
            "TimedOut" => {
                assert!(runner["blocked_in"].is_string(), "{runner:#}");
                2
            }
            other => panic!("{other}"),
        };
        counts[place] += 1;
    }
    counts
}

#[test]
fn everybody_completes() {
    both(|place| {
        let round = place.run(&["demo", "--json"]).code(0).json();
        assert_eq!(check(&round, 4), [4, 0, 0]);
        assert_eq!(round["outcome"], "Completed");
        assert_eq!(round["generation"], 1);
    });
}

#[test]
fn killed_ones_are_reported_dead() {
    both(|place| {
        let args = ["demo", "--runners", "5", "--kill", "2", "--json"];
        let round = place.run(&args).code(0).json();
        assert_eq!(check(&round, 5), [3, 2, 0]);
        assert_eq!(round["outcome"], "Died");
    });
}

#[test]
fn stopped_ones_are_named() {
    both(|place| {
        let args = ["demo", "--stop", "1", "--timeout", "2s", "--json"];
        let round = place.run(&args).code(0).json();
        assert_eq!(check(&round, 4), [3, 0, 1]);
        assert_eq!(round["outcome"], "TimedOut");
    });
}

#[test]
fn hung_ones_are_named() {
    both(|place| {
        let args = ["demo", "--hang", "1", "--timeout", "2s", "--json"];
        let round = place.run(&args).code(0).json();
        assert_eq!(check(&round, 4), [3, 0, 1]);
    });
}

#[test]
fn all_evils_together_and_nobody_but_victims() {
    both(|place| {
        let args = [
            "demo",
            "--kill",
            "1",
            "--stop",
            "1",
            "--hang",
            "1",
            "--timeout",
            "2s",
        ];
        let said = place.run(&args).code(0);
        assert!(said.err.is_empty(), "{said:#?}");
        for wanted in [
            "killed at",
            "frozen at",
            "hangs",
            "Died",
            "TimedOut",
            "All is well",
        ] {
            assert!(said.out.contains(wanted), "no {wanted:?} in {said:#?}");
        }
        let args = ["demo", "--runners", "2", "--kill", "2", "--json"];
        let round = place.run(&args).code(0).json();
        assert_eq!(check(&round, 2), [0, 2, 0]);
    });
}

#[test]
fn rounds_are_generations_of_one_segment() {
    both(|place| {
        let args = [
            "demo",
            "--rounds",
            "3",
            "--runners",
            "3",
            "--kill",
            "1",
            "--json",
        ];
        let document = place.run(&args).code(0).json();
        let rounds = document["rounds"].as_array().unwrap();
        assert_eq!(rounds.len(), 3);
        for (index, round) in rounds.iter().enumerate() {
            assert_eq!(check(round, 3), [2, 1, 0]);
            assert_eq!(round["generation"], index + 1);
            assert_eq!(round["segment"], rounds[0]["segment"]);
        }
    });
}

#[test]
fn a_stranger_can_read_it() {
    let place = Place::new("auto");
    let said = place
        .run(&["demo", "--runners", "2", "--rounds", "2"])
        .code(0);
    for wanted in [
        "2 processes",
        "Round 1 of 2",
        "Round 2 of 2, generation 2",
        "Phases",
        "signaling",
        "total",
        "Runners",
        "runner-1",
        "runner-2",
        "BEGUN",
        "Broadcast",
        "median",
        "All is well",
    ] {
        assert!(said.out.contains(wanted), "no {wanted:?} in {said:#?}");
    }
    assert!(
        !said.out.contains('\x1b') && said.err.is_empty(),
        "{said:#?}"
    );
}

/// The pids of a segment's runners.
fn pids(status: &Value) -> Vec<i64> {
    let runners = status["runners"].as_array().unwrap();
    runners
        .iter()
        .map(|runner| runner["pid"].as_i64().unwrap())
        .collect()
}

fn is_running(pid: i64) -> bool {
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else {
        return false;
    };
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let fields: Vec<_> = fields.split_whitespace().collect();
    // A zombie has ended, if it is not the first of several threads; who should wait for it is
    // not our question.
    let [state, threads] = [0, 17].map(|at| fields.get(at).copied().unwrap_or_default());
    state != "Z" || !["0", "1"].contains(&threads)
}

/// Starts a demo that lasts until something is done to it.
fn endless(place: &Place) -> (support::Running, String, Vec<i64>) {
    let mut demo = place.start(&["demo", "--runners", "2", "--hang", "1", "--timeout", "10m"]);
    demo.line();
    let mut name = place.segments();
    while name.is_empty() {
        name = place.segments();
    }
    let status = place.status(&name[0], |status| status["phase"] == "draining");
    let pids = pids(&status);
    (demo, name.remove(0), pids)
}

#[test]
fn a_terminated_demo_leaves_nothing_behind() {
    both(|place| {
        for signal in [Signal::SIGTERM, Signal::SIGINT] {
            let (demo, _, pids) = endless(place);
            demo.signal(signal);
            let said = demo.wait().code(1);
            assert!(said.err.contains("interrupted"), "{said:#?}");
            assert_eq!(place.segments(), [""; 0]);
            assert!(!pids.iter().any(|pid| is_running(*pid)));
        }
    });
}

#[test]
fn runners_end_with_a_killed_supervisor() {
    let place = Place::new("auto");
    let (mut demo, name, pids) = endless(&place);
    demo.signal(Signal::SIGKILL);
    demo.status();
    let until = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while pids.iter().any(|pid| is_running(*pid)) {
        assert!(
            std::time::Instant::now() < until,
            "runners outlive their supervisor"
        );
        std::thread::yield_now();
    }
    // Nobody was left to remove the segment.
    place.run(&["rm", &name]).code(0);
}
