//! The compile child as an executable of its own: what `flowhost __compile` is, for the tests.

use std::process::ExitCode;

fn main() -> ExitCode {
    flowhost_engine::compile_child_main()
}
