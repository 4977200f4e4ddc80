//! Mistakes that authors make, and what the compiler tells them: each message says what to write instead.

#[test]
fn mistakes_are_explained_at_their_place() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
