//! Things a client can read by URI.
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::ask::Pause;
use crate::bindings::resources::exports::skillhost::skill::resources as export;
use crate::outcome::ended;
use crate::types::{Context, Failure, ResourceBody, ResourceContents};

pub use export::{ReadOutcome, ResourceInfo, ResourceTemplate};

type Read = fn(&Context, &str) -> Result<Option<ReadOutcome>, Failure>;

/// A resource, or a family of them, and how to read it. The attribute [`#[resource]`](crate::resource) makes one.
#[derive(Debug, Clone, Copy)]
pub struct ResourceDefinition {
    describe: fn() -> Described,
    matches: fn(&str) -> bool,
    read: Read,
}

/// One resource, or a family.
#[derive(Debug, Clone, PartialEq)]
pub enum Described {
    /// With a fixed URI.
    One(ResourceInfo),
    /// With a URI template.
    Family(ResourceTemplate),
}

impl ResourceDefinition {
    /// A resource that `describe` tells about and `read` reads, when its URI `matches`.
    pub const fn new(describe: fn() -> Described, matches: fn(&str) -> bool, read: Read) -> Self {
        Self { describe, matches, read }
    }

    /// The resource as a client sees it.
    pub fn describe(&self) -> Described {
        (self.describe)()
    }

    /// Reads `uri`; none when there is no such resource.
    ///
    /// # Errors
    /// As its function fails.
    pub fn read(&self, ctx: &Context, uri: &str) -> Result<Option<ReadOutcome>, Failure> {
        if (self.matches)(uri) { (self.read)(ctx, uri) } else { Ok(None) }
    }
}

/// What a resource's function may return, bare, in an `Option` (none: there is no such resource), in a
/// `Result<_, Failure>`, or in a `Result<_, Pause>` when it asks.
#[diagnostic::on_unimplemented(
    message = "a resource cannot be `{Self}`",
    note = "return `String` or `Vec<u8>`, in an `Option` where it may not be there"
)]
pub trait IntoContents {
    /// The contents, of this type; none when there is no such resource.
    fn into_contents(self, uri: &str, mime_type: Option<&str>) -> Option<Vec<ResourceContents>>;
}

fn contents(body: ResourceBody, uri: &str, mime_type: Option<&str>) -> Option<Vec<ResourceContents>> {
    let (uri, mime_type) = (uri.to_owned(), mime_type.map(str::to_owned));
    Some(vec![ResourceContents { uri, mime_type, body, meta: None }])
}

impl IntoContents for String {
    fn into_contents(self, uri: &str, mime_type: Option<&str>) -> Option<Vec<ResourceContents>> {
        contents(ResourceBody::Text(self), uri, mime_type)
    }
}

impl IntoContents for Vec<u8> {
    fn into_contents(self, uri: &str, mime_type: Option<&str>) -> Option<Vec<ResourceContents>> {
        contents(ResourceBody::Blob(self), uri, mime_type)
    }
}

impl IntoContents for Vec<ResourceContents> {
    fn into_contents(self, _: &str, _: Option<&str>) -> Option<Vec<ResourceContents>> {
        Some(self)
    }
}

impl<T: IntoContents> IntoContents for Option<T> {
    fn into_contents(self, uri: &str, mime_type: Option<&str>) -> Option<Vec<ResourceContents>> {
        self?.into_contents(uri, mime_type)
    }
}

/// What a resource's function may return that can fail.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "a resource that can fail returns `Result<_, Failure>`, or `Result<_, Pause>` when it asks; not `{Self}`",
    note = "convert the error: `.map_err(Failure::permanent)?`"
)]
pub trait FallibleContents {
    fn finish(self, uri: &str, mime_type: Option<&str>) -> Result<Option<ReadOutcome>, Failure>;
}

impl<T: IntoContents> FallibleContents for Result<T, Failure> {
    fn finish(self, uri: &str, mime_type: Option<&str>) -> Result<Option<ReadOutcome>, Failure> {
        Ok(self?.into_contents(uri, mime_type).map(ReadOutcome::Contents))
    }
}

