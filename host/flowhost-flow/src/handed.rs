//! How much a plan may hand on at once: to a step, in a message, as the outputs of the run.
//!
//! Outputs of steps are bounded one by one, but a plan can put many into one value: twenty of 1 MiB were more than a
//! record takes, and the run had no end on record. Found before it is sent, it is the plan's fault and says so.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::Value;

use crate::expr::EvalError;

/// Bytes of one value as JSON: the 16 MiB of an envelope and of a record's payload, less 1 MiB for what stands
/// around it there, of which a plan's text is the largest part.
pub(crate) const HANDED_BYTES_MAX: usize = 15 << 20;

/// Bytes that may still be handed on.
#[derive(Debug)]
pub(crate) struct Room(usize);

impl Room {
    pub(crate) const fn new() -> Self {
        Self(HANDED_BYTES_MAX)
    }

    /// Gives the value back where it has room, which it takes.
    pub(crate) fn fit(&mut self, value: Value) -> Result<Value, EvalError> {
        match self.takes(&value) {
            true => Ok(value),
            false => Err(EvalError::Large),
        }
    }

    /// Takes the room of a value; false where it has none.
    fn takes(&mut self, value: &impl Serialize) -> bool {
        serde_json::to_writer(self, value).is_ok()
    }
}

impl Write for &mut Room {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.0.checked_sub(bytes.len()) {
            Some(left) => self.0 = left,
            None => return Err(io::ErrorKind::FileTooLarge.into()),
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_takes_what_it_has_as_json() {
        let mut room = Room::new();
        // Each takes six bytes as JSON.
        let controls = "\u{1}".repeat(HANDED_BYTES_MAX / 6 - 1);
        assert!(room.takes(&controls));
        assert!(!room.takes(&"twelve bytes"));
        assert!(!Room::new().takes(&format!("{controls}12345678")));
    }
}
