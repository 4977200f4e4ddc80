//! Log lines as macros. Using one makes the plugin ask for the right `log`.

/// Writes a log line with a level and optional `key = value` fields after the message.
///
/// ```no_run
/// flowhost_sdk::log!(Info, "read a folder", files = 12, path = "/docs");
/// ```
#[macro_export]
macro_rules! log {
    ($level:ident, $message:expr $(, $key:ident = $value:expr)* $(,)?) => {
        $crate::host::log::write(
            $crate::host::log::Level::$level,
            &::std::string::ToString::to_string(&$message),
            &[$($crate::host::log::Field {
                key: ::std::string::String::from(stringify!($key)),
                value: ::std::string::ToString::to_string(&$value),
            }),*],
        )
    };
}
