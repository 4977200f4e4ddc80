//! Each call has an instance of its own.

struct Mine;

#[flowhost_sdk::agent]
impl Mine {
    fn on_plan(&self) -> String {
        String::new()
    }
}

fn main() {}
