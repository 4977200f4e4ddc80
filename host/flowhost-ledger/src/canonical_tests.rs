//! Tests of `canonical`.
