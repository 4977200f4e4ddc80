//! Host functions wait by themselves.

/// Rolls.
#[flowhost_sdk::tool]
async fn roll() -> u8 {
    6
}

fn main() {}
