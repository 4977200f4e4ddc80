//! wip
use crate::folders::Folders;
/// wip
#[derive(clap::Args)]
pub(crate) struct Options {}
pub(crate) fn run(_: &Folders, _: &Options) -> anyhow::Result<()> { Ok(()) }
