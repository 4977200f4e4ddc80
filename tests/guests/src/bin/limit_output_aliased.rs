//! Logs `times` fields that all lie in the same `bytes` of memory, so that the host copies far more
//! than the guest holds (DOS-016).

#![cfg_attr(target_arch = "wasm32", no_main)]

use flowhost_test_guests::host::log::{Field, Level, write};
use flowhost_test_guests::{Answer, Context, Error, answer, parse};

#[derive(serde::Deserialize)]
struct Input {
    times: usize,
    bytes: usize,
}

/// Fields that share one buffer. They are never dropped, because the buffer has one owner.
#[expect(unsafe_code, reason = "sharing a buffer between owners is the attack")]
fn aliased(buffer: &str, times: usize) -> Vec<Field> {
    let pointer = buffer.as_ptr().cast_mut();
    let field = || Field {
        key: String::new(),
        // SAFETY: pointer, length and capacity are those of a live String, and the caller forgets
        // every copy.
        value: unsafe { String::from_raw_parts(pointer, buffer.len(), buffer.len()) },
    };
    (0..times).map(|_| field()).collect()
}

fn run(_: &Context, input: &str) -> Result<Answer, Error> {
    let input: Input = parse(input)?;
    let buffer = "x".repeat(input.bytes);
    let fields = std::mem::ManuallyDrop::new(aliased(&buffer, input.times));
    write(Level::Info, "much from little", &fields);
    answer(&"written")
}

flowhost_test_guests::guest!(run);
