//! What stands in the brackets of `#[tool(…)]`.
use syn::meta::{ParseNestedMeta, parser};
use syn::parse::{Parse, ParseStream, Parser};
use syn::{Error, Ident, LitBool, LitStr, Path, Result, Token};

const OPTIONS: [&str; 10] = [
    "read_only",
    "destructive",
    "idempotent",
    "open_world",
    "durable",
    "reusable",
    "task",
    "title",
    "name",
    "undo",
];

/// The words for `task`, and what the contract's bindings call them.
const TASK: [(&str, &str); 4] =
    [("no", "No"), ("optional", "Optional"), ("required", "Required"), ("answered", "Answered")];

/// What is said of an option that there is not.
pub(crate) fn unknown(name: &str, options: &[&str]) -> String {
    let nearest = options.iter().map(|option| (strsim::damerau_levenshtein(option, name), option)).min();
    match nearest {
        Some((distance, option)) if distance <= 3 => {
            format!("unknown option `{name}`; did you mean `{option}`?")
        }
        _ => format!("unknown option `{name}`; there are: {}", options.join(", ")),
    }
}

/// The options, as said.
#[derive(Default)]
pub(crate) struct Options {
    pub(crate) read_only: Option<bool>,
    pub(crate) destructive: Option<bool>,
    pub(crate) idempotent: Option<bool>,
    pub(crate) open_world: Option<bool>,
    pub(crate) durable: Option<bool>,
    pub(crate) reusable: Option<bool>,
    /// A variant of `TaskSupport`.
    pub(crate) task: Option<Ident>,
    pub(crate) title: Option<String>,
    pub(crate) name: Option<LitStr>,
    pub(crate) undo: Option<Path>,
}

impl Parse for Options {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let mut options = Self::default();
        parser(|meta| options.read(&meta)).parse2(input.parse()?)?;
        Ok(options)
    }
}

impl Options {
    fn read(&mut self, meta: &ParseNestedMeta<'_>) -> Result<()> {
        let name = meta.path.require_ident()?.to_string();
        let twice = match name.as_str() {
            "read_only" => self.read_only.replace(flag(meta)?).is_some(),
            "destructive" => self.destructive.replace(flag(meta)?).is_some(),
            "idempotent" => self.idempotent.replace(flag(meta)?).is_some(),
            "open_world" => self.open_world.replace(flag(meta)?).is_some(),
            "durable" => self.durable.replace(flag(meta)?).is_some(),
            "reusable" => self.reusable.replace(flag(meta)?).is_some(),
            "task" => self.task.replace(task(&meta.value()?.parse()?)?).is_some(),
            "title" => self.title.replace(meta.value()?.parse::<LitStr>()?.value()).is_some(),
            "name" => self.name.replace(checked_name(meta.value()?.parse()?)?).is_some(),
            "undo" => self.undo.replace(meta.value()?.parse()?).is_some(),
            _ => return Err(meta.error(unknown(&name, &OPTIONS))),
        };
        if twice {
            return Err(meta.error("said twice"));
        }
        if self.read_only == Some(true) && self.undo.is_some() {
            return Err(meta.error("what is read-only has nothing to undo"));
        }
        if self.read_only == Some(true) && self.destructive == Some(true) {
            return Err(meta.error("what is read-only destroys nothing"));
        }
        Ok(())
    }
}

/// `option` or `option = true|false`.
fn flag(meta: &ParseNestedMeta<'_>) -> Result<bool> {
    if meta.input.peek(Token![=]) { Ok(meta.value()?.parse::<LitBool>()?.value) } else { Ok(true) }
}

/// The variant that a word for `task` stands for.
fn task(word: &LitStr) -> Result<Ident> {
    let text = word.value();
    match TASK.iter().find(|(known, _)| *known == text) {
        Some((_, variant)) => Ok(Ident::new(variant, word.span())),
        None => {
            let words = TASK.map(|(known, _)| format!("\"{known}\"")).join(", ");
            Err(Error::new(word.span(), format!("`task` is one of {words}")))
        }
    }
}

/// The contract's rule for tool names. A function's own name can break it too, by letters beyond ASCII.
pub(crate) fn checked_name(name: LitStr) -> Result<LitStr> {
    let text = name.value();
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if (1..=64).contains(&text.len()) && text.chars().all(fits) {
        Ok(name)
    } else {
        Err(Error::new(name.span(), "a tool's name has 1 to 64 characters of A-Z a-z 0-9 _ -"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(options: &str) -> String {
        syn::parse_str::<Options>(options).err().expect("an error").to_string()
    }

    #[test]
    fn a_bare_flag_is_true() {
        let options: Options = syn::parse_str("read_only, idempotent = false").unwrap();
        assert_eq!(options.read_only, Some(true));
        assert_eq!(options.idempotent, Some(false));
        assert_eq!(options.open_world, None);
    }

    #[test]
    fn a_word_says_whether_calls_are_tasks() {
        for (word, variant) in TASK {
            let options: Options = syn::parse_str(&format!("task = \"{word}\"")).unwrap();
            assert_eq!(options.task.unwrap(), variant);
        }
        assert_eq!(
            message("task = \"Optional\""),
            "`task` is one of \"no\", \"optional\", \"required\", \"answered\""
        );
    }

    #[test]
    fn mistakes_are_told() {
        assert_eq!(message("readonly"), "unknown option `readonly`; did you mean `read_only`?");
        assert!(message("something_else").contains("there are: read_only, destructive"));
        assert_eq!(message("durable, durable"), "said twice");
        assert_eq!(message("read_only, destructive"), "what is read-only destroys nothing");
        assert!(message("name = \"with space\"").contains("A-Z a-z 0-9 _ -"));
        assert!(message("name = \"\"").contains("1 to 64"));
    }
}
