//! The result cache: which results are kept, and for how long.

use std::time::Duration;

use skillhost_core::{Annotations, Block, Content, Reply, ResourceBody};

/// Keep the results of a tool. There is none unless the operator sets one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CachePolicy {
    /// How long a result counts, 1 ms to 24 h.
    pub ttl: Duration,
    /// One caller's result also answers another. Default false.
    pub shared: bool,
}

/// Whether results of a tool may be kept at all: it changes nothing, by its own word or the operator's.
#[must_use]
pub fn cacheable(annotations: &Annotations) -> bool {
    annotations.read_only == Some(true)
}

/// Whether this reply may be kept: not one that says "no".
#[must_use]
pub fn keeps(reply: &Reply) -> bool {
    !reply.is_error
}

/// What a reply takes in memory, in bytes, give or take.
#[must_use]
pub fn weight(reply: &Reply) -> usize {
    let content: usize = reply.content.iter().map(block).sum();
    let structured = reply.structured.as_ref().map_or(0, crate::json::bytes);
    size_of::<Reply>() + content + 2 * structured
}

fn block(block: &Block) -> usize {
    let own = match &block.content {
        Content::Text(text) => text.len(),
        Content::Image(media) | Content::Audio(media) => media.data.len(),
        Content::ResourceLink(link) => link.uri.len() + link.description.as_ref().map_or(0, String::len),
        Content::Resource(resource) => match &resource.body {
            ResourceBody::Text(text) => text.len(),
            ResourceBody::Blob(bytes) => bytes.len(),
        },
    };
    size_of::<Block>() + own
}
