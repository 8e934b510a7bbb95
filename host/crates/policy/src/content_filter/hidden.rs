//! Characters that nobody sees, and escapes that terminals obey.

use std::borrow::Cow;
use std::fmt::Write as _;

use super::Findings;
use crate::control::is_control;

/// What a character is to the filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Plain,
    Hidden,
    Escape,
}

/// `text` without hidden characters and escapes.
pub(super) fn stripped(text: &str) -> (Cow<'_, str>, Findings) {
    let mut findings = Findings::default();
    // Most texts hold none: no character of theirs is looked at twice.
    if classes(text).all(|(_, class, _)| class == Class::Plain) {
        return (text.into(), findings);
    }
    let mut out = String::with_capacity(text.len());
    let mut skip_to = 0;
    for (at, class, c) in classes(text) {
        if at < skip_to {
            continue;
        }
        match class {
            Class::Plain => out.push(c),
            Class::Hidden => findings.hidden += 1,
            Class::Escape => {
                findings.escapes += 1;
                skip_to = at + sequence(&text[at..]);
            }
        }
    }
    (out.into(), findings)
}

/// `text` with hidden characters and escapes written out.
pub(super) fn shown(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for (_, class, c) in classes(text) {
        match class {
            Class::Plain => out.push(c),
            _ => {
                let _ = write!(out, "⟦U+{:04X}⟧", c as u32);
            }
        }
    }
    out
}

fn classes(text: &str) -> impl Iterator<Item = (usize, Class, char)> {
    let mut before = None;
    let mut rest = text.char_indices().peekable();
    std::iter::from_fn(move || {
        let (at, c) = rest.next()?;
        let after = rest.peek().map(|(_, c)| *c);
        let class = class(c, before, after);
        if class == Class::Plain {
            before = Some(c);
        } else if is_selector(c) || is_joiner(c) {
            // A run of them must not make the next one look joined.
            before = None;
        }
        Some((at, class, c))
    })
}

fn class(c: char, before: Option<char>, after: Option<char>) -> Class {
    if c.is_ascii() {
        return if is_control(c) { Class::Escape } else { Class::Plain };
    }
    match c {
        // Scripts and emoji need joiners between two of their own characters.
        _ if is_joiner(c) => {
            let own = |c: Option<char>| c.is_some_and(|c| !c.is_ascii() && !is_joiner(c));
            if own(before) && own(after) { Class::Plain } else { Class::Hidden }
        }
        // One variation selector after what can vary.
        _ if is_selector(c) => {
            let varies = |c: char| !is_selector(c) && (!c.is_ascii() || matches!(c, '0'..='9' | '#' | '*'));
            if before.is_some_and(varies) { Class::Plain } else { Class::Hidden }
        }
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' => Class::Hidden,
        '\u{180b}'..='\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' => Class::Hidden,
        '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}' => {
            Class::Hidden
        }
        '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' => Class::Hidden,
        // Tags, and the supplementary variation selectors: both have carried whole texts.
        '\u{e0000}'..='\u{e0fff}' => Class::Hidden,
        _ if is_control(c) => Class::Escape,
        _ => Class::Plain,
    }
}

fn is_joiner(c: char) -> bool {
    matches!(c, '\u{200c}' | '\u{200d}')
}

fn is_selector(c: char) -> bool {
    matches!(c, '\u{fe00}'..='\u{fe0f}')
}

/// Bytes of the escape that `text` begins with: ECMA-48 control sequences and strings, else the one character.
fn sequence(text: &str) -> usize {
    let first = text.chars().next().map_or(0, char::len_utf8);
    let (kind, body) = match text.as_bytes() {
        [0x1b, kind, ..] => (*kind, 2),
        // The same as ESC [ and ESC ] in one character.
        [0xc2, 0x9b, ..] => (b'[', 2),
        [0xc2, 0x9d, ..] => (b']', 2),
        _ => return first,
    };
    let bytes = &text.as_bytes()[body..];
    match kind {
        b'[' => {
            let parameters = bytes.iter().take_while(|byte| matches!(byte, 0x20..=0x3f)).count();
            match bytes.get(parameters) {
                Some(0x40..=0x7e) => body + parameters + 1,
                _ => body + parameters,
            }
        }
        b']' | b'P' | b'X' | b'^' | b'_' => {
            // To its end, when that comes soon; an open one is not let swallow the rest.
            let end = bytes.iter().take(1_024).position(|byte| matches!(byte, 0x07 | 0x1b | b'\n'));
            match end.map(|end| (end, bytes[end], bytes.get(end + 1))) {
                Some((end, 0x07, _)) => body + end + 1,
                Some((end, 0x1b, Some(b'\\'))) => body + end + 2,
                _ => body,
            }
        }
        0x20..=0x7e => body,
        _ => first,
    }
}
