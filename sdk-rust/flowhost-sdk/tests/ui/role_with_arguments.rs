//! What a plugin needs stands in its manifest, and a trait of one's own is not needed.

struct Mine;

#[flowhost_sdk::guardrail(log = true)]
impl Mine {
    fn check() -> flowhost_sdk::Verdict {
        flowhost_sdk::Verdict::pass()
    }
}

fn main() {}
