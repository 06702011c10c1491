//! The live view in a real terminal, on real runners.

use super::support::{Place, runner};
use super::tmux::Tmux;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A program that does not care about signals and ends with its standard input.
const STUBBORN: [&str; 3] = ["sh", "-c", "trap '' TERM INT; echo up; read line; :"];
/// A program that ends at the signal, or with its standard input.
const OBEDIENT: [&str; 3] = ["sh", "-c", "echo up; exec cat"];

/// Runs the view in the terminal and waits for its first page. What it ends with is printed
/// by the shell.
fn open(tmux: &Tmux) -> Pid {
    tmux.line("clear; sh -c 'echo $$ >pid; exec \"$EBBTIDE\" status job --watch'; echo code=$?");
    tmux.until("the first page", |page| page.starts_with("job: "));
    let path = tmux.asked("#{pane_current_path}");
    let pid = std::fs::read_to_string(format!("{path}/pid")).unwrap();
    Pid::from_raw(pid.trim().parse().unwrap())
}

/// The view has ended with this code, and left the terminal as it was.
#[track_caller]
fn is_clean(tmux: &Tmux, code: i32) -> String {
    let line = format!("code={code}");
    let page = tmux.until(&line, |page| page.lines().any(|found| found.trim() == line));
    assert_eq!(tmux.asked("#{alternate_on} #{cursor_flag}"), "0 1");
    // It has its line editing and its echo again.
    tmux.line("stty -a | tr ' ;' '\\n\\n' | grep -x -e '-*icanon' -e '-*echo' -e '-*isig'");
    let modes = |page: &str| {
        let lines = page.lines().map(str::trim);
        lines
            .filter(|line| ["isig", "icanon", "echo"].contains(line))
            .count()
            == 3
    };
    tmux.until("the modes of the terminal", modes);
    page
}

