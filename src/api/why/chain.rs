//! The links from a runner to whatever it is at or waits for, and on to whoever has that.

use crate::api::journal::event;
use crate::api::lock_wait::{lock_name, thread_of};
use crate::api::resource::{ResourceReport, ResourceState};
use crate::api::text::{count, time};
use crate::api::view::Target;
use crate::note::{Kind, runner_key};
use crate::sync::{Env, Pulse, Real};

use super::Telling;

/// Runners that are explained at most.
const MOST_LINKS: usize = 64;

impl<E: Env<Real>> Telling<'_, '_, E> {
    /// What a living runner is at, whom it waits for, and so on from there.
    pub(super) fn chain(&mut self, slot: usize) {
        let mut next = vec![slot];
        while let Some(slot) = next.pop() {
            if self.told.len() >= MOST_LINKS || !self.told.insert(slot) {
                continue;
            }
            let before = self.sentences.len();
            let report = self.view.runner(Target::All, slot, self.control);
            let id = report.id.clone();
            if self.view.is_stopped(slot) {
                self.say(format!(
                    "The process of {} is stopped (SIGSTOP, Ctrl-Z or a debugger): it does nothing until it is continued (kill -CONT) or killed.",
                    self.introduced(slot)
                ));
            }
            if let Some(activity) = &report.activity {
                self.say(format!(
                    "{id} is at: {}, for {}.",
                    activity.text,
                    time(activity.since)
                ));
            }
            if report.in_flight > 0 {
                let items = count(report.in_flight as usize, "item");
                self.say(format!("{id} has {items} in flight."));
            }
            self.resources_of_chain(slot, &id, &mut next);
            self.locks_of_chain(slot, &id, &mut next);
            if self.sentences.len() == before {
                self.say(format!("{id} has not said what it is doing."));
            }
            self.last_record(slot);
        }
    }

    fn resources_of_chain(&mut self, slot: usize, id: &str, next: &mut Vec<usize>) {
        let view = self.view;
        let member = view.tables.group.member(slot);
        let own = view.resources(|word, about| {
            word.is_open() && word.runner() == Some(slot) && about.is_of(member)
        });
        let others = view.resources(|word, _| word.is_open() && word.runner() != Some(slot));
        for resource in own {
            let since = time(resource.since);
            match resource.state {
                ResourceState::Closing => {
                    self.say(format!("{id} is closing {}, for {since}.", resource.name));
                }
                ResourceState::Draining => {
                    let full = resource.full_name();
                    let needs = |other: &&_| needs(other, &full);
                    for other in others.iter().filter(needs) {
                        self.say(format!(
                            "{} of {id} has waited for {since}: it is closed after {} of {}, which is {} for {}.",
                            resource.name,
                            other.name,
                            other.runner,
                            other.state.name().to_lowercase(),
                            time(other.since)
                        ));
                        next.extend(view.find(&other.runner).map(|(slot, _)| slot));
                    }
                }
                _ => {}
            }
        }
    }

    fn locks_of_chain(&mut self, slot: usize, id: &str, next: &mut Vec<usize>) {
        let tables = self.view.tables;
        let Some(process) = tables.group.member(slot).process() else {
            return;
        };
        for thread in tables.threads.of_process(process) {
            let Ok(number) = u16::try_from(thread) else {
                continue;
            };
            let waiter = tables.threads.word(thread).owner(number);
            let Some((lock, since)) = tables.waits.of(waiter) else {
                continue;
            };
            let name = lock_name(tables, lock);
            let since = self.ago(since);
            let holder = tables.locks.get(lock).and_then(|lock| lock.owner());
            let Some(holder) = holder else {
                self.say(format!(
                    "Thread {thread} of {id} has waited for lock {name} for {since}; it is free by now."
                ));
                continue;
            };
            let is_dead = matches!(self.view.env.thread_pulse(holder), Pulse::Dead);
            let by = thread_of(tables, holder);
            let fate = if is_dead {
                ", which is dead: the lock passes on"
            } else {
                ""
            };
            self.say(format!(
                "Thread {thread} of {id} has waited for lock {name} for {since}; it is held by {by}{fate}."
            ));
            if !is_dead && let Some(runner) = &by.runner {
                next.extend(self.view.find(runner).map(|(slot, _)| slot));
            }
        }
    }

    /// The latest record about a runner, but for that of its death, which is told anyway.
    pub(super) fn last_record(&mut self, slot: usize) {
        let generation = self.view.tables.group.member(slot).generation();
        let about = Some(runner_key(slot, generation));
        let (raw, ..) = self.view.raw_journal(0);
        let last = raw.iter().rev().find(|raw| {
            let note = &raw.entry.note;
            note.runner == about && note.kind != Kind::Died
        });
        let told = last.and_then(|raw| {
            let event = event(self.view.tables, &raw.entry.note)?;
            Some((self.ago(raw.entry.at), event))
        });
        if let Some((ago, event)) = told {
            self.say(format!(
                "The journal's last word of it, {ago} ago: {event}."
            ));
        }
    }
}

fn needs(other: &ResourceReport, on: &str) -> bool {
    other.state.is_open() && other.depends_on.iter().any(|name| name == on)
}
