//! Keeps secrets out of what a guest writes: those the host knows ([`Redactor`]), and what looks like one
//! ([`shapes`]).

mod reply;
pub(crate) mod shapes;

use std::borrow::Cow;

use aho_corasick::{AhoCorasick, AhoCorasickBuilder, MatchKind};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};

/// Stands for a secret.
pub(crate) const REDACTED: &str = "[redacted]";

/// Shortest piece of a secret that is looked for.
const PIECE: usize = 8;

/// Hides the secrets of one skill: as they are and in the common encodings, in any case of letters. What a guest
/// scrambles by a method of its own gets through; that is told in docs/security.md.
#[derive(Default)]
pub(crate) struct Redactor(Option<Secrets>);

struct Secrets {
    forms: Vec<Vec<u8>>,
    search: AhoCorasick,
}

impl Redactor {
    pub(crate) fn new<'a>(secrets: impl Iterator<Item = &'a String>) -> Self {
        let mut forms: Vec<Vec<u8>> = secrets.flat_map(|secret| forms(secret)).collect();
        forms.sort_unstable();
        forms.dedup();
        if forms.is_empty() {
            return Self(None);
        }
        let search = AhoCorasickBuilder::new()
            .match_kind(MatchKind::LeftmostLongest)
            .ascii_case_insensitive(true)
            .build(&forms)
            .expect("a few hundred forms of bounded length");
        Self(Some(Secrets { forms, search }))
    }

    /// `text` without the skill's secrets.
    pub(crate) fn known<'a>(&self, text: &'a str) -> Cow<'a, str> {
        match &self.0 {
            Some(secrets) if secrets.search.is_match(text) => {
                Cow::Owned(secrets.search.replace_all(text, &vec![REDACTED; secrets.forms.len()]))
            }
            _ => Cow::Borrowed(text),
        }
    }

    /// `text`, the beginning of something longer, without the skill's secrets and without the beginning of one at
    /// its end.
    pub(crate) fn known_beginning(&self, text: &str) -> String {
        let mut text = self.known(text).into_owned();
        let Some(secrets) = &self.0 else { return text };
        let cut_off = |form: &Vec<u8>| {
            (1..form.len()).rev().find(|&n| {
                text.len() >= n && text.as_bytes()[text.len() - n..].eq_ignore_ascii_case(&form[..n])
            })
        };
        if let Some(n) = secrets.forms.iter().filter_map(cut_off).max() {
            text.truncate(text.floor_char_boundary(text.len() - n));
        }
        text
    }

    fn bytes(&self, bytes: &mut Vec<u8>) {
        if let Some(secrets) = &self.0
            && secrets.search.is_match(&bytes[..])
        {
            *bytes = secrets.search.replace_all_bytes(bytes, &vec![REDACTED; secrets.forms.len()]);
        }
    }

    fn is_empty(&self) -> bool {
        self.0.is_none()
    }
}

/// What a secret looks like in text: itself, each longer line of it, and both in base64, hexadecimal, URLs, JSON and
/// backwards.
fn forms(secret: &str) -> Vec<Vec<u8>> {
    let lines = secret.lines().map(str::trim).filter(|line| line.len() >= PIECE);
    let mut forms = Vec::new();
    for piece in std::iter::once(secret).chain(lines) {
        let bytes = piece.as_bytes();
        forms.push(bytes.to_vec());
        forms.push(piece.chars().rev().collect::<String>().into_bytes());
        forms.push(bytes.iter().flat_map(|b| format!("{b:02x}").into_bytes()).collect());
        let json = serde_json::Value::from(piece).to_string();
        forms.push(json.as_bytes()[1..json.len() - 1].to_vec());
        forms.push(percent(bytes).into_bytes());
        // Base64 of something longer that holds the piece: in one of three positions, without the characters at the
        // edges, which depend on the neighbours.
        for shift in 0..3 {
            let mut padded = vec![0; shift];
            padded.extend_from_slice(bytes);
            let first = (shift * 8).div_ceil(6);
            let last = padded.len() * 8 / 6;
            for engine in [&STANDARD_NO_PAD, &URL_SAFE_NO_PAD] {
                forms.push(engine.encode(&padded).as_bytes()[first..last].to_vec());
            }
        }
    }
    forms
}

fn percent(bytes: &[u8]) -> String {
    bytes
        .iter()
        .map(|&b| {
            if b.is_ascii_alphanumeric() || b"-._~".contains(&b) {
                char::from(b).to_string()
            } else {
                format!("%{b:02X}")
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECRET: &str = "s3cr3t/with \"quotes\"";

    fn redactor() -> Redactor {
        Redactor::new([SECRET.to_owned()].iter())
    }

    #[test]
    fn common_encodings_are_found() {
        let redactor = redactor();
        let base64 = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
        for form in [
            SECRET.to_owned(),
            SECRET.to_uppercase(),
            SECRET.chars().rev().collect(),
            serde_json::Value::from(SECRET).to_string(),
            base64(SECRET),
            base64(&format!("user:{SECRET}")),
            base64(&format!("ab{SECRET}cd")),
            percent(SECRET.as_bytes()),
            SECRET.bytes().map(|b| format!("{b:02X}")).collect(),
        ] {
            let shown = redactor.known(&form);
            assert!(shown.contains(REDACTED), "{form} is shown as {shown}");
        }
        assert_eq!(redactor.known("nothing here"), "nothing here");
    }

    #[test]
    fn the_lines_of_a_secret_are_secrets() {
        let redactor = Redactor::new(["first line\nsecond line\nx".to_owned()].iter());
        assert_eq!(redactor.known("a second line b"), "a [redacted] b");
        assert_eq!(redactor.known("x"), "x", "too short to be told apart");
    }

    #[test]
    fn a_secret_that_was_cut_is_not_shown() {
        let redactor = redactor();
        for n in 1..SECRET.len() {
            let shown = redactor.known_beginning(&format!("a {}", &SECRET[..n]));
            assert!(!shown.contains("s3"), "{n}: {shown}");
        }
    }

    proptest! {
        #[test]
        fn a_secret_never_shows(before in ".{0,20}", after in ".{0,20}", secret in "[ -~]{8,24}") {
            let redactor = Redactor::new([secret.clone()].iter());
            let text = format!("{before}{secret}{after}");
            prop_assert!(!redactor.known(&text).contains(&secret) || REDACTED.contains(&secret));
        }
    }
}
