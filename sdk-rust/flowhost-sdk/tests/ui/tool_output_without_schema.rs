//! Whoever goes by an output must know its form.

#[derive(serde::Serialize)]
struct Rolled {
    eyes: u8,
}

/// Rolls.
#[flowhost_sdk::tool]
fn roll() -> Rolled {
    Rolled { eyes: 6 }
}

fn main() {}
