//! `ebbtide completions`: a script for the shell.

use clap::CommandFactory;

use crate::args::{Cli, Completions};
use crate::exit::{Code, Failure};
use crate::output;

pub fn run(args: &Completions) -> Result<Code, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "ebbtide", &mut script);
    output::emit(&String::from_utf8_lossy(&script))?;
    Ok(Code::Done)
}
