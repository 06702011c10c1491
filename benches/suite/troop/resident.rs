//! One of the N processes: it stays, and takes part in the rounds of all contenders.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use ebbtide::{CrossProcessEvent, Runner, Segment, ShutdownOutcome};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::{Pid, getppid, read};

use crate::Fallible;
use crate::peer::lock::{Lock, Means};
use crate::peer::old_protocol;
use crate::peer::raw_sync::RawEvent;
use crate::peer::store::{Kind, Store};
use crate::raw::{futex, kernel};

use super::page::{Mapped, Page};
use super::place::{Place, SEGMENT, options};
use super::task::{Size, Task};

/// What a resident has.
struct Resident<'a> {
    place: &'a Place,
    page: &'a Page,
    segment: &'a Segment,
    runner: Option<Runner>,
    event: CrossProcessEvent,
    raw_event: RawEvent,
    eventfd: OwnedFd,
    socket: UnixDatagram,
    signals: SigSet,
    /// How many rounds it has taken part in.
    round: u32,
}

/// Serves until told to exit. Dies with its parent.
pub fn run(place: &Place) -> Fallible {
    set_pdeathsig(Signal::SIGKILL)?;
    if getppid() != Pid::from_raw(place.parent as i32) {
        return Ok(());
    }
    if let Some(core) = place.core {
        kernel::run_on(&[core])?;
    }
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGUSR1);
    signals.thread_block()?;
    let memory = vec![1_u8; place.megabytes << 20];
    let page = Mapped::open(&place.page_path())?;
    let segment = options(&place.scratch).open(SEGMENT)?;
    let mut resident = Resident {
        place,
        page: &page,
        segment: &segment,
        runner: None,
        event: CrossProcessEvent::open(&segment, "event")?,
        raw_event: RawEvent::open(&page.raw_event.0)?,
        eventfd: kernel::inherited(place.eventfd),
        socket: UnixDatagram::bind(Place::socket_path(&place.scratch, place.index))?,
        signals,
        round: 0,
    };
    loop {
        let task = Task::of(page.next(resident.round));
        resident.round += 1;
        if task == Task::Exit {
            std::hint::black_box(memory);
            return Ok(());
        }
        resident.take_part(task)?;
        page.done.0.arrive(resident.all_rounds());
    }
}

