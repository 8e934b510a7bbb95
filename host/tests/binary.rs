//! The binary starts. This test has another use too: cargo builds the binary for packages that have such a
//! test, and the end-to-end tests in `tests/` need it.

use std::process::Command;

#[test]
fn it_tells_its_version() {
    let output = Command::new(env!("CARGO_BIN_EXE_skillhost")).arg("--version").output().unwrap();
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        concat!("skillhost ", env!("CARGO_PKG_VERSION"), "\n")
    );
}