/// Without the breaks, which depend on how long a pid is.
fn in_one_line(page: &str) -> String {
    page.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn terminal(place: &Place, width: u16, height: u16) -> Option<Tmux> {
    let tmux = Tmux::start(place, width, height)?;
    std::fs::create_dir_all(place.directory()).unwrap();
    let home = place.directory().parent().unwrap().to_owned();
    tmux.line(&format!("cd {}", home.display()));
    Some(tmux)
}

#[test]
fn a_shutdown_is_begun_hardened_extended_and_called_off_by_keys() {
    let place = Place::new("auto");
    let Some(tmux) = terminal(&place, 80, 24) else {
        return;
    };
    let good = place.exec("job", "good", &[], &OBEDIENT);
    let bad = place.exec("job", "bad", &["--grace", "10m"], &STUBBORN);
    open(&tmux);
    tmux.until("both", |page| {
        page.contains("good works") && page.contains("bad  works")
    });
    // Asked, and not done.
    tmux.keys(&["S"]);
    tmux.until("the question", |page| {
        page.contains("all runners within 30 s? [y/N]")
    });
    tmux.keys(&["n"]);
    tmux.until("no question", |page| !page.contains("[y/N]"));
    assert_eq!(place.status("job", |_| true)["phase"], "running");
    tmux.keys(&["S", "y"]);
    let page = tmux.until("who blocks", |page| {
        page.starts_with("job: draining, ")
            && page.contains("bad (pid ")
            && in_one_line(page).contains("waiting for sh (pid ")
    });
    assert!(page.contains("Blocked by"), "{page}");
    // All of the time that there is, past and to come.
    let whole = || {
        let status = place.status("job", |_| true);
        let micros = |name: &str| status[name].as_u64().unwrap();
        (micros("elapsed_us") + micros("remaining_us")) / 1_000_000
    };
    let before = whole();
    tmux.keys(&["x", "y"]);
    tmux.until("more time", |page| {
        page.contains("all runners: 10.00 s more")
    });
    assert_eq!(whole(), before + 10);
    tmux.keys(&["e", "y"]);
    tmux.until("harder", |page| page.contains("the shutdown is fast now"));
    assert_eq!(place.status("job", |_| true)["mode"], "fast");
    tmux.keys(&["c", "y"]);
    tmux.until("called off", |page| {
        page.contains("the shutdown is called off")
    });
    tmux.until("it runs", |page| page.starts_with("job: running"));
    tmux.keys(&["q"]);
    is_clean(&tmux, 0);
    good.wait().code(143);
    bad.end().code(0);
    place.run(&["rm", "job"]).code(0);
}

#[test]
fn one_runner_is_shut_down_and_a_frozen_one_is_named() {
    let place = Place::new("auto");
    let Some(tmux) = terminal(&place, 200, 50) else {
        return;
    };
    let mut one = place.exec("job", "one", &[], &OBEDIENT);
    let two = place.exec("job", "two", &[], &OBEDIENT);
    open(&tmux);
    let is_chosen = |page: &str, id: &str| {
        page.lines()
            .any(|line| line.starts_with(&format!("▶ {id}")))
    };
    let page = tmux.until("a choice", |page| {
        is_chosen(page, "one") || is_chosen(page, "two")
    });
    if is_chosen(&page, "two") {
        let rows: Vec<_> = page.lines().skip(2).take(2).collect();
        tmux.keys(&[if rows[0].contains("two") {
            "Down"
        } else {
            "Up"
        }]);
        tmux.until("the other", |page| is_chosen(page, "one"));
    }
    tmux.keys(&["s"]);
    tmux.until("the question", |page| {
        page.contains("Shut down one within 30 s? [y/N]")
    });
    tmux.keys(&["y"]);
    assert_eq!(one.status().code(), Some(143));
    tmux.until("its end", |page| page.contains("one done"));
    let status = place.status("job", |_| true);
    assert_eq!(status["phase"], "running");
    assert!(runner(&status, "two")["outcome"].is_null(), "{status:#}");
    two.signal(Signal::SIGSTOP);
    // Begun by somebody who then goes away.
    place
        .run(&["shutdown", "job", "--no-wait", "--timeout", "10m"])
        .code(0);
    tmux.until("who blocks", |page| {
        page.contains("two (pid ")
            && in_one_line(page).contains("has not acknowledged signaling for")
    });
    two.signal(Signal::SIGKILL);
    tmux.until("its death", |page| page.contains("two dead"));
    // Nobody else is there to count it out: merging into the shutdown does.
    tmux.keys(&["S", "y"]);
    tmux.until("the end", |page| page.starts_with("job: complete after "));
    tmux.keys(&["q"]);
    is_clean(&tmux, 0);
    drop((one, two));
    place.run(&["rm", "job"]).code(0);
}

#[test]
fn any_size_will_do() {
    let place = Place::new("auto");
    let Some(tmux) = terminal(&place, 80, 24) else {
        return;
    };
    let bad = place.exec("job", "bad", &[], &STUBBORN);
    place
        .run(&["shutdown", "job", "--no-wait", "--timeout", "10m"])
        .code(0);
    open(&tmux);
    tmux.resize(20, 5);
    let page = tmux.until("a small page", |page| page.starts_with("job: draining, "));
    assert!(
        page.lines().nth(1).unwrap().starts_with("  bad (pid "),
        "{page}"
    );
    for (width, height) in [(1, 1), (2, 1), (1, 3), (300, 2), (3, 100)] {
        tmux.resize(width, height);
        assert_eq!(
            tmux.asked("#{pane_width}x#{pane_height}"),
            format!("{width}x{height}")
        );
        tmux.until("a tiny page", |page| page.starts_with('j'));
    }
    tmux.resize(200, 50);
    tmux.until("a large page", |page| {
        page.contains("Blocked by") && page.contains("q quit  ? help")
    });
    tmux.keys(&["q"]);
    is_clean(&tmux, 0);
    bad.end().code(0);
    place.run(&["wait", "job"]).code(0);
    place.run(&["rm", "job"]).code(0);
}

#[test]
fn signals_suspension_and_removal_leave_the_terminal_clean() {
    let place = Place::new("auto");
    let Some(tmux) = terminal(&place, 80, 24) else {
        return;
    };
    place.segment("job");
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        kill(open(&tmux), signal).unwrap();
        is_clean(&tmux, 128 + signal as i32);
    }
    open(&tmux);
    tmux.keys(&["C-c"]);
    is_clean(&tmux, 0);
    // By the key, and by the signal; and on again.
    let view = open(&tmux);
    for by_key in [true, false] {
        match by_key {
            true => tmux.keys(&["C-z"]),
            false => kill(view, Signal::SIGTSTP).unwrap(),
        }
        tmux.until("the shell", |page| {
            page.contains("ready>") && !page.starts_with("job: ")
        });
        assert_eq!(tmux.asked("#{alternate_on} #{cursor_flag}"), "0 1");
        tmux.line("clear; fg");
        tmux.until("the view again", |page| page.starts_with("job: running"));
        assert_eq!(tmux.asked("#{alternate_on} #{cursor_flag}"), "1 0");
    }
    // Ended while it is suspended.
    tmux.keys(&["C-z"]);
    tmux.until("the shell", |page| {
        page.contains("ready>") && !page.starts_with("job: ")
    });
    tmux.line("clear; kill %%; fg; echo code=$?");
    is_clean(&tmux, 143);
    open(&tmux);
    place.run(&["rm", "job", "--force"]).code(0);
    let page = is_clean(&tmux, 3);
    assert!(page.contains("job: running\n"), "{page}");
    assert!(page.contains("segment \"job\" was removed"), "{page}");
}

