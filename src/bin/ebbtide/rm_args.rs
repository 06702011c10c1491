//! The arguments of `ebbtide rm`.

use clap::Args;

#[derive(Debug, Args)]
pub struct Rm {
    /// Names of the segments
    #[arg(required_unless_present = "unused", value_name = "NAME")]
    pub segments: Vec<String>,
    /// Also if living processes are attached; they go on by themselves
    #[arg(long)]
    pub force: bool,
    /// Remove every segment in the directory that no living process uses, also torn ones and
    /// those of an earlier boot, and temporary files of killed creators
    #[arg(long, conflicts_with_all = ["segments", "force"])]
    pub unused: bool,
}
