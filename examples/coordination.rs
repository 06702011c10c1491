//! Two processes with resources: everything is closed in order, whoever owns it.
//! `cargo run --example coordination`

use std::process::Command;
use std::time::Duration;

use ebbtide::{
    CleanupContext, CrossProcessEvent, Phase, ResourceManager, ResourceOptions, ResourceType,
    Runner, Scope, Segment, SegmentOptions, ShutdownCoordinator, ShutdownRequest, Token,
};

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    match std::env::args().nth(1) {
        Some(token) => worker(&token.parse()?),
        None => coordinator(),
    }
}

/// A cleanup that says what it does.
fn says(who: &'static str) -> impl FnOnce(&CleanupContext) -> Result<(), String> + Send {
    move |context| {
        println!("{who} closes its {}", context.name);
        Ok(())
    }
}

fn coordinator() -> Result<(), Failure> {
    let name = format!("coordination-{}", std::process::id());
    let segment = Segment::create(&name)?;
    let runner = Runner::join(&segment, "main")?;
    let manager = ResourceManager::new(&runner);

    // queue (100) <- lock (50, depends on the queue), event (10).
    let options = ResourceOptions::new().order(100).cleanup(says("main"));
    let queue = manager.register_resource("queue", ResourceType::Queue, options)?;
    let options = ResourceOptions::new().order(50).depends_on(&queue);
    manager.register_resource("lock", ResourceType::Custom, options.cleanup(says("main")))?;
    let options = ResourceOptions::new().order(10).cleanup(says("main"));
    manager.register_resource("event", ResourceType::Custom, options)?;

    // Whoever waits for the event is told as soon as the shutdown begins.
    let told = CrossProcessEvent::open(&segment, "shutdown")?;
    runner.register_shutdown_handler(Phase::Signaling, 0, "tell", move |_| {
        println!("main sets the shutdown event");
        let _ = told.set();
    })?;

    let mut child = Command::new(std::env::current_exe()?)
        .arg(segment.token().to_string())
        .spawn()?;
    let ready = CrossProcessEvent::open(&segment, "ready")?;
    if !ready.wait(Some(Duration::from_secs(30)))? {
        return Err("the worker does not come up".into());
    }
    drop(ready);

    let coordinator = ShutdownCoordinator::new(&segment);
    let request = ShutdownRequest::new().timeout(Duration::from_secs(30));
    coordinator.initiate_shutdown(&Scope::All, &request)?;
    // One call would do; by hand it is the same order. The queue waits for the worker's feed.
    std::thread::scope(|scope| {
        let closing = scope.spawn(|| manager.cleanup_resources(Duration::from_secs(20)));
        let report = runner.run_shutdown()?;
        let cleanup = closing.join().map_err(|_| "the cleanup panicked")??;
        println!("{}: clean = {}", report.outcome.name(), cleanup.is_clean());
        for resource in &cleanup.resources {
            println!("  {} {}", resource.full_name(), resource.state);
        }
        Ok::<_, Failure>(())
    })?;
    child.wait()?;
    drop((manager, runner, coordinator, segment));
    Segment::remove(&name, false)?;
    Ok(())
}

/// The second process: feeds the queue, so it closes its feed before the queue is closed.
fn worker(token: &Token) -> Result<(), Failure> {
    let segment = SegmentOptions::new().open_token(token)?;
    let runner = Runner::join(&segment, "worker")?;
    let manager = ResourceManager::new(&runner);
    let options = ResourceOptions::new().depends_on_named("main/queue");
    manager.register_resource(
        "feed",
        ResourceType::Channel,
        options.cleanup(says("worker")),
    )?;
    let told = CrossProcessEvent::open(&segment, "shutdown")?;
    CrossProcessEvent::open(&segment, "ready")?.set()?;
    told.wait(Some(Duration::from_secs(30)))?;
    println!("worker sees the shutdown event");
    runner.run_shutdown()?;
    Ok(())
}
