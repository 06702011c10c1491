//! `ebbtide why` and `ebbtide timeline`: what they show, in every format.

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::dead::is_trace_events;
use super::support::{Place, both, runner};
use ebbtide::{
    Mode, Phase, ReasonCode, ResourceManager, ResourceOptions, ResourceType, Runner, Scope,
    SegmentOptions, ShutdownCoordinator, ShutdownReport, ShutdownRequest,
};
use nix::sys::signal::Signal;
use serde_json::Value;

/// A program that ends at the signal, or with its standard input.
const OBEDIENT: [&str; 3] = ["sh", "-c", "echo up; exec cat"];
/// A program that does not care about signals and ends with its standard input.
const STUBBORN: [&str; 3] = ["sh", "-c", "trap '' TERM INT; echo up; read line; :"];

/// A shutdown of many runners of this process, with handlers and resources. One of them is
/// stuck, if there is another.
fn scene(place: &Place, count: u64) -> ShutdownReport {
    let ms = Duration::from_millis;
    let options = SegmentOptions::new().directory(place.directory());
    let segment = options.create("job").unwrap();
    let coordinator = ShutdownCoordinator::new(&segment);
    let mut threads = Vec::new();
    for number in 0..count {
        let runner = Runner::join(&segment, &format!("runner-{number}")).unwrap();
        let resources = ResourceManager::new(&runner);
        let first = ResourceOptions::new().cleanup(move |_| {
            std::thread::sleep(ms(40 + 13 * (number % 7)));
            Ok::<(), String>(())
        });
        let queue = resources
            .register_resource("queue", ResourceType::Queue, first)
            .unwrap();
        let mut second = ResourceOptions::new().depends_on(&queue);
        if number == 1 {
            second = second.depends_on_named("runner-0/queue");
        }
        let second = second.cleanup(move |_| {
            std::thread::sleep(ms(120 + 30 * (number % 5)));
            match number {
                2 => Err("disk full".to_string()),
                _ => Ok(()),
            }
        });
        resources
            .register_resource("kv-cache", ResourceType::Custom, second)
            .unwrap();
        let flush =
            move |_: &ebbtide::HandlerContext| std::thread::sleep(ms(60 + 25 * (number % 6)));
        runner
            .register_shutdown_handler(Phase::Draining, 0, "flush <write> & log", flush)
            .unwrap();
        if number == 3 {
            let stuck = move |_: &ebbtide::HandlerContext| std::thread::sleep(ms(60_000));
            runner
                .register_shutdown_handler(
                    Phase::Closing,
                    0,
                    "upload-checkpoint-to-the-store",
                    stuck,
                )
                .unwrap();
        }
        threads.push(std::thread::spawn(move || {
            runner.wait_for_shutdown(None).unwrap();
            let report = runner.run_shutdown();
            drop(resources);
            report.unwrap();
        }));
    }
    let request = ShutdownRequest::new()
        .timeout(ms(if count > 3 { 4_000 } else { 60_000 }))
        .reason(ReasonCode::Upgrade, "version 12 takes \"over\"");
    coordinator
        .initiate_shutdown(&Scope::All, &request)
        .unwrap();
    let _ = coordinator.escalate(&Scope::All, Mode::Fast);
    coordinator
        .wait_for_shutdown_complete(&Scope::All, Duration::from_secs(60))
        .unwrap();
    for thread in threads {
        thread.join().unwrap();
    }
    // Of when the late ones have said all they have to say.
    coordinator.report(&Scope::All).unwrap()
}