#[test]
fn colours_are_for_those_who_want_them() {
    let place = Place::new("auto");
    let Some(tmux) = terminal(&place, 80, 24) else {
        return;
    };
    let bad = place.exec("job", "bad", &[], &STUBBORN);
    place
        .run(&["shutdown", "job", "--no-wait", "--timeout", "10m"])
        .code(0);
    let coloured = || {
        tmux.run(&["capture-pane", "-p", "-e"])
            .contains("\u{1b}[38;5;")
    };
    open(&tmux);
    tmux.until("who blocks", |page| page.contains("Blocked by"));
    assert!(
        coloured()
            || tmux
                .run(&["capture-pane", "-p", "-e"])
                .contains("\u{1b}[31m")
    );
    tmux.keys(&["q"]);
    is_clean(&tmux, 0);
    tmux.line("export NO_COLOR=1");
    open(&tmux);
    tmux.until("who blocks", |page| page.contains("Blocked by"));
    let raw = tmux.run(&["capture-pane", "-p", "-e"]);
    let is_colour = |code: &str| {
        code.starts_with("[3") && code != "[39" || code.starts_with("[4") && code != "[49"
    };
    let colours = raw
        .split('\u{1b}')
        .filter(|part| is_colour(part.split(['m', ';']).next().unwrap()));
    assert_eq!(colours.collect::<Vec<_>>(), [""; 0], "{raw:?}");
    tmux.keys(&["q"]);
    is_clean(&tmux, 0);
    bad.end().code(0);
    place.run(&["wait", "job"]).code(0);
    place.run(&["rm", "job"]).code(0);
}

#[test]
fn without_a_terminal_it_is_a_usage_error() {
    let place = Place::new("auto");
    place.segment("job");
    let said = place.run(&["status", "job", "--watch"]).code(2);
    assert!(said.err.contains("needs a terminal"), "{said:#?}");
    place.run(&["status", "nowhere", "--watch"]).code(3);
    place.run(&["status", "job", "--watch", "--json"]).code(2);
    place.run(&["rm", "job"]).code(0);
}
