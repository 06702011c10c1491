//! `ebbtide metrics`: a page that keeps to the text format, and a server that no client
//! can hang or exhaust.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use super::support::{Place, Running, both};
use ebbtide::{CrossProcessLock, Runner, SegmentOptions};

/// A program that ends at the signal, or with its standard input.
const OBEDIENT: [&str; 3] = ["sh", "-c", "echo up; exec cat"];
/// A program that does not care about signals and ends with its standard input.
const STUBBORN: [&str; 3] = ["sh", "-c", "trap '' TERM INT; echo up; read line; :"];

/// Bounds and counts.
type Buckets = Vec<(f64, f64)>;
/// Name and labels (sorted), and the value.
type Samples = BTreeMap<(String, BTreeMap<String, String>), f64>;

/// Reads a page by the grammar of the text format 0.0.4, and by what scrapers insist on.
fn parse(page: &str) -> Samples {
    let mut samples = Samples::new();
    let mut types: BTreeMap<String, String> = BTreeMap::new();
    let mut helped = BTreeSet::new();
    let mut family = String::new();
    let mut ended = BTreeSet::new();
    assert!(page.ends_with('\n'));
    for line in page.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap();
            assert!(
                is_name(name) && !help.is_empty() && helped.insert(name.to_owned()),
                "{line}"
            );
            continue;
        }
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            assert!(helped.contains(name), "TYPE without HELP: {line}");
            assert!(
                types.insert(name.into(), kind.into()).is_none(),
                "twice: {line}"
            );
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            ended.insert(std::mem::replace(&mut family, name.into()));
            continue;
        }
        let (name, labels, value) = sample(line);
        let base = ["_bucket", "_sum", "_count"]
            .iter()
            .filter_map(|ending| name.strip_suffix(ending))
            .find(|base| types.get(*base).is_some_and(|kind| kind == "histogram"))
            .unwrap_or(&name);
        // All lines of a family stand together, after its TYPE.
        assert_eq!(base, family, "{line}");
        assert!(!ended.contains(base), "{line}");
        assert_eq!(labels["segment"], "job", "{line}");
        let key = (name, labels);
        assert!(samples.insert(key, value).is_none(), "twice: {line}");
    }
    histograms_add_up(&samples, &types);
    samples
}

fn is_name(name: &str) -> bool {
    let mut chars = name.chars();
    let first = chars
        .next()
        .is_some_and(|c| c.is_ascii_alphabetic() || c == '_' || c == ':');
    first && chars.all(|c| c.is_ascii_alphanumeric() || c == '_' || c == ':')
}

fn sample(line: &str) -> (String, BTreeMap<String, String>, f64) {
    let (name, rest) = line
        .split_once('{')
        .unwrap_or_else(|| panic!("no labels: {line}"));
    assert!(is_name(name), "{line}");
    let mut labels = BTreeMap::new();
    let mut chars = rest.chars();
    loop {
        let label: String = chars.by_ref().take_while(|c| *c != '=').collect();
        assert!(
            is_name(&label) && !label.contains(':'),
            "{label:?} in {line}"
        );
        assert_eq!(chars.next(), Some('"'), "{line}");
        let mut value = String::new();
        loop {
            match chars.next().unwrap_or_else(|| panic!("unfinished: {line}")) {
                '"' => break,
                '\\' => value.push(match chars.next() {
                    Some('\\') => '\\',
                    Some('"') => '"',
                    Some('n') => '\n',
                    other => panic!("bad escape {other:?}: {line}"),
                }),
                c => value.push(c),
            }
        }
        assert!(labels.insert(label, value).is_none(), "{line}");
        match chars.next() {
            Some(',') => {}
            Some('}') => break,
            other => panic!("{other:?} after a label: {line}"),
        }
    }
    let value = chars.as_str().strip_prefix(' ').unwrap();
    assert!(!value.contains(' '), "{line}");
    (
        name.into(),
        labels,
        value
            .parse()
            .unwrap_or_else(|_| panic!("no number: {line}")),
    )
}

fn histograms_add_up(samples: &Samples, types: &BTreeMap<String, String>) {
    for (base, _) in types.iter().filter(|(_, kind)| *kind == "histogram") {
        let bucket = format!("{base}_bucket");
        let mut series = BTreeMap::<Vec<(String, String)>, Buckets>::new();
        for ((_, labels), value) in samples.iter().filter(|((name, _), _)| *name == bucket) {
            let mut labels = labels.clone();
            let bound = labels.remove("le").unwrap().parse().unwrap();
            series
                .entry(labels.into_iter().collect())
                .or_default()
                .push((bound, *value));
        }
        assert!(!series.is_empty(), "{base}");
        for (labels, mut buckets) in series {
            buckets.sort_by(|one, other| one.0.total_cmp(&other.0));
            assert!(
                buckets.windows(2).all(|pair| pair[0].1 <= pair[1].1),
                "{base}"
            );
            let last = buckets.last().unwrap();
            let count = samples[&(format!("{base}_count"), labels.iter().cloned().collect())];
            assert_eq!((last.0, last.1), (f64::INFINITY, count), "{base}");
            assert!(samples.contains_key(&(format!("{base}_sum"), labels.into_iter().collect())));
        }
    }
}

