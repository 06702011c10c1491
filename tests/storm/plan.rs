//! What one round is to be: everything in it follows from the seed.

use std::time::Duration;

use ebbtide::{Mode, ReasonCode, ShutdownRequest};

use super::fault::Faults;
use super::ledger::{Head, Ledger};
use super::random::Random;

/// What happens in a round beside the work, the kills and the stops.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u64)]
pub enum Kind {
    /// Everything: budgets short enough to be forced, cancellations, every mode, SIGTERM.
    Mixed = 1,
    /// Nothing that may let a phase pass without a member: budgets of an hour, no
    /// cancellation, no `Immediate`, no SIGTERM. The oracles of phases are exact here.
    Patient = 2,
    /// Few workers, beside members that initiate and cancel, join and are refused, and
    /// start and end threads as fast as they can: counters and tags move at their fastest.
    /// Generations begin without waiting for anybody's books, so none are compared.
    Hammer = 3,
}

/// A budget that nobody lives to see the end of.
pub const FOREVER: Duration = Duration::from_secs(3600);
/// Shares of the budget in patient rounds, unlike the default ones.
pub const SHARES: [u16; 3] = [200, 300, 500];

#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub seed: u64,
    pub kind: Kind,
    /// The round is over after this number of kills, and not sooner.
    pub kills: u64,
    /// At least so long.
    pub length: Duration,
    pub faults: Faults,
    /// Whether members close all descriptors that they did not open.
    pub closes: bool,
    /// Whether it is shown at the end that no slot is lost, which takes a while.
    pub takes_all_slots: bool,
}

/// Processes of a round by kind: at least the first number, and at most the second more.
type People = [(usize, u64); 4];

impl Plan {
    /// Runners, initiators, reapers, joiners.
    pub fn people(&self) -> People {
        match self.kind {
            Kind::Mixed => [(3, 7), (1, 3), (1, 2), (0, 2)],
            Kind::Patient => [(3, 7), (1, 2), (1, 2), (0, 2)],
            Kind::Hammer => [(2, 3), (2, 2), (1, 1), (2, 2)],
        }
    }

    /// How many times slower than in a mixed round its processes are killed, so that they
    /// live to see what a stop of another one has led to, and how many fewer are.
    pub fn slowness(&self) -> u64 {
        match self.kind {
            Kind::Mixed => 1,
            Kind::Patient => 2,
            Kind::Hammer => 4,
        }
    }

    pub fn parties(&self) -> u64 {
        2 + Random::stream(self.seed, 3).below(2)
    }

    /// Writes down what the members are to know of it.
    pub fn publish(&self, ledger: &Ledger) {
        use std::sync::atomic::Ordering::Release;
        ledger.head(Head::Kind).store(self.kind as u64, Release);
        ledger.head(Head::Parties).store(self.parties(), Release);
        ledger.head(Head::Closes).store(self.closes.into(), Release);
        ledger.head(Head::Faults).store(self.faults.bits(), Release);
        ledger.raise(Head::Begun, 1);
        // Who stops itself is continued by the storm alone.
        let no_stops = u64::from(!self.faults.is_empty());
        ledger.head(Head::NoStops).store(no_stops, Release);
    }
}

/// What an initiator asks for in this round.
pub fn request(ledger: &Ledger, random: &mut Random) -> ShutdownRequest {
    let modes = [Mode::Graceful, Mode::Graceful, Mode::Fast, Mode::Immediate];
    let mode = modes[random.below(ledger.modes()) as usize];
    let request = ShutdownRequest::new().mode(mode);
    let timeout = match ledger.kind() {
        Kind::Patient => {
            let request = request.timeout(FOREVER).cap(2 * FOREVER);
            return request.shares(SHARES).unwrap();
        }
        _ if !ledger.faults().is_empty() => random.millis(30, 60),
        Kind::Mixed => random.millis(150, 2_000),
        Kind::Hammer => random.millis(5, 100),
    };
    request.timeout(timeout).cap(2 * timeout)
}

/// The reason of an initiator, by which a reader knows whose terms it has.
pub fn reason(process: usize) -> (ReasonCode, String) {
    (
        ReasonCode::Idle,
        format!("it storms, says process {process}"),
    )
}

/// The process that a text names.
pub fn author(text: &str) -> Option<usize> {
    text.strip_prefix("it storms, says process ")?.parse().ok()
}
