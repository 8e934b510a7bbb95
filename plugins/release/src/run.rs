//! The tool `run`.
use serde_json::json;
use serde_json::value::RawValue;
use skillhost_sdk::prelude::*;
use skillhost_sdk::undo;

use crate::steps::{How, Step, Steps};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Args {
    /// The folder with manifest.json, in what the files skill was granted.
    #[schemars(length(min = 1))]
    folder: String,
    /// The new version, such as 1.4.0; later than the one in the manifest.
    #[schemars(length(min = 1, max = 64))]
    version: String,
    /// Where to fetch the text of the release notes from.
    #[serde(default)]
    source_url: Option<String>,
    /// Stop before this step, to see everything taken back.
    #[serde(default)]
    stop_at: Option<Step>,
    /// How to stop there.
    #[serde(default)]
    stop_how: How,
}

#[derive(Debug, PartialEq, Serialize, JsonSchema)]
pub(crate) struct Released {
    /// The version before.
    before: String,
    /// The version now.
    version: String,
    /// Where the release notes are.
    notes: String,
}

/// What `files_read` gives of a text.
#[derive(Deserialize)]
struct Part {
    text: String,
    more: bool,
}

/// What `files_list` gives.
#[derive(Deserialize)]
struct Listing {
    entries: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    path: String,
}

/// What `json_query` gives.
#[derive(Deserialize)]
struct Results {
    results: Vec<Box<RawValue>>,
}

/// What `fetch_get` gives of a page.
#[derive(Deserialize)]
struct Page {
    status: u16,
    text: String,
}

/// Makes a release in a folder: sets the version in manifest.json, writes releases/VERSION.md, adds a line to
/// CHANGELOG.txt, moves next.md to releases/VERSION-details.md and deletes next.lock, when they are there. When a step
/// fails, the steps before it are taken back.
#[tool(destructive, open_world, title = "Make a release", undo = undo::nothing)]
pub(crate) fn run(args: Args) -> Result<Released, Failure> {
    let folder = args.folder.trim_end_matches('/');
    let version = args.version.as_str();
    let new = numbers(version).ok_or_else(|| {
        Failure::invalid_input(format_args!(
            "`{version}` is no version; one such as 1.4.0 or 1.4.0-rc.1 is expected"
        ))
    })?;
    let steps = Steps { stop_at: args.stop_at, how: args.stop_how };

    steps.begin(Step::Read)?;
    let manifest = format!("{folder}/manifest.json");
    let text = read(&manifest)?;
    let next = next(folder)?;

    steps.begin(Step::Version)?;
    let (before, changed) = with_version(&manifest, &text, version)?;
    if numbers(&before).is_none_or(|old| old >= new) {
        return Err(Failure::conflict(format_args!(
            "`{manifest}` has version {before}, and {version} is not later"
        )));
    }

    steps.begin(Step::Source)?;
    let source = args.source_url.as_deref().map(fetched).transpose()?;

    // From here on the world changes.
    steps.begin(Step::Manifest)?;
    write(&manifest, &format!("{}\n", changed.get()), "overwrite")?;

    steps.begin(Step::Notes)?;
    let notes = format!("{folder}/releases/{version}.md");
    let text = source.map_or(String::new(), |source| format!("\n{}\n", source.trim_end()));
    write(&notes, &format!("# {version}\n\nAfter {before}.\n{text}"), "create")?;

    steps.begin(Step::Changelog)?;
    write(&format!("{folder}/CHANGELOG.txt"), &format!("{version} after {before}\n"), "append")?;

    steps.begin(Step::Details)?;
    if let Some(details) = next.details {
        let to = format!("{folder}/releases/{version}-details.md");
        host::call::<String>("files_move", &json!({"from": details, "to": to}))?;
    }

    steps.begin(Step::Lock)?;
    if let Some(lock) = next.lock {
        host::call::<String>("files_delete", &json!({"path": lock}))?;
    }

    steps.begin(Step::End)?;
    Ok(Released { before, version: args.version, notes })
}

fn read(path: &str) -> Result<String, Failure> {
    let part: Part = host::call("files_read", &json!({"path": path, "max_lines": 100_000}))?;
    match part.more {
        true => Err(Failure::permanent(format_args!("`{path}` is too large for a manifest"))),
        false => Ok(part.text),
    }
}

/// What is there for the next release.
struct Next {
    details: Option<String>,
    lock: Option<String>,
}

fn next(folder: &str) -> Result<Next, Failure> {
    let listing: Listing = host::call("files_list", &json!({"path": folder, "max_entries": 10_000}))?;
    let find = |name: &str| {
        let mut paths = listing.entries.iter().map(|entry| &entry.path);
        paths.find(|path| path.rsplit('/').next() == Some(name)).cloned()
    };
    Ok(Next { details: find("next.md"), lock: find("next.lock") })
}

/// The version in a manifest, and the manifest with another one.
fn with_version(path: &str, manifest: &str, version: &str) -> Result<(String, Box<RawValue>), Failure> {
    let manifest: Box<RawValue> = serde_json::from_str(manifest)
        .map_err(|error| Failure::permanent(format_args!("`{path}` is not JSON: {error}")))?;
    #[derive(Serialize)]
    struct Query<'a> {
        json: (&'a RawValue, &'a str),
        filter: &'static str,
    }
    let filter = ".[1] as $version | .[0] | .version, (.version = $version)";
    let answer: Results = host::call("json_query", &Query { json: (&manifest, version), filter })?;
    let mut results = answer.results.into_iter();
    match (results.next().and_then(|before| serde_json::from_str(before.get()).ok()), results.next()) {
        (Some(before), Some(changed)) => Ok((before, changed)),
        _ => Err(Failure::permanent(format_args!("`{path}` has no version that is a text"))),
    }
}

fn fetched(url: &str) -> Result<String, Failure> {
    let page: Page = host::call("fetch_get", &json!({"url": url}))?;
    match page.status {
        200 => Ok(page.text),
        status => Err(Failure::permanent(format_args!("`{url}` answers {status}"))),
    }
}

fn write(path: &str, text: &str, mode: &str) -> Result<(), Failure> {
    let arguments = json!({"path": path, "text": text, "mode": mode, "create_folders": mode == "create"});
    host::call::<serde::de::IgnoredAny>("files_write", &arguments)?;
    Ok(())
}

/// The numbers of a version, to be compared. What follows a `-` is looked at for its letters only, as it names a file.
fn numbers(version: &str) -> Option<Vec<u64>> {
    let (numbers, rest) = version.split_once('-').unwrap_or((version, "x"));
    let sound = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if !rest.split('.').all(sound) {
        return None;
    }
    let part = |part: &str| if sound(part) { part.parse().ok() } else { None };
    numbers.split('.').map(part).collect::<Option<Vec<u64>>>().filter(|numbers| numbers.len() == 3)
}

#[cfg(test)]
mod tests;
