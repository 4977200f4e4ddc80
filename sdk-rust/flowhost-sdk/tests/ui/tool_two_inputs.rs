//! A tool has one input.

/// Adds.
#[flowhost_sdk::tool]
fn add(one: u8, other: u8) -> u8 {
    one + other
}

/// Counts.
#[flowhost_sdk::tool]
fn count(text: &str) -> usize {
    text.len()
}

fn main() {}
