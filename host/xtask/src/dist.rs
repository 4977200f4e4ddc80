//! wip
pub(crate) fn run(_: &crate::folders::Folders) -> anyhow::Result<()> { Ok(()) }