/// Where pictures are kept, to be looked at.
fn gallery(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

#[test]
fn pictures_documents_and_traces_of_1_4_and_64_runners_are_whole() {
    for count in [1, 4, 64] {
        let place = Place::new("auto");
        let report = scene(&place, count);
        let document = place
            .run(&["timeline", "job", "--format", "json"])
            .code(0)
            .json();
        agrees(&document, &report);
        let trace = place
            .run(&["timeline", "job", "--format", "trace"])
            .code(0)
            .json();
        is_trace_events(&trace);
        tracks_do_not_overlap(&trace);
        let text = place.run(&["timeline", "job"]).code(0).out;
        assert!(!text.contains('\x1b'), "{text}");
        let lines = |id: &str| {
            text.lines()
                .filter(|line| line.trim_start().starts_with(id))
                .count()
        };
        for runner in &report.runners {
            assert!(lines(&runner.id) >= 1, "{text}");
        }
        fs::write(gallery(&format!("timeline-{count}.txt")), &text).unwrap();
        let path = gallery(&format!("timeline-{count}.svg"));
        let path = path.to_str().unwrap();
        let said = place
            .run(&["timeline", "job", "--format", "svg", "--out", path])
            .code(0);
        assert_eq!(said.out, "");
        picture_is_whole(&fs::read_to_string(path).unwrap(), &report);
        // The reports that the command and the library print are the same.
        let waited = place
            .run(&["wait", "job", "--json"])
            .code(if count > 3 { 4 } else { 0 })
            .json();
        assert_eq!(
            waited["total_us"],
            serde_json::to_value(&report).unwrap()["total_us"]
        );
        place.run(&["rm", "job"]).code(0);
    }
}

fn agrees(document: &Value, report: &ShutdownReport) {
    let report = serde_json::to_value(report).unwrap();
    for field in [
        "segment",
        "generation",
        "outcome",
        "mode",
        "reason",
        "total_us",
    ] {
        assert_eq!(document[field], report[field], "{field}");
    }
    assert_eq!(document["lost"], 0);
    let phases = report["phases"].as_array().unwrap().iter();
    for (told, phase) in document["phases"].as_array().unwrap().iter().zip(phases) {
        let took = told["until_us"].as_u64().unwrap() - told["from_us"].as_u64().unwrap();
        assert_eq!(
            (&told["phase"], took),
            (&phase["phase"], phase["us"].as_u64().unwrap())
        );
    }
    for told in report["runners"].as_array().unwrap() {
        let line = runner(document, told["id"].as_str().unwrap());
        for field in ["pid", "outcome", "observed_us", "ack_us"] {
            assert_eq!(line[field], told[field], "{field} of {}", told["id"]);
        }
        assert!(!line["spans"].as_array().unwrap().is_empty());
    }
}

/// Spans of one track must come one after another, as nothing there is nested.
fn tracks_do_not_overlap(trace: &Value) {
    let mut tracks = std::collections::BTreeMap::new();
    let events = trace["traceEvents"].as_array().unwrap();
    for event in events.iter().filter(|event| event["ph"] == "X") {
        let track = (
            event["pid"].as_u64().unwrap(),
            event["tid"].as_u64().unwrap(),
        );
        let from = event["ts"].as_u64().unwrap();
        let until = from + event["dur"].as_u64().unwrap();
        tracks
            .entry(track)
            .or_insert_with(Vec::new)
            .push((from, until));
    }
    assert!(!tracks.is_empty());
    for (track, mut spans) in tracks {
        spans.sort_unstable();
        let meets = spans.windows(2).any(|pair| pair[0].1 > pair[1].0);
        assert!(!meets, "{track:?}: {spans:?}");
    }
    let named = events
        .iter()
        .filter(|event| event["name"] == "process_name")
        .count();
    assert!(named >= 2);
}

/// Well-formed, everybody in it, nothing outside the picture, and nothing from elsewhere.
fn picture_is_whole(svg: &str, report: &ShutdownReport) {
    let document = roxmltree::Document::parse(svg).unwrap();
    let root = document.root_element();
    let size = |name: &str| root.attribute(name).unwrap().parse::<f64>().unwrap();
    let (wide, high) = (size("width"), size("height"));
    let texts: Vec<_> = root
        .descendants()
        .filter(|node| node.has_tag_name("text") || node.tag_name().name() == "text")
        .collect();
    for runner in &report.runners {
        let found = texts.iter().any(|text| text.text() == Some(&runner.id));
        assert!(found, "{} is not in the picture", runner.id);
    }
    for text in &texts {
        let place = |name: &str| text.attribute(name).unwrap().parse::<f64>().unwrap();
        let (x, y) = (place("x"), place("y"));
        let long = text.text().unwrap_or_default().chars().count() as f64 * 5.0;
        let (from, until) = match text.attribute("text-anchor") {
            Some("end") => (x - long, x),
            Some(_) => (x - long / 2.0, x + long / 2.0),
            None => (x, x + long),
        };
        let what = text.text();
        assert!(
            from >= 0.0 && until <= wide && y > 0.0 && y <= high,
            "{what:?} at {x} {y}"
        );
    }
    for node in root
        .descendants()
        .filter(|node| node.tag_name().name() == "rect")
    {
        let at = |name: &str| {
            node.attribute(name)
                .map_or(0.0, |n| n.parse::<f64>().unwrap())
        };
        assert!(at("x") + at("width") <= wide + 0.2 && at("y") + at("height") <= high);
    }
    assert!(svg.contains("prefers-color-scheme:dark"));
    for outside in ["href", "url(", "<script", "@import"] {
        assert!(!svg.contains(outside), "{outside}");
    }
}

#[test]
fn why_names_a_program_that_does_not_end_and_one_that_was_killed() {
    both(|place| {
        let a = place.exec("job", "a", &[], &OBEDIENT);
        let b = place.exec("job", "b", &[], &STUBBORN);
        let text = place.run(&["why", "job"]).code(0).out;
        assert!(
            text.starts_with("job is running, in generation 1"),
            "{text}"
        );
        place
            .run(&["timeline", "job", "--format", "json"])
            .code(7)
            .error("too-late");
        place
            .run(&["shutdown", "job", "--no-wait", "--timeout", "1h"])
            .code(0);
        place.status("job", |status| {
            status["laggards"].as_array().is_some_and(|all| {
                matches!(&all[..], [one] if one["id"] == "b") && status["phase"] == "draining"
            })
        });
        let why = place.run(&["why", "job", "--json"]).code(0).json();
        assert_eq!(
            (&why["phase"], &why["blockers"]),
            (&"draining".into(), &["b"][..].into())
        );
        let text = place.run(&["why", "job", "b"]).code(0).out;
        assert!(text.contains("It waits for b (pid "), "{text}");
        place
            .run(&["why", "job", "nobody", "--json"])
            .code(3)
            .error("missing");
        place.run(&["why", "none"]).code(3);
        let shown = place.run(&["timeline", "job"]).code(0).out;
        assert!(shown.contains("job: shutting down for "), "{shown}");
        b.signal(Signal::SIGKILL);
        let report = place.run(&["wait", "job", "--json"]).code(5).json();
        assert_eq!(runner(&report, "b")["outcome"], "Died");
        let text = place.run(&["why", "job", "b"]).code(0).out;
        assert!(
            text.contains("b (pid ") && text.contains("was found dead"),
            "{text}"
        );
        let timeline = place
            .run(&["timeline", "job", "--format", "json"])
            .code(0)
            .json();
        assert_eq!(runner(&timeline, "b")["died"], true);
        let shown = place.run(&["timeline", "job"]).code(0).out;
        assert!(shown.contains("Died in draining"), "{shown}");
        a.wait();
        // What it ran lives on, until its standard input ends.
        b.end();
        place.run(&["rm", "job", "--force"]).code(0);
    });
}

#[test]
fn status_answers_in_the_order_of_the_questions() {
    let place = Place::new("auto");
    let options = SegmentOptions::new().directory(place.directory());
    let segment = options.create("job").unwrap();
    let runner = Runner::join(&segment, "slow").unwrap();
    let resources = ResourceManager::new(&runner);
    resources
        .register_resource("queue", ResourceType::Queue, ResourceOptions::new())
        .unwrap();
    runner.set_activity("thinking");
    let lock = ebbtide::CrossProcessLock::open(&segment, "device-0").unwrap();
    let guard = lock.lock().unwrap();
    ShutdownCoordinator::new(&segment)
        .initiate_shutdown(&Scope::All, &ShutdownRequest::new())
        .unwrap();
    let text = place.run(&["status", "job"]).code(0).out;
    let order = [
        "job: signaling",
        " left for signaling, ",
        "Blocked by",
        "slow (pid ",
        "thinking, for ",
        "1 runner of generation 1",
        "1 resource",
        "1 lock held, 0 threads waiting",
    ];
    let mut rest = text.as_str();
    for wanted in order {
        let at = rest.find(wanted);
        rest = &rest[at.unwrap_or_else(|| panic!("{wanted:?} is not in its place:\n{text}"))..];
    }
    let document = place.run(&["status", "job", "--json"]).code(0).json();
    assert_eq!(document["locks"][0]["lock"], "device-0");
    assert_eq!(document["locks"][0]["owner"]["runner"], "slow");
    assert_eq!(document["lock_waits"].as_array().unwrap().len(), 0);
    drop(guard);
    drop((resources, runner, lock, segment));
    place.run(&["rm", "job"]).code(0);
}

#[test]
fn who_was_late_stopped_or_killed_is_named_by_status_and_why() {
    both(|place| {
        let a = place.exec("job", "a", &[], &OBEDIENT);
        let b = place.exec("job", "b", &[], &STUBBORN);
        b.signal(Signal::SIGSTOP);
        a.signal(Signal::SIGSTOP);
        place
            .run(&["shutdown", "job", "--no-wait", "--timeout", "400ms"])
            .code(0);
        // Nobody is there to force it.
        let seen = place.status("job", |status| {
            status["phase_overdue_us"]
                .as_u64()
                .is_some_and(|us| us > 200_000)
        });
        assert_eq!(seen["laggards"][1]["stopped"], true);
        let text = place.run(&["status", "job"]).code(0).out;
        assert!(
            text.contains(") is stopped (continue it with kill -CONT, or kill it); has not acknowledged signaling for "),
            "{text}"
        );
        assert!(
            text.contains("  overdue by ") && text.contains("`ebbtide wait job`"),
            "{text}"
        );
        let text = place.run(&["why", "job"]).code(0).out;
        assert!(text.contains("It is in signaling, overdue by "), "{text}");
        assert!(
            text.contains(": a had not seen the shutdown (late, too: b)."),
            "{text}"
        );
        a.signal(Signal::SIGKILL);
        super::dead::is_told_after_its_end(place);
        let text = place.run(&["why", "job"]).code(0).out;
        assert!(
            text.contains("; late: b (signaling, its process is stopped: continue it (kill -CONT) or kill it); died: a (signaling)."),
            "{text}"
        );
        let text = place.run(&["why", "job", "b"]).code(0).out;
        assert!(text.contains("b was late in signaling"), "{text}");
        b.signal(Signal::SIGKILL);
        place.run(&["rm", "job", "--force"]).code(0);
    });
}
