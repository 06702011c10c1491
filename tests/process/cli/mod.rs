//! The command, as users and scripts run it.

mod check;
mod contract;
mod dead;
mod demo;
mod event;
mod exec;
mod locks;
mod metrics;
mod ready;
mod refusals;
mod rendezvous;
mod seeing;
mod state;
mod support;
mod systemd;
#[cfg(feature = "tui")]
mod tmux;
mod tokens;
#[cfg(feature = "tui")]
mod watch;
