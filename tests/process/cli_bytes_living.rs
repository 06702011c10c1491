//! The commands that go on until they are told to end, on a segment that was written over.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Stdio};

use crate::cli_bytes::{command, ended, scribbled};
use crate::hostile::bytes::Random;
use crate::hostile_bytes::seed;
use crate::support::{HANG, Place, both};

/// Runs `body` on some segments that were written over, each by its seed.
fn on_each(place: &Place, body: impl Fn(&mut Random)) {
    let seed = seed();
    println!("seeds from {seed}");
    for seed in seed..seed + 4 {
        println!("seed {seed}");
        let mut random = Random::new(seed);
        scribbled(place, &mut random);
        body(&mut random);
        place.options.remove(Place::NAME, true).unwrap();
    }
}

/// It was not ended by itself for a reason that it does not have.
#[track_caller]
fn is_in_contract(child: &mut Child, args: &[&str]) {
    let code = ended(child, args);
    assert!((0..=10).contains(&code), "{args:?}: {code}");
}

/// Ends it, and looks how it stood until then.
#[track_caller]
fn end(mut child: Child, args: &[&str]) {
    match child.try_wait().unwrap() {
        Some(_) => is_in_contract(&mut child, args),
        None => {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}

#[test]
fn numbers_are_served_of_a_segment_that_was_written_over() {
    const ARGS: [&str; 4] = ["metrics", "group", "--listen", "127.0.0.1:0"];
    both(here!(), |place| {
        on_each(place, |_| {
            let mut child = command(place, &ARGS)
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            let mut line = String::new();
            let output = child.stdout.take().unwrap();
            BufReader::new(output).read_line(&mut line).unwrap();
            let Some(address) = line.strip_prefix("http://") else {
                assert_eq!(line, "");
                return is_in_contract(&mut child, &ARGS);
            };
            let address = address.split('/').next().unwrap();
            for _ in 0..3 {
                let mut stream = TcpStream::connect(address).unwrap();
                stream.set_read_timeout(Some(HANG)).unwrap();
                let ask = format!("GET /metrics HTTP/1.1\r\nHost: {address}\r\n\r\n");
                stream.write_all(ask.as_bytes()).unwrap();
                let mut page = String::new();
                stream.read_to_string(&mut page).unwrap();
                assert!(page.starts_with("HTTP/1.1 "), "{page:?}");
            }
            end(child, &ARGS);
        });
    });
}

#[test]
fn a_key_is_watched_in_a_segment_that_was_written_over() {
    const ARGS: [&str; 5] = ["watch", "group", "left", "--timeout", "100ms"];
    both(here!(), |place| {
        on_each(place, |_| {
            let mut child = command(place, &ARGS).spawn().unwrap();
            // By what is left of the table, this may be no change.
            for change in [
                &["set", "group", "left", "new"][..],
                &["del", "group", "left"],
            ] {
                let code = crate::cli_bytes::run(place, change);
                assert!((0..=10).contains(&code), "{change:?}: {code}");
            }
            is_in_contract(&mut child, &ARGS);
        });
    });
}

#[test]
fn a_runner_of_the_demo_works_in_a_segment_that_was_written_over() {
    both(here!(), |place| {
        on_each(place, |_| {
            let token = place.observe().token().to_string();
            let args = [
                "demo-runner",
                "--segment",
                &token,
                "--runner",
                "r",
                "--workers",
                "1",
            ];
            let mut child = command(place, &args).stdin(Stdio::piped()).spawn().unwrap();
            for look in [["status", "group"], ["why", "group"]] {
                let code = crate::cli_bytes::run(place, &look);
                assert!((0..=10).contains(&code), "{look:?}: {code}");
            }
            // It ends with its supervisor.
            drop(child.stdin.take());
            let code = ended(&mut child, &args);
            assert_ne!(code, 101, "it panicked");
        });
    });
}

/// In a terminal of its own, with every key that does something.
#[cfg(feature = "tui")]
#[test]
fn the_live_view_shows_a_segment_that_was_written_over() {
    use nix::pty::{Winsize, openpty};
    use std::fs::File;

    const ARGS: [&str; 3] = ["status", "group", "--watch"];
    both(here!(), |place| {
        assert!((2..=6).contains(&crate::cli_bytes::run(place, &ARGS)));
        on_each(place, |random| {
            let size = Winsize {
                ws_row: 10 + random.below(30) as u16,
                ws_col: 20 + random.below(100) as u16,
                ws_xpixel: 0,
                ws_ypixel: 0,
            };
            let terminal = openpty(&size, None).unwrap();
            let slave = || terminal.slave.try_clone().unwrap();
            let mut child = command(place, &ARGS)
                .stdin(slave())
                .stdout(slave())
                .spawn()
                .unwrap();
            drop(terminal.slave);
            let mut keys = File::from(terminal.master);
            let mut page = keys.try_clone().unwrap();
            std::thread::scope(|scope| {
                let drawn = scope.spawn(move || {
                    let mut buffer = [0; 4096];
                    let mut first = true;
                    // An error: nobody has the other side open any more.
                    while let Ok(1..) = page.read(&mut buffer) {
                        if std::mem::take(&mut first) {
                            // Refused: there is nobody to read them.
                            let _ = keys.write_all(b"jk??SyeyxycysnjsyryG q");
                        }
                    }
                });
                is_in_contract(&mut child, &ARGS);
                drop(child);
                drawn.join().unwrap();
            });
        });
    });
}
