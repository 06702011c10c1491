//! The arguments of `ebbtide event`.

use std::time::Duration;

use clap::{Args, Subcommand};

use ebbtide::EventKind;

use crate::args::{Json, Status};
use crate::duration;

#[derive(Debug, Args)]
pub struct Event {
    #[command(subcommand)]
    pub action: Action,
}

#[derive(Debug, Subcommand)]
pub enum Action {
    /// Set an event, and say something by it; prints its sequence number
    Set(Set),
    /// Wait until one of the events is set; prints its name
    Wait(Wait),
    /// List the events and what was said last
    List(Status),
}

#[derive(Debug, Args)]
pub struct Set {
    /// Name of the segment
    pub segment: String,
    /// Name of the event; made, manual-reset, if it does not exist
    pub name: String,
    /// shutdown, resource-ready, cleanup-complete, error or custom-N
    #[arg(long, value_name = "KIND", default_value = "custom-0")]
    pub kind: EventKind,
    /// What to say, up to 256 bytes
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub payload: String,
}

#[derive(Debug, Args)]
pub struct Wait {
    /// Name of the segment
    pub segment: String,
    /// Names of the events, up to 128; made, manual-reset, if they do not exist
    #[arg(required = true)]
    pub names: Vec<String>,
    /// How long to wait
    #[arg(long, default_value = "30s", value_parser = duration::parse)]
    pub timeout: Duration,
    #[command(flatten)]
    pub json: Json,
}

impl Event {
    /// Whether standard output is to be one JSON document.
    pub fn wants_json(&self) -> bool {
        match &self.action {
            Action::List(Status {
                json: Json { json },
                ..
            }) => *json,
            Action::Wait(args) => args.json.json,
            Action::Set(_) => false,
        }
    }
}
