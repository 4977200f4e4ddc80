//! Where the validator's hash maps get their seed: a constant. Inside the sandbox there is no entropy,
//! a guardrail must judge the same value the same way every time, and a flood of colliding keys is
//! stopped by fuel and not by a secret seed.

use getrandom_03::Error;

/// The name that getrandom 0.3 looks for with its backend `custom`.
#[expect(unsafe_code, reason = "getrandom's hook is a raw function")]
#[unsafe(no_mangle)]
unsafe extern "Rust" fn __getrandom_v03_custom(to: *mut u8, length: usize) -> Result<(), Error> {
    // SAFETY: the caller hands over `length` writable bytes at `to`.
    unsafe { to.write_bytes(0x5c, length) };
    Ok(())
}
