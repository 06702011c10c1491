//! What the view wakes up for, as descriptors to be polled beside the keyboard.

use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Wake;
use std::thread;
use std::time::Duration;

use ebbtide::Observer;
use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGTERM, SIGTSTP, SIGWINCH};
use signal_hook::flag;
use signal_hook::low_level::pipe;

/// Between two wake-ups by the segment: more pages than this nobody can see.
const BREATH: Duration = Duration::from_millis(50);
/// How long the waiting thread sleeps at a time. Nothing depends on it: it is woken by
/// every change.
const SLEEP: Duration = Duration::from_secs(60);

/// The reading end of a pair of which writing never blocks.
pub struct Bell {
    reader: UnixStream,
    writer: UnixStream,
}

impl Bell {
    pub fn new() -> io::Result<Self> {
        let (reader, writer) = UnixStream::pair()?;
        reader.set_nonblocking(true)?;
        writer.set_nonblocking(true)?;
        Ok(Self { reader, writer })
    }

    /// One that each of these signals rings, in place of what it does else.
    fn of(signals: &[i32]) -> io::Result<Self> {
        let bell = Self::new()?;
        for signal in signals {
            pipe::register(*signal, bell.writer.try_clone()?)?;
        }
        Ok(bell)
    }

    pub fn ringer(&self) -> io::Result<Ringer> {
        self.writer.try_clone().map(Ringer)
    }

    /// Whether it has rung since it was asked last.
    pub fn has_rung(&self) -> bool {
        let mut has_rung = false;
        let mut buffer = [0; 64];
        loop {
            match (&self.reader).read(&mut buffer) {
                // Its other end is here as well, so it has none.
                Ok(0) => return has_rung,
                Ok(_) => has_rung = true,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return has_rung,
            }
        }
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.reader.as_fd()
    }
}

/// Rings a bell, from any thread.
pub struct Ringer(UnixStream);

impl Ringer {
    fn ring(&self) {
        // Full: it rings already.
        let _ = (&self.0).write(&[1]);
    }
}

impl Wake for Ringer {
    fn wake(self: Arc<Self>) {
        self.ring();
    }
}

/// The signals that concern a terminal program.
pub struct Signals {
    /// SIGTERM, SIGINT (of `kill`; the key is a key), SIGHUP.
    end: Bell,
    /// Which of them came last; 0 for none.
    ended_by: Arc<AtomicUsize>,
    /// SIGTSTP (likewise).
    pub stop: Bell,
    /// SIGCONT.
    pub go_on: Bell,
    /// SIGWINCH.
    pub size: Bell,
}

impl Signals {
    pub fn install() -> io::Result<Self> {
        let ended_by = Arc::new(AtomicUsize::new(0));
        for (signal, value) in ENDS.iter().zip(1..) {
            flag::register_usize(*signal, Arc::clone(&ended_by), value)?;
        }
        Ok(Self {
            // After the flags, which are set before it rings then.
            end: Bell::of(&ENDS)?,
            ended_by,
            stop: Bell::of(&[SIGTSTP])?,
            go_on: Bell::of(&[SIGCONT])?,
            size: Bell::of(&[SIGWINCH])?,
        })
    }
}

impl Signals {
    /// The signal that asks the view to end.
    pub fn end(&self) -> Option<i32> {
        let index = self.ended_by.load(Ordering::Acquire).checked_sub(1)?;
        ENDS.get(index).copied()
    }

    /// What rings when one does.
    pub fn end_bell(&self) -> &Bell {
        &self.end
    }
}

/// The signals that end the view.
const ENDS: [i32; 3] = [SIGTERM, SIGINT, SIGHUP];

/// Rings whenever the group's phase or mode changes, from a thread that sleeps on the
/// segment itself and ends with the process.
pub fn listen(observer: &Arc<Observer>, ringer: Ringer) -> io::Result<()> {
    let observer = Arc::clone(observer);
    let body = move || {
        // What cannot be read is told by the view itself, which reads the same.
        while let Ok(status) = observer.status() {
            match observer.wait_for_change(status.phase, status.mode, SLEEP) {
                Ok(true) => ringer.ring(),
                Ok(false) => continue,
                Err(_) => break,
            }
            thread::sleep(BREATH);
        }
        ringer.ring();
    };
    thread::Builder::new()
        .name("ebbtide-watch".into())
        .spawn(body)
        .map(drop)
}
