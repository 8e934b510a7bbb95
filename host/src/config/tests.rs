use std::path::Path;

use super::*;

fn refused(text: &str) -> String {
    match parse(Path::new("skillhost.toml"), text) {
        Err(error) => error.to_string(),
        Ok(raw) => raw.check().unwrap_err().to_string(),
    }
}

fn checked(text: &str) -> Settings {
    let text = format!("{text}\n[server]\ndata = \"/tmp/x\"\n");
    parse(Path::new("skillhost.toml"), &text).unwrap().check().unwrap()
}

#[test]
fn errors_say_where_and_what_to_write() {
    let all = [
        "[server]\nlitsen = \"127.0.0.1:1\"",
        "[serer]\n",
        "[defaults]\nmemory = \"1 potato\"",
        "[defaults]\ntimeout = 5",
        "[server]\ndata = \"/x\"\n[defaults]\ntimeout = \"0s\"",
        "[server]\ndata = \"/x\"\n[skills.my_skill]\n",
        "[server]\ndata = \"/x\"\n[skills.a]\nmemory = \"1GiB\"",
        "[server]\ndata = \"/x\"\nlisten = \"nonsense\"",
        "[engine]\ninstances = 0\n[server]\ndata = \"/x\"",
        "[skills.text]\nqqqqqqqqqqqqqqq = 1",
        "[server]\ndata = \"\"",
        "[server]\ndata = \"/x\"\nskills = \"\"",
        "[server]\ndata = \"/x\"\nready_wait = \"1h\"",
        "[server]\ndata = \"/x\"\nallowed_hosts = [\"http://tools.example\"]",
        "[server]\ndata = \"/x\"\nallowed_origins = [\"tools.example\"]",
        "[server]\ndata = \"/x\"\n[log]\nlevel = \"loud=very\"",
        "not toml",
    ]
    .map(|text| format!("{text}\n=> {}", refused(text)))
    .join("\n\n");
    insta::assert_snapshot!(all);
}

#[test]
fn a_skill_inherits_what_it_does_not_say() {
    let settings =
        checked("[defaults]\nfuel = 7\nmemory = \"2MiB\"\n[skills.a]\nmemory = \"3MiB\"\nmount = \"root\"");
    let own = settings.skills.of(&skillhost_core::SkillName::new("a").unwrap());
    assert_eq!((own.limits.fuel, own.limits.memory), (7, 3 << 20));
    assert_eq!(own.mount, skillhost_skills::Mount::Root);
    let other = settings.skills.of(&skillhost_core::SkillName::new("b").unwrap());
    assert_eq!((other.limits.fuel, other.limits.memory), (7, 2 << 20));
}

#[test]
fn what_is_shown_can_be_read_back() {
    let raw = Raw { server: raw::Server { data: Some("/x".into()), ..Default::default() }, ..Raw::default() }
        .filled();
    let text = toml::to_string(&raw).unwrap();
    assert_eq!(parse(Path::new("x"), &text).unwrap(), raw);
}
