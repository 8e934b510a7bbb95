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

/// Bytes in JSON, as base64 text.
pub(crate) mod base64 {
    use base64::{Engine as _, prelude::BASE64_STANDARD};
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(crate) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&BASE64_STANDARD.encode(bytes))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        BASE64_STANDARD.decode(String::deserialize(from)?).map_err(D::Error::custom)
    }
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
