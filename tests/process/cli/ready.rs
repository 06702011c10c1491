//! `status --ready` and `shutdown --wait`, as probes and hooks use them.

use super::support::{Place, both};
use nix::sys::signal::Signal;
use serde_json::json;

/// A program that does not care about signals and ends with its standard input.
const STUBBORN: [&str; 3] = ["sh", "-c", "trap '' TERM INT; echo up; read line; :"];
/// A program that ends at the signal, or with its standard input.
const OBEDIENT: [&str; 3] = ["sh", "-c", "echo up; exec cat"];

#[test]
fn ready_is_when_it_runs_and_who_is_asked_for_has_joined() {
    both(|place| {
        let ready = |more: &[&str], code| {
            let mut args = vec!["status", "job", "--ready"];
            args.extend(more);
            place.run(&args).code(code)
        };
        let said = ready(&["--json"], 3);
        said.error("missing");
        let mut a = place.exec("job", "a", &[], &STUBBORN);
        let b = place.exec("job", "b", &[], &OBEDIENT);
        assert_eq!(ready(&[], 0).out, "job is ready: 2 runners\n");
        assert_eq!(
            ready(
                &["--json", "--runner", "a", "--runner", "b", "--min", "2"],
                0
            )
            .json(),
            json!({"segment": "job", "ready": true, "runners": 2})
        );
        let said = ready(&["--min", "3"], 3);
        assert!(said.err.contains("2 runners, 3 wanted"), "{said:#?}");
        let said = ready(&["--runner", "a", "--runner", "c", "--json"], 3);
        said.error("missing");
        assert!(said.err.contains("\"c\" has not joined"), "{said:#?}");
        // One that is shut down alone is not ready; the others are.
        place
            .run(&["shutdown", "job", "--runner", "a", "--no-wait"])
            .code(0);
        let said = ready(&["--runner", "a"], 7);
        assert!(said.err.contains("\"a\" is "), "{said:#?}");
        ready(&["--runner", "b", "--min", "1"], 0);
        ready(&["--min", "2"], 3);
        // The dead have not joined.
        a.signal(Signal::SIGKILL);
        a.status();
        let said = ready(&["--runner", "a"], 3);
        assert!(said.err.contains("\"a\" is dead"), "{said:#?}");
        place.run(&["shutdown", "job", "--wait"]).code(0);
        let said = ready(&["--json"], 7);
        said.error("too-late");
        assert!(said.err.contains("it is complete"), "{said:#?}");
        b.wait().code(143);
        place.run(&["rm", "job"]).code(0);
    });
}

#[test]
fn a_refused_segment_is_not_ready() {
    let place = Place::new("auto");
    place.segment("job");
    std::fs::write(place.file("job"), "no segment").unwrap();
    place
        .run(&["status", "job", "--ready", "--json"])
        .code(6)
        .error("refused");
    std::fs::remove_file(place.file("job")).unwrap();
}

#[test]
fn the_last_of_wait_and_no_wait_stands() {
    let place = Place::new("auto");
    let bad = place.exec("job", "bad", &[], &STUBBORN);
    let args = ["shutdown", "job", "--wait", "--no-wait", "--timeout", "10m"];
    let said = place.run(&args).code(0);
    assert!(said.out.contains("has begun"), "{said:#?}");
    let waiting = place.start(&["shutdown", "job", "--no-wait", "--wait", "--json"]);
    place.status("job", |status| status["phase"] == "draining");
    bad.end().code(0);
    let report = waiting.wait().code(0).json();
    assert_eq!(report["outcome"], "Completed");
    place.run(&["rm", "job"]).code(0);
}

#[test]
fn options_of_ready_need_it() {
    let place = Place::new("auto");
    for args in [["--runner", "a"], ["--min", "2"]] {
        place.run(&["status", "job", args[0], args[1]]).code(2);
    }
}
