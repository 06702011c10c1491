//! The command line: outcomes, documents and manners, on the real binary.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::Stdio;

use super::support::{Place, both, runner, with_output_to};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

/// A program that does not care about signals and ends with its standard input.
const STUBBORN: [&str; 3] = ["sh", "-c", "trap '' TERM INT; echo up; read line; :"];

/// A program that ends at the signal, or with its standard input.
const OBEDIENT: [&str; 3] = ["sh", "-c", "echo up; exec cat"];

#[test]
fn all_completed_is_0_and_asking_again_gives_the_same_answer() {
    both(|place| {
        let a = place.exec("job", "a", &[], &OBEDIENT);
        let b = place.exec("job", "b", &[], &OBEDIENT);
        let args = ["shutdown", "job", "--reason", "so be it", "--json"];
        let first = place.run(&args).code(0).json();
        assert_eq!((a.wait().code, b.wait().code), (Some(143), Some(143)));
        assert_eq!(first["outcome"], "Completed");
        assert_eq!(first["reason"]["text"], "so be it");
        assert_eq!(first["phases"].as_array().unwrap().len(), 3);
        for id in ["a", "b"] {
            let runner = runner(&first, id);
            assert_eq!(runner["outcome"], "Completed");
            assert_eq!(runner["last_words"], "killed by signal 15");
            assert!(runner["ack_us"]["closing"].is_u64(), "{runner:#}");
        }
        let again = place.run(&args).code(0).json();
        let waited = place.run(&["wait", "job", "--json"]).code(0).json();
        for later in [again, waited] {
            for field in ["outcome", "total_us", "phases", "reason", "generation"] {
                assert_eq!(later[field], first[field], "{field}");
            }
        }
        let text = place.run(&["wait", "job"]).code(0).out;
        assert!(text.contains("Completed: 2 runners in"), "{text}");
        assert!(
            !text.contains('\x1b'),
            "coloured although not a terminal: {text:?}"
        );
        place.run(&["rm", "job"]).code(0);
    });
}

#[test]
fn one_runner_is_shut_down_alone() {
    both(|place| {
        let a = place.exec("job", "a", &[], &OBEDIENT);
        let b = place.exec("job", "b", &[], &OBEDIENT);
        let report = place
            .run(&["shutdown", "job", "--runner", "a", "--json"])
            .code(0)
            .json();
        assert_eq!(report["runners"].as_array().unwrap().len(), 1);
        assert_eq!(runner(&report, "a")["outcome"], "Completed");
        a.wait().code(143);
        let status = place.status("job", |_| true);
        assert_eq!(status["phase"], "running");
        assert_eq!(runner(&status, "b")["outcome"], Value::Null);
        b.end().code(0);
        place.run(&["rm", "job"]).code(0);
    });
}

#[test]
fn laggards_are_4_and_named_and_the_answer_stands() {
    both(|place| {
        let good = place.exec("job", "good", &[], &OBEDIENT);
        let bad = place.exec("job", "bad", &[], &STUBBORN);
        let args = ["shutdown", "job", "--timeout", "2s", "--json"];
        let report = place.run(&args).code(4).json();
        assert_eq!(report["outcome"], "TimedOut");
        assert_eq!(runner(&report, "good")["outcome"], "Completed");
        assert_eq!(runner(&report, "bad")["outcome"], "TimedOut");
        assert_eq!(runner(&report, "bad")["blocked_in"], "draining");
        let text = place.run(&["wait", "job"]).code(4).out;
        assert!(
            text.contains("without bad (in draining, waiting for sh"),
            "{text}"
        );
        good.wait().code(143);
        // It ends in its own time; that it was late stands.
        bad.end().code(0);
        let report = place.run(&["wait", "job", "--json"]).code(4).json();
        assert_eq!(runner(&report, "bad")["outcome"], "TimedOut");
        place.run(&["rm", "job"]).code(0);
    });
}

#[test]
fn a_dead_runner_is_5_and_can_be_reaped() {
    both(|place| {
        let good = place.exec("job", "good", &[], &OBEDIENT);
        let mut bad = place.exec("job", "bad", &[], &STUBBORN);
        place.run(&["shutdown", "job", "--no-wait"]).code(0);
        place.status("job", |status| status["laggards"][0]["id"] == "bad");
        bad.signal(Signal::SIGKILL);
        bad.status();
        let report = place.run(&["wait", "job", "--json"]).code(5).json();
        assert_eq!(report["outcome"], "Died");
        assert_eq!(runner(&report, "bad")["outcome"], "Died");
        assert_eq!(runner(&report, "good")["outcome"], "Completed");
        good.wait().code(143);
        let text = place.run(&["wait", "job"]).code(5).out;
        assert!(text.contains("Died: bad; all others completed"), "{text}");
        place.run(&["reap"]).code(0);
        let second = place.run(&["reap", "job"]).code(0).out;
        assert_eq!(second, "job: nothing to reap\n");
        place.run(&["wait", "job"]).code(5);
        place.run(&["rm", "job"]).code(0);
    });
}

