//! The command, as users and scripts run it.

mod contract;
mod demo;
mod exec;
mod refusals;
mod state;
mod support;
