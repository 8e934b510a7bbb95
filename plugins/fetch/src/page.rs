//! What becomes of a body that is HTML.
use htmd::element_handler::Handlers;
use htmd::{Element, HtmlToMarkdown};
use url::Url;

/// Elements that hold nothing to read.
const NOISE: [&str; 10] =
    ["script", "style", "noscript", "template", "svg", "iframe", "nav", "header", "footer", "form"];

/// An HTML page as Markdown, its links made whole.
pub(crate) fn markdown(html: &str, url: &Url) -> String {
    let (for_links, for_images) = (url.clone(), url.clone());
    let converter = HtmlToMarkdown::builder()
        .skip_tags(NOISE.to_vec())
        .add_handler(vec!["a"], move |handlers: &dyn Handlers, element: Element<'_>| {
            let text = handlers.walk_children(element.node).content;
            Some(match attribute(&element, "href").and_then(|href| whole(&for_links, &href)) {
                Some(link) if !text.trim().is_empty() => format!("[{}]({link})", text.trim()).into(),
                _ => text.into(),
            })
        })
        .add_handler(vec!["img"], move |_: &dyn Handlers, element: Element<'_>| {
            let link = attribute(&element, "src").and_then(|src| whole(&for_images, &src))?;
            Some(format!("![{}]({link})", attribute(&element, "alt").unwrap_or_default()).into())
        })
        .build();
    // It reads from memory: nothing can fail.
    converter.convert(html).unwrap_or_default()
}

fn attribute(element: &Element<'_>, name: &str) -> Option<String> {
    let found = element.attrs.iter().find(|attribute| &*attribute.name.local == name)?;
    Some(found.value.to_string())
}

/// The whole of a link, unless it is none a reader could follow.
fn whole(base: &Url, link: &str) -> Option<Url> {
    base.join(link.trim()).ok().filter(|url| matches!(url.scheme(), "http" | "https" | "mailto"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_becomes_what_there_is_to_read() {
        let html = r#"<html><head><title>T</title><style>x</style></head><body><nav>menu</nav>
            <h1>Head</h1><p>One <b>two</b> <a href="../a?b=1">three</a> <a href="javascript:x()">four</a></p>
            <script>alert(1)</script><ul><li>x</li></ul><img src="i.png" alt="pic"></body></html>"#;
        let text = markdown(html, &Url::parse("https://a.org/x/y").unwrap());
        for part in
            ["# Head", "**two**", "[three](https://a.org/a?b=1)", "four", "![pic](https://a.org/x/i.png)"]
        {
            assert!(text.contains(part), "{part} is not in {text}");
        }
        for part in ["menu", "alert", "javascript", "<"] {
            assert!(!text.contains(part), "{part} is in {text}");
        }
    }
}
