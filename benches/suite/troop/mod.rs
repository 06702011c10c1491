//! The N resident processes as their parent sees them.

mod page;
mod place;
mod resident;
mod task;

use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use ebbtide::{CrossProcessEvent, Segment, ShutdownCoordinator};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::Fallible;
use crate::peer::raw_sync::{RawEvent, RawMutex};
use crate::raw::kernel::{self, Semaphore};

pub use page::{Line, Mapped, Page};
pub use place::{Place, SEGMENT, options, page_path};
pub use resident::run;
pub use task::{Size, Task};

/// A round that takes longer is broken.
const LIMIT: Duration = Duration::from_secs(60);

pub struct Troop {
    members: Vec<Member>,
    page: Mapped,
    pub raw_event: RawEvent,
    pub event: CrossProcessEvent,
    pub segment: Segment,
    pub coordinator: ShutdownCoordinator,
    semaphore: Semaphore,
    round: u32,
    /// The last to go: directory of page and segment.
    scratch: TempDir,
}

struct Member {
    child: Child,
    stat: File,
    eventfd: EventFd,
    /// Connected when it is first used.
    socket: Option<UnixDatagram>,
}

/// How residents are placed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lodging {
    /// Each is tied to one core, in turn, beginning after the parent's.
    pub pinned: bool,
    pub megabytes: usize,
}

/// A scratch directory in the kind of memory that a segment lies in by default.
pub fn scratch() -> Fallible<TempDir> {
    let mut named = tempfile::Builder::new();
    named.prefix("bench-ebbtide-");
    Ok(named.tempdir_in("/dev/shm").or_else(|_| named.tempdir())?)
}

impl Troop {
    /// Starts `size` processes.
    pub fn muster(size: usize, lodging: Lodging) -> Fallible<Self> {
        if !(1..=page::MOST).contains(&size) {
            let most = page::MOST;
            return Err(format!("{size} processes: from 1 to {most} are possible").into());
        }
        let scratch = scratch()?;
        let page = Mapped::create(&page_path(scratch.path()))?;
        page.make(size);
        let raw_event = RawEvent::make(&page.raw_event.0)?;
        RawMutex::make(&page.raw_mutex.0)?;
        File::create(scratch.path().join("locked"))?;
        std::fs::create_dir(Place::old_path(scratch.path()))?;
        let segment = options(scratch.path()).create(place::SEGMENT)?;
        let mut troop = Self {
            members: Vec::with_capacity(size),
            page,
            raw_event,
            event: CrossProcessEvent::open(&segment, "event")?,
            coordinator: ShutdownCoordinator::new(&segment),
            segment,
            semaphore: Semaphore::create()?,
            round: 0,
            scratch,
        };
        for index in 0..size {
            troop.enlist(index, size, lodging)?;
        }
        Ok(troop)
    }

    /// The place of one resident, or of this process as it sees the same things.
    pub fn place(&self, index: usize, all: usize) -> Place {
        Place {
            scratch: self.scratch.path().into(),
            index,
            all,
            parent: std::process::id(),
            core: None,
            eventfd: -1,
            semaphore: self.semaphore.id(),
            megabytes: 0,
        }
    }

    fn enlist(&mut self, index: usize, all: usize, lodging: Lodging) -> Fallible {
        let eventfd = EventFd::from_value_and_flags(0, EfdFlags::EFD_CLOEXEC)?;
        let cores = crate::cores();
        let place = Place {
            core: lodging.pinned.then(|| cores[(index + 1) % cores.len()]),
            eventfd: eventfd.as_raw_fd(),
            megabytes: lodging.megabytes,
            ..self.place(index, all)
        };
        kernel::inherit(&eventfd, true)?;
        let spawned = Command::new(std::env::current_exe()?)
            .args(place.arguments())
            .spawn();
        kernel::inherit(&eventfd, false)?;
        let child = spawned?;
        match File::open(format!("/proc/{}/stat", child.id())) {
            Ok(stat) => {
                self.members.push(Member {
                    child,
                    stat,
                    eventfd,
                    socket: None,
                });
                Ok(())
            }
            Err(error) => {
                end(child);
                Err(format!("the status of a process: {error}").into())
            }
        }
    }

    pub fn page(&self) -> &Page {
        &self.page
    }

    pub fn scratch(&self) -> &std::path::Path {
        self.scratch.path()
    }

    pub fn size(&self) -> usize {
        self.members.len()
    }

    /// Writes to each one's eventfd.
    pub fn ring_eventfds(&self) -> Fallible {
        for member in &self.members {
            member.eventfd.write(1)?;
        }
        Ok(())
    }

    /// Connects to each one's socket, once; they have them when they are ready for a task.
    pub fn connect(&mut self) -> Fallible {
        for (index, member) in self.members.iter_mut().enumerate() {
            if member.socket.is_none() {
                let socket = UnixDatagram::unbound()?;
                socket.connect(Place::socket_path(self.scratch.path(), index))?;
                member.socket = Some(socket);
            }
        }
        Ok(())
    }

    /// Sends to each one's socket.
    pub fn send(&self) -> Fallible {
        for member in &self.members {
            let socket = member.socket.as_ref().ok_or("not connected")?;
            socket.send(b"!")?;
        }
        Ok(())
    }

    /// Sends each one a signal.
    pub fn signal(&self) -> Fallible {
        for member in &self.members {
            kill(Pid::from_raw(member.child.id() as i32), Signal::SIGUSR1)?;
        }
        Ok(())
    }

    /// The pid of one.
    pub fn pid(&self, index: usize) -> u32 {
        self.members[index].child.id()
    }

    /// Gives all a task; returns when all have got to it.
    pub fn order(&mut self, task: Task) -> Fallible {
        self.round += 1;
        self.page.give(self.round, task.number());
        self.all_in("get ready", |page, all| {
            page.ready.0.wait(all, Duration::from_millis(100))
        })
    }

    /// The same; returns when each is asleep in it.
    pub fn ready(&mut self, task: Task) -> Fallible {
        self.order(task)?;
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

    /// Has those stop who work until told otherwise.
    pub fn stop(&mut self) -> Fallible {
        self.page.stop.0.fetch_add(1, Ordering::AcqRel);
        self.done()
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
        self.page.give(self.round + 1, Task::Exit.number());
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