impl Resident<'_> {
    fn all_rounds(&self) -> u32 {
        self.round.wrapping_mul(self.place.all as u32)
    }

    /// Says that it is about to sleep for what it was told to.
    fn ready(&self) {
        self.page.ready.0.arrive(self.all_rounds());
    }

    fn stamp(&self) {
        self.page.stamp(self.place.index);
    }

    fn runner(&mut self) -> Fallible<&Runner> {
        if self.runner.is_none() {
            let id = format!("runner-{}", self.place.index);
            self.runner = Some(Runner::join(self.segment, &id)?);
        }
        self.runner.as_ref().ok_or_else(|| "no runner".into())
    }

    fn take_part(&mut self, task: Task) -> Fallible {
        match task {
            Task::Exit => {}
            Task::Told | Task::ToldOfTwo | Task::Barriers | Task::BarriersOfThree => {
                self.be_told(task);
            }
            Task::Observe => {
                self.runner()?;
                self.ready();
                self.runner()?.wait_for_shutdown(None)?;
                self.stamp();
            }
            Task::Shutdown => {
                self.runner()?;
                self.ready();
                let runner = self.runner()?;
                runner.wait_for_shutdown(None)?;
                let report = runner.run_shutdown()?;
                self.stamp();
                assert_eq!(report.outcome, ShutdownOutcome::Completed, "{report:#?}");
                self.runner = None;
            }
            Task::Ignore => {
                self.runner()?;
                self.ready();
                loop {
                    std::thread::park();
                }
            }
            Task::OldProtocol(_) => {
                self.ready();
                old_protocol::obey(&Place::old_path(&self.place.scratch), self.place.index)?;
                self.stamp();
            }
            Task::Contend(means) => self.contend(means)?,
            Task::HandOff(means) => {
                let lock = self.lock(means)?;
                self.ready();
                lock.with(|| self.stamp());
            }
            Task::Hold(means) => {
                self.lock(means)?.with(|| {
                    self.ready();
                    loop {
                        std::thread::park();
                    }
                });
            }
            Task::Write(kind, size) => self.write(kind, size)?,
            waiting => self.wait_for(waiting)?,
        }
        Ok(())
    }

    fn be_told(&self, task: Task) {
        let page = self.page;
        let sleep = |word: &AtomicU32, expected| match task {
            Task::ToldOfTwo => page.sleep_on_two(word, expected),
            Task::BarriersOfThree => page.sleep_on_three(word, expected),
            _ => page.sleep(word, expected),
        };
        let told = page.told.0.load(Ordering::Acquire);
        self.ready();
        while page.told.0.load(Ordering::Acquire) == told {
            sleep(&page.told.0, told);
        }
        if matches!(task, Task::Barriers | Task::BarriersOfThree) {
            for _ in 0..3 {
                page.barrier.0.pass(self.place.all as u32, sleep);
            }
        }
        self.stamp();
    }

    fn wait_for(&self, task: Task) -> Fallible {
        match task {
            Task::Condition => {
                let told = self.page.condition.0.told();
                self.ready();
                self.page.condition.0.wait_past(told);
            }
            Task::PthreadBarriers => {
                let told = self.page.condition.0.told();
                self.ready();
                self.page.condition.0.wait_past(told);
                for _ in 0..3 {
                    self.page.pthread_barrier.0.wait();
                }
            }
            Task::RawSync => {
                self.ready();
                self.raw_event.wait();
            }
            Task::EventFd => {
                self.ready();
                read(&self.eventfd, &mut [0; 8])?;
            }
            Task::Socket => {
                self.ready();
                self.socket.recv(&mut [0; 8])?;
            }
            Task::Signal => {
                self.ready();
                self.signals.wait()?;
            }
            Task::Poll(millis) => {
                let path = Place::signal_path(&self.place.scratch);
                self.ready();
                while !path.exists() {
                    std::thread::sleep(Duration::from_millis(millis.into()));
                }
            }
            Task::Event => {
                self.ready();
                self.event.wait(None)?;
            }
            Task::Notifier => {
                let notifier = self.event.notifier()?;
                self.ready();
                kernel::readable(&notifier);
            }
            other => return Err(format!("{other:?} is nothing to wait for").into()),
        }
        self.stamp();
        Ok(())
    }

    fn lock(&self, means: Means) -> Fallible<Lock<'_>> {
        Lock::open(means, self.place, self.page, self.segment)
    }

    /// Until told to stop; notes each time how often it has had the lock.
    fn contend(&self, means: Means) -> Fallible {
        let lock = self.lock(means)?;
        let go = &self.page.told.0;
        let told = go.load(Ordering::Acquire);
        let stop = self.page.stop.0.load(Ordering::Acquire);
        self.page.note(self.place.index, 0);
        self.ready();
        while go.load(Ordering::Acquire) == told {
            futex::wait(go, told, None);
        }
        let mut count = 0;
        while self.page.stop.0.load(Ordering::Relaxed) == stop {
            lock.with(|| count += 1);
            self.page.note(self.place.index, count);
        }
        Ok(())
    }

    fn write(&self, kind: Kind, size: Size) -> Fallible {
        let store = Store::open(kind, &self.place.scratch, self.page, self.segment)?;
        let value = vec![3; size.bytes()];
        let stop = self.page.stop.0.load(Ordering::Acquire);
        store.set("key-0", &value)?;
        self.ready();
        while self.page.stop.0.load(Ordering::Relaxed) == stop {
            store.set("key-0", &value)?;
        }
        Ok(())
    }
}
