//! Spans and events of a whole shutdown, as a subscriber gets them.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::{Child, HANG, both_with, event, reply};
use ebbtide::{
    CrossProcessLock, Mode, Phase, ReasonCode, ResourceManager, ResourceOptions, ResourceType,
    Runner, Scope, ShutdownCoordinator, ShutdownRequest,
};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};
use tracing_core::span::Current;

thread_local! {
    /// The spans that this thread has entered, outermost first.
    static WITHIN: std::cell::RefCell<Vec<u64>> = const { std::cell::RefCell::new(Vec::new()) };
}

/// Keeps one line per event: the spans around it, and its fields.
#[derive(Clone, Default)]
struct Collector {
    next: Arc<AtomicU64>,
    spans: Arc<Mutex<Vec<Known>>>,
    lines: Arc<Mutex<Vec<String>>>,
}

struct Known {
    id: u64,
    /// With those it is within.
    name: String,
    metadata: &'static Metadata<'static>,
}

/// The innermost span that this thread is within.
fn within() -> Option<u64> {
    WITHIN.with_borrow(|within| within.last().copied())
}

impl Collector {
    /// A span after those it was made within; each ends with a colon.
    fn path(&self, of: Option<u64>) -> String {
        let spans = self.spans.lock().unwrap();
        let span = spans.iter().find(|span| Some(span.id) == of);
        span.map(|span| span.name.clone()).unwrap_or_default()
    }
}

struct Fields(String);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        // Times differ from run to run.
        if field.name().ends_with("_us") || field.name() == "pid" {
            write!(self.0, " {}", field.name()).unwrap();
        } else if field.name() == "message" {
            self.0.insert_str(0, &format!("{value:?}"));
        } else {
            write!(self.0, " {}={value:?}", field.name()).unwrap();
        }
    }
}

impl Subscriber for Collector {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "ebbtide"
    }
    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let id = self.next.fetch_add(1, Ordering::Relaxed) + 1;
        let mut fields = Fields(String::new());
        span.record(&mut fields);
        let parent = self.path(within());
        let name = format!(
            "{parent}{}{{{}}}: ",
            span.metadata().name(),
            fields.0.trim()
        );
        let metadata = span.metadata();
        self.spans
            .lock()
            .unwrap()
            .push(Known { id, name, metadata });
        Id::from_u64(id)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields(String::new());
        event.record(&mut fields);
        let line = self.path(within());
        let level = event.metadata().level();
        self.lines
            .lock()
            .unwrap()
            .push(format!("{level} {line}{}", fields.0));
    }
    fn enter(&self, span: &Id) {
        WITHIN.with_borrow_mut(|within| within.push(span.into_u64()));
    }
    fn exit(&self, span: &Id) {
        WITHIN.with_borrow_mut(|within| {
            let place = within
                .iter()
                .rposition(|id| *id == span.into_u64())
                .unwrap();
            within.remove(place);
        });
    }
    fn current_span(&self) -> Current {
        let within = within();
        let spans = self.spans.lock().unwrap();
        match spans.iter().find(|span| Some(span.id) == within) {
            Some(span) => Current::new(Id::from_u64(span.id), span.metadata),
            None => Current::none(),
        }
    }
}

