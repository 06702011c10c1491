//! The arguments, their help, and nothing else.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use nix::sys::signal::Signal;

use ebbtide::{Mode, Scope};

use crate::event_args::Event;
use crate::rm_args::Rm;
use crate::seeing_args::{Format, Metrics, Timeline, Why};
use crate::status_args::StatusArgs;
use crate::{duration, signal};

const EXIT_CODES: &str = "\
Exit codes:
  0  all completed, or the question was answered
  1  anything that has no code of its own
  2  wrong usage
  3  no such segment, runner or key
  4  a deadline or --timeout passed with laggards
  5  a runner died or failed, all others completed; `check`: the dead left something
  6  the segment is refused: foreign, torn, or of another layout or boot; `check`: broken
  7  too late, or nothing to cancel; `begin`: a shutdown is on; `timeline`: there was none
  `exec` ends as its COMMAND does: with its status, or 128 + the signal that killed it.

Durations have a unit: 500ms, 1.5s, 2m, 1h.
With --json standard output is exactly one JSON document, also for an error:
{\"error\":{\"kind\",\"message\",\"code\"}}. Messages go to standard error.

Environment:
  EBBTIDE_DIR       directory of the segments (default /dev/shm/ebbtide-<uid>)
  EBBTIDE_LIVENESS  auto, or portable: notice deaths by file locks only
  NO_COLOR          no colours, as when standard output is not a terminal";

/// Ordered, crash-proof shutdown of cooperating processes on one host.
#[derive(Debug, Parser)]
#[command(name = "ebbtide", version, after_help = EXIT_CODES, max_term_width = 100)]
pub struct Cli {
    /// Directory of the segments, as EBBTIDE_DIR
    #[arg(long, global = true, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Begin the next generation after a shutdown, so that runners may join
    Begin(Status),
    /// Start real processes with real work, shut them down, and show what happened
    Demo(Demo),
    /// Run any program as a runner: tell it by a signal, and wait for its end
    #[command(after_help = EXEC_HELP)]
    Exec(Exec),
    /// Show who holds and wants which lock, and which are taken in conflicting orders
    Locks(Locks),
    /// List the segments
    Ls(Json),
    /// Show phase, time left, who blocks, and all runners
    #[command(after_help = crate::status_args::HELP)]
    Status(StatusArgs),
    /// Explain who blocks and why, and what the last shutdown spent its time on
    Why(Why),
    /// Draw the present or last shutdown: text, JSON, trace or picture
    Timeline(Timeline),
    /// Print numbers for monitors in the Prometheus text format, or serve them
    Metrics(Metrics),
    /// Shut all runners down, or one, and wait for the outcome
    Shutdown(Shutdown),
    /// Call a shutdown off; possible until Closing begins
    Cancel(Scoped),
    /// Wait until a shutdown is complete, whoever began it
    Wait(Wait),
    /// Set events, wait for them, list them
    Event(Event),
    /// Check every invariant of a segment, in use or not
    Check(Check),
    /// Free what dead processes have left in the tables
    Reap(Reap),
    /// Remove segments that no living process uses
    Rm(Rm),
    /// Print a value of the shared state, as it is
    Get(Get),
    /// Put a value into the shared state
    Set(Set),
    /// Delete keys of the shared state, all at once
    Del(Del),
    /// List the keys of the shared state
    Keys(Status),
    /// Print a key of the shared state, if it is there, and again at every change
    Watch(Watch),
    /// Print a shell completion script
    Completions(Completions),
    /// Print the manual page, or that of one command
    Man(Man),
    /// One process of the demo
    #[command(hide = true)]
    DemoRunner(DemoRunner),
}

const EXEC_HELP: &str = "\
The program needs no change. It is told with the signal and awaited: its end acknowledges
Draining, and its exit status becomes the outcome and the last words. One that is not done
after --grace (or when the phase runs out) is a laggard, shown by `ebbtide status`; it is
killed only if the mode of the shutdown is `immediate`, in which Draining has a second; also
after the deadline, by `ebbtide shutdown --mode immediate`.

A program that was told cannot be untold: if the shutdown is cancelled meanwhile, it is
simply awaited. SIGTERM and SIGINT to `exec` itself shut this one runner down; each further
one hardens the mode.

The program finds the segment's token in EBBTIDE_SEGMENT and its directory in EBBTIDE_DIR.";

#[derive(Debug, Args)]
pub struct Demo {
    /// How many processes
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub runners: u16,
    /// How many generations, one after another, in the same segment
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub rounds: u16,
    /// Kill K of them (SIGKILL) at random moments during the shutdown
    #[arg(long, value_name = "K", default_value_t = 0)]
    pub kill: u16,
    /// Freeze K of them (SIGSTOP) at random moments during the shutdown
    #[arg(long, value_name = "K", default_value_t = 0)]
    pub stop: u16,
    /// Let K of them hang: they never finish their last item
    #[arg(long, value_name = "K", default_value_t = 0)]
    pub hang: u16,
    /// The budget of the whole shutdown
    #[arg(long, default_value = "5s", value_parser = duration::parse)]
    pub timeout: Duration,
    #[command(flatten)]
    pub json: Json,
}

#[derive(Debug, Args)]
pub struct DemoRunner {
    #[arg(long)]
    pub segment: String,
    #[arg(long)]
    pub runner: String,
    #[arg(long)]
    pub workers: usize,
    /// Holds an item that never ends
    #[arg(long)]
    pub hold: bool,
    /// Never acknowledges Draining
    #[arg(long)]
    pub hang: bool,
}

#[derive(Debug, Args)]
pub struct Exec {
    /// Name of the segment; made if it does not exist
    pub segment: String,
    /// The id to register the program under
    #[arg(long, value_name = "ID")]
    pub runner: String,
    /// The signal that tells the program to end
    #[arg(long, value_name = "SIGNAL", default_value = "TERM", value_parser = signal::parse)]
    pub term_signal: Signal,
    /// How long it may take after that before mode `immediate` (a second a phase) kills it
    #[arg(long, default_value = "10s", value_parser = duration::parse)]
    pub grace: Duration,
    /// Tell a service manager (systemd) how it stands, if NOTIFY_SOCKET is set
    #[arg(long)]
    pub notify: bool,
    /// The program and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}

#[derive(Clone, Copy, Debug, Args)]
pub struct Json {
    /// Print one JSON document instead of text
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct Status {
    /// Name of the segment
    pub segment: String,
    #[command(flatten)]
    pub json: Json,
}

#[derive(Debug, Args)]
pub struct Locks {
    /// Name of the segment
    pub segment: String,
    /// Print the wait-for graph in the DOT language, for Graphviz
    #[arg(long, conflicts_with = "json")]
    pub dot: bool,
    #[command(flatten)]
    pub json: Json,
}

#[derive(Debug, Args)]
pub struct Scoped {
    /// Name of the segment
    pub segment: String,
    /// Only this runner
    #[arg(long, value_name = "ID")]
    pub runner: Option<String>,
}

impl Scoped {
    pub fn scope(&self) -> Scope {
        match &self.runner {
            Some(id) => Scope::runner(id),
            None => Scope::All,
        }
    }
}

#[derive(Debug, Args)]
pub struct Shutdown {
    #[command(flatten)]
    pub scoped: Scoped,
    /// The budget of the whole shutdown; an earlier deadline stands
    #[arg(long, default_value = "30s", value_parser = duration::parse)]
    pub timeout: Duration,
    /// How hard; a harder one under way stands. After the deadline: for the runners that live on
    #[arg(long, default_value = "graceful")]
    pub mode: HowHard,
    /// Why, for everybody to read; the first reason given stands
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub reason: String,
    /// Wait for the outcome, which is the exit code; the default
    #[arg(long, overrides_with = "no_wait")]
    pub wait: bool,
    /// Return at once
    #[arg(long, overrides_with = "wait")]
    pub no_wait: bool,
    #[command(flatten)]
    pub json: Json,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum HowHard {
    /// In-flight work is finished
    Graceful,
    /// In-flight work is asked to stop early
    Fast,
    /// In-flight work is not waited for, each phase has a second at most; `exec` kills its
    /// program after --grace
    Immediate,
}

impl From<HowHard> for Mode {
    fn from(mode: HowHard) -> Self {
        match mode {
            HowHard::Graceful => Self::Graceful,
            HowHard::Fast => Self::Fast,
            HowHard::Immediate => Self::Immediate,
        }
    }
}

#[derive(Debug, Args)]
pub struct Wait {
    #[command(flatten)]
    pub scoped: Scoped,
    /// How long to wait
    #[arg(long, default_value = "30s", value_parser = duration::parse)]
    pub timeout: Duration,
    #[command(flatten)]
    pub json: Json,
}

#[derive(Debug, Args)]
pub struct Check {
    /// Name of the segment
    pub segment: String,
    /// Settle what the dead left, and tell what that did; harms nobody who lives
    #[arg(long)]
    pub repair: bool,
    #[command(flatten)]
    pub json: Json,
}

#[derive(Debug, Args)]
pub struct Reap {
    /// Name of the segment; all if left out
    pub segment: Option<String>,
}

#[derive(Debug, Args)]
pub struct Get {
    /// Name of the segment
    pub segment: String,
    /// The key
    pub key: String,
    #[command(flatten)]
    pub json: Json,
}

#[derive(Debug, Args)]
pub struct Set {
    /// Name of the segment; made if it does not exist
    pub segment: String,
    /// The key, of at most 64 bytes
    pub key: String,
    /// The value, of at most 1024 bytes; `-` or nothing: what standard input has
    pub value: Option<OsString>,
}

#[derive(Debug, Args)]
pub struct Del {
    /// Name of the segment
    pub segment: String,
    /// The keys
    #[arg(required = true)]
    pub keys: Vec<String>,
}

#[derive(Debug, Args)]
pub struct Watch {
    /// Name of the segment
    pub segment: String,
    /// The key
    pub key: String,
    /// End after so many lines; a deletion is an empty one
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub count: Option<u64>,
    /// How long to wait for each change; for ever if left out
    #[arg(long, value_parser = duration::parse)]
    pub timeout: Option<Duration>,
    /// Print one JSON document per line and change
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct Completions {
    /// The shell
    pub shell: clap_complete::Shell,
}

#[derive(Debug, Args)]
pub struct Man {
    /// One command's page
    pub command: Option<String>,
}

impl Command {
    /// Whether standard output is to be one JSON document.
    pub fn wants_json(&self) -> bool {
        match self {
            Self::Demo(args) => args.json.json,
            Self::Check(args) => args.json.json,
            Self::Locks(args) => args.json.json,
            Self::Ls(args) => args.json,
            Self::Status(args) => args.json.json,
            Self::Begin(args) | Self::Keys(args) => args.json.json,
            Self::Shutdown(args) => args.json.json,
            Self::Wait(args) => args.json.json,
            Self::Get(args) => args.json.json,
            Self::Watch(args) => args.json,
            Self::Event(args) => args.wants_json(),
            Self::Why(args) => args.json.json,
            Self::Timeline(args) => args.out.is_none() && args.format == Format::Json,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_arguments_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_exit_code_is_in_the_help() {
        let help = Cli::command().render_help().to_string();
        for code in 0..=7 {
            assert!(help.contains(&format!("\n  {code}  ")), "{code}");
        }
    }
}
