//! How the dead, and those who are shut down alone, are shown in every format.

use super::support::{Place, both, runner};
use ebbtide::{Runner, Scope, SegmentOptions, ShutdownCoordinator, ShutdownRequest};
use nix::sys::signal::Signal;
use serde_json::Value;

/// A program that does not care about signals and ends with its standard input.
const STUBBORN: [&str; 3] = ["sh", "-c", "trap '' TERM INT; echo up; read line; :"];

fn timeline(place: &Place, args: &[&str]) -> String {
    let args = [&["timeline", "job"], args].concat();
    place.run(&args).code(0).out
}

#[track_caller]
fn row<'t>(text: &'t str, id: &str) -> &'t str {
    let is_it = |line: &&str| line.trim_start().starts_with(id);
    text.lines()
        .find(is_it)
        .unwrap_or_else(|| panic!("no {id} in {text}"))
}

#[test]
fn who_died_is_not_drawn_as_working_in_any_format() {
    both(|place| {
        let slow = place.exec("job", "slow", &[], &STUBBORN);
        let victim = place.exec("job", "victim", &[], &STUBBORN);
        let gone = place.exec("job", "gone", &[], &STUBBORN);
        gone.signal(Signal::SIGKILL);
        slow.signal(Signal::SIGSTOP);
        // So that it has seen nothing of the shutdown when it dies.
        victim.signal(Signal::SIGSTOP);
        place.status("job", |status| runner(status, "gone")["dead"] == true);
        place.status("job", |status| runner(status, "slow")["stopped"] == true);
        place.status("job", |status| runner(status, "victim")["stopped"] == true);
        let text = place.run(&["status", "job"]).code(0).out;
        assert!(row(&text, "slow").contains(" stopped "), "{text}");
        assert!(row(&text, "gone").contains(" dead "), "{text}");
        let text = place.run(&["why", "job"]).code(0).out;
        assert!(
            text.contains("But gone (pid ") && text.contains("The process of slow (pid "),
            "{text}"
        );
        place
            .run(&["shutdown", "job", "--no-wait", "--timeout", "10m"])
            .code(0);
        victim.signal(Signal::SIGKILL);
        place.run(&["reap", "job"]).code(0);
        // Who had died before is told apart, with the time.
        let text = place.run(&["status", "job"]).code(0).out;
        let past = row(&text, "gone");
        assert!(
            past.contains(" had died before the shutdown began, found dead 2"),
            "{text}"
        );
        let text = timeline(place, &[]);
        let bar = row(&text, "victim");
        assert!(
            bar.contains('x') && bar.contains("Died in signaling, found at "),
            "{text}"
        );
        let works = |bar: &str| bar.contains(['░', '▒', '█']);
        assert!(!works(bar) && works(row(&text, "slow")), "{text}");
        assert!(
            text.contains("? no sign of life") && text.contains("x found dead"),
            "{text}"
        );
        let document: Value =
            serde_json::from_str(&timeline(place, &["--format", "json"])).unwrap();
        let line = runner(&document, "victim");
        assert_eq!(
            (&line["died"], &line["last_sign_us"]),
            (&true.into(), &Value::Null)
        );
        assert!(line["ended_us"].as_u64().unwrap() <= document["total_us"].as_u64().unwrap());
        let trace: Value = serde_json::from_str(&timeline(place, &["--format", "trace"])).unwrap();
        is_trace_events(&trace);
        let events = trace["traceEvents"].as_array().unwrap();
        let is_its = |event: &&Value| {
            let title = event["args"]["name"].as_str().unwrap_or_default();
            event["name"] == "process_name" && title.starts_with("victim ")
        };
        let process = &events.iter().find(is_its).unwrap()["pid"];
        let spans = events
            .iter()
            .filter(|event| event["ph"] == "X" && event["pid"] == *process);
        let names: Vec<_> = spans.map(|event| event["name"].as_str().unwrap()).collect();
        assert!(
            names.iter().all(|name| *name == "no sign of life"),
            "{names:?}"
        );
        let svg = timeline(place, &["--format", "svg"]);
        let lit = ["signaling", "draining", "closing"];
        let has = |class: &str, what: &str| {
            svg.lines()
                .any(|line| line.contains(class) && line.contains(what))
        };
        assert!(
            has("class=\"silent\"", "victim was found dead at "),
            "{svg}"
        );
        assert!(
            !lit.iter()
                .any(|phase| has(&format!("class=\"{phase}\""), "victim has not")),
            "{svg}"
        );
        slow.signal(Signal::SIGCONT);
        slow.end();
        victim.end();
        gone.end();
        place.run(&["wait", "job"]).code(5);
        place.run(&["rm", "job", "--force"]).code(0);
    });
}

/// A shutdown of `job` that timed out with a stopped runner, by every command that shows it.
pub fn is_told_after_its_end(place: &Place) {
    let text = place.run(&["wait", "job"]).code(4).out;
    assert!(text.contains(" TimedOut, stopped "), "{text}");
    let text = place.run(&["status", "job"]).code(0).out;
    assert!(text.starts_with("job: complete, TimedOut after "), "{text}");
    assert!(
        text.contains("\n  began 2") && text.contains(" TimedOut, stopped "),
        "{text}"
    );
    let text = place.run(&["ls"]).code(0).out;
    assert!(text.contains(" complete  TimedOut  "), "{text}");
    let text = place.run(&["shutdown", "job"]).code(4).out;
    assert!(
        text.starts_with("job: it was complete already: TimedOut, ended 2"),
        "{text}"
    );
    let document = place.run(&["shutdown", "job", "--json"]).code(4).json();
    assert_eq!(document["initiation"], "over");
    assert!(document["ended"].as_str().unwrap().ends_with('Z'));
}

