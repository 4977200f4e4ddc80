//! The host acts on the class of an error.

struct Broken;

/// Rolls.
#[flowhost_sdk::tool]
fn roll() -> Result<u8, Broken> {
    Err(Broken)
}

fn main() {}
