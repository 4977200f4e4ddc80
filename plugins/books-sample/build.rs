//! Writes the component's list of tools from `plugin.toml`.

fn main() -> Result<(), flowhost_sdk_build::Error> {
    flowhost_sdk_build::generate()
}
