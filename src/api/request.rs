//! What an initiator asks for.

use std::time::Duration;

use crate::error::CoordinationError;
use crate::limits;
use crate::phase::{Mode, ReasonCode};
use crate::table::control::Ask;
use crate::table::request::Terms;

/// What is shut down.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Scope {
    /// Every runner of the segment.
    All,
    /// The runner of this id, and nothing of any other.
    Runner(String),
}

impl Scope {
    /// The scope of one runner.
    pub fn runner(id: impl Into<String>) -> Self {
        Self::Runner(id.into())
    }
}

/// A request to shut down, by a builder.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use ebbtide::{Mode, ReasonCode, ShutdownRequest};
///
/// let request = ShutdownRequest::new()
///     .timeout(Duration::from_secs(10))
///     .mode(Mode::Fast)
///     .reason(ReasonCode::Upgrade, "version 12 takes over");
/// # let _ = request;
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct ShutdownRequest {
    timeout: Duration,
    cap: Option<Duration>,
    mode: Mode,
    code: ReasonCode,
    text: String,
    shares: [u16; 3],
}

impl Default for ShutdownRequest {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(30),
            cap: None,
            mode: Mode::Graceful,
            code: ReasonCode::Requested,
            text: String::new(),
            shares: limits::DEFAULT_SHARES,
        }
    }
}

impl ShutdownRequest {
    /// A graceful shutdown within 30 seconds.
    pub fn new() -> Self {
        Self::default()
    }

    /// The one budget for all three phases together. Default 30 s; at most 49.7 days
    /// (longer ones are cut to that). Counted in whole milliseconds, rounded up, and then
    /// rounded down to four digits: a budget of up to 8.191 s is exact to the millisecond,
    /// one of up to 81.91 s to ten, and so on. So usual budgets (90 s, 2.5 s, 10 min) are
    /// exact, and no other is shortened by more than 0.12 %.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Up to where extensions may stretch the whole. Default: the timeout, so that
    /// an extension can only give a phase time that later phases then lack. Exact to the
    /// millisecond up to 35 minutes, beyond that rounded down to six digits.
    pub fn cap(mut self, cap: Duration) -> Self {
        self.cap = Some(cap);
        self
    }

    /// How hard. Default [`Mode::Graceful`].
    pub fn mode(mut self, mode: Mode) -> Self {
        self.mode = mode;
        self
    }

    /// Why. The text is cut to 120 bytes. Default [`ReasonCode::Requested`], no text.
    pub fn reason(mut self, code: ReasonCode, text: impl Into<String>) -> Self {
        self.code = code;
        self.text = text.into();
        self
    }

    /// Shares of the budget for Signaling, Draining and Closing in per mille. What one
    /// phase leaves the next inherits. Default 100, 600, 300.
    ///
    /// # Errors
    /// [`CoordinationError::Shares`] when they do not sum to 1000.
    pub fn shares(mut self, shares: [u16; 3]) -> Result<Self, CoordinationError> {
        let sum: u32 = shares.iter().map(|share| u32::from(*share)).sum();
        if sum != 1000 {
            return Err(CoordinationError::Shares { sum });
        }
        self.shares = shares;
        Ok(self)
    }

    pub(crate) fn ask(&self) -> Ask {
        Ask {
            mode: self.mode,
            code: self.code,
            budget_millis: millis(self.timeout) as u32,
        }
    }

    pub(crate) fn terms(&self) -> Terms {
        Terms {
            shares: self.shares,
            cap_millis: self.cap.map_or(0, millis),
            pid: std::process::id(),
        }
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }
}

/// Whole milliseconds, rounded up, at most the longest budget.
fn millis(duration: Duration) -> u64 {
    let micros = duration.as_micros().div_ceil(1000);
    u64::try_from(micros)
        .unwrap_or(u64::MAX)
        .min(limits::MAX_BUDGET_MILLIS)
}