/// The value of a sample with these labels besides the segment's.
#[track_caller]
fn value(samples: &Samples, name: &str, labels: &[(&str, &str)]) -> f64 {
    let mut all: BTreeMap<String, String> = labels
        .iter()
        .map(|(name, value)| ((*name).into(), (*value).into()))
        .collect();
    all.insert("segment".into(), "job".into());
    let key = (format!("ebbtide_{name}"), all);
    *samples.get(&key).unwrap_or_else(|| panic!("no {key:?}"))
}

#[test]
fn a_page_keeps_to_the_format_and_counts_what_happened() {
    both(|place| {
        let a = place.exec("job", "a", &[], &OBEDIENT);
        let odd = "b \"\\ odd";
        let b = place.exec("job", odd, &[], &STUBBORN);
        let before = parse(&place.run(&["metrics", "job"]).code(0).out);
        assert_eq!(value(&before, "phase", &[("phase", "running")]), 1.0);
        assert_eq!(value(&before, "runners", &[("state", "alive")]), 2.0);
        assert!(value(&before, "in_flight", &[("runner", odd)]) >= 0.0);
        for name in [
            "shutdowns_total",
            "deaths_total",
            "deadlocks_total",
            "laggards",
        ] {
            assert_eq!(value(&before, name, &[]), 0.0, "{name}");
        }
        place
            .run(&["shutdown", "job", "--no-wait", "--timeout", "1h"])
            .code(0);
        place.status("job", |status| {
            let laggards = status["laggards"].as_array().unwrap();
            status["phase"] == "draining" && laggards.len() == 1
        });
        let during = parse(&place.run(&["metrics", "job"]).code(0).out);
        assert_eq!(value(&during, "phase", &[("phase", "draining")]), 1.0);
        assert_eq!(value(&during, "phase", &[("phase", "running")]), 0.0);
        assert_eq!(value(&during, "laggards", &[]), 1.0);
        let labels = [("runner", odd), ("phase", "draining")];
        assert!(value(&during, "laggard_seconds", &labels) > 0.0);
        assert!(value(&during, "shutdown_remaining_seconds", &[]) > 3000.0);
        let signaled = [("phase", "signaling")];
        assert_eq!(
            value(&during, "phase_duration_seconds_count", &signaled),
            1.0
        );
        b.signal(nix::sys::signal::Signal::SIGKILL);
        place.run(&["wait", "job"]).code(5);
        // Whoever does a step counts it after all can see it.
        let after = crate::support::until("the death and the end are counted", || {
            let now = parse(&place.run(&["metrics", "job"]).code(0).out);
            let names = ["deaths_total", "shutdown_duration_seconds_count"];
            names
                .iter()
                .all(|name| value(&now, name, &[]) >= 1.0)
                .then_some(now)
        });
        assert_eq!(value(&after, "deaths_total", &[]), 1.0);
        assert_eq!(value(&after, "shutdowns_total", &[]), 1.0);
        assert_eq!(value(&after, "shutdown_duration_seconds_count", &[]), 1.0);
        let total = value(&after, "shutdown_duration_seconds_sum", &[]);
        let phases = ["signaling", "draining", "closing"]
            .map(|phase| value(&after, "phase_duration_seconds_sum", &[("phase", phase)]));
        assert!(
            (phases.iter().sum::<f64>() - total).abs() < 1e-9,
            "{phases:?} {total}"
        );
        a.wait();
        // What it ran lives on, until its standard input ends.
        b.end();
        place.run(&["rm", "job", "--force"]).code(0);
    });
}

#[test]
fn only_a_lock_that_was_waited_for_counts_as_contended() {
    let place = Place::new("auto");
    let options = SegmentOptions::new().directory(place.directory());
    let segment = options.create("job").unwrap();
    let runner = Runner::join(&segment, "a").unwrap();
    let [free, fought, awaited] =
        ["free", "fought", "awaited"].map(|name| CrossProcessLock::open(&segment, name).unwrap());
    drop(free.lock().unwrap());
    drop(smol::block_on(free.acquire()).unwrap());
    let (one, two) = (fought.lock().unwrap(), awaited.lock().unwrap());
    let other = fought.clone();
    let waiter = std::thread::spawn(move || drop(other.lock().unwrap()));
    while segment
        .metrics()
        .unwrap()
        .to_string()
        .contains("lock_waiters{segment=\"job\"} 0")
    {
        std::thread::yield_now();
    }
    // One future gets the lock in the end, the other gives its wait up.
    let mut first = awaited.acquire();
    let mut second = awaited.acquire();
    for wait in [&mut first, &mut second] {
        assert!(smol::block_on(smol::future::poll_once(wait)).is_none());
    }
    // Looked at after those, by the same thread: so they have found it held.
    drop(smol::block_on(free.acquire()).unwrap());
    drop(second);
    drop((two, one));
    drop(smol::block_on(&mut first).unwrap());
    waiter.join().unwrap();
    let page = place.run(&["metrics", "job"]).code(0).out;
    let samples = parse(&page);
    let contended = |lock| value(&samples, "lock_contentions_total", &[("lock", lock)]);
    assert_eq!((contended("fought"), contended("awaited")), (1.0, 2.0));
    assert_eq!(value(&samples, "lock_wait_seconds_count", &[]), 3.0);
    assert!(!page.contains("lock=\"free\""), "{page}");
    drop((first, runner, free, fought, awaited, segment));
    place.run(&["rm", "job"]).code(0);
}