#[test]
fn status_names_phase_time_and_blocker_before_the_runners() {
    let place = Place::new("auto");
    let bad = place.exec("job", "bad", &[], &STUBBORN);
    let idle = place.run(&["status", "job"]).code(0).out;
    assert!(idle.starts_with("job: running\n"), "{idle}");
    place
        .run(&[
            "shutdown",
            "job",
            "--no-wait",
            "--timeout",
            "10m",
            "--reason",
            "w\x1b[2Jhy",
        ])
        .code(0);
    let status = place.status("job", |status| status["phase"] == "draining");
    assert_eq!(status["laggards"][0]["id"], "bad");
    assert_eq!(status["laggards"][0]["in_flight"], 1);
    assert!(status["remaining_us"].as_u64().unwrap() <= 600_000_000);
    let doing = status["laggards"][0]["activity"]["text"].as_str().unwrap();
    assert!(
        doing.starts_with("waiting for sh (pid ") && doing.ends_with("since SIGTERM"),
        "{doing}"
    );
    let text = place.run(&["status", "job"]).code(0).out;
    let places = [
        "job: draining",
        "left for draining",
        "Blocked by",
        "bad (pid",
        "1 runner of",
    ];
    let mut at = 0;
    for wanted in places {
        let found = text[at..].find(wanted);
        at += found.unwrap_or_else(|| panic!("no {wanted:?} after byte {at} of:\n{text}"));
    }
    assert!(
        !text.contains('\x1b'),
        "a reason steers the terminal: {text:?}"
    );
    let merged = place
        .run(&["shutdown", "job", "--no-wait", "--json"])
        .code(0)
        .json();
    assert_eq!(merged["initiation"], "merged");
    bad.end().code(0);
    place.run(&["wait", "job"]).code(0);
    place.run(&["rm", "job"]).code(0);
}

#[test]
fn a_cancelled_shutdown_is_told_to_those_who_wait() {
    both(|place| {
        let bad = place.exec("job", "bad", &[], &STUBBORN);
        let waiting = place.start(&["shutdown", "job", "--timeout", "10m", "--json"]);
        place.status("job", |status| status["phase"] == "draining");
        place.run(&["cancel", "job"]).code(0);
        let said = waiting.wait().code(1);
        assert_eq!(said.json()["outcome"], "Cancelled");
        assert!(said.err.contains("called off"), "{said:#?}");
        place.status("job", |status| status["phase"] == "running");
        bad.end().code(0);
        place.run(&["rm", "job"]).code(0);
    });
}

#[test]
fn rm_refuses_what_is_in_use() {
    let place = Place::new("auto");
    let program = place.exec("job", "busy", &[], &OBEDIENT);
    let said = place.run(&["rm", "job"]).code(1);
    assert!(
        said.err.contains("busy") && said.err.contains(&program.pid().to_string()),
        "{said:#?}"
    );
    place.run(&["rm", "job", "--force"]).code(0);
    place.run(&["status", "job"]).code(3);
    program.end().code(0);
}

#[test]
fn ls_counts_and_dir_is_an_option() {
    let place = Place::new("auto");
    let empty = place.run(&["ls"]).code(0);
    assert!(empty.out.is_empty(), "{empty:#?}");
    assert_eq!(
        place.run(&["ls", "--json"]).code(0).json(),
        json!({"segments": []})
    );
    let program = place.exec("job", "a", &[], &OBEDIENT);
    let directory = place.directory();
    let mut command = place.command(&["--dir", directory.to_str().unwrap(), "ls", "--json"]);
    command.env_remove("EBBTIDE_DIR");
    let said = with_output_to(command, Stdio::piped());
    let listed: Value = serde_json::from_slice(&said.stdout).unwrap();
    let bytes = fs::metadata(place.file("job")).unwrap().blocks() * 512;
    assert!(bytes > 4 << 20);
    let expected = json!({"segments": [{
        "name": "job", "phase": "running", "outcome": null, "began": null, "ended": null,
        "generation": 1, "runners": 1, "attached": 1, "bytes": bytes, "refused": null,
    }]});
    assert_eq!(listed, expected);
    program.end().code(0);
    place.run(&["rm", "job"]).code(0);
}

#[test]
fn a_closed_pipe_is_quiet_and_a_full_disk_is_not() {
    let place = Place::new("auto");
    place.segment("job");
    let cases: [&[&str]; 6] = [
        &["ls"],
        &["status", "job"],
        &["status", "job", "--json"],
        &["man"],
        &["completions", "bash"],
        &["demo", "--runners", "1"],
    ];
    for args in cases {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let said = with_output_to(place.command(args), writer.into());
        assert_eq!(said.status.code(), Some(0), "{args:?}: {said:?}");
        assert!(said.stderr.is_empty(), "{args:?}: {said:?}");
    }
    let full = fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let said = with_output_to(place.command(&["ls"]), full.into());
    assert_eq!(said.status.code(), Some(1), "{said:?}");
    assert!(!said.stderr.is_empty());
    place.run(&["rm", "job"]).code(0);
}

#[test]
fn help_completions_and_manual_tell_the_contract() {
    let place = Place::new("auto");
    let help = place.run(&["--help"]).code(0).out;
    for code in 0..=7 {
        assert!(help.contains(&format!("\n  {code}  ")), "{code}: {help}");
    }
    assert!(!help.contains("demo-runner"), "{help}");
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = place.run(&["completions", shell]).code(0).out;
        assert!(script.contains("shutdown"), "{shell}");
    }
    let manual = place.run(&["man"]).code(0).out;
    assert!(
        manual.contains(".TH") && manual.contains("Exit codes"),
        "{manual}"
    );
    let page = place.run(&["man", "shutdown"]).code(0).out;
    assert!(page.contains("no\\-wait"), "{page}");
}
