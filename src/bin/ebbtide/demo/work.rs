//! The work of a demo runner: items that go once round a ring of worker threads.
//!
//! An item is begun through the runner's guard, and the guard travels with it; so Draining
//! ends only when the last item has gone its whole way.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, Sender, SyncSender};
use std::thread::Scope;
use std::time::Duration;

use ebbtide::{InFlight, Runner};

/// How long a worker without work waits for some.
const PAUSE: Duration = Duration::from_millis(1);

/// One item spends this long with each worker: the first and the last of a range.
const WORK_MICROS: (u64, u64) = (500, 1_500);

/// Items in flight per worker, at most.
const CROWD: u32 = 2;

/// Items begun and finished by one process.
#[derive(Debug, Default)]
pub struct Tally {
    begun: AtomicU64,
    finished: AtomicU64,
    /// Keeps the last words in order.
    publishing: Mutex<()>,
}

impl Tally {
    pub fn begin(&self) {
        self.begun.fetch_add(1, Ordering::Relaxed);
    }

    fn finish(&self) {
        self.finished.fetch_add(1, Ordering::Relaxed);
    }

    /// Puts the counts into the runner's last words: they outlive it, however it ends.
    pub fn publish(&self, runner: &Runner) {
        let Ok(_publishing) = self.publishing.lock() else {
            return;
        };
        let finished = self.finished.load(Ordering::Relaxed);
        let begun = self.begun.load(Ordering::Relaxed);
        // An error: it has left; then the last ones stand.
        let _ = runner.set_last_words(&format!("items: {begun} begun, {finished} finished"));
    }

    /// Reads what [`publish`](Self::publish) wrote.
    pub fn parse(words: &str) -> Option<(u64, u64)> {
        let counts = words.strip_prefix("items: ")?.strip_suffix(" finished")?;
        let (begun, finished) = counts.split_once(" begun, ")?;
        Some((begun.parse().ok()?, finished.parse().ok()?))
    }
}

struct Item<'env> {
    /// Counts the item out when it is dropped.
    _guard: InFlight<'env>,
    stations_left: usize,
}

struct Worker<'env> {
    runner: &'env Runner,
    tally: &'env Tally,
    inbox: Receiver<Item<'env>>,
    next: Sender<Item<'env>>,
    stations: usize,
    random: u64,
    first_done: SyncSender<()>,
}

/// Starts the workers. They end by themselves when the runner refuses work and nothing
/// is in flight. The channel tells when a first item has gone its way.
pub fn start<'scope, 'env>(
    scope: &'scope Scope<'scope, 'env>,
    runner: &'env Runner,
    tally: &'env Tally,
    workers: usize,
    seed: u64,
) -> Receiver<()> {
    let (first_done, is_done) = mpsc::sync_channel(1);
    let (senders, mut inboxes): (Vec<_>, VecDeque<_>) =
        (0..workers).map(|_| mpsc::channel()).unzip();
    // Sender `i` leads to the worker after worker `i`.
    inboxes.rotate_right(1);
    for (index, (next, inbox)) in senders.into_iter().zip(inboxes).enumerate() {
        let worker = Worker {
            runner,
            tally,
            inbox,
            next,
            stations: workers,
            random: seed.wrapping_add(index as u64),
            first_done: first_done.clone(),
        };
        scope.spawn(move || worker.run());
    }
    is_done
}

impl<'env> Worker<'env> {
    fn run(mut self) {
        loop {
            match self.next_item() {
                Some(item) => self.pass(item),
                None if self.runner.in_flight() > 0 => {}
                // Nothing is in flight, and nothing more will be.
                None => match self.begin() {
                    Some(item) => self.pass(item),
                    None => return,
                },
            }
        }
    }

    /// One that waits, or a new one, or none after a while.
    fn next_item(&self) -> Option<Item<'env>> {
        if let Ok(item) = self.inbox.try_recv() {
            return Some(item);
        }
        if self.runner.in_flight() < CROWD * self.stations as u32
            && let Some(item) = self.begin()
        {
            return Some(item);
        }
        self.inbox.recv_timeout(PAUSE).ok()
    }

    fn begin(&self) -> Option<Item<'env>> {
        let guard = self.runner.begin().ok()?;
        self.tally.begin();
        Some(Item {
            _guard: guard,
            stations_left: self.stations,
        })
    }

    /// Works on an item and hands it to the next worker.
    fn pass(&mut self, mut item: Item<'env>) {
        std::thread::sleep(self.effort());
        item.stations_left -= 1;
        if item.stations_left > 0 {
            // Nobody ends while something is in flight, so there is a receiver.
            let _ = self.next.send(item);
            return;
        }
        // Counted before the guard goes, so that a drained runner has counted all.
        self.tally.finish();
        self.runner.progress();
        self.tally.publish(self.runner);
        drop(item);
        let _ = self.first_done.try_send(());
    }

    fn effort(&mut self) -> Duration {
        self.random = self
            .random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let (least, most) = WORK_MICROS;
        Duration::from_micros(least + (self.random >> 33) % (most - least))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_back() {
        assert_eq!(Tally::parse("items: 12 begun, 7 finished"), Some((12, 7)));
        for words in [
            "",
            "items: ",
            "items: x begun, 1 finished",
            "exited with status 0",
        ] {
            assert_eq!(Tally::parse(words), None, "{words:?}");
        }
    }
}
