//! `ebbtide exec`: real programs as runners, without change.

use std::io::{Read, Write};
use std::net::TcpStream;

use super::support::{self, Place, both, runner};
use nix::sys::signal::Signal;
use serde_json::Value;

/// Ignores SIGTERM and ends with its standard input.
const STUBBORN: [&str; 3] = [
    "python3",
    "-c",
    "import signal, sys; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); sys.stdin.read()",
];

#[test]
fn a_web_server_is_a_runner() {
    both(|place| {
        let program = [
            "python3",
            "-u",
            "-m",
            "http.server",
            "0",
            "--bind",
            "127.0.0.1",
        ];
        let args = ["exec", "web", "--runner", "server", "--"];
        let args: Vec<&str> = args.into_iter().chain(program).collect();
        let mut server = place.start(&args);
        // Serving HTTP on 127.0.0.1 port 43210 (…)
        let line = server.line();
        let port = line
            .split_whitespace()
            .skip_while(|word| *word != "port")
            .nth(1);
        let port: u16 = port
            .and_then(|port| port.parse().ok())
            .unwrap_or_else(|| panic!("{line:?}"));
        let mut client = TcpStream::connect(("127.0.0.1", port)).unwrap();
        client.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        assert!(answer.contains("200 OK"), "{answer}");
        let status = place.status("web", |_| true);
        let doing = runner(&status, "server")["activity"]["text"]
            .as_str()
            .unwrap();
        assert!(doing.starts_with("running python3 (pid "), "{doing}");
        let report = place.run(&["shutdown", "web", "--json"]).code(0).json();
        assert_eq!(runner(&report, "server")["outcome"], "Completed");
        assert_eq!(
            runner(&report, "server")["last_words"],
            "killed by signal 15"
        );
        server.wait().code(143);
        place.run(&["rm", "web"]).code(0);
    });
}

#[test]
fn a_stubborn_program_is_named_when_graceful_and_killed_when_immediate() {
    both(|place| {
        let program = place.exec("job", "mule", &["--grace", "50ms"], &STUBBORN);
        place
            .run(&["shutdown", "job", "--no-wait", "--timeout", "10m"])
            .code(0);
        let status = place.status("job", |status| status["phase"] == "draining");
        assert_eq!(status["laggards"][0]["id"], "mule");
        let doing = status["laggards"][0]["activity"]["text"].as_str().unwrap();
        assert!(doing.starts_with("waiting for python3 (pid "), "{doing}");
        // Its grace is over, but nobody is killed by default.
        let waited = place.run(&["wait", "job", "--timeout", "200ms"]).code(4);
        assert!(waited.err.contains("mule"), "{waited:#?}");
        let args = [
            "shutdown",
            "job",
            "--mode",
            "immediate",
            "--timeout",
            "1m",
            "--json",
        ];
        let report = place.run(&args).code(4).json();
        assert_eq!(runner(&report, "mule")["outcome"], "Forced");
        assert_eq!(runner(&report, "mule")["last_words"], "killed by signal 9");
        assert_eq!(report["mode"], "immediate");
        program.wait().code(137);
        let text = place.run(&["wait", "job"]).code(4).out;
        assert!(text.contains("mule (ended by force)"), "{text}");
        place.run(&["rm", "job"]).code(0);
    });
}

#[test]
fn the_grace_is_clipped_to_the_budget() {
    both(|place| {
        let program = place.exec("job", "mule", &["--grace", "10m"], &STUBBORN);
        let args = [
            "shutdown",
            "job",
            "--mode",
            "immediate",
            "--timeout",
            "2s",
            "--json",
        ];
        let report = place.run(&args).code(4).json();
        assert_eq!(runner(&report, "mule")["outcome"], "Forced");
        program.wait().code(137);
        place.run(&["rm", "job"]).code(0);
    });
}

#[test]
fn a_program_that_ends_by_itself_leaves_or_fails() {
    both(|place| {
        place
            .run(&["exec", "job", "--runner", "fine", "--", "true"])
            .code(0);
        let failing = [
            "exec", "job", "--runner", "broken", "--", "sh", "-c", "exit 7",
        ];
        place.run(&failing).code(7);
        let crashing = [
            "exec",
            "job",
            "--runner",
            "crashed",
            "--",
            "sh",
            "-c",
            "kill -SEGV $$",
        ];
        place.run(&crashing).code(139);
        let status = place.status("job", |_| true);
        assert_eq!(status["phase"], "running");
        assert_eq!(
            runner(&status, "fine")["last_words"],
            "exited with status 0"
        );
        assert_eq!(runner(&status, "broken")["outcome"], "Failed");
        assert_eq!(runner(&status, "broken")["cause"], "exited with status 7");
        assert_eq!(runner(&status, "crashed")["cause"], "killed by signal 11");
        place.run(&["rm", "job"]).code(0);
    });
}

