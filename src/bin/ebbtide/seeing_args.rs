//! The arguments of `ebbtide why`, `timeline` and `metrics`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::args::{Json, Scoped};

#[derive(Debug, Args)]
pub struct Why {
    /// Name of the segment
    pub segment: String,
    /// What this runner is at, or how it ended
    pub runner: Option<String>,
    #[command(flatten)]
    pub json: Json,
}

#[derive(Debug, Args)]
pub struct Timeline {
    #[command(flatten)]
    pub scoped: Scoped,
    /// As what
    #[arg(long, default_value = "text")]
    pub format: Format,
    /// Write it to this file
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Bars of characters
    Text,
    /// One document
    Json,
    /// Events for Perfetto or chrome://tracing
    Trace,
    /// A picture
    Svg,
}

#[derive(Debug, Args)]
pub struct Metrics {
    /// Name of the segment
    pub segment: String,
    /// Serve them over HTTP at this address until killed; port 0 is any free one
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: Option<SocketAddr>,
    /// Serve at an address that other hosts can reach; there is no authentication
    #[arg(long, requires = "listen")]
    pub expose: bool,
}
