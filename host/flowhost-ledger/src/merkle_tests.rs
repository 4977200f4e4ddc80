//! Tests of `merkle`.
