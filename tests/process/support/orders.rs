//! The orders that an agent follows.
//!
//! An order is one line: a verb and its arguments. Verbs that cannot block are
//! answered by a reply. Verbs that can (see `blocking.rs`, and `lock`) run on a thread
//! of their own and end with an event that begins with the verb, so that the agent can
//! be told other things meanwhile.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use ebbtide::{
    CrossProcessEvent, CrossProcessLock, Mode, Phase, ReasonCode, Runner, Scope, Segment,
    ShutdownCoordinator, ShutdownRequest, SignalPolicy,
};

use super::child::{Child, answer, die, event, reply, summary};
use super::{blocking, until_true};

#[derive(Default)]
struct Agent {
    runner: Option<Arc<Runner>>,
    items: Vec<(Sender<()>, JoinHandle<()>)>,
    locks: HashMap<String, Sender<String>>,
    counts: Arc<Mutex<(u64, u64)>>,
}

/// Follows orders until told to quit.
pub fn serve(child: &Child) {
    let segment = child.open();
    let mut agent = Agent::default();
    loop {
        let order = child.order();
        if order == "quit" {
            return;
        }
        if let Some(text) = agent.follow(&segment, &order) {
            reply(&text);
        }
    }
}

impl Agent {
    fn follow(&mut self, segment: &Segment, order: &str) -> Option<String> {
        let words: Vec<&str> = order.split(' ').collect();
        let coordinator = ShutdownCoordinator::new(segment);
        let number = |index: usize| words[index].parse::<u64>().unwrap();
        let millis = |index: usize| Duration::from_millis(number(index));
        let rest = |index: usize| words[index.min(words.len())..].join(" ");
        Some(match words[0] {
            "join" => match Runner::join(segment, &rest(1)) {
                Ok(runner) => {
                    self.runner = Some(Arc::new(runner));
                    "ok".into()
                }
                Err(error) => format!("err {error:?}"),
            },
            // A second start: timeout in ms, id.
            "start" => match Runner::join_or_begin(segment, &rest(2), millis(1)) {
                Ok(runner) => {
                    self.runner = Some(Arc::new(runner));
                    "ok".into()
                }
                Err(error) => format!("err {error:?}"),
            },
            "leave" => {
                self.runner().leave();
                "ok".into()
            }
            "fail" => {
                self.runner().fail(&rest(1));
                "ok".into()
            }
            // Asked from this thread and from a new one.
            "check" => {
                let runner = self.runner();
                let here = runner.is_shutting_down();
                let there = std::thread::spawn(move || runner.is_shutting_down())
                    .join()
                    .unwrap();
                format!("{here} {there}")
            }
            "phase" => self.runner().phase().to_string(),
            "mode" => format!("{} {}", self.runner().mode(), self.runner().should_abort()),
            "begin" => self.begin(),
            "end" => {
                let (end, thread) = self.items.pop().unwrap();
                drop(end);
                thread.join().unwrap();
                "ok".into()
            }
            "progress" => {
                self.runner().progress();
                "ok".into()
            }
            "activity" => {
                self.runner().set_activity(&rest(1));
                "ok".into()
            }
            "words" => answer(self.runner().set_last_words(&rest(1))),
            "words-and-die" => {
                self.runner().set_last_words(&rest(1)).unwrap();
                die()
            }
            "acknowledge" => answer(self.runner().acknowledge(phase(words[1]))),
            // Waits until the phase is published first.
            "acknowledge-when" => {
                let (runner, phase) = (self.runner(), phase(words[1]));
                until_true("the phase is published", || runner.phase() >= phase);
                answer(runner.acknowledge(phase))
            }
            "extend" => answer(self.runner().extend(millis(1))),
            "handler" => {
                let handler = handler(words[4]);
                let name = words[3].to_owned();
                let body = move |_: &ebbtide::HandlerContext| handler(&name);
                answer(self.runner().register_shutdown_handler(
                    phase(words[1]),
                    words[2].parse().unwrap(),
                    words[3],
                    body,
                ))
            }
            "initiate" => {
                answer(coordinator.initiate_shutdown(&scope(words[1]), &request(&words[2..])))
            }
            "initiate-and-die" => {
                coordinator
                    .initiate_shutdown(&scope(words[1]), &request(&words[2..]))
                    .unwrap();
                die()
            }
            "restart" => answer(coordinator.begin_generation()),
            "cancel" => answer(coordinator.cancel_shutdown(&scope(words[1]))),
            "escalate" => answer(coordinator.escalate(&scope(words[1]), mode(words[2]))),
            "report" => match coordinator.report(&scope(words[1])) {
                Ok(report) => summary(&report),
                Err(error) => format!("err {error:?}"),
            },
            "signals" => {
                let policy = match words[1] {
                    "all" => SignalPolicy::for_all(segment),
                    _ => SignalPolicy::for_runner(&self.runner()),
                };
                answer(match words.get(2) {
                    Some(&"ignore") => policy.ignore_interrupt().install(),
                    Some(&"leave") => policy.leave_interrupt().install(),
                    _ => policy.install(),
                })
            }
            "unlock" | "leak" | "consistent" | "panic" => {
                self.locks[words[1]].send(words[0].into()).unwrap();
                return None;
            }
            "set" => {
                let flag = CrossProcessEvent::open(segment, words[1]).unwrap();
                answer(flag.set().map(drop))
            }
            "work" => {
                self.work(number(1));
                "ok".into()
            }
            "worked" => {
                let (begun, finished) = *self.counts.lock().unwrap();
                format!("{begun} {finished}")
            }
            "die" => die(),
            "lock" => {
                self.lock(segment, words[1], millis(2));
                return None;
            }
            _ => {
                blocking::start(self.runner.clone(), segment, order);
                return None;
            }
        })
    }

