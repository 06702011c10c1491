//! The hostile tests leave no public call out: whoever adds one adds it there, too, or
//! says here why not.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Not called on hostile bytes, and why.
const LEFT_OUT: &[(&str, &[&str], &str)] = &[
    (
        "Segment",
        &[
            "create",
            "open",
            "open_or_create",
            "from_env",
            "list",
            "remove",
        ],
        "those of `SegmentOptions`, in the directory that the environment names",
    ),
    (
        "SegmentOptions",
        &["new", "directory", "mode", "liveness"],
        "they say how, and read nothing",
    ),
    ("SignalPolicy", &["leave_interrupt"], "likewise"),
    ("ProcessHandle", &["of_child"], "of no segment"),
    (
        "CrossProcessLock",
        &["lock"],
        "`lock_timeout` without an end: it waits for whoever the bytes name",
    ),
    ("CrossProcessSemaphore", &["acquire"], "likewise"),
    ("CrossProcessBarrier", &["wait"], "likewise"),
    ("CrossProcessCondvar", &["wait", "wait_while"], "likewise"),
];

/// They hold values of their own and read no segment.
const VALUES: &[&str] = &[
    "BarrierPassed",
    "CheckReport",
    "CleanupReport",
    "CriticalStep",
    "EventOptions",
    "Finding",
    "HandlerEnd",
    "JournalEvent",
    "Leak",
    "Outcome",
    "Reclaim",
    "Reset",
    "ResourceHandle",
    "ResourceOptions",
    "ResourceReport",
    "ResourceState",
    "ResourceType",
    "Scope",
    "ShutdownOutcome",
    "ShutdownReport",
    "ShutdownRequest",
    "SpanKind",
    "SystemResource",
    "TimelineSpan",
    "UnusedReport",
];

/// The owner of a function that is no method.
const FREE: &str = "ebbtide";

/// Public functions by name, each with the types that have it.
fn public_functions() -> BTreeMap<String, Vec<String>> {
    let mut functions: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for text in texts("src/api") {
        let mut of = None;
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("impl") {
                of = (!line.contains(" for ")).then(|| type_of(rest));
            }
            let signature = ["pub fn ", "pub async fn ", "pub const fn "]
                .iter()
                .find_map(|start| line.strip_prefix("    ")?.strip_prefix(start));
            let free = line.strip_prefix("pub fn ");
            let owner = of.clone().filter(|_| free.is_none());
            if let Some(signature) = signature.or(free)
                && let Some(owner) = owner.or(free.map(|_| FREE.into()))
            {
                let name = signature.split(['(', '<']).next().unwrap();
                functions.entry(name.into()).or_default().push(owner);
            }
        }
    }
    functions
}

/// The type of `<T: Bound> Type<T> {`, or of ` Type {`.
fn type_of(rest: &str) -> String {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut depth = 0_usize;
    let named = rest.find(|c: char| {
        depth = match c {
            '<' => depth + 1,
            '>' => depth - 1,
            _ => depth,
        };
        depth == 0 && is_word(c)
    });
    let name = &rest[named.unwrap()..];
    name.split(|c| !is_word(c)).next().unwrap().into()
}

fn texts(path: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    let mut found = Vec::new();
    for entry in fs::read_dir(&path).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            // Draws what it is given.
            true if path.ends_with("text") => {}
            true => found.extend(texts(path.to_str().unwrap())),
            false => found.push(fs::read_to_string(path).unwrap()),
        }
    }
    found
}

/// By name only: a name that three types have must be called at three places.
#[test]
fn every_public_call_is_made_on_hostile_bytes_or_has_a_reason() {
    let mut calls = texts("tests/process/hostile").concat();
    calls += include_str!("hostile_bytes.rs");
    let functions = public_functions();
    let has = |of: &str, name: &str| {
        let owners = functions.get(name);
        owners.is_some_and(|owners| owners.iter().any(|owner| owner == of))
    };
    assert!(has("Runner", "run_shutdown") && has("PollableWait", "try_take"));
    assert!(has(FREE, "init"));
    assert!(has("CrossProcessEvent", "awaited_any") && functions.len() > 100);
    for (of, names, _) in LEFT_OUT {
        assert!(names.iter().all(|name| has(of, name)), "{of} changed");
    }
    let of_none = |of: &&&str| !functions.values().flatten().any(|owner| owner == *of);
    let gone: Vec<_> = VALUES.iter().filter(of_none).collect();
    assert!(gone.is_empty(), "they have no calls: {gone:?}");
    let is_left_out = |of: &str, name: &str| {
        let mut entries = LEFT_OUT.iter().filter(|(owner, _, _)| *owner == of);
        entries.any(|(_, names, _)| names.contains(&name))
    };
    let mut missing = Vec::new();
    for (name, owners) in &functions {
        let mut wanted = owners.clone();
        wanted.retain(|of| !VALUES.contains(&of.as_str()) && !is_left_out(of, name));
        let made = [".", "::"].map(|dot| {
            let plain = calls.matches(&format!("{dot}{name}(")).count();
            plain + calls.matches(&format!("{dot}{name}::<")).count()
        });
        let made: usize = made.iter().sum();
        if made < wanted.len() {
            missing.push(format!("{name}: {made} calls, of {wanted:?}"));
        }
    }
    assert!(missing.is_empty(), "not called:\n{}", missing.join("\n"));
}
