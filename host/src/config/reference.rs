//! The reference page and the JSON Schema, both made from the types in [`raw`](super::raw).

use std::fmt::Write as _;

use schemars::{Schema, generate::SchemaSettings};
use serde_json::Value;

use super::Raw;

/// What editors check and complete `skillhost.toml` by.
pub(crate) fn schema() -> Schema {
    SchemaSettings::draft07().for_deserialize().into_generator().into_root_schema_for::<Raw>()
}

/// The tables of the page: heading, and the definition in the schema.
const TABLES: [(&str, &str); 32] = [
    ("[server]", "Server"),
    ("[engine]", "Engine"),
    ("[log]", "Log"),
    ("[telemetry]", "Telemetry"),
    ("[health]", "Health"),
    ("[shutdown]", "Shutdown"),
    ("[journal]", "Journal"),
    ("[dead_letters]", "DeadLetters"),
    ("[sagas]", "Sagas"),
    ("[tasks]", "Tasks"),
    ("[tools]", "Tools"),
    ("[auth]", "Auth"),
    ("[admin]", "Admin"),
    ("[limits]", "Limits"),
    ("[defaults]", "Defaults"),
    ("[skills.NAME]", "Skill"),
    ("[skills.NAME.tools.TOOL]", "Tool"),
    ("`rate_limit`", "RateLimit"),
    ("`breaker`", "Breaker"),
    ("`retry`", "Retry"),
    ("`retry_budget`", "RetryBudget"),
    ("`concurrency`", "Concurrency"),
    ("`cache`", "Cache"),
    ("[[playbooks]]", "Playbook"),
    ("`match` of a playbook", "Match"),
    ("`attempts` of a `match`", "Runs"),
    ("`age` of a `match`", "Age"),
    ("[skills.NAME.grants]", "Grants"),
    ("an entry of `files`", "Folder"),
    ("an entry of `http`", "Http"),
    ("`keyvalue`, with bounds", "KeyValue"),
    ("a value of `env`, `secrets` or `token` that comes from the host", "Variable"),
];

/// `docs/configuration.md`.
pub(crate) fn page() -> String {
    let schema = schema().to_value();
    let defaults = serde_json::to_value(Raw::default().filled()).unwrap_or_default();
    let mut page = INTRODUCTION.to_owned();
    for (heading, definition) in TABLES {
        let table = &schema["definitions"][definition];
        let heading = if heading.starts_with('[') { format!("`{heading}`") } else { heading.to_owned() };
        let _ = write!(page, "\n## {heading}\n\n| key | type | default | meaning |\n|---|---|---|---|\n");
        let section =
            if definition == "DeadLetters" { "dead_letters".to_owned() } else { definition.to_lowercase() };
        for (key, property) in table["properties"].as_object().into_iter().flatten() {
            let default = match (&defaults[&section][key], section.as_str(), key.as_str()) {
                // It depends on the machine.
                (_, "server", "data") | (_, "engine", "threads") | (Value::Null, ..) => String::new(),
                // A policy has a table of its own below.
                (Value::Object(_), ..) => "as below".to_owned(),
                (default, ..) => format!("`{default}`"),
            };
            let meaning = property["description"].as_str().unwrap_or_default().replace('\n', " ");
            let _ = writeln!(
                page,
                "| `{key}` | {} | {default} | {} |",
                kind(property),
                meaning.replace('|', "\\|")
            );
        }
    }
    page
}

/// A word for what a key takes.
fn kind(property: &Value) -> String {
    if let Some(title) = property["title"].as_str() {
        return title.to_owned();
    }
    let reference = |value: &Value| {
        value["$ref"].as_str().map(|name| name.rsplit('/').next().unwrap_or_default().to_owned())
    };
    let inside = reference(property).or_else(|| {
        ["anyOf", "allOf"].iter().find_map(|key| property[key].as_array()?.iter().find_map(reference))
    });
    let word = match property["type"].as_str().or_else(|| property["type"][0].as_str()) {
        Some("array") => "list",
        Some("object") => "table",
        Some("integer") => "number",
        Some("boolean") => "true or false",
        Some("string") => "text",
        _ => match inside.as_deref() {
            Some("Mount") => "`\"prefixed\"` or `\"root\"`",
            Some("Metering") => "`\"fuel\"` or `\"time\"`",
            Some("LogFormat") => "`\"json\"` or `\"pretty\"`",
            Some("Access") => "`\"ro\"` or `\"rw\"`",
            Some("OfferSearch") => "true, false or `\"auto\"`",
            Some("KeyValueGrant") => "true, false or a table",
            Some("BreakerMode") => "text",
            Some("ControlCharacters") => "`\"allow\"`, `\"strip\"` or `\"refuse\"`",
            Some("OnFull") => "`\"refuse\"` or `\"archive-oldest\"`",
            Some("Delivery") => "`\"plain\"` or `\"durable\"`",
            Some("Priority" | "PlaybookAction" | "PlaybookState" | "PlaybookEffect") => "text",
            Some("ResultFilter") => "`\"off\"`, `\"mark\"` or `\"strip\"`",
            Some(named) if named.starts_with("Named") => "text or table",
            _ => "table",
        },
    };
    word.to_owned()
}