    fn runner(&self) -> Arc<Runner> {
        Arc::clone(self.runner.as_ref().expect("it has joined"))
    }

    /// Begins an item on a thread that keeps it until told.
    fn begin(&mut self) -> String {
        let runner = self.runner();
        let (begun, is_begun) = mpsc::channel();
        let (end, may_end) = mpsc::channel();
        let thread = std::thread::spawn(move || match runner.begin() {
            Ok(item) => {
                begun.send("ok".into()).unwrap();
                // Nothing is sent: it is told by the end of the channel.
                let _ = may_end.recv();
                drop(item);
            }
            Err(error) => begun.send(format!("err {error:?}")).unwrap(),
        });
        let text: String = is_begun.recv().unwrap();
        if text == "ok" {
            self.items.push((end, thread));
        }
        text
    }

    /// Threads that do item after item until they are refused.
    fn work(&mut self, threads: u64) {
        for _ in 0..threads {
            let (runner, counts) = (self.runner(), Arc::clone(&self.counts));
            std::thread::spawn(move || {
                while let Ok(item) = runner.begin() {
                    counts.lock().unwrap().0 += 1;
                    std::thread::yield_now();
                    counts.lock().unwrap().1 += 1;
                    drop(item);
                }
                event("refused");
            });
        }
    }

    /// Takes a lock on a thread that keeps it until told otherwise.
    fn lock(&mut self, segment: &Segment, name: &str, timeout: Duration) {
        let lock = CrossProcessLock::open(segment, name).unwrap();
        let (order, orders) = mpsc::channel::<String>();
        self.locks.insert(name.into(), order);
        std::thread::spawn(move || {
            let guard = match lock.lock_timeout(timeout) {
                Ok(guard) => guard,
                Err(error) => return event(&format!("lock err {error:?}")),
            };
            let panicked = match guard.previous_owner_panicked() {
                true => " panicked=true",
                false => "",
            };
            event(&format!(
                "lock died={}{panicked}",
                guard.previous_owner_died()
            ));
            while let Ok(order) = orders.recv() {
                match order.as_str() {
                    "consistent" => {
                        guard.mark_consistent();
                        event("consistent");
                    }
                    "panic" => {
                        let unwound = std::panic::catch_unwind(AssertUnwindSafe(|| {
                            let _guard = guard;
                            std::panic::resume_unwind(Box::new("half-way"));
                        }));
                        event(&format!("panic {}", unwound.is_err()));
                        return;
                    }
                    "leak" => {
                        std::mem::forget(guard);
                        break;
                    }
                    _ => {
                        drop(guard);
                        event("unlock");
                        return;
                    }
                }
            }
            // The thread ends while it owns the lock.
            event("leak");
        });
    }
}

fn handler(kind: &str) -> fn(&str) {
    match kind {
        "note" => |name| event(&format!("handler {name}")),
        "panic" => |name| {
            event(&format!("handler {name}"));
            // Without the hook, which would print a stack.
            std::panic::resume_unwind(Box::new(format!("{name} went wrong")))
        },
        "hang" => |name| {
            event(&format!("handler {name}"));
            loop {
                std::thread::park();
            }
        },
        other => panic!("no such handler: {other}"),
    }
}

pub fn scope(text: &str) -> Scope {
    match text {
        "all" => Scope::All,
        id => Scope::runner(id),
    }
}

/// `[timeout in ms] [mode] [reason…]`.
fn request(words: &[&str]) -> ShutdownRequest {
    let mut request = ShutdownRequest::new();
    if let Some(timeout) = words.first() {
        request = request.timeout(Duration::from_millis(timeout.parse().unwrap()));
    }
    if let Some(text) = words.get(1) {
        request = request.mode(mode(text));
    }
    if words.len() > 2 {
        request = request.reason(ReasonCode::Idle, words[2..].join(" "));
    }
    request
}

fn mode(text: &str) -> Mode {
    let modes = [Mode::Graceful, Mode::Fast, Mode::Immediate];
    modes.into_iter().find(|mode| mode.name() == text).unwrap()
}

fn phase(text: &str) -> Phase {
    Phase::ACKNOWLEDGED
        .into_iter()
        .find(|phase| phase.name() == text)
        .unwrap()
}
