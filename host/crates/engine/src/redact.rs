//! Hides what looks like a secret in text that a guest wrote.

use std::{borrow::Cow, sync::LazyLock};

use regex::Regex;

/// Common shapes: `password=…`, `Authorization: Bearer …`, well-known key prefixes, JWTs, private keys.
static SECRET: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(concat!(
        r"(?i)(?P<key>\b(?:authorization|api[_-]?key|access[_-]?key|client[_-]?secret|secret|token|passw(?:or)?d|credential)s?\b",
        r#"["']?\s*[:=]\s*["']?(?:(?:bearer|basic)\s+)?)[^\s"',;]+"#,
        r"|(?P<bearer>\bbearer\s+)[a-z0-9._~+/=-]{8,}",
        r"|\b(?:sk|pk|rk)[-_][a-z0-9_-]{16,}",
        r"|\bgh[pousr]_[a-z0-9]{20,}|\bgithub_pat_[a-z0-9_]{20,}|\bxox[abprs]-[a-z0-9-]{10,}|\bAKIA[0-9A-Z]{16}\b",
        r"|\beyJ[a-z0-9_-]{8,}\.[a-z0-9_-]{8,}\.[a-z0-9_-]*",
        r"|-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|\z)",
    ))
    .expect("a constant pattern")
});

/// `text` with everything that looks like a secret replaced by `[redacted]`.
pub(crate) fn redact(text: &str) -> Cow<'_, str> {
    SECRET.replace_all(text, "$key$bearer[redacted]")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hides_secrets_and_leaves_the_rest() {
        for (text, want) in [
            ("password=hunter2 next", "password=[redacted] next"),
            ("\"api_key\": \"abc\"", "\"api_key\": \"[redacted]\""),
            ("Authorization: Bearer abc.def", "Authorization: Bearer [redacted]"),
            ("got Bearer abcdefgh1234", "got Bearer [redacted]"),
            ("key sk-abcdefghijklmnop1234 end", "key [redacted] end"),
            ("AKIAABCDEFGHIJKLMNOP", "[redacted]"),
            ("eyJhbGciOiJI.eyJzdWIiOiIx.abc_-", "[redacted]"),
            ("-----BEGIN RSA PRIVATE KEY-----\nAAA", "[redacted]"),
            ("the token was fine, 12 words counted", "the token was fine, 12 words counted"),
        ] {
            assert_eq!(redact(text), want);
        }
    }
}
