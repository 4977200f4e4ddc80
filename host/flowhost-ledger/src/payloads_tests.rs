//! Tests of `payloads`.