/// By the rules of the Trace Event Format: what each kind of event has to have, and that
/// what is named or drawn is of a process that has a name.
pub fn is_trace_events(trace: &Value) {
    let events = trace["traceEvents"].as_array().unwrap();
    assert!(["ms", "ns"].contains(&trace["displayTimeUnit"].as_str().unwrap()));
    let mut tracks = std::collections::BTreeSet::new();
    let track = |event: &Value| {
        (
            event["pid"].as_u64().unwrap(),
            event["tid"].as_u64().unwrap(),
        )
    };
    for event in events.iter().filter(|event| event["ph"] == "M") {
        match event["name"].as_str().unwrap() {
            "process_name" => assert!(event["args"]["name"].is_string(), "{event}"),
            "thread_name" => {
                assert!(event["args"]["name"].is_string(), "{event}");
                assert!(tracks.insert(track(event)), "twice: {event}");
            }
            "process_sort_index" => assert!(event["args"]["sort_index"].is_u64(), "{event}"),
            other => panic!("no metadata is called {other}"),
        }
    }
    for event in events {
        assert!(!event["name"].as_str().unwrap().is_empty(), "{event}");
        match event["ph"].as_str().unwrap() {
            "M" => continue,
            "X" => assert!(event["dur"].is_u64(), "{event}"),
            "i" => assert!(
                ["g", "p", "t"].contains(&event["s"].as_str().unwrap()),
                "{event}"
            ),
            other => panic!("no event of ours is a {other}: {event}"),
        }
        assert!(event["ts"].is_u64() && event["cat"].is_string(), "{event}");
        assert!(event["args"].is_object(), "{event}");
        assert!(tracks.contains(&track(event)), "of no track: {event}");
    }
}

#[test]
fn one_that_is_shut_down_alone_is_shown_in_every_format() {
    both(|place| {
        let one = place.exec("job", "one", &[], &STUBBORN);
        let two = place.exec("job", "two", &[], &STUBBORN);
        let said = place.run(&["timeline", "job", "--runner", "one"]).code(7);
        assert!(
            said.err.contains("no shutdown of \"one\" alone is known"),
            "{said:#?}"
        );
        place
            .run(&["timeline", "job", "--runner", "nobody"])
            .code(3);
        place
            .run(&[
                "shutdown",
                "job",
                "--runner",
                "one",
                "--no-wait",
                "--timeout",
                "10m",
            ])
            .code(0);
        one.end();
        place.run(&["wait", "job", "--runner", "one"]).code(0);
        place.run(&["timeline", "job"]).code(7);
        let of_it = |format| timeline(place, &["--runner", "one", "--format", format]);
        let text = of_it("text");
        assert!(text.starts_with("job, one alone: completed in "), "{text}");
        assert!(
            row(&text, "one").contains("Completed") && !text.contains("two"),
            "{text}"
        );
        let document: Value = serde_json::from_str(&of_it("json")).unwrap();
        assert_eq!(document["runner"], "one");
        assert_eq!(document["runners"].as_array().unwrap().len(), 1);
        let trace: Value = serde_json::from_str(&of_it("trace")).unwrap();
        is_trace_events(&trace);
        assert_eq!(trace["traceEvents"][0]["args"]["name"], "job: one alone");
        assert!(of_it("svg").contains("job, one alone: completed in "));
        two.end();
        place.run(&["rm", "job", "--force"]).code(0);
    });
}

#[test]
fn a_long_verdict_is_whole_in_the_picture_and_the_budget_has_a_scale_of_its_own() {
    let place = Place::new("auto");
    let options = SegmentOptions::new().directory(place.directory());
    let segment = options.create("job").unwrap();
    let failed = Runner::join(&segment, "worker").unwrap();
    let cause = "the device of the second shelf was pulled out while it was written to";
    ShutdownCoordinator::new(&segment)
        .initiate_shutdown(&Scope::All, &ShutdownRequest::new())
        .unwrap();
    failed.fail(cause);
    let svg = timeline(&place, &["--format", "svg"]);
    let document = roxmltree::Document::parse(&svg).unwrap();
    let all = |name: &'static str| {
        let nodes = document.descendants();
        nodes.filter(move |node| node.tag_name().name() == name)
    };
    let texts = all("text").filter(|node| node.attribute("class") == Some("bad"));
    let lines: Vec<_> = texts.filter_map(|node| node.text()).collect();
    assert_eq!(lines.join(" "), format!("Failed: {cause}"));
    let wide: f64 = document
        .root_element()
        .attribute("width")
        .unwrap()
        .parse()
        .unwrap();
    for node in all("text").filter(|node| node.attribute("class") == Some("bad")) {
        let from: f64 = node.attribute("x").unwrap().parse().unwrap();
        let long = node.text().unwrap().chars().count() as f64 * 7.3;
        assert!(from + long <= wide, "{:?}", node.text());
    }
    // What is below the budget is a part of it, and drawn as such.
    assert_eq!(
        all("path")
            .filter(|node| node.attribute("class") == Some("fan"))
            .count(),
        1
    );
    drop((failed, segment));
    place.run(&["rm", "job"]).code(0);
}
