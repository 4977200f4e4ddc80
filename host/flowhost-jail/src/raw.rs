//! The system calls that have no safe form: each takes numbers only, and changes nothing that a value of
//! Rust could stand for.

use std::io;

/// Whatever descriptor is open beside the three of standard streams is closed when a program begins:
/// Landlock looks at what is opened from now on, not at what is open.
pub(crate) fn close_others_at_exec() -> io::Result<()> {
    #[expect(
        unsafe_code,
        reason = "sets a flag on descriptors and closes none, so that no owner of one is surprised"
    )]
    // SAFETY: see the reason above.
    let done = unsafe { libc::close_range(3, libc::c_uint::MAX, CLOEXEC) };
    outcome(done)
}

/// `CLOSE_RANGE_CLOEXEC` as the call takes it.
const CLOEXEC: libc::c_int = 4;

/// Locks out whatever an administrator's id would bring: no program that begins from here on has a power
/// over its namespaces, and none can get one back.
pub(crate) fn give_up_powers() -> io::Result<()> {
    // First: nothing that begins from here on gains anything from a set-user-id bit, and the kernel
    // takes filters from a plain user only then.
    control(libc::PR_SET_NO_NEW_PRIVS, 1)?;
    control(libc::PR_SET_SECUREBITS, SECURE_BITS)?;
    // The bounding set, so that no file's capabilities give one back.
    for capability in 0..CAPABILITIES_MAX {
        match control(libc::PR_CAPBSET_DROP, capability) {
            Ok(()) => {}
            // A kernel that does not know it gives it to nobody.
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => break,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// More than any kernel has: they are the bits of 64.
const CAPABILITIES_MAX: libc::c_ulong = 64;

/// `SECBIT_NOROOT`, `SECBIT_NO_SETUID_FIXUP` and `SECBIT_NO_CAP_AMBIENT_RAISE`, each with its lock, and the
/// lock of `SECBIT_KEEP_CAPS`.
const SECURE_BITS: libc::c_ulong = 0b1110_1111;

fn control(option: libc::c_int, value: libc::c_ulong) -> io::Result<()> {
    const NONE: libc::c_ulong = 0;
    #[expect(
        unsafe_code,
        reason = "the options that are used here take numbers and give up what this process could do"
    )]
    // SAFETY: see the reason above.
    let done = unsafe { libc::prctl(option, value, NONE, NONE, NONE) };
    outcome(done)
}

fn outcome(done: libc::c_int) -> io::Result<()> {
    match done {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
