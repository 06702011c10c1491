//! A point of an operation at which a victim is killed.

/// Where a victim dies: after so many instructions, and then perhaps not before it sleeps
/// in a system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Point {
    pub after: u64,
    pub asleep: bool,
}

impl Point {
    /// In place of where a victim was killed: it went another way and came to its end.
    pub const MISSED: u64 = u64::MAX;
}

impl std::fmt::Display for Point {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{}", self.after, if self.asleep { "s" } else { "" })
    }
}

impl std::str::FromStr for Point {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self {
            after: text.trim_end_matches('s').parse()?,
            asleep: text.ends_with('s'),
        })
    }
}
