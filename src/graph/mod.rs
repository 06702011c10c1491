//! Pure functions on small graphs: no memory, no clock, no process.

pub(crate) mod cycle;
pub(crate) mod order;