#[test]
fn a_program_that_cannot_be_started_is_127_or_126() {
    let place = Place::new("auto");
    let missing = place
        .run(&["exec", "job", "--runner", "a", "--", "/no/such/program"])
        .code(127);
    assert!(missing.err.contains("/no/such/program"), "{missing:#?}");
    place
        .run(&["exec", "job", "--runner", "b", "--", "/etc/passwd"])
        .code(126);
    let status = place.status("job", |_| true);
    assert_eq!(runner(&status, "a")["outcome"], "Failed");
    place.run(&["rm", "job"]).code(0);
}

#[test]
fn a_program_that_fails_when_told_is_a_failed_runner() {
    both(|place| {
        let code = "import signal, sys; signal.signal(signal.SIGUSR1, lambda *_: sys.exit(3))\n\
                    print('up', flush=True)\nwhile True: signal.pause()";
        let options = ["--term-signal", "USR1"];
        let program = place.exec("job", "sour", &options, &["python3", "-c", code]);
        let report = place.run(&["shutdown", "job", "--json"]).code(5).json();
        assert_eq!(runner(&report, "sour")["outcome"], "Failed");
        assert_eq!(runner(&report, "sour")["cause"], "exited with status 3");
        program.wait().code(3);
        place.run(&["rm", "job"]).code(0);
    });
}

#[test]
fn a_signal_to_exec_shuts_down_this_runner_alone() {
    both(|place| {
        for signal in [Signal::SIGTERM, Signal::SIGINT] {
            let told = place.exec("job", "told", &[], &["sh", "-c", "echo up; exec cat"]);
            let other = place.exec("job", "other", &[], &["sh", "-c", "echo up; exec cat"]);
            told.signal(signal);
            told.wait().code(143);
            let status = place.status("job", |_| true);
            assert_eq!(status["phase"], "running");
            assert_eq!(runner(&status, "told")["outcome"], "Completed");
            assert_eq!(runner(&status, "other")["outcome"], Value::Null);
            other.end().code(0);
            place.run(&["rm", "job"]).code(0);
        }
    });
}

#[test]
fn each_further_signal_hardens_the_mode() {
    both(|place| {
        let program = place.exec("job", "mule", &["--grace", "1ms"], &STUBBORN);
        program.signal(Signal::SIGTERM);
        place.status("job", |status| {
            runner(status, "mule")["own_phase"] == "draining"
        });
        program.signal(Signal::SIGTERM);
        program.signal(Signal::SIGINT);
        program.wait().code(137);
        let status = place.status("job", |_| true);
        assert_eq!(runner(&status, "mule")["outcome"], "Forced");
        place.run(&["rm", "job"]).code(0);
    });
}

#[test]
fn a_told_program_is_awaited_although_the_shutdown_is_cancelled() {
    both(|place| {
        let program = place.exec("job", "mule", &[], &STUBBORN);
        let begin = ["shutdown", "job", "--no-wait", "--timeout", "10m"];
        place.run(&begin).code(0);
        place.status("job", |status| status["phase"] == "draining");
        place.run(&["cancel", "job"]).code(0);
        place.status("job", |status| {
            let doing = runner(status, "mule")["activity"]["text"].as_str();
            doing.is_some_and(|doing| doing.ends_with("called off"))
        });
        // The next shutdown finds it in its place.
        place.run(&begin).code(0);
        let status = place.status("job", |status| status["phase"] == "draining");
        assert_eq!(status["laggards"][0]["id"], "mule");
        program.end().code(0);
        place.run(&["wait", "job"]).code(0);
        place.run(&["rm", "job"]).code(0);
    });
}

