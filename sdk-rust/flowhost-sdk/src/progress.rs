//! Progress in one line. Using it makes the plugin ask for the right `log`.

/// Tells whoever waits how far the call is: `done` of `total`, and what it is at. Reports that come
/// faster than people read cost a host call each and are not shown.
///
/// ```no_run
/// for page in 0..40 {
///     flowhost_sdk::progress(f64::from(page), Some(40.0), "reading");
/// }
/// ```
pub fn progress(done: f64, total: Option<f64>, message: &str) {
    crate::host::progress::report(done, total, message);
}