const INTRODUCTION: &str = r#"# Configuration

<!-- Made from host/src/config/raw.rs by `skillhost config reference`; a test compares the two. -->

`skillhost.toml` in the current folder, or `--config FILE` / `SKILLHOST_CONFIG`. Every key is optional. A key counts from
the innermost table that says it: the tool's, the skill's, `[defaults]`, built in.

| to | run |
|---|---|
| see what is wrong, with line and nearest right key | `skillhost config check` |
| see everything that counts | `skillhost config show` |
| see what counts for one tool, and who said it | `skillhost config show --effective text_diff` |
| let an editor check and complete the file | `skillhost config schema >skillhost.schema.json`, and `#:schema ./skillhost.schema.json` as its first line |

**Sizes** are numbers of bytes or texts such as `"64 KiB"`, `"8MiB"`. **Times** are texts such as `"250ms"`, `"30s"`, `"2m"`.
Relative paths start from the file's folder.

**The environment** can say any key: `SKILLHOST__ENGINE__INSTANCES=8`, `SKILLHOST__DEFAULTS__TIMEOUT=5s`,
`SKILLHOST__SKILLS__FETCH__GRANTS__HTTP='[{ host = "example.com" }]'`. It counts over the file; `--listen`, `--skills`,
`--data` and `--log` count over both. Names are taken in lower case.

**Policies** (limits, breakers, retries, cache, filter) are said by the name of a preset, `"off"`, or a table; the innermost
table that says one counts whole. [Policies](policies.md) tells what each does. `rate_limit`, `breaker`, `concurrency`,
`retry_budget` and `result_filter` of a skill are the skill's, for all its tools together; the others are inherited by tools.

**Playbooks** are rules for dead letters, a `[[playbooks]]` each: [Playbooks](playbooks.md) tells what they do, with a cookbook.

**While the host runs** it takes over changes of `[limits]`, `[defaults]`, `[[playbooks]]` and `[skills.*]`: policies that did not change keep
their state; skills whose other settings have changed are loaded again, and a skill that cannot be loaded with its new settings serves no more. A file that is not sound changes nothing; the
log says what is wrong. `[server]`, `[engine]`, `[log]`, `[telemetry]`, `[health]`, `[shutdown]`, `[journal]`, `[dead_letters]`, `[sagas]`, `[tasks]`, `[tools]`, `[auth]` and `[admin]` need a restart; the log says so.

A skill touches nothing that its grants do not give; [Security](security.md) tells how each is held.

```toml
[skills.files.grants]
files = [{ host = "/srv/docs", guest = "/docs", access = "rw" }]

[skills.fetch.grants]
digest = "sha256:…"              # as `skillhost inspect fetch` shows it
http = [{ host = "api.example.com", methods = ["GET", "POST"] }, { host = "192.168.1.10:8080" }]
secrets = { token = { file = "secrets/token" } }

[skills.notes.grants]
keyvalue = { total = "64 MiB" }

[skills.files.tools.delete]
enabled = false
```
"#;

#[cfg(test)]
mod tests {
    use super::*;

    /// With `UPDATE_DOCS=1` they are written.
    fn committed(name: &str, now: &str) {
        let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name);
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(&file, now).unwrap();
        }
        let found = std::fs::read_to_string(&file).unwrap_or_default();
        assert!(found == now, "docs/{name} is not what the types say; run the tests with UPDATE_DOCS=1");
    }

    #[test]
    fn the_page_is_what_the_types_say() {
        committed("configuration.md", &page());
    }

    #[test]
    fn the_schema_is_what_the_types_say() {
        committed("skillhost.schema.json", &format!("{:#}\n", schema().to_value()));
    }

    #[test]
    fn every_key_is_told() {
        let page = page();
        for line in page.lines().filter(|line| line.starts_with("| `")) {
            assert!(!line.ends_with("|  |"), "no meaning: {line}");
        }
        let schema = schema().to_value();
        for (name, definition) in schema["definitions"].as_object().unwrap() {
            for key in definition["properties"].as_object().into_iter().flat_map(|keys| keys.keys()) {
                let told = page.contains(&format!("| `{key}` |"))
                    || ["SecretName", "SecretFile"].contains(&name.as_str());
                assert!(told, "{name}.{key} is not on the page");
            }
        }
    }
}
