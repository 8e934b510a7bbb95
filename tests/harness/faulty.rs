//! Variants of the misbehaving skill, made by patching the marker in its data.

use crate::component;

const MARKER: &str = "FAULTY-MODE:";
const LENGTH: usize = 64;

/// `faulty.wasm` in another mode.
pub fn faulty(mode: &str) -> Vec<u8> {
    let mut new = format!("{MARKER}{mode}").into_bytes();
    assert!(new.len() <= LENGTH, "the mode's name is too long");
    new.resize(LENGTH, b' ');
    let mut bytes = component("faulty.wasm");
    let at = only(&bytes, MARKER.as_bytes());
    bytes[at..at + LENGTH].copy_from_slice(&new);
    bytes
}

/// A component with every `from` replaced by `to`, of the same length.
pub fn patched(name: &str, from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut bytes = component(name);
    let places: Vec<_> =
        (0..bytes.len() - from.len()).filter(|&at| bytes[at..].starts_with(from.as_bytes())).collect();
    assert!(!places.is_empty(), "{from} is not in {name}");
    for at in places {
        bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
    }
    bytes
}

fn only(bytes: &[u8], what: &[u8]) -> usize {
    let mut places = bytes.windows(what.len()).enumerate().filter(|(_, window)| *window == what);
    let (at, _) = places.next().expect("the marker is there");
    assert!(places.next().is_none(), "the marker is there once");
    at
}
