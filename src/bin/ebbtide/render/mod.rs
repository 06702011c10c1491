//! What people and scripts get to see.

pub mod check;
pub mod clock;
pub mod events;
pub mod json;
pub mod locks;
pub mod rendezvous;
pub mod report;
pub mod resources;
pub mod state;
pub mod status;
pub mod table;
pub mod timeline;

use std::time::Duration;

pub use ebbtide::text::{count, time};

/// A budget as it was asked for: without digits that say nothing.
pub fn budget(duration: Duration) -> String {
    if duration < Duration::from_secs(1) {
        format!("{} ms", duration.as_secs_f64() * 1e3)
    } else {
        format!("{} s", duration.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budgets_have_no_empty_digits() {
        assert_eq!(budget(Duration::from_millis(1500)), "1.5 s");
        assert_eq!(budget(Duration::from_millis(250)), "250 ms");
    }
}