impl<T: IntoContents> FallibleContents for Result<T, Pause> {
    fn finish(self, uri: &str, mime_type: Option<&str>) -> Result<Option<ReadOutcome>, Failure> {
        let contents = self.map(|contents| contents.into_contents(uri, mime_type).map(ReadOutcome::Contents));
        ended(contents, |questions| Some(ReadOutcome::InputRequired(questions)))
    }
}

/// The end of every reading.
#[doc(hidden)]
pub fn finish<R: FallibleContents>(
    result: R,
    uri: &str,
    mime_type: Option<&str>,
) -> Result<Option<ReadOutcome>, Failure> {
    result.finish(uri, mime_type)
}

/// The values of `{name}` parts of a template in a URI; none when it does not fit. A part stands for one or more
/// characters without `/` (RFC 6570, level 1).
#[doc(hidden)]
pub fn fit(template: &str, uri: &str) -> Option<Vec<(String, String)>> {
    let (mut template, mut uri) = (template, uri);
    let mut values = vec![];
    loop {
        let Some((before, rest)) = template.split_once('{') else {
            return (template == uri).then_some(values);
        };
        uri = uri.strip_prefix(before)?;
        let (name, after) = rest.split_once('}')?;
        // Up to what comes next in the template; to the end, when nothing does.
        let next = after.split('{').next().unwrap_or_default();
        let end = if next.is_empty() { uri.len() } else { uri.find(next)? };
        let value = &uri[..end];
        if value.is_empty() || value.contains('/') {
            return None;
        }
        values.push((name.to_owned(), decoded(value)?));
        (template, uri) = (after, &uri[end..]);
    }
}

fn decoded(text: &str) -> Option<String> {
    let mut bytes = vec![];
    let mut rest = text.as_bytes();
    while let [first, more @ ..] = rest {
        if *first == b'%' {
            let hex = std::str::from_utf8(more.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(hex, 16).ok()?);
            rest = &more[2..];
        } else {
            bytes.push(*first);
            rest = more;
        }
    }
    String::from_utf8(bytes).ok()
}

/// Reads the values of a template as a `T`.
#[doc(hidden)]
pub fn parse<T: DeserializeOwned>(template: &str, uri: &str) -> Result<T, Failure> {
    let values = fit(template, uri).unwrap_or_default();
    let object: Map<String, Value> = values.into_iter().map(|(name, value)| (name, value.into())).collect();
    serde_json::from_value(object.into())
        .map_err(|error| Failure::invalid_input(format_args!("`{uri}` does not fit: {error}")))
}

/// All resources of a skill.
#[doc(hidden)]
pub trait Resources {
    const ALL: &'static [ResourceDefinition];
}

impl<R: Resources> export::Guest for R {
    fn list() -> Vec<ResourceInfo> {
        let one = |resource: &ResourceDefinition| match resource.describe() {
            Described::One(one) => Some(one),
            Described::Family(_) => None,
        };
        R::ALL.iter().filter_map(one).collect()
    }

    fn templates() -> Vec<ResourceTemplate> {
        let family = |resource: &ResourceDefinition| match resource.describe() {
            Described::Family(family) => Some(family),
            Described::One(_) => None,
        };
        R::ALL.iter().filter_map(family).collect()
    }

    fn read(ctx: Context, uri: String) -> Result<Option<ReadOutcome>, Failure> {
        R::ALL.iter().find_map(|resource| resource.read(&ctx, &uri).transpose()).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates() {
        let value = |template, uri| {
            fit(template, uri).map(|values| values.into_iter().map(|(_, v)| v).collect::<Vec<_>>())
        };
        assert_eq!(value("note://{name}", "note://a%20b"), Some(vec!["a b".to_owned()]));
        assert_eq!(value("a://{x}/b/{y}.txt", "a://1/b/2.txt"), Some(vec!["1".to_owned(), "2".to_owned()]));
        for wrong in ["note://", "note://a/b", "other://a", "note://%zz"] {
            assert_eq!(value("note://{name}", wrong), None, "{wrong}");
        }
        assert_eq!(value("a://b", "a://b"), Some(vec![]));
    }
}
