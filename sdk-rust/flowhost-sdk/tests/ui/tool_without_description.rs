//! A tool that nobody could choose.

#[flowhost_sdk::tool]
fn roll() -> u8 {
    6
}

flowhost_sdk::export_tools!(roll);

fn main() {}
