//! A word that no attribute has, and one with a value that it cannot have.

/// Rolls.
#[flowhost_sdk::tool(efects = "none")]
fn roll() -> u8 {
    6
}

/// Rolls again.
#[flowhost_sdk::tool(effects = "nothing")]
fn again() -> u8 {
    6
}

fn main() {}
