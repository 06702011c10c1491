//! The survivor: one process that lives through all kills of an operation, and the driver's
//! end of the line to it.

use std::fmt;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::time::Duration;

use crate::harness::board::Board;
use crate::harness::fork::{self, Forked};
use crate::harness::operation::Operation;
use crate::harness::peer::{BOUND, Peer};
use crate::harness::place::{NAME, Place};

/// What the driver asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Arrange what the next victim is to find.
    Arrange,
    /// The victim has set its scene.
    Ready,
    /// The victim sleeps.
    Asleep,
    /// The victim has been sent its SIGKILL.
    Shot,
    /// The victim is gone.
    Gone,
}

impl Order {
    const ALL: [Self; 5] = [
        Self::Arrange,
        Self::Ready,
        Self::Asleep,
        Self::Shot,
        Self::Gone,
    ];

    /// Of a survivor that attaches for each kill anew.
    fn carry_out_fresh(self, place: &Place, board: &'static Board, operation: &Operation) -> Done {
        if self != Self::Gone {
            return Done::default();
        }
        let mut peer = Peer::enter(place, board);
        peer.prepare();
        peer.goes_on();
        peer.finds_nothing(operation);
        let done = Done {
            told: peer.told,
            longest: peer.longest,
        };
        drop(peer);
        place
            .options()
            .remove(NAME, false)
            .expect("nobody is attached");
        let left: Vec<_> = std::fs::read_dir(place.segments()).map_or_else(
            |_| Vec::new(),
            |entries| entries.flatten().map(|entry| entry.path()).collect(),
        );
        assert!(left.is_empty(), "left behind: {left:?}");
        done
    }

    fn carry_out(self, peer: &mut Peer, operation: &Operation) -> Done {
        (peer.told, peer.longest) = (0, Duration::ZERO);
        match self {
            Self::Arrange => {
                peer.prepare();
                (operation.arrange)(peer);
            }
            Self::Ready => (operation.ready)(peer),
            Self::Asleep => (operation.asleep)(peer),
            Self::Shot => peer.goes_on(),
            Self::Gone => peer.finds_nothing(operation),
        }
        Done {
            told: peer.told,
            longest: peer.longest,
        }
    }
}

/// The answer to an order that was carried out.
#[derive(Clone, Copy, Debug, Default)]
pub struct Done {
    /// Locks taken over with the word that their owner died.
    pub told: u32,
    /// The longest that anything took.
    pub longest: Duration,
}

/// The survivor found something wrong, or was not heard of in time.
#[derive(Clone, Debug)]
pub struct Violation {
    pub what: String,
    pub is_hang: bool,
}

impl Violation {
    pub fn of(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            is_hang: false,
        }
    }

    pub fn hang(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            is_hang: true,
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_hang {
            "hang: "
        } else {
            "violation: "
        })?;
        f.write_str(&self.what)
    }
}

/// The survivor's process, seen from the driver.
#[derive(Debug)]
pub struct Survivor {
    line: BufReader<UnixStream>,
    _process: Forked,
}

/// What panics said, in all threads of a survivor.
static SAID: Mutex<Vec<String>> = Mutex::new(Vec::new());

impl Survivor {
    /// Forks a survivor and waits until it is attached.
    pub fn start(place: &Place, board: &'static Board, operation: Operation) -> Self {
        let (ours, theirs) = UnixStream::pair().expect("a pair of sockets");
        let process = fork::run(|| serve(theirs, place, board, &operation));
        // Longer than anything it does may take; so what does not answer hangs.
        ours.set_read_timeout(Some(3 * BOUND)).expect("a timeout");
        let mut survivor = Self {
            line: BufReader::new(ours),
            _process: process,
        };
        survivor
            .answer(Order::Arrange)
            .expect("the survivor attaches");
        survivor
    }

    /// Has something done.
    pub fn ask(&mut self, order: Order) -> Result<Done, Violation> {
        self.tell(order);
        self.answer(order)
    }

    /// Says something; the answer is to be read later.
    pub fn tell(&mut self, order: Order) {
        let at = Order::ALL.iter().position(|each| *each == order);
        // If it has ended, the answer will be missing.
        let _ = self.line.get_mut().write_all(&[at.unwrap_or(0) as u8]);
    }

    /// The answer to what it was told.
    pub fn answer(&mut self, order: Order) -> Result<Done, Violation> {
        let mut text = String::new();
        let read = self.line.read_line(&mut text);
        if read.is_err() {
            return Err(Violation::hang(format!("no answer to {order:?}")));
        }
        let mut words = text.trim_end().split('\t');
        match (words.next(), words.next(), words.next()) {
            (Some("done"), Some(told), Some(longest)) => Ok(Done {
                told: told.parse().unwrap_or(0),
                longest: Duration::from_micros(longest.parse().unwrap_or(0)),
            }),
            (Some("wrong"), Some(what), _) => Err(Violation::of(what)),
            _ => Err(Violation::of(format!("it ended at {order:?}: {text:?}"))),
        }
    }
}

fn serve(line: UnixStream, place: &Place, board: &'static Board, operation: &Operation) {
    std::panic::set_hook(Box::new(|panic| {
        if let Ok(mut said) = SAID.lock() {
            said.push(panic.to_string());
        }
    }));
    let mut out = line.try_clone().expect("a descriptor");
    let mut line = line;
    let entered = catch_unwind(AssertUnwindSafe(|| {
        (!operation.fresh).then(|| Peer::enter(place, board))
    }));
    let Ok(mut peer) = entered else {
        let _ = writeln!(out, "{}", wrong());
        return;
    };
    let _ = writeln!(out, "done\t0\t0");
    let mut byte = [0];
    while line.read_exact(&mut byte).is_ok() {
        let order = Order::ALL[usize::from(byte[0])];
        let done = catch_unwind(AssertUnwindSafe(|| match &mut peer {
            Some(peer) => order.carry_out(peer, operation),
            None => order.carry_out_fresh(place, board, operation),
        }));
        let answer = match &done {
            Ok(done) => format!("done\t{}\t{}", done.told, done.longest.as_micros()),
            Err(_) => wrong(),
        };
        if writeln!(out, "{answer}").is_err() || done.is_err() {
            // What it holds is not to be given back in order.
            std::process::exit(1);
        }
    }
}

/// What went wrong, in one line.
fn wrong() -> String {
    let said = SAID.lock().map(|said| said.join(" / ")).unwrap_or_default();
    format!("wrong\t{}", said.replace(['\t', '\n'], " "))
}
