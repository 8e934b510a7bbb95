//! What a component asks for, held against what it was granted.

use super::{Access, EnvValue, Grants};
use crate::Interfaces;

/// One import of a component and what comes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// The interface it imports.
    pub import: String,
    /// What it gets, or what will fail.
    pub gets: String,
    /// Whether it reaches outside the sandbox, so that it needs a grant.
    pub needs: Option<&'static str>,
    /// Whether that grant is there. True where none is needed.
    pub granted: bool,
}

/// Each import of a component beside what it was granted.
#[must_use]
pub fn asked(interfaces: &Interfaces, grants: &Grants) -> Vec<Ask> {
    interfaces.imports.iter().map(|import| ask(import, grants)).collect()
}

/// Grants that the component cannot use, by their key.
#[must_use]
pub fn unasked(interfaces: &Interfaces, grants: &Grants) -> Vec<&'static str> {
    let asks = |key| interfaces.imports.iter().any(|import| key_of(name_of(import)) == Some(key));
    // A secret can reach the guest as a variable too.
    let in_env = asks("env") && grants.env.values().any(|value| matches!(value, EnvValue::Secret(_)));
    let given = [
        ("files", !grants.files.is_empty()),
        ("http", !grants.http.is_empty()),
        ("env", !grants.env.is_empty()),
        ("config", !grants.config.is_empty()),
        ("secrets", !grants.secrets.is_empty() && !in_env),
        ("keyvalue", grants.keyvalue.is_some()),
        ("tools", !grants.tools.is_empty()),
    ];
    given.into_iter().filter(|(key, given)| *given && !asks(key)).map(|(key, _)| key).collect()
}

fn name_of(import: &str) -> &str {
    import.split('@').next().unwrap_or(import)
}

/// The key in `[skills.NAME.grants]` that opens an interface.
fn key_of(interface: &str) -> Option<&'static str> {
    Some(match interface {
        "wasi:filesystem/preopens" => "files",
        "wasi:http/outgoing-handler" => "http",
        "wasi:cli/environment" => "env",
        "wasi:config/store" => "config",
        "skillhost:skill/secrets" => "secrets",
        "wasi:keyvalue/store" => "keyvalue",
        "skillhost:skill/host" => "tools",
        _ => return None,
    })
}

fn ask(import: &str, grants: &Grants) -> Ask {
    let name = name_of(import);
    // The rest of `host` works without a grant, so lacking one for `call-tool` is no failure by itself.
    let needs = key_of(name).filter(|key| !matches!(*key, "tools" | "env"));
    let listed = |names: Vec<String>| names.join(", ");
    let (gets, granted) = match name {
        "wasi:filesystem/preopens" if grants.files.is_empty() => {
            ("no folder: opening a file fails".into(), false)
        }
        "wasi:filesystem/preopens" => {
            let folder = |f: &super::FolderGrant| {
                let access = if f.access == Access::ReadOnly { "ro" } else { "rw" };
                format!("{} ({access})", f.guest)
            };
            (listed(grants.files.iter().map(folder).collect()), true)
        }
        "wasi:http/outgoing-handler" if grants.http.is_empty() => {
            ("no host: every request is refused".into(), false)
        }
        "wasi:http/outgoing-handler" => (listed(grants.http.iter().map(ToString::to_string).collect()), true),
        "wasi:cli/environment" if grants.env.is_empty() => ("no variables, no arguments".into(), true),
        "wasi:cli/environment" => (listed(grants.env.keys().cloned().collect()), true),
        "wasi:config/store" if grants.config.is_empty() => ("no keys".into(), false),
        "wasi:config/store" => (listed(grants.config.keys().cloned().collect()), true),
        "skillhost:skill/secrets" if grants.secrets.is_empty() => {
            ("no secret: asking for one fails".into(), false)
        }
        "skillhost:skill/secrets" => (listed(grants.secrets.keys().cloned().collect()), true),
        "wasi:keyvalue/store" => match grants.keyvalue {
            None => ("no bucket: every operation fails".into(), false),
            Some(bounds) => (format!("a bucket of {} bytes, {} keys", bounds.total, bounds.keys), true),
        },
        "skillhost:skill/host" if grants.tools.is_empty() => {
            ("progress and cancellation; no tool: calling another one fails".into(), true)
        }
        "skillhost:skill/host" => {
            let tools = grants.tools.iter().map(|tool| tool.as_str().to_owned()).collect();
            (format!("progress and cancellation; tools {}", listed(tools)), true)
        }
        "skillhost:skill/types" => ("types only".into(), true),
        "wasi:logging/logging" | "wasi:cli/stdout" | "wasi:cli/stderr" => {
            ("to the host's log, bounded".into(), true)
        }
        "wasi:cli/stdin" => ("empty".into(), true),
        _ if name.starts_with("wasi:sockets/") => ("closed: nothing opens sockets".into(), true),
        _ if name.starts_with("wasi:cli/terminal") => ("no terminal".into(), true),
        _ => ("yes".into(), true),
    };
    Ask { import: import.to_owned(), gets, needs, granted }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interfaces(imports: &[&str]) -> Interfaces {
        Interfaces { imports: imports.iter().map(|&i| i.to_owned()).collect(), exports: vec![] }
    }

    #[test]
    fn what_will_fail_and_what_nobody_asked_for() {
        let asks = interfaces(&["wasi:http/outgoing-handler@0.2.9", "wasi:io/poll@0.2.9"]);
        let grants =
            Grants { config: [("units".to_owned(), "metric".to_owned())].into(), ..Grants::default() };
        let found = asked(&asks, &grants);
        assert_eq!((found[0].needs, found[0].granted), (Some("http"), false));
        assert_eq!((found[1].needs, found[1].granted), (None, true));
        assert_eq!(unasked(&asks, &grants), ["config"]);
        assert!(unasked(&interfaces(&["wasi:config/store@0.2.0-rc.1"]), &grants).is_empty());
    }
}
