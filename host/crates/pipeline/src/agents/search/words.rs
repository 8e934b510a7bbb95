//! From text to words that are compared.

/// Words of `text` in lower case: runs of letters and digits, parted where small letters are followed by capital ones.
pub(super) fn split(text: &str) -> Vec<String> {
    let (mut words, mut word) = (vec![], String::new());
    let mut before: Option<char> = None;
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        if c.is_alphanumeric() {
            let rises =
                c.is_uppercase() && before.is_some_and(|before| before.is_lowercase() || before.is_numeric());
            // The last capital of several begins a word: `HTTPServer`.
            let falls = c.is_uppercase()
                && before.is_some_and(char::is_uppercase)
                && rest.peek().is_some_and(|next| next.is_lowercase());
            if (rises || falls) && !word.is_empty() {
                words.push(std::mem::take(&mut word));
            }
            word.extend(c.to_lowercase());
            before = Some(c);
        } else {
            if !word.is_empty() {
                words.push(std::mem::take(&mut word));
            }
            before = None;
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

/// The same for one and for many, roughly, in English. Both sides are treated alike, so that what it makes need be no word.
pub(super) fn stem(mut word: String) -> String {
    let plural = word.len() > 3 && word.ends_with('s') && !word.ends_with("ss");
    if plural {
        word.pop();
        if word.len() > 3 && word.ends_with("ie") {
            word.truncate(word.len() - 2);
            word.push('y');
        }
    }
    word
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_apart_where_people_see_words() {
        for (text, expected) in [
            ("text_word_count", "text word count"),
            ("my-skill_getHTTPStatus2", "my skill get http status2"),
            ("Base64Encode", "base64 encode"),
            ("JSON", "json"),
            ("Straße ÄÖÜ, don't", "straße äöü don t"),
            ("  __ --", ""),
        ] {
            assert_eq!(split(text).join(" "), expected, "{text}");
        }
    }

    #[test]
    fn one_and_many_are_alike() {
        for (one, many) in [("file", "files"), ("query", "queries"), ("status", "status"), ("class", "class")]
        {
            assert_eq!(stem(one.into()), stem(many.into()));
        }
        assert_ne!(stem("class".into()), stem("clas".into()));
    }
}
