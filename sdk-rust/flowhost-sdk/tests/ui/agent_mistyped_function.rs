//! A function that the host never calls.

struct Mine;

#[flowhost_sdk::agent]
impl Mine {
    fn on_paln(input: String) -> String {
        input
    }
}

fn main() {}