#[test]
fn the_program_gets_the_token_but_not_the_id() {
    let place = Place::new("auto");
    let script = "echo \"$EBBTIDE_SEGMENT ${EBBTIDE_RUNNER-none}\"";
    let mut command = place.command(&["exec", "job", "--runner", "a", "--", "sh", "-c", script]);
    command.env("EBBTIDE_RUNNER", "somebody");
    let said = support::with_output_to(command, std::process::Stdio::piped());
    let line = String::from_utf8(said.stdout).unwrap();
    let (token, id) = line.trim_end().rsplit_once(' ').unwrap();
    assert!(token.parse::<ebbtide::Token>().is_ok(), "{line}");
    assert_eq!(id, "none");
    place.run(&["rm", "job"]).code(0);
}

#[test]
fn an_id_is_taken_once() {
    let place = Place::new("auto");
    let first = place.exec("job", "a", &[], &["sh", "-c", "echo up; exec cat"]);
    let second = place
        .run(&["exec", "job", "--runner", "a", "--", "echo", "never"])
        .code(1);
    assert!(
        second.out.is_empty() && second.err.contains("registered already"),
        "{second:#?}"
    );
    first.end().code(0);
    place.run(&["rm", "job"]).code(0);
}

#[test]
fn a_group_that_was_shut_down_is_started_again() {
    both(|place| {
        let begin = |code| place.run(&["begin", "job", "--json"]).code(code);
        begin(3).error("missing");
        let program = ["sh", "-c", "echo up; exec cat"];
        let first = place.exec("job", "a", &[], &program);
        let running = begin(0).json();
        assert_eq!(
            (&running["generation"], &running["begun"]),
            (&1.into(), &false.into())
        );
        let mule = place.exec("job", "mule", &[], &STUBBORN);
        place
            .run(&["shutdown", "job", "--no-wait", "--timeout", "10m"])
            .code(0);
        begin(7).error("too-late");
        let late = ["exec", "job", "--runner", "late", "--", "true"];
        let refused = place.run(&late).code(7);
        assert!(refused.err.contains("`ebbtide begin`"), "{refused:#?}");
        mule.end().code(0);
        place.run(&["wait", "job"]).code(0);
        first.wait().code(143);
        let again = ["exec", "job", "--runner", "a", "--", "true"];
        place.run(&again).code(0);
        assert_eq!(begin(0).json()["generation"], 2);
        // By hand.
        place.run(&["shutdown", "job"]).code(0);
        let begun = place.run(&["begin", "job"]).code(0);
        assert_eq!(begun.out, "generation 3 of job has begun\n");
        place.run(&again).code(0);
        place.run(&["rm", "job"]).code(0);
    });
}

/// The deadline has passed without the program; the command that the FAQ names still ends it.
#[test]
fn a_program_that_outlived_the_deadline_is_ended_by_a_harder_mode() {
    both(|place| {
        for alone in [false, true] {
            let program = place.exec("job", "mule", &["--grace", "50ms"], &STUBBORN);
            let scope: &[&str] = if alone { &["--runner", "mule"] } else { &[] };
            let shutdown = |more: &[&str]| place.run(&[&["shutdown", "job"], scope, more].concat());
            shutdown(&["--timeout", "300ms"]).code(4);
            // In fast mode it is asked again, and is not killed.
            let fast = shutdown(&["--mode", "fast", "--timeout", "100ms"]).code(7);
            assert!(fast.err.contains("mule"), "{fast:#?}");
            assert!(fast.err.contains("--mode immediate"), "{fast:#?}");
            let killed = shutdown(&["--mode", "immediate", "--timeout", "1m"]).code(4);
            assert!(!killed.out.contains("Completed"), "{killed:#?}");
            program.wait().code(137);
            place.run(&["rm", "job"]).code(0);
        }
    });
}

/// What does not look at its mode cannot be ended by the command, which says so.
#[test]
fn a_harder_mode_after_the_deadline_is_too_late_for_a_runner_that_is_stopped() {
    both(|place| {
        let program = place.exec("job", "mule", &["--grace", "50ms"], &STUBBORN);
        program.signal(Signal::SIGSTOP);
        place
            .run(&["shutdown", "job", "--timeout", "100ms"])
            .code(4);
        let late = place
            .run(&[
                "shutdown",
                "job",
                "--mode",
                "immediate",
                "--timeout",
                "100ms",
            ])
            .code(7);
        assert!(late.err.contains("mule"), "{late:#?}");
        assert!(late.err.contains("SIGKILL"), "{late:#?}");
        program.signal(Signal::SIGCONT);
        program.wait().code(137);
        place.run(&["rm", "job"]).code(0);
    });
}
