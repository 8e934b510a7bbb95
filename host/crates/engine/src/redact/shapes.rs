//! Hides what looks like a secret in text that a guest wrote, though the host does not know it for one.

use std::{borrow::Cow, sync::LazyLock};

use regex::Regex;

use super::REDACTED;

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

/// Where a private key begins and ends.
static KEY_EDGE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new("(?i)-----(?:(?P<begin>BEGIN)|END) [A-Z ]*PRIVATE KEY-----").expect("a constant pattern")
});

/// `text` with everything that looks like a secret replaced by `[redacted]`.
pub(crate) fn redact(text: &str) -> Cow<'_, str> {
    SECRET.replace_all(text, "$key$bearer[redacted]")
}

/// Redacts text that comes line by line: a private key is a secret of several.
#[derive(Default)]
pub(crate) struct Lines {
    inside_key: bool,
}

impl Lines {
    pub(crate) fn redact<'a>(&mut self, line: &'a str) -> Cow<'a, str> {
        let began_inside = self.inside_key;
        let mut secret_until = 0;
        for edge in KEY_EDGE.captures_iter(line) {
            self.inside_key = edge.name("begin").is_some();
            if began_inside && secret_until == 0 && !self.inside_key {
                secret_until = edge.get_match().end();
            }
        }
        match (began_inside, secret_until) {
            (false, _) => redact(line),
            (true, 0) => Cow::Borrowed(REDACTED),
            (true, end) => Cow::Owned(format!("{REDACTED}{}", redact(&line[end..]))),
        }
    }
}

/// The last `max` bytes of `text` or less, redacted, from the beginning of a line where there is one. `text`
/// may be the end of something longer.
pub(crate) fn tail(text: &str, max: usize) -> String {
    // A key that began before it.
    let orphan = KEY_EDGE.captures(text).filter(|edge| edge.name("begin").is_none());
    let (before, text) = match orphan {
        Some(edge) => (REDACTED, &text[edge.get_match().end()..]),
        None => ("", text),
    };
    let text = format!("{before}{}", redact(text));
    let text = text.trim();
    let cut = text.ceil_char_boundary(text.len().saturating_sub(max));
    match text[cut..].split_once('\n') {
        Some((_, whole_lines)) if cut > 0 => whole_lines.to_owned(),
        _ => text[cut..].to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_in_lines_stays_hidden() {
        let mut lines = Lines::default();
        let mut show = |line| lines.redact(line).into_owned();
        assert_eq!(show("a -----BEGIN RSA PRIVATE KEY-----"), "a [redacted]");
        assert_eq!(show("AAAA"), "[redacted]");
        assert_eq!(show("BB -----END RSA PRIVATE KEY----- b token=x"), "[redacted] b token=[redacted]");
        assert_eq!(show("free"), "free");
        assert_eq!(show("-----BEGIN PRIVATE KEY-----A-----END PRIVATE KEY----- free"), "[redacted] free");
        assert_eq!(show("free"), "free");
        assert_eq!(show("-----BEGIN PRIVATE KEY-----"), "[redacted]");
        assert_eq!(
            show("x-----END PRIVATE KEY----- y -----BEGIN PRIVATE KEY----- z"),
            "[redacted] y [redacted]"
        );
        assert_eq!(show("inside"), "[redacted]");
    }

    #[test]
    fn a_tail_is_redacted_before_it_is_cut() {
        assert_eq!(tail("one\ntwo\n", 100), "one\ntwo");
        assert_eq!(tail("one\ntwo\nthree", 8), "three");
        assert_eq!(tail("0123456789", 4), "6789");
        assert_eq!(tail("password=hunter2hunter2", 8), "edacted]");
        assert_eq!(tail("AAAA\n-----END PRIVATE KEY-----\nouch", 100), "[redacted]\nouch");
        assert_eq!(tail("a\n-----BEGIN PRIVATE KEY-----\nAAAA", 100), "a\n[redacted]");
    }

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
