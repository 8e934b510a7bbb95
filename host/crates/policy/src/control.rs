//! Control characters in arguments.

use std::borrow::Cow;

use serde_json::Value;
use skillhost_core::{Failure, FailureKind};

/// What becomes of control characters other than NUL, which is always refused, and tab and line ends, which always pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ControlCharacters {
    /// They pass.
    #[default]
    Allow,
    /// They are taken out of values; in names of properties they are refused.
    Strip,
    /// The call is refused.
    Refuse,
}

/// Hold every text in `value` to the setting.
///
/// Unpaired surrogates never come this far: Rust's texts cannot hold them, what reads JSON refuses them.
///
/// # Errors
/// `invalid-input` with the JSON pointer of the first that is refused.
pub(crate) fn sanitise(value: &mut Value, setting: ControlCharacters) -> Result<(), Failure> {
    walk(value, setting, &mut Path::Root)
}

/// Where a value stands; a list through the stack, so that nothing is written down unless it is needed.
enum Path<'a> {
    Root,
    Key(&'a Path<'a>, &'a str),
    Item(&'a Path<'a>, usize),
}

impl Path<'_> {
    fn pointer(&self) -> String {
        match self {
            Self::Root => String::new(),
            Self::Key(parent, key) => {
                format!("{}/{}", parent.pointer(), key.replace('~', "~0").replace('/', "~1"))
            }
            Self::Item(parent, n) => format!("{}/{n}", parent.pointer()),
        }
    }
}

fn walk(value: &mut Value, setting: ControlCharacters, at: &mut Path<'_>) -> Result<(), Failure> {
    match value {
        Value::String(text) => {
            let Some(worst) = worst(text) else { return Ok(()) };
            match (worst, setting) {
                ('\0', _) | (_, ControlCharacters::Refuse) => return Err(refused(worst, "", at)),
                (_, ControlCharacters::Allow) => {}
                (_, ControlCharacters::Strip) => text.retain(|c| !is_control(c)),
            }
        }
        Value::Array(items) => {
            for (n, item) in items.iter_mut().enumerate() {
                walk(item, setting, &mut Path::Item(at, n))?;
            }
        }
        Value::Object(map) => {
            for (key, value) in map.iter_mut() {
                let path = Path::Key(at, key);
                match worst(key) {
                    Some(worst) if worst == '\0' || setting != ControlCharacters::Allow => {
                        return Err(refused(worst, "the name of ", &path));
                    }
                    _ => walk(value, setting, &mut { path })?,
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
    Ok(())
}

/// NUL if there is one, else the first control character.
fn worst(text: &str) -> Option<char> {
    // In UTF-8 the controls from U+0080 to U+009F begin with this byte.
    const C1: u8 = 0xc2;
    let may_be = |byte: u8| byte < 0x20 || byte == 0x7f || byte == C1;
    // Without a way out inside, so that many bytes are compared at once.
    let some_of = |part: &[u8]| part.iter().fold(false, |found, byte| found | may_be(*byte));
    if !text.as_bytes().chunks(256).any(some_of) {
        return None;
    }
    if text.contains('\0') { Some('\0') } else { text.chars().find(|c| is_control(*c)) }
}

pub(crate) fn is_control(c: char) -> bool {
    c.is_control() && !matches!(c, '\t' | '\n' | '\r')
}

fn refused(character: char, what: &str, at: &Path<'_>) -> Failure {
    // A pointer holds the caller's own text: what was refused must not come back in it.
    let pointer: String = at.pointer().chars().filter(|c| !is_control(*c)).take(200).collect();
    let place: Cow<'_, str> = if pointer.is_empty() { "the arguments".into() } else { (&*pointer).into() };
    let message =
        format!("{what}{place} holds the control character U+{:04X}; send it without", character as u32);
    Failure { pointers: vec![pointer], ..Failure::new(FailureKind::InvalidInput, message) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn sanitised(mut value: Value, setting: ControlCharacters) -> Result<Value, String> {
        sanitise(&mut value, setting).map(|()| value).map_err(|failure| failure.message)
    }

    #[test]
    fn nul_is_refused_whatever_is_set() {
        for setting in [ControlCharacters::Allow, ControlCharacters::Strip, ControlCharacters::Refuse] {
            let text = sanitised(json!({"a/b": ["", "x\u{7}\0y"]}), setting).unwrap_err();
            assert!(
                text.contains("/a~1b/1 holds")
                    && text.contains(if setting == ControlCharacters::Refuse { "U+00" } else { "U+0000" }),
                "{text}"
            );
            assert!(sanitised(json!({"a\0": 1}), setting).unwrap_err().starts_with("the name of /a holds"));
        }
    }

    #[test]
    fn tab_and_line_ends_always_pass() {
        let value = json!({"a": "\t\r\n", "ä": ["ö€😀"]});
        for setting in [ControlCharacters::Allow, ControlCharacters::Strip, ControlCharacters::Refuse] {
            assert_eq!(sanitised(value.clone(), setting), Ok(value.clone()));
        }
    }

    #[test]
    fn the_others_pass_go_or_are_refused() {
        let value = json!({"a": ["x\u{1b}[31my\u{7f}\u{85}z"]});
        assert_eq!(sanitised(value.clone(), ControlCharacters::Allow), Ok(value.clone()));
        assert_eq!(sanitised(value.clone(), ControlCharacters::Strip), Ok(json!({"a": ["x[31myz"]})));
        let text = sanitised(value, ControlCharacters::Refuse).unwrap_err();
        assert_eq!(text, "/a/0 holds the control character U+001B; send it without");
        assert!(sanitised(json!({"\u{7}": 1}), ControlCharacters::Strip).is_err());
    }
}
