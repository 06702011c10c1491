//! Pure functions on graphs: no segment, no clock, nothing shared.

pub(crate) mod order;