/// A process with a subscriber that does everything there is to be told of.
fn traced(child: &Child) {
    let collector = Collector::default();
    let lines = Arc::clone(&collector.lines);
    tracing::subscriber::set_global_default(collector).unwrap();
    let segment = child.open();
    let runner = Runner::join(&segment, "runner").unwrap();
    let coordinator = ShutdownCoordinator::new(&segment);
    reply("joined");

    // A lock whose owner is killed.
    assert_eq!(child.order(), "lock");
    let lock = CrossProcessLock::open(&segment, "device").unwrap();
    lock.lock_timeout(HANG).unwrap().mark_consistent();
    let spare = CrossProcessLock::open(&segment, "spare").unwrap();
    smol::block_on(spare.acquire()).unwrap().mark_consistent();
    reply("locked");

    let register = |phase, priority, name: &str, body: fn()| {
        let handler = move |_: &ebbtide::HandlerContext| body();
        runner
            .register_shutdown_handler(phase, priority, name, handler)
            .unwrap();
    };
    register(Phase::Draining, 2, "flush", || {
        tracing::info!(target: "ebbtide", "from within");
    });
    register(Phase::Draining, 1, "broken", || panic!("oh"));
    let resources = ResourceManager::new(&runner);
    let open = |name: &str, options: ResourceOptions| {
        let custom = ResourceType::Custom;
        resources.register_resource(name, custom, options).unwrap();
    };
    open(
        "good",
        ResourceOptions::new().cleanup(|_| Ok::<(), String>(())),
    );
    open("bad", ResourceOptions::new().cleanup(|_| Err("no")));

    let budget = Duration::from_secs(60);
    let request = ShutdownRequest::new()
        .timeout(budget)
        .cap(budget * 2)
        .reason(ReasonCode::Upgrade, "v2");
    coordinator
        .initiate_shutdown(&Scope::All, &request)
        .unwrap();
    coordinator
        .extend(&Scope::All, Duration::from_secs(1))
        .unwrap();
    coordinator.cancel_shutdown(&Scope::All).unwrap();
    coordinator
        .initiate_shutdown(&Scope::All, &request)
        .unwrap();
    coordinator.escalate(&Scope::All, Mode::Fast).unwrap();
    coordinator
        .initiate_shutdown(&Scope::runner("runner"), &request)
        .unwrap();
    runner.run_shutdown().unwrap();
    for line in lines.lock().unwrap().iter() {
        event(&format!("line {line}"));
    }
    event("end");
}

#[test]
fn a_subscriber_gets_spans_and_events_of_all_there_is() {
    both_with(here!(), &[("traced", traced)], |place| {
        let segment = place.create();
        let mut victim = place.runner(&segment, "victim");
        victim.tell("lock device 60000");
        victim.tell("lock spare 60000");
        crate::support::until_true("it holds the lock", || {
            let status = place.status();
            status
                .runners
                .iter()
                .any(|runner| runner.locks_held.len() == 2)
        });
        let mut traced = crate::support::Agent::spawn(place, "traced", Some(&segment));
        assert_eq!(traced.reply("join"), "joined");
        victim.kill();
        assert_eq!(traced.ask("lock"), "locked");
        traced.event("end");
        let mut lines = Vec::new();
        while traced.has("line") {
            lines.push(traced.event("line"));
        }
        let all = lines.join("\n");
        let within = "shutdown{segment=\"group\" runner=\"runner\" generation=1}: ";
        let phase = |phase: &str| format!("{within}phase{{phase=\"{phase}\"}}: ");
        let handler = |name: &str| {
            format!(
                "{}handler{{name=\"{name}\" phase=\"draining\"}}: ",
                phase("draining")
            )
        };
        let closing = phase("closing");
        let initiated = "INFO shutdown initiated";
        let terms = "mode=\"graceful\" budget_ms=60000 reason=\"v2\"";
        let expected = [
            "WARN lock taken over: its owner died lock=\"device\"".into(),
            "WARN lock taken over: its owner died lock=\"spare\"".into(),
            format!("{initiated} part=\"drives\" {terms}"),
            "INFO shutdown extended granted_us".into(),
            "INFO shutdown cancelled".into(),
            "INFO shutdown escalated before=\"graceful\" mode=\"fast\"".into(),
            format!("{initiated} runner=\"runner\" part=\"drives\" {terms}"),
            format!("DEBUG {within}phase done phase=\"signaling\" tardy=false"),
            format!("INFO {}from within", handler("flush")),
            format!("DEBUG {}handler finished", handler("flush")),
            format!("ERROR {}handler panicked panic=\"oh\"", handler("broken")),
            format!("DEBUG {closing}resource{{name=\"good\"}}: resource closed"),
            format!("ERROR {closing}resource{{name=\"bad\"}}: resource failed error=\"no\""),
            format!("DEBUG {within}phase done phase=\"closing\" tardy=false"),
            format!("INFO {within}shutdown ended outcome="),
        ];
        for line in &expected {
            let found = lines.iter().filter(|found| found.starts_with(line)).count();
            let twice = usize::from(line.starts_with(&format!("{initiated} part")));
            assert_eq!(found, 1 + twice, "{line}\nin:\n{all}");
        }
        let death = "WARN process died pid runner=\"victim\"";
        let deaths = lines.iter().filter(|line| line.ends_with(&death[5..]));
        assert_eq!(deaths.count(), 1, "{all}");
        traced.quit();
    });
}
