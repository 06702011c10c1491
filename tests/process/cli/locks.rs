//! `ebbtide locks`: what is held, wanted and taken in conflicting orders.

use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::mpsc;

use super::support::{Place, both};
use ebbtide::{CrossProcessLock, DeadlockDetector, Segment, SegmentOptions};

fn open(place: &Place) -> Segment {
    place.segment("job");
    let options = SegmentOptions::new().directory(place.directory());
    options.open("job").unwrap()
}

#[test]
fn nothing_held_is_nothing_shown() {
    both(|place| {
        place.segment("job");
        let text = place.run(&["locks", "job"]).code(0).out;
        assert_eq!(text, "job: 0 locks held, 0 threads waiting\n");
        let document = place.run(&["locks", "job", "--json"]).code(0).json();
        let fields = [
            "owners",
            "waiters",
            "wait_for",
            "deadlocks",
            "violations",
            "order",
        ];
        for field in fields {
            assert_eq!(document[field].as_array().unwrap().len(), 0, "{field}");
        }
        let dot = place.run(&["locks", "job", "--dot"]).code(0).out;
        assert_eq!(dot, "digraph \"job\" {\n}\n");
        place
            .run(&["locks", "none", "--json"])
            .code(3)
            .error("missing");
        place.run(&["locks", "job", "--json", "--dot"]).code(2);
        place.run(&["rm", "job"]).code(0);
    });
}

#[test]
fn owners_waiters_and_conflicts_are_shown() {
    both(|place| {
        let segment = open(place);
        let [a, b] = ["a", "b \"2\""].map(|name| CrossProcessLock::open(&segment, name).unwrap());
        {
            let _a = a.lock().unwrap();
            drop(b.lock().unwrap());
        }
        {
            let _b = b.lock().unwrap();
            drop(a.lock().unwrap());
        }
        let guard = a.lock().unwrap();
        let (holds, is_held) = mpsc::channel();
        let wanted = a.clone();
        let waiter = std::thread::spawn(move || {
            let _b = b.lock().unwrap();
            holds.send(()).unwrap();
            drop(wanted.lock().unwrap());
        });
        is_held.recv().unwrap();
        let detector = DeadlockDetector::new(&segment);
        while detector.waiters().unwrap().is_empty() {
            std::thread::yield_now();
        }
        let pid = std::process::id();
        let text = place.run(&["locks", "job"]).code(0).out;
        assert!(
            text.starts_with("job: 2 locks held, 1 thread waiting\n"),
            "{text}"
        );
        assert!(text.contains(&format!("(pid {pid}, thread ")), "{text}");
        assert!(text.contains("Taken in conflicting orders"), "{text}");
        assert!(
            !text.contains("Deadlock") && !text.contains('\x1b'),
            "{text}"
        );

        let document = place.run(&["locks", "job", "--json"]).code(0).json();
        assert_eq!(document["segment"], "job");
        assert_eq!(document["owners"].as_array().unwrap().len(), 2);
        assert_eq!(document["owners"][0]["lock"], "a");
        assert_eq!(document["owners"][0]["alive"], true);
        assert_eq!(document["owners"][0]["owner"]["pid"], pid);
        assert_eq!(document["waiters"][0]["lock"], "a");
        assert!(document["waiters"][0]["since_us"].is_u64());
        let edge = &document["wait_for"][0];
        assert_eq!(edge["lock"], "a");
        assert_eq!(edge["holder"], document["owners"][0]["owner"]);
        assert_eq!(edge["waiter"], document["owners"][1]["owner"]);
        let violation = &document["violations"][0];
        assert_eq!(violation["held"], "b \"2\"");
        assert_eq!(violation["wanted"], "a");
        assert_eq!(violation["pid"], pid);
        assert_eq!(document["order"][0][1], "b \"2\"");

        let dot = place.run(&["locks", "job", "--dot"]).code(0).out;
        let slot = &document["owners"][1]["owner"]["thread"];
        assert!(dot.contains(&format!("\n  t{slot} -> \"a\";\n")), "{dot}");
        assert!(
            dot.contains(&format!("\n  \"b \\\"2\\\"\" -> t{slot};\n")),
            "{dot}"
        );
        graphviz_reads(&dot);
        drop(guard);
        waiter.join().unwrap();
        drop((a, detector, segment));
        place.run(&["rm", "job"]).code(0);
    });
}

/// Where Graphviz is installed, it has the last word.
fn graphviz_reads(text: &str) {
    let started = Command::new("dot")
        .arg("-Tcanon")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn();
    let Ok(mut dot) = started else { return };
    let mut input = dot.stdin.take().unwrap();
    input.write_all(text.as_bytes()).unwrap();
    drop(input);
    assert!(dot.wait().unwrap().success(), "{text}");
}
