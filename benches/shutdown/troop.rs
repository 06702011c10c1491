//! The N resident processes as their parent sees them.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use ebbtide::{Segment, ShutdownCoordinator};
use tempfile::TempDir;

use crate::Fallible;
use crate::page::{MOST, Mapped, Page, Task};
use crate::resident::{self, Place};

/// A round that takes longer is broken.
const LIMIT: Duration = Duration::from_secs(60);

pub struct Troop {
    members: Vec<Member>,
    page: Mapped,
    pub coordinator: ShutdownCoordinator,
    _segment: Segment,
    round: u32,
    /// The last to go: directory of page and segment.
    _scratch: TempDir,
}

struct Member {
    child: Child,
    stat: File,
}

impl Troop {
    /// Starts `size` processes.
    pub fn muster(size: usize) -> Fallible<Self> {
        if !(1..=MOST).contains(&size) {
            return Err(format!("{size} processes: from 1 to {MOST} are possible").into());
        }
        // The page lies in the kind of memory that a segment lies in by default.
        let mut named = tempfile::Builder::new();
        named.prefix("bench-ebbtide-");
        let scratch = named.tempdir_in("/dev/shm").or_else(|_| named.tempdir())?;
        let page = Mapped::create(&resident::page_path(scratch.path()))?;
        let segment = resident::options(scratch.path()).create(resident::SEGMENT)?;
        let mut troop = Self {
            members: Vec::with_capacity(size),
            page,
            coordinator: ShutdownCoordinator::new(&segment),
            _segment: segment,
            round: 0,
            _scratch: scratch,
        };
        for index in 0..size {
            let place = Place {
                scratch: troop._scratch.path().into(),
                index,
                all: size,
                parent: std::process::id(),
            };
            let child = Command::new(std::env::current_exe()?)
                .args(place.arguments())
                .spawn()?;
            match File::open(format!("/proc/{}/stat", child.id())) {
                Ok(stat) => troop.members.push(Member { child, stat }),
                Err(error) => {
                    end(child);
                    return Err(format!("the status of a process: {error}").into());
                }
            }
        }
        Ok(troop)
    }

    pub fn page(&self) -> &Page {
        &self.page
    }

    pub fn size(&self) -> usize {
        self.members.len()
    }

    /// Gives all a task; returns when each is asleep in it.
    pub fn ready(&mut self, task: Task) -> Fallible {
        self.round += 1;
        self.page.give(self.round, task);
        self.all_in("get ready", |page, all| {
            page.ready.0.wait(all, Duration::from_millis(100))
        })?;
        let began = Instant::now();
        for member in &self.members {
            while !member.is_asleep()? {
                if began.elapsed() > LIMIT {
                    return Err("a process did not fall asleep".into());
                }
                std::thread::yield_now();
            }
        }
        Ok(())
    }

    /// Waits until each has done its task.
    pub fn done(&mut self) -> Fallible {
        self.all_in("finish a round", |page, all| {
            page.done.0.wait(all, Duration::from_millis(100))
        })
    }

    fn all_in(&mut self, what: &str, wait: impl Fn(&Page, u32) -> bool) -> Fallible {
        let all = self.round.wrapping_mul(self.members.len() as u32);
        let began = Instant::now();
        while !wait(&self.page, all) {
            for member in &mut self.members {
                if let Some(status) = member.child.try_wait()? {
                    return Err(format!("a process ended ({status}); it was to {what}").into());
                }
            }
            if began.elapsed() > LIMIT {
                return Err(format!("not all processes {what}").into());
            }
        }
        Ok(())
    }

    /// Sends all home and waits until they are gone.
    pub fn dismiss(mut self) -> Fallible {
        self.page.give(self.round + 1, Task::Exit);
        for member in &mut self.members {
            let status = member.child.wait()?;
            if !status.success() {
                return Err(format!("a process ended badly: {status}").into());
            }
        }
        self.members.clear();
        Ok(())
    }
}

impl Drop for Troop {
    fn drop(&mut self) {
        for member in self.members.drain(..) {
            end(member.child);
        }
    }
}

fn end(mut child: Child) {
    // It may have ended by itself.
    let _ = child.kill();
    let _ = child.wait();
}

impl Member {
    /// Whether the main thread sleeps. After it said that it is ready, the only thing it
    /// sleeps for is what it is to be woken from.
    fn is_asleep(&self) -> Fallible<bool> {
        let mut text = [0; 512];
        let length = self.stat.read_at(&mut text, 0)?;
        let text = &text[..length];
        let name_end = text.iter().rposition(|byte| *byte == b')');
        let state = name_end.and_then(|end| text.get(end + 2));
        Ok(state == Some(&b'S'))
    }
}
