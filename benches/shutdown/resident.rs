//! One of the N processes: it stays, and takes part in the rounds of both contenders.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use ebbtide::{Runner, Segment, SegmentOptions, ShutdownOutcome};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::unistd::{Pid, getppid};

use crate::Fallible;
use crate::page::{Mapped, Page, Task};

/// The argument by which this binary knows that it is to be a resident.
const ROLE: &str = "resident-of-a-benchmark";

/// Name of the segment in the scratch directory.
pub const SEGMENT: &str = "bench";

/// Where a resident belongs.
pub struct Place {
    pub scratch: PathBuf,
    pub index: usize,
    pub all: usize,
    pub parent: u32,
}

impl Place {
    pub fn parse(arguments: &[String]) -> Fallible<Option<Self>> {
        match arguments {
            [role, scratch, index, all, parent] if role == ROLE => Ok(Some(Self {
                scratch: scratch.into(),
                index: index.parse()?,
                all: all.parse()?,
                parent: parent.parse()?,
            })),
            _ => Ok(None),
        }
    }

    pub fn arguments(&self) -> [String; 5] {
        [
            ROLE.into(),
            self.scratch.display().to_string(),
            self.index.to_string(),
            self.all.to_string(),
            self.parent.to_string(),
        ]
    }
}

pub fn options(scratch: &Path) -> SegmentOptions {
    SegmentOptions::new().directory(scratch.join("segments"))
}

pub fn page_path(scratch: &Path) -> PathBuf {
    scratch.join("page")
}

/// Serves until told to exit. Dies with its parent.
pub fn run(place: &Place) -> Fallible {
    set_pdeathsig(Signal::SIGKILL)?;
    if getppid() != Pid::from_raw(place.parent as i32) {
        return Ok(());
    }
    let page = Mapped::open(&page_path(&place.scratch))?;
    let segment = options(&place.scratch).open(SEGMENT)?;
    let mut runner = None;
    let mut round = 0;
    loop {
        let task;
        (round, task) = page.next(round);
        if task == Task::Exit {
            return Ok(());
        }
        take_part(place, &page, &segment, &mut runner, round, task)?;
        page.done.0.arrive(round.wrapping_mul(place.all as u32));
    }
}

fn take_part(
    place: &Place,
    page: &Page,
    segment: &Segment,
    runner: &mut Option<Runner>,
    round: u32,
    task: Task,
) -> Fallible {
    let all = place.all as u32;
    let told = page.told.0.load(Ordering::Acquire);
    let is_ours = matches!(task, Task::Observe | Task::Shutdown);
    if is_ours && runner.is_none() {
        *runner = Some(Runner::join(segment, &format!("runner-{}", place.index))?);
    }
    page.ready.0.arrive(round.wrapping_mul(all));
    let sleep = |word: &AtomicU32, expected| match task {
        Task::ToldOfTwo | Task::BarriersOfTwo => page.sleep_on_two(word, expected),
        _ => page.sleep(word, expected),
    };
    match (task, runner.as_ref()) {
        (Task::Observe, Some(ours)) => {
            ours.wait_for_shutdown(None)?;
            page.stamp(place.index);
        }
        (Task::Shutdown, Some(ours)) => {
            ours.wait_for_shutdown(None)?;
            let report = ours.run_shutdown()?;
            page.stamp(place.index);
            assert_eq!(report.outcome, ShutdownOutcome::Completed, "{report:#?}");
            *runner = None;
        }
        _ => {
            while page.told.0.load(Ordering::Acquire) == told {
                sleep(&page.told.0, told);
            }
            if matches!(task, Task::Barriers | Task::BarriersOfTwo) {
                for _ in 0..3 {
                    page.barrier.0.pass(all, sleep);
                }
            }
            page.stamp(place.index);
        }
    }
    Ok(())
}