/// Starts the server; its address.
fn serve(place: &Place) -> (Running, String) {
    let mut server = place.start(&["metrics", "job", "--listen", "127.0.0.1:0"]);
    let line = server.line();
    let address = line.trim().strip_prefix("http://").unwrap();
    let address = address.strip_suffix("/metrics").unwrap().to_owned();
    (server, address)
}

fn ask(address: &str, request: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(60)))
        .unwrap();
    // One that is closed at once is told by the empty answer.
    let _ = stream.write_all(request.as_bytes());
    let mut answer = String::new();
    // A reset after the answer is no matter.
    let _ = stream.read_to_string(&mut answer);
    answer
}

const GET: &str = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";

#[test]
fn the_server_answers_scrapers_and_nobody_from_outside() {
    let place = Place::new("auto");
    place.segment("job");
    let (server, address) = serve(&place);
    let answer = ask(&address, GET);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(
        head.contains("Content-Type: text/plain; version=0.0.4"),
        "{head}"
    );
    assert!(
        head.contains(&format!("Content-Length: {}\r\n", body.len())),
        "{head}"
    );
    parse(body);
    let head = ask(&address, "HEAD /metrics HTTP/1.1\r\n\r\n");
    assert!(
        head.starts_with("HTTP/1.1 200") && head.ends_with("\r\n\r\n"),
        "{head}"
    );
    for (request, code) in [
        ("GET /etc/passwd HTTP/1.1\r\n\r\n", "404"),
        ("POST /metrics HTTP/1.1\r\n\r\n", "405"),
        ("nonsense\r\n\r\n", "400"),
        // As a browser asks for a name that somebody else made to lead here.
        (
            "GET /metrics HTTP/1.1\r\nHost: rebound.example\r\n\r\n",
            "421",
        ),
    ] {
        let answer = ask(&address, request);
        assert!(answer.starts_with(&format!("HTTP/1.1 {code} ")), "{answer}");
    }
    place.run(&["rm", "job"]).code(0);
    let answer = ask(&address, GET);
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    drop(server);
    place
        .run(&["metrics", "job", "--listen", "127.0.0.1:0"])
        .code(3);
    for reachable in ["0.0.0.0:0", "[::]:0", "192.0.2.1:9"] {
        let said = place
            .run(&["metrics", "job", "--listen", reachable])
            .code(2);
        assert!(said.err.contains("--expose"), "{}", said.err);
    }
}

#[test]
fn clients_that_say_nothing_or_too_much_neither_hang_nor_exhaust_it() {
    let place = Place::new("auto");
    place.segment("job");
    let (server, address) = serve(&place);
    // More than it serves at once, all of them silent.
    let silent: Vec<_> = (0..64).map(|_| TcpStream::connect(&address)).collect();
    let threads = || {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", server.pid())).unwrap();
        tasks.count()
    };
    // One that leaves has made room before its thread has ended.
    let are_few = || {
        let until = std::time::Instant::now() + Duration::from_secs(60);
        while threads() > 1 + 16 {
            assert!(std::time::Instant::now() < until, "{} threads", threads());
            std::thread::yield_now();
        }
    };
    are_few();
    // One that never ends its headers is cut off at a limit.
    let endless = ask(
        &address,
        &format!("GET / HTTP/1.1\r\n{}", "X: y\r\n".repeat(4_000)),
    );
    assert!(
        endless.is_empty() || endless.starts_with("HTTP/1.1 400"),
        "{endless}"
    );
    // A scraper is served all the same, each time: the one that was silent for longest goes.
    for _ in 0..64 {
        let answer = ask(&address, GET);
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer:?}");
        are_few();
    }
    let until = std::time::Instant::now() + Duration::from_secs(60);
    // One that sends a byte now and then gets no more time by that.
    let mut slow = TcpStream::connect(&address).unwrap();
    slow.set_read_timeout(Some(Duration::from_millis(100)))
        .unwrap();
    let mut is_cut = false;
    while !is_cut {
        assert!(
            std::time::Instant::now() < until,
            "the slow one is served for ever"
        );
        is_cut = slow.write_all(b"G").is_err() || matches!(slow.read(&mut [0; 16]), Ok(0));
    }
    drop(silent);
    drop(server);
    place.run(&["rm", "job"]).code(0);
}
