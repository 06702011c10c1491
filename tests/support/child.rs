//! The child's side: it plays a role, by default that of an agent that follows orders.
//!
//! An order is one line: a verb and its arguments. Verbs that cannot block are
//! answered by a reply. Verbs that can (`wait run complete lock count produce consume`)
//! run on a thread of their own and end with an event that begins with the verb, so
//! that the agent can be told other things meanwhile.

use std::collections::HashMap;
use std::fmt::Debug;
use std::fs::OpenOptions;
use std::io::{BufRead, Write};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ebbtide::{
    CrossProcessCondvar, CrossProcessEvent, CrossProcessLock, Liveness, Mode, Phase, ReasonCode,
    Runner, Scope, Segment, SegmentOptions, ShutdownCoordinator, ShutdownOutcome, ShutdownReport,
    ShutdownRequest,
    SignalPolicy,
};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{Signal, raise};

use super::{HANG, Role, until_true};

pub(super) const ROLE: &str = "EBBTIDE_TEST_ROLE";
pub(super) const PARENT: &str = "EBBTIDE_TEST_PARENT";
pub(super) const LIVENESS: &str = "EBBTIDE_TEST_LIVENESS";
pub(super) const DIRECTORY: &str = "EBBTIDE_TEST_DIRECTORY";
/// What our own lines begin with, among those of the test runner.
pub(super) const MARK: &str = "@@";

/// A process that was started by a test.
pub struct Child {
    orders: Receiver<String>,
    pub options: SegmentOptions,
}

/// Plays the role that the environment names. False in a process that has none.
pub(super) fn play(roles: &[(&str, Role)]) -> bool {
    let Ok(role) = std::env::var(ROLE) else {
        return false;
    };
    let child = Child::begin();
    match roles.iter().find(|(name, _)| *name == role) {
        Some((_, play)) => play(&child),
        None => serve(&child),
    }
    true
}

impl Child {
    fn begin() -> Self {
        // Whatever happens to the parent, also while we are stopped.
        set_pdeathsig(Signal::SIGKILL).unwrap();
        let parent = std::env::var(PARENT).unwrap();
        if std::os::unix::process::parent_id().to_string() != parent {
            std::process::exit(1);
        }
        let (order, orders) = mpsc::channel();
        std::thread::spawn(move || {
            for line in std::io::stdin().lock().lines().map_while(Result::ok) {
                if order.send(line).is_err() {
                    // The role is over; the test runner ends the process.
                    return;
                }
            }
            std::process::exit(0);
        });
        let liveness = match std::env::var(LIVENESS).as_deref() {
            Ok("Portable") => Liveness::Portable,
            _ => Liveness::Auto,
        };
        let options = SegmentOptions::new()
            .directory(std::env::var_os(DIRECTORY).unwrap())
            .liveness(liveness);
        Self { orders, options }
    }

    /// Attaches to the segment that the parent named.
    pub fn open(&self) -> Segment {
        let token = std::env::var(Segment::VARIABLE).unwrap();
        self.options.open_token(&token.parse().unwrap()).unwrap()
    }

    /// The next order.
    pub fn order(&self) -> String {
        // The reading thread ends the process when there are no more.
        self.orders.recv().unwrap_or_else(|_| std::process::exit(0))
    }
}

/// Answers an order.
pub fn reply(text: &str) {
    say('=', text);
}

/// Tells of something by itself.
pub fn event(text: &str) {
    say('!', text);
}

fn say(kind: char, text: &str) {
    let line = format!("\n{MARK}{kind}{}\n", text.replace('\n', " "));
    let mut out = std::io::stdout().lock();
    // Without a parent there is nobody to tell.
    let _ = out.write_all(line.as_bytes()).and_then(|()| out.flush());
}

/// A result in one line: the value, or `err` and the error with all its fields.
pub fn answer<T: Debug, E: Debug>(result: Result<T, E>) -> String {
    match result {
        Ok(value) => match format!("{value:?}") {
            unit if unit == "()" => "ok".into(),
            text => text,
        },
        Err(error) => format!("err {error:?}"),
    }
}

/// A report in one line: the whole, then each runner's outcome in the order of ids.
pub fn summary(report: &ShutdownReport) -> String {
    let mut runners: Vec<_> = report
        .runners
        .iter()
        .map(|runner| {
            format!(
                "{}={}",
                runner.id,
                runner.outcome.as_ref().map_or("-", |o| o.name())
            )
        })
        .collect();
    runners.sort();
    format!("{} {}", report.outcome.name(), runners.join(" "))
        .trim_end()
        .into()
}

/// The report of all, for a runner whose own names itself only.
fn whole(segment: &Segment, runner: &Runner, own: ShutdownReport) -> ShutdownReport {
    let all = ShutdownCoordinator::new(segment).report(&Scope::All).unwrap();
    let is_alone = !all.runners.iter().any(|one| one.id == runner.id())
        || all.outcome == ShutdownOutcome::Running;
    if is_alone || own.outcome == ShutdownOutcome::Cancelled {
        own
    } else {
        all
    }
}

/// Ends this process by SIGKILL.
pub fn die() -> ! {
    raise(Signal::SIGKILL).unwrap();
    unreachable!()
}

#[derive(Default)]
struct Agent {
    runner: Option<Arc<Runner>>,
    items: Vec<Sender<()>>,
    locks: HashMap<String, Sender<String>>,
    counts: Arc<Mutex<(u64, u64)>>,
}

