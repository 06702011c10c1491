//! The command, as users and scripts run it.

mod contract;
mod demo;
mod event;
mod exec;
mod locks;
mod ready;
mod refusals;
mod rendezvous;
mod state;
mod support;
mod systemd;
#[cfg(feature = "tui")]
mod tmux;
#[cfg(feature = "tui")]
mod watch;
