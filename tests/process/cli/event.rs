//! `ebbtide event`, on the real binary.

use super::support::{Place, both};
use serde_json::Value;

#[test]
fn an_event_is_set_waited_for_and_listed() {
    both(|place| {
        place.segment("job");
        let listed = place
            .run(&["event", "list", "job", "--json"])
            .code(0)
            .json();
        assert_eq!(listed["events"].as_array().unwrap().len(), 0);
        let waiting = place.start(&["event", "wait", "job", "go", "stop", "--timeout", "10m"]);
        let args = [
            "event",
            "set",
            "job",
            "stop",
            "--kind",
            "custom-7",
            "--payload",
            "now",
        ];
        assert_eq!(place.run(&args).code(0).out, "1\n");
        assert_eq!(waiting.wait().code(0).out, "stop\n");
        assert_eq!(place.run(&args).code(0).out, "2\n");
        let text = place.run(&["event", "list", "job"]).code(0).out;
        assert!(text.contains("custom-7") && text.contains("now"), "{text}");
        for args in [
            &["event", "list", "job", "--json"][..],
            &["status", "job", "--json"],
        ] {
            let document = place.run(args).code(0).json();
            let events = document["events"].as_array().unwrap();
            let stop = events.iter().find(|event| event["name"] == "stop").unwrap();
            assert_eq!((&stop["set"], &stop["sequence"]), (&true.into(), &2.into()));
            assert_eq!(
                (&stop["kind"], &stop["payload"]),
                (&"custom-7".into(), &"now".into())
            );
            assert_eq!(stop["reset"], "manual");
            assert!(stop["age_us"].is_u64());
        }
        let status = place.run(&["status", "job"]).code(0).out;
        assert!(
            status.contains("EVENT") && status.contains("stop"),
            "{status}"
        );
        place.run(&["rm", "job"]).code(0);
    });
}

#[test]
fn what_is_not_set_in_time_is_4_and_what_is_wrong_has_its_code() {
    let place = Place::new("auto");
    place.segment("job");
    let said = place
        .run(&["event", "wait", "job", "go", "--timeout", "20ms"])
        .code(4);
    assert!(said.out.is_empty() && said.err.contains("go"), "{said:#?}");
    let listed = place
        .run(&["event", "list", "job", "--json"])
        .code(0)
        .json();
    assert_eq!(listed["events"][0]["kind"], Value::Null);
    place.run(&["event", "wait", "job"]).code(2);
    place.run(&["event", "set", "job", "a/b"]).code(2);
    place
        .run(&["event", "set", "job", "go", "--kind", "loud"])
        .code(2);
    let long = "x".repeat(257);
    let said = place
        .run(&["event", "set", "job", "go", "--payload", &long])
        .code(2);
    assert!(
        said.err.contains("257") && said.err.contains("256"),
        "{said:#?}"
    );
    place.run(&["event", "set", "nothing", "go"]).code(3);
    place
        .run(&["event", "list", "nothing", "--json"])
        .code(3)
        .error("missing");
    place.run(&["rm", "job"]).code(0);
}
