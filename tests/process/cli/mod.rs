//! The command, as users and scripts run it.

mod check;
mod contract;
mod demo;
mod event;
mod exec;
mod locks;
mod refusals;
mod rendezvous;
mod state;
mod support;
