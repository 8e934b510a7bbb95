//! What the compiler tells an author who made a mistake: each in `compile_errors/`, beside what is told.
//! `TRYBUILD=overwrite cargo test -p skillhost-sdk --test compile_errors` writes them anew.

#[test]
fn mistakes_are_told_with_what_to_do() {
    trybuild::TestCases::new().compile_fail("tests/compile_errors/*.rs");
}
