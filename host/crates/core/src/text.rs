//! Text of other people's making, held to a length.

/// `text`, cut at a character's edge when it has more than `max` bytes, with a word that it was.
#[must_use]
pub fn bounded(mut text: String, max: usize) -> String {
    if text.len() > max {
        let whole = text.len();
        text.truncate(text.floor_char_boundary(max));
        text.push_str(&format!("… (cut; {whole} bytes)"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_between_characters() {
        assert_eq!(bounded("abc".into(), 3), "abc");
        assert_eq!(bounded("aäöü".into(), 4), "aä… (cut; 7 bytes)");
    }
}
