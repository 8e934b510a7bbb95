//! Suggestions while a person types an argument.
use crate::bindings::completions::exports::skillhost::skill::completions as export;
use crate::types::{Context, Failure};

pub use export::{Completion, Subject};

/// What the host cuts.
const MOST: usize = 100;

/// What is being typed.
///
/// ```
/// use skillhost_sdk::{Completion, CompletionRequest, prelude::*};
///
/// #[derive(Deserialize, JsonSchema)]
/// struct Translate {
///     /// To which language.
///     language: String,
/// }
///
/// /// Asks for a translation.
/// #[prompt]
/// fn translate(args: Translate) -> String {
///     format!("Translate into {}.", args.language)
/// }
///
/// fn complete(_: &Context, request: &CompletionRequest) -> Result<Completion, Failure> {
///     if request.is_prompt("translate") && request.name == "language" {
///         return Ok(Completion::matching(["Dutch", "German", "Greek"], &request.value));
///     }
///     Ok(Completion::default())
/// }
///
/// skillhost_sdk::skill!(tools: [], prompts: [translate], completions: complete);
///
/// # fn main() {
/// let request = CompletionRequest::prompt("translate", "language", "g");
/// assert_eq!(complete(&Context::for_tests(), &request).unwrap().values, ["German", "Greek"]);
/// # }
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct CompletionRequest {
    /// The prompt or the resource template that the argument belongs to.
    pub subject: Subject,
    /// The argument's name.
    pub name: String,
    /// What has been typed of it so far.
    pub value: String,
    /// The arguments already filled in.
    pub known: Vec<(String, String)>,
}

impl CompletionRequest {
    /// A request for an argument of a prompt, for unit tests.
    pub fn prompt(prompt: impl Into<String>, name: impl Into<String>, value: impl Into<String>) -> Self {
        Self::new(Subject::Prompt(prompt.into()), name.into(), value.into())
    }

    /// A request for a part of a resource template, for unit tests.
    pub fn template(uri: impl Into<String>, name: impl Into<String>, value: impl Into<String>) -> Self {
        Self::new(Subject::ResourceTemplate(uri.into()), name.into(), value.into())
    }

    fn new(subject: Subject, name: String, value: String) -> Self {
        Self { subject, name, value, known: vec![] }
    }

    /// Whether it is an argument of the prompt with this name.
    pub fn is_prompt(&self, name: &str) -> bool {
        matches!(&self.subject, Subject::Prompt(prompt) if prompt == name)
    }

    /// Whether it is a part of the resource template with this URI template.
    pub fn is_template(&self, uri_template: &str) -> bool {
        matches!(&self.subject, Subject::ResourceTemplate(template) if template == uri_template)
    }

    /// The argument of this name, if it is filled in already.
    ///
    /// ```
    /// # use skillhost_sdk::CompletionRequest;
    /// let mut request = CompletionRequest::template("weather://{country}/{town}", "town", "");
    /// request.known.push(("country".into(), "NL".into()));
    /// assert_eq!(request.known("country"), Some("NL"));
    /// ```
    pub fn known(&self, name: &str) -> Option<&str> {
        self.known.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

impl Completion {
    /// All suggestions there are, the best first. A client gets a hundred of them, and how many there are.
    ///
    /// ```
    /// # use skillhost_sdk::Completion;
    /// let completion = Completion::new((0..250).map(|n| n.to_string()));
    /// assert_eq!((completion.values.len(), completion.total, completion.has_more), (100, Some(250), true));
    /// ```
    pub fn new<S: Into<String>>(values: impl IntoIterator<Item = S>) -> Self {
        let mut values = values.into_iter();
        let first: Vec<String> = values.by_ref().take(MOST).map(Into::into).collect();
        let others = values.count();
        Self { total: u32::try_from(first.len() + others).ok(), has_more: others > 0, values: first }
    }

    /// Those of some candidates that begin with what was typed, in upper or lower case.
    ///
    /// ```
    /// # use skillhost_sdk::Completion;
    /// let completion = Completion::matching(["Ärger", "Arm", "Bein"], "är");
    /// assert_eq!(completion.values, ["Ärger"]);
    /// ```
    pub fn matching<S: Into<String> + AsRef<str>>(
        candidates: impl IntoIterator<Item = S>,
        typed: &str,
    ) -> Self {
        let typed = typed.to_lowercase();
        let fits = |candidate: &S| candidate.as_ref().to_lowercase().starts_with(&typed);
        Self::new(candidates.into_iter().filter(fits))
    }
}

/// No suggestions.
#[allow(clippy::derivable_impls, reason = "the type is generated")]
impl Default for Completion {
    fn default() -> Self {
        Self { values: vec![], total: None, has_more: false }
    }
}

/// A function that completes.
#[doc(hidden)]
pub type Complete = fn(&Context, &CompletionRequest) -> Result<Completion, Failure>;

/// The one function of a skill that completes.
#[doc(hidden)]
pub trait Completions {
    const COMPLETE: Complete;
}

impl<C: Completions> export::Guest for C {
    fn complete(
        ctx: Context,
        subject: Subject,
        name: String,
        value: String,
        known: Vec<(String, String)>,
    ) -> Result<Completion, Failure> {
        C::COMPLETE(&ctx, &CompletionRequest { subject, name, value, known })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggestions_are_cut_where_the_host_would() {
        let up_to = |n: u32| {
            let completion = Completion::new((0..n).map(|n| n.to_string()));
            (completion.values.len(), completion.total, completion.has_more)
        };
        assert_eq!(up_to(0), (0, Some(0), false));
        assert_eq!(up_to(100), (100, Some(100), false));
        assert_eq!(up_to(101), (100, Some(101), true));
        assert_eq!(Completion::new(["b", "a"]).values, ["b", "a"], "the order is the skill's");
    }

    #[test]
    fn candidates_match_by_their_beginning_in_any_case() {
        let values = |typed| Completion::matching(["paris", "Park", "party", "Spa"], typed).values;
        assert_eq!(values("PAR"), ["paris", "Park", "party"]);
        assert_eq!(values("park"), ["Park"]);
        assert_eq!(values("").len(), 4);
        assert!(values("x").is_empty());
    }

    #[test]
    fn a_request_says_what_it_is_for() {
        let prompt = CompletionRequest::prompt("p", "arg", "v");
        assert!(prompt.is_prompt("p") && !prompt.is_prompt("q") && !prompt.is_template("p"));
        let template = CompletionRequest::template("a://{x}", "x", "");
        assert!(template.is_template("a://{x}") && !template.is_prompt("a://{x}"));
        assert_eq!(template.known("x"), None);
    }

    #[test]
    fn a_request_reaches_the_function() {
        struct Own;
        impl Completions for Own {
            const COMPLETE: Complete = |ctx, request| {
                Ok(Completion::new([ctx.caller.as_str(), &request.name, request.known("k").unwrap_or("?")]))
            };
        }
        let known = vec![("k".to_owned(), "v".to_owned())];
        let subject = Subject::Prompt("p".into());
        let completion =
            <Own as export::Guest>::complete(Context::for_tests(), subject, "n".into(), String::new(), known);
        assert_eq!(completion.unwrap().values, ["local", "n", "v"]);
    }
}
