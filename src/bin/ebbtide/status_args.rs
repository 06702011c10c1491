//! The arguments of `ebbtide status`.

use clap::Args;

use crate::args::Json;

pub const HELP: &str = "\
With --ready nothing but the exit code is the answer, with one line about it:
  0  the segment exists, the group is running, and all runners asked for have joined
  3  there is no such segment, or a runner asked for is not there or dead
  6  the segment is refused
  7  a shutdown is under way or over, of all or of a runner asked for";

#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Name of the segment
    pub segment: String,
    /// Show it live, with keys to act (`?` tells them); needs a terminal
    #[cfg(feature = "tui")]
    #[arg(long, conflicts_with_all = ["json", "ready"])]
    pub watch: bool,
    /// Only say whether it is ready for work, by the exit code
    #[arg(long)]
    pub ready: bool,
    /// With --ready: this runner has joined; may be repeated
    #[arg(long, value_name = "ID", requires = "ready")]
    pub runner: Vec<String>,
    /// With --ready: at least so many runners have joined
    #[arg(long, value_name = "N", requires = "ready", default_value_t = 0)]
    pub min: usize,
    #[command(flatten)]
    pub json: Json,
}