/// Follows orders until told to quit.
fn serve(child: &Child) {
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
                self.items.pop().unwrap().send(()).unwrap();
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
            "unlock" | "leak" | "consistent" => {
                self.locks[words[1]].send(words[0].into()).unwrap();
                return None;
            }
            "set" => answer(CrossProcessEvent::open(segment, words[1]).unwrap().set()),
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
                self.start(segment, order);
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
        std::thread::spawn(move || match runner.begin() {
            Ok(item) => {
                begun.send("ok".into()).unwrap();
                // An agent that quits ends its items.
                let _ = may_end.recv();
                drop(item);
            }
            Err(error) => begun.send(format!("err {error:?}")).unwrap(),
        });
        let text: String = is_begun.recv().unwrap();
        if text == "ok" {
            self.items.push(end);
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
            event(&format!("lock died={}", guard.previous_owner_died()));
            while let Ok(order) = orders.recv() {
                match order.as_str() {
                    "consistent" => {
                        guard.mark_consistent();
                        event("consistent");
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

    /// Verbs that may block.
    fn start(&self, segment: &Segment, order: &str) {
        let runner = self.runner.clone();
        let (segment, order) = (segment.clone(), order.to_owned());
        std::thread::spawn(move || {
            let words: Vec<&str> = order.split(' ').collect();
            let number = |index: usize| words[index].parse::<u64>().unwrap();
            let runner = || runner.as_ref().expect("it has joined");
            let text = match words[0] {
                "wait" => {
                    answer(runner().wait_for_shutdown(Some(Duration::from_millis(number(1)))))
                }
                // As most programs do.
                "run" => {
                    runner().wait_for_shutdown(None).unwrap();
                    match runner().run_shutdown() {
                        Ok(report) => {
                            for one in &report.handlers {
                                event(&format!(
                                    "handled {} {} {:?}",
                                    one.phase, one.name, one.outcome
                                ));
                            }
                            summary(&whole(&segment, runner(), report))
                        }
                        Err(error) => format!("err {error:?}"),
                    }
                }
                "complete" => {
                    let coordinator = ShutdownCoordinator::new(&segment);
                    let timeout = Duration::from_millis(number(2));
                    match coordinator.wait_for_shutdown_complete(&scope(words[1]), timeout) {
                        Ok(report) => summary(&report),
                        Err(error) => format!("err {error:?}"),
                    }
                }
                "exclude" => exclude(&segment, words[1], words[2], number(3)),
                "consume" => consume(&segment),
                "produce" => produce(&segment, words.get(1) == Some(&"and-die")),
                // Answers each ping with a pong.
                "play" => {
                    let open = |name| CrossProcessEvent::open(&segment, name).unwrap();
                    let (ping, pong) = (open("ping"), open("pong"));
                    for _ in 0..number(1) {
                        assert!(ping.wait(Some(HANG)).unwrap());
                        ping.clear().unwrap();
                        pong.set().unwrap();
                    }
                    "ok".into()
                }
                "await" => {
                    let flag = CrossProcessEvent::open(&segment, words[1]).unwrap();
                    answer(flag.wait(Some(Duration::from_millis(number(2)))))
                }
                other => panic!("no such order: {other}"),
            };
            // What this thread holds is given back before the parent hears of the end.
            drop(segment);
            event(&format!("{} {text}", words[0]));
        });
    }
}

/// Takes a lock many times and shows that nobody else is inside, by a file that must
/// not exist; counts in another file, which no kill may leave wrong.
fn exclude(segment: &Segment, name: &str, directory: &str, times: u64) -> String {
    let lock = CrossProcessLock::open(segment, name).unwrap();
    let inside = std::path::Path::new(directory).join("inside");
    let counter = std::path::Path::new(directory).join("counter");
    let mut deaths = 0;
    for _ in 0..times {
        let guard = lock.lock().unwrap();
        if guard.previous_owner_died() {
            deaths += 1;
            let _ = std::fs::remove_file(&inside);
            guard.mark_consistent();
        }
        if let Err(error) = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&inside)
        {
            return format!("violated: {error}");
        }
        let count: u64 = std::fs::read_to_string(&counter)
            .unwrap()
            .trim()
            .parse()
            .unwrap();
        std::fs::write(counter.with_extension("new"), (count + 1).to_string()).unwrap();
        std::fs::rename(counter.with_extension("new"), &counter).unwrap();
        std::fs::remove_file(&inside).unwrap();
        drop(guard);
    }
    format!("ok {deaths}")
}

/// Takes one thing when there is one. Tells when it begins to wait.
fn consume(segment: &Segment) -> String {
    let lock = CrossProcessLock::open(segment, "box").unwrap();
    let changed = CrossProcessCondvar::open(segment, "changed").unwrap();
    let full = CrossProcessEvent::open(segment, "full").unwrap();
    let mut guard = lock.lock().unwrap();
    event("waiting");
    guard = changed.wait_while(guard, || !full.is_set()).unwrap();
    full.clear().unwrap();
    format!("died={}", guard.previous_owner_died())
}

/// Puts one thing; or dies holding the lock, before it has told anybody.
fn produce(segment: &Segment, die_inside: bool) -> String {
    let lock = CrossProcessLock::open(segment, "box").unwrap();
    let changed = CrossProcessCondvar::open(segment, "changed").unwrap();
    let full = CrossProcessEvent::open(segment, "full").unwrap();
    let guard = lock.lock().unwrap();
    full.set().unwrap();
    if die_inside {
        die()
    }
    changed.notify_one().unwrap();
    drop(guard);
    "ok".into()
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

fn scope(text: &str) -> Scope {
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
