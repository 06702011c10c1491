//! `ebbtide man`: the manual, in roff.

use clap::CommandFactory;

use crate::args::{Cli, Man};
use crate::exit::{Code, Failure};
use crate::output;

pub fn run(args: &Man) -> Result<Code, Failure> {
    let mut whole = Cli::command();
    whole.build();
    let command = match &args.command {
        None => whole,
        Some(name) => whole
            .get_subcommands()
            .find(|command| command.get_name() == name && !command.is_hide_set())
            .cloned()
            .map(|command| command.display_name(format!("ebbtide-{name}")))
            .ok_or_else(|| Failure::new(Code::Usage, format!("there is no command {name:?}")))?,
    };
    let mut page = Vec::new();
    clap_mangen::Man::new(command)
        .render(&mut page)
        .map_err(|error| Failure::because("cannot render the manual", &error))?;
    output::emit(&String::from_utf8_lossy(&page))?;
    Ok(Code::Done)
}
