//! wip
use crate::folders::Folders;
pub(super) fn run(_: &Folders) -> anyhow::Result<()> { Ok(()) }
