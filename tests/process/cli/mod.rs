//! The command, as users and scripts run it.

mod contract;
mod demo;
mod exec;
mod locks;
mod refusals;
mod support;
