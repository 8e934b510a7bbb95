//! What is told of a component before it is installed.

use std::fmt::Write as _;

use serde_json::{Value, json};
use skillhost_core::{Digest, SkillName};
use skillhost_engine::{Ask, Grants, Loaded, asked};

use super::changes::Changes;
use crate::{
    cli::{inspect, out},
    config::Settings,
};

/// All that is known before anything is changed.
pub(in crate::cli) struct Found<'a> {
    pub(in crate::cli) name: &'a SkillName,
    /// As the user named it.
    pub(in crate::cli) source: &'a str,
    pub(in crate::cli) size: usize,
    pub(in crate::cli) loaded: &'a Loaded,
    pub(in crate::cli) changes: Option<Changes>,
    pub(in crate::cli) settings: &'a Settings,
}

impl Found<'_> {
    fn grants(&self) -> &Grants {
        &self.settings.skills.of(self.name).grants
    }

    fn problem(&self) -> Option<String> {
        inspect::problem(self.loaded, self.grants(), &self.settings.skills.protected)
    }

    /// The lines of the configuration that are not there yet.
    fn lines(&self) -> String {
        lines(self.name, self.loaded.digest, &asked(&self.loaded.interfaces, self.grants()), self.grants())
    }

    /// For programs.
    pub(in crate::cli) fn described(&self) -> anyhow::Result<Value> {
        let skills = &self.settings.skills;
        let own = skills.of(self.name);
        let mut described = inspect::described(self.name, self.size, self.loaded, own, &skills.protected)?;
        described["source"] = self.source.into();
        described["replaces"] = self.changes.as_ref().map_or(Value::Null, Changes::described);
        described["grants"]["lines"] = json!(self.lines());
        Ok(described)
    }

    /// For people.
    pub(in crate::cli) fn page(&self) -> anyhow::Result<String> {
        let mut text = String::new();
        let size = bytesize::ByteSize(self.size as u64).display().iec();
        let (name, digest) = (self.name, self.loaded.digest);
        writeln!(text, "skill    {name}\ndigest   {digest}\nsize     {size}")?;
        writeln!(text, "from     {}", out::harmless(self.source))?;
        let own = self.settings.skills.of(self.name);
        writeln!(text, "\noffers")?;
        for spec in &self.loaded.tools {
            let first = spec.description.as_deref().and_then(|text| text.lines().next()).unwrap_or_default();
            let full = own.mount.tool(name, &spec.name)?;
            writeln!(text, "  {:<32} {}", full.as_str(), out::harmless(first))?;
        }
        let features = &self.loaded.features;
        for (what, count) in [
            ("prompts", features.prompts.len()),
            ("resources", features.resources.len()),
            ("families of resources", features.templates.len()),
        ] {
            if count > 0 {
                writeln!(text, "  and {count} {what}")?;
            }
        }
        inspect::no_tools(&mut text, self.loaded)?;
        let asks = asked(&self.loaded.interfaces, self.grants());
        let reaching: Vec<_> = asks.iter().filter(|ask| ask.needs.is_some()).collect();
        if reaching.is_empty() {
            writeln!(text, "\nasks for nothing outside its sandbox that needs a grant")?;
        } else {
            writeln!(text, "\nasks for                                     and gets")?;
        }
        for ask in reaching {
            let mark = if ask.granted { ' ' } else { '!' };
            writeln!(text, "{mark} {:<42} {}", out::harmless(&ask.import), out::harmless(&ask.gets))?;
        }
        if let Some(problem) = self.problem() {
            writeln!(text, "\nPROBLEM with its grants: {}", out::harmless(&problem))?;
        }
        let lines = self.lines();
        if !lines.is_empty() {
            writeln!(text, "\nfor skillhost.toml, as far as you want it; choose the values:\n{lines}")?;
        }
        if let Some(changes) = &self.changes {
            writeln!(text)?;
            for line in changes.lines() {
                writeln!(text, "{}", out::harmless(&line))?;
            }
        }
        Ok(text)
    }
}

/// Grants that a component asks for and has not, pinned to it. What somebody has to choose is a comment: the lines are
/// sound as they are, and give no more than keeping values. Empty when nothing is missing.
fn lines(name: &SkillName, digest: Digest, asks: &[Ask], grants: &Grants) -> String {
    let missing: Vec<_> = asks.iter().filter(|ask| !ask.granted).filter_map(|ask| ask.needs).collect();
    let pinned = grants.digest == Some(digest);
    // A skill without grants needs no pin: whatever has its name touches nothing.
    let nothing = grants.is_empty() && grants.digest.is_none();
    if missing.is_empty() && (pinned || nothing) {
        return String::new();
    }
    let mut text = format!("[skills.{name}.grants]\n");
    if !pinned {
        let instead = if grants.digest.is_some() { "   # in the place of the one there" } else { "" };
        let _ = writeln!(text, "digest = \"{digest}\"{instead}");
    }
    for key in missing {
        text.push_str(match key {
            "files" => "# files = [{ host = \"/srv/docs\", guest = \"/docs\", access = \"ro\" }]\n",
            "http" => "# http = [{ host = \"api.example.com\", methods = [\"GET\"] }]\n",
            "config" => "# config = { key = \"value\" }\n",
            "secrets" => "# secrets = { token = { file = \"secrets/token\" } }\n",
            "keyvalue" => "keyvalue = true\n",
            _ => "",
        });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Raw;

    fn ask(needs: Option<&'static str>, granted: bool) -> Ask {
        Ask { import: String::new(), gets: String::new(), needs, granted }
    }

    #[test]
    fn the_lines_are_sound_and_give_little() {
        let name = SkillName::new("a-1").unwrap();
        let digest = Digest::of(b"");
        let keys = ["files", "http", "config", "secrets", "keyvalue"];
        let asks: Vec<_> = keys.iter().map(|key| ask(Some(key), false)).chain([ask(None, true)]).collect();
        let text = lines(&name, digest, &asks, &Grants::default());
        let checked = |text: &str| {
            let text = format!("{text}\n[server]\ndata = \"/x\"\n");
            toml::from_str::<Raw>(&text).unwrap().check().unwrap()
        };
        let settings = checked(&text);
        let grants = &settings.skills.of(&name).grants;
        let only = Grants { digest: Some(digest), keyvalue: grants.keyvalue, ..Grants::default() };
        assert_eq!(*grants, only);
        assert!(grants.keyvalue.is_some());
        // With the comments taken off they are sound as well.
        let settings = checked(&text.replace("# ", ""));
        let grants = &settings.skills.of(&name).grants;
        assert!(!grants.files.is_empty() && !grants.http.is_empty() && !grants.secrets.is_empty());
        assert!(!grants.config.is_empty());
    }

    #[test]
    fn nothing_is_said_when_nothing_is_missing() {
        let name = SkillName::new("a").unwrap();
        let digest = Digest::of(b"");
        assert_eq!(lines(&name, digest, &[ask(None, true)], &Grants::default()), "");
        let pinned = Grants { digest: Some(digest), ..Grants::default() };
        assert_eq!(lines(&name, digest, &[ask(Some("http"), true)], &pinned), "");
        let other = Grants { digest: Some(Digest::of(b"other")), ..Grants::default() };
        assert!(lines(&name, digest, &[], &other).contains("in the place"));
    }
}
