//! An agent does the work of steps.

struct Mine;

#[flowhost_sdk::agent]
impl Mine {
    fn on_start(config: String) {
        drop(config);
    }
}

fn main() {}
