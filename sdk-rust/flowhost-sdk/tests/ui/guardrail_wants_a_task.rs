//! A guardrail is handed no task.

struct Mine;

#[flowhost_sdk::guardrail]
impl Mine {
    fn check(task: &flowhost_sdk::Task) -> flowhost_sdk::Verdict {
        drop(task);
        flowhost_sdk::Verdict::pass()
    }
}

fn main() {}
