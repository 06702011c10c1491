//! A failing schedule, for people.

use std::collections::VecDeque;
use std::fmt::Write;

use super::run::{Access, Act, Event};
use super::search::{Found, Limits, Search};
use super::state::{Choice, Logged};
use super::system::System;

/// Lines of a printed schedule.
const LINES: usize = 300;
/// States of each search for a shorter schedule.
const STATES: u64 = 400_000;

/// A schedule with fewer stops that fails, too; the given one if none is found soon.
pub(super) fn shortened(system: &mut System, found: Found) -> Found {
    for fewer in 0..found.stops {
        let limits = Limits {
            states: STATES,
            stops: Some(fewer),
        };
        let mut search = Search::new(system, limits);
        match search.run() {
            Some(better) => return better,
            None if search.figures.is_cut => break,
            None => {}
        }
    }
    found
}

/// The schedule as a list: actor, access, value.
pub(super) fn print(system: &mut System, found: &Found) -> String {
    let limits = Limits {
        states: 0,
        stops: None,
    };
    let mut search = Search::new(system, limits);
    search.state.log = Some(Vec::new());
    let mut steps: Vec<(Option<Choice>, Vec<Logged>)> = Vec::new();
    let mut end = search.begin();
    steps.push((
        None,
        search.state.log.replace(Vec::new()).unwrap_or_default(),
    ));
    for choice in &found.path {
        if end.is_err() {
            break;
        }
        end = search.step(*choice).map(drop);
        let log = search.state.log.replace(Vec::new()).unwrap_or_default();
        steps.push((Some(*choice), log));
    }
    let mut events: Vec<VecDeque<Event>> = (0..system.automata.len())
        .map(|actor| {
            let logged = steps.iter().flat_map(|(_, log)| log);
            let script = logged
                .filter(|access| access.actor == actor)
                .filter_map(|access| access.result)
                .collect();
            system.automata[actor].events(script).into()
        })
        .collect();
    let mut text = String::new();
    for (choice, log) in &steps {
        if let Some(line) = choice.and_then(|choice| of_kernel(system, choice)) {
            let _ = writeln!(text, "  -- {line}");
        }
        for access in log {
            if access.result.is_some() {
                told(system, access.actor, &mut events[access.actor], &mut text);
            }
            let _ = writeln!(text, "{}", line(system, access));
        }
    }
    for (actor, events) in events.iter_mut().enumerate() {
        told(system, actor, events, &mut text);
    }
    let lines: Vec<_> = text.lines().collect();
    match lines.len().checked_sub(LINES) {
        None | Some(0) => text,
        Some(more) => format!("  ({more} lines before)\n{}\n", lines[more..].join("\n")),
    }
}

/// What the body did before its next access.
fn told(system: &System, actor: usize, events: &mut VecDeque<Event>, text: &mut String) {
    let name = &system.names[actor];
    while let Some(event) = events.pop_front() {
        let _ = match event {
            Event::Access => return,
            Event::Begins(what) => writeln!(text, "{name:>12}  begins {what}"),
            Event::Ends(result) => writeln!(text, "{name:>12}  has {result}"),
        };
    }
}

fn of_kernel(system: &System, choice: Choice) -> Option<String> {
    let name = |actor: u8| &system.names[usize::from(actor)];
    Some(match choice {
        Choice::Step { .. } => return None,
        Choice::TimesOut { actor } => format!("the sleep of {} ends", name(actor)),
        Choice::Tick => "time passes".into(),
        Choice::Kill { actor, .. } => format!("{} is killed", name(actor)),
        Choice::Mark { actor, .. } => format!("the kernel marks the life word of {}", name(actor)),
        Choice::Bury { process } => format!("the kernel frees the byte locks of process {process}"),
        Choice::Finally => "nothing goes on by itself".into(),
    })
}

fn line(system: &System, logged: &Logged) -> String {
    let words = &system.words;
    let what = match (&logged.access, logged.result) {
        (Access::Word(id, act), Some(old)) => {
            let word = words.name(*id);
            match act {
                Act::Load => format!("loads {word}: {old:#x}"),
                Act::CompareExchange(from, to) if *from == old => {
                    format!("swaps {word}: {from:#x} -> {to:#x}")
                }
                Act::CompareExchange(from, to) => {
                    format!("fails to swap {word}: {from:#x} -> {to:#x}, it is {old:#x}")
                }
                _ => {
                    let new = act.apply(old, words.is_wide[*id as usize]).unwrap_or(old);
                    format!("stores {word}: {old:#x} -> {new:#x}")
                }
            }
        }
        (Access::Word(..), None) => unreachable!("only a wait falls asleep"),
        (Access::Now, result) => format!("reads the clock: {}", result.unwrap_or(0)),
        (Access::Choose(_), result) => format!("chooses {}", result.unwrap_or(0)),
        (Access::Wake(id, count), _) => match *count > 1 {
            true => format!("wakes all on {}", words.name(*id)),
            false => format!("wakes one on {}", words.name(*id)),
        },
        (Access::Wait { cells, .. }, None) => {
            let on: Vec<_> = cells.iter().map(|(id, _)| words.name(*id)).collect();
            format!("sleeps on {}", on.join(", "))
        }
        (Access::Wait { .. }, Some(0)) => "returns from its sleep".into(),
        (Access::Wait { .. }, Some(_)) => "times out".into(),
    };
    let mark = if logged.is_atomic { "." } else { " " };
    format!("{:>12} {mark}  {what}", system.names[logged.actor])
}
