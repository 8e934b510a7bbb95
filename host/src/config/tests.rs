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
        "[server]\ndata = \"/x\"\n[skills.a]\nmetering = \"time\"\nfuel = 1",
        "[server]\ndata = \"/x\"\n[skills.a]\nmetering = \"time\"\n[skills.a.tools.b]\nfuel = 1",
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
        "[defaults]\ngrants = {}",
        "[skills.a.grants]\nfile = []",
        "[skills.a.grants]\nfiles = [{ host = \"/a\", guest = \"data\" }]",
        "[skills.a.grants]\nfiles = [{ host = \"/a\", guest = \"/d\" }, { host = \"/b\", guest = \"/d\" }]",
        "[skills.a.grants]\nfiles = [{ host = \"/a\", guest = \"/d\", access = \"rwx\" }]",
        "[skills.a.grants]\nhttp = [{ host = \"https://example.com/\" }]",
        "[skills.a.grants]\nhttp = [\n  { host = \"a.org\" },\n  { host = \"b.org\", methods = [\"get\"] },\n]",
        "[skills.a.grants]\nsecrets = { token = \"hunter2\" }",
        "[skills.a.grants]\nenv = { TOKEN = { secret = \"token\" } }",
        "[skills.a.grants]\nkeyvalue = { total = \"1 B\" }",
        "[skills.a.grants]\ndigest = \"sha256:abc\"",
        "[skills.a.grants]\ntools = [\"a*b\"]",
        "[skills.a.tools.\"a b\"]\nenabled = false",
        "[skills.a.tools.b]\nenabeld = false",
        "[skills.a.tools.b]\ntimeout = \"0s\"",
        "[server]\ndata = \"/x\"\n[journal]\nkey_ttl = \"0s\"",
        "[server]\ndata = \"/x\"\n[journal]\nmax_size = \"1 KiB\"",
        "[dead_letters]\non_full = \"drop\"",
        "[server]\ndata = \"/x\"\n[dead_letters]\ncapacity = 0",
        "[server]\ndata = \"/x\"\n[sagas]\nttl = \"48h\"",
        "[server]\ndata = \"/x\"\n[sagas]\nmax_open = 0",
        "[sagas]\non_expiry = \"undo\"",
        "[skills.a]\nundo_timeout = \"2h\"",
        "[skills.a]\nundo = { attempts = 101 }",
        "[admin]\ntoken = \"hunter2\"",
        "[skills.a]\ndelivery = \"durabel\"",
        "[skills.a]\npriority = \"hihg\"",
        "[skills.a]\nsecret_arguments = [\"token\"]",
        "[skills.a]\nredelivery = { attempts = 101 }",
        "[skills.a]\nmax_age = \"1ms\"",
        "[limits]\nrate_limit = \"mcp_tool\"",
        "[limits]\nrate_limit = 5",
        "[limits]\nrate_limit = { max = 5 }",
        "[limits]\nrate_limit = { max = 0, per_second = 1 }",
        "[limits]\nrate_limit = { max = 5, per_second = nan }",
        "[limits]\nrate_limit = { max = 5, per_secnd = 1 }",
        "[limits]\ncaller_concurrency = \"on\"",
        "[skills.a]\nbreaker = { growth = nan }",
        "[skills.a]\nbreaker = { consecutive = -1 }",
        "[skills.a]\nbreaker = { open = \"2h\", max_open = \"1h\" }",
        "[skills.a]\nbreaker = { window_calls = 5, window_time = \"5s\" }",
        "[skills.a]\nbreaker = { window_calls = 5, min_calls = 6 }",
        "[skills.a]\nbreaker = { probe_ratio = 0 }",
        "[skills.a]\nbreaker = { mode = \"open\" }",
        "[skills.a]\nretry = { delays = [], attempts = 2 }",
        "[skills.a]\nretry = { delays = [\"1s\"], cap = \"2s\" }",
        "[skills.a]\nretry = { first = \"9s\", cap = \"2s\" }",
        "[skills.a]\nretry = { attempts = 100 }",
        "[skills.a]\ncache = \"5m\"",
        "[skills.a]\ncache = {}",
        "[skills.a]\nresult_filter = \"delete\"",
        "[skills.a]\nbreaker_counts = [\"rate-limited\"]",
        "[skills.a.tools.b]\ncost = 11\nrate_limit = { max = 10, per_second = 1 }",
        "[skills.a.tools.b]\nfallback = \"two words\"",
        "[skills.a]\nretry_budget = { ratio = nan }",
        "[[playbooks]]\naction = \"park\"",
        "[[playbooks]]\nname = \"a b\"\naction = \"park\"",
        "[[playbooks]]\nname = \"a\"",
        "[[playbooks]]\nname = \"a\"\naction = \"parc\"",
        "[[playbooks]]\nname = \"a\"\naction = \"park\"\n[[playbooks]]\nname = \"a\"\naction = \"discard\"",
        "[[playbooks]]\nname = \"a\"\naction = \"park\"\nstrategy = \"network\"",
        "[[playbooks]]\nname = \"a\"\naction = \"retry\"\nlimit = 3",
        "[[playbooks]]\nname = \"a\"\naction = \"retry\"\nstrategy = { attempts = 101 }",
        "[[playbooks]]\nname = \"a\"\naction = \"retry\"\nmax_age = \"0s\"",
        "[[playbooks]]\nname = \"a\"\naction = \"undo\"\nlimit = 0",
        "[[playbooks]]\nname = \"a\"\naction = \"call\"",
        "[[playbooks]]\nname = \"a\"\naction = \"call\"\ntool = \"two words\"",
        "[[playbooks]]\nname = \"a\"\naction = \"call\"\ntool = \"b\"\narguments = { text = \"{massage}\" }",
        "[[playbooks]]\nname = \"a\"\naction = \"park\"\nmatch = { kinds = [\"trap\"] }",
        "[[playbooks]]\nname = \"a\"\naction = \"park\"\nmatch = { kind = [\"trap\", \"timeuot\"] }",
        "[[playbooks]]\nname = \"a\"\naction = \"park\"\n[playbooks.match]\nskill = \"a b\"",
        "[[playbooks]]\nname = \"a\"\naction = \"park\"\n\n[[playbooks]]\nname = \"b\"\naction = \"park\"\nmatch = { message = \"a{9999}{9999}\" }",
        "[[playbooks]]\nname = \"a\"\naction = \"park\"\nmatch = { attempts = { min = 3, max = 2 } }",
        "[[playbooks]]\nname = \"a\"\naction = \"park\"\nmatch = { age = { min = \"7 days ago\" } }",
        "[[playbooks]]\nname = \"a\"\naction = \"park\"\nmatch = { effect = \"maybe\" }",
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
    assert_eq!(own.mount, skillhost_core::Mount::Root);
    let other = settings.skills.of(&skillhost_core::SkillName::new("b").unwrap());
    assert_eq!((other.limits.fuel, other.limits.memory), (7, 2 << 20));
}

#[test]
fn what_is_shown_can_be_read_back() {
    let raw = Raw { server: raw::Server { data: Some("/x".into()), ..Default::default() }, ..Raw::default() }
        .filled();
    let text = toml::to_string(&raw).unwrap();
    assert!(parse(Path::new("x"), &text).unwrap().says_the_same_as(&raw));
}

#[test]
fn a_playbook_that_is_shown_can_be_read_back() {
    let text = "[[playbooks]]\nname = \"a\"\naction = \"retry\"\nmatch = { age = { min = \"7d\" }, kind = [\"trap\"], priority = [\"low\"] }\n\
                [[playbooks]]\nname = \"b\"\naction = \"call\"\ntool = \"c\"\narguments = { deep = [{ n = 1, text = \"{id}\" }] }\n\
                [server]\ndata = \"/x\"";
    let raw = parse(Path::new("x"), text).unwrap().filled();
    let shown = toml::to_string(&raw).unwrap();
    let again = parse(Path::new("x"), &shown).unwrap();
    assert!(again.says_the_same_as(&raw), "{shown}");
    let rules = |raw: Raw| raw.check().unwrap().playbooks;
    assert_eq!(rules(again), rules(parse(Path::new("x"), text).unwrap()));
}

fn with(text: &str, variables: &[(&str, &str)]) -> Result<Raw, ConfigError> {
    let raw = parse(Path::new("skillhost.toml"), text).unwrap();
    env::over(raw, variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
}

#[test]
fn the_environment_counts_over_the_file() {
    let raw = with(
        "[server]\ndata = \"/x\"\nmax_depth = 3\n[skills.a]\nfuel = 7",
        &[
            ("SKILLHOST__SERVER__MAX_DEPTH", "5"),
            ("SKILLHOST__DEFAULTS__TIMEOUT", "5s"),
            ("SKILLHOST__SKILLS__A__MEMORY", "2 MiB"),
            ("SKILLHOST__SKILLS__A__GRANTS__CONFIG__UNITS", "42"),
            ("SKILLHOST__SKILLS__A__GRANTS__HTTP", "[{ host = \"a.org\" }]"),
            ("SKILLHOST_PORT", "tcp://10.0.0.1:8000"),
        ],
    );
    let settings = raw.unwrap().check().unwrap();
    assert_eq!(settings.pipeline.arguments.depth, 5);
    let own = &settings.skills.skills[&skillhost_core::SkillName::new("a").unwrap()];
    assert_eq!((own.timeout.as_secs(), own.limits.fuel, own.limits.memory), (5, 7, 2 << 20));
    assert_eq!((own.grants.config["units"].as_str(), own.grants.http.len()), ("42", 1));
}

#[test]
fn what_the_environment_says_wrongly_is_named() {
    let error = |name, value| with("", &[(name, value)]).unwrap_err().to_string();
    let text = error("SKILLHOST__SERVER__MAX_DEPHT", "5");
    assert!(
        text.contains("SKILLHOST__SERVER__MAX_DEPHT") && text.contains("did you mean `max_depth`?"),
        "{text}"
    );
    assert!(error("SKILLHOST__SERVER__MAX_DEPTH", "five").contains("invalid type"));
    let raw = with(
        "[skills.a]\nfuel = 1",
        &[("SKILLHOST__SKILLS__A_B__FUEL", "5"), ("SKILLHOST__SERVER__DATA", "/x")],
    );
    let text = raw.unwrap().check().unwrap_err().to_string();
    assert!(
        text.starts_with(
            "the environment variable SKILLHOST__SKILLS__A_B__FUEL: `skills.a_b` names no skill"
        ),
        "{text}"
    );
    let raw = with("[server]\ndata = \"/x\"", &[("SKILLHOST__ENGINE__INSTANCES", "0")]).unwrap();
    let text = raw.check().unwrap_err().to_string();
    assert!(
        text.starts_with("the environment variable SKILLHOST__ENGINE__INSTANCES: `engine.instances` is 0"),
        "{text}"
    );
}

#[test]
fn a_tool_has_what_the_innermost_table_says() {
    let text = "[server]\ndata = \"/x\"\n[defaults]\nfuel = 7\n[skills.a]\ntimeout = \"9s\"\n[skills.a.tools.b]\nenabled = false\nmemory = \"1 MiB\"";
    let raw = parse(Path::new("skillhost.toml"), text).unwrap();
    let rows = effective(&raw, "a", "b");
    let from = |key: &str| {
        rows.iter().find(|row| row.key == key).map(|row| (row.value.to_string(), row.from.as_str()))
    };
    assert_eq!(from("fuel"), Some(("7".into(), "skillhost.toml:4:1")));
    assert_eq!(from("timeout"), Some(("\"9s\"".into(), "skillhost.toml:6:1")));
    assert_eq!(from("memory"), Some(("\"1 MiB\"".into(), "skillhost.toml:9:1")));
    assert_eq!(from("enabled"), Some(("false".into(), "skillhost.toml:8:1")));
    assert_eq!(from("log_lines"), Some(("200".into(), "built in")));
    let own = &raw.check().unwrap().skills.skills[&skillhost_core::SkillName::new("a").unwrap()];
    let tool = &own.tools["b"];
    assert_eq!(
        (tool.timeout.as_secs(), tool.limits.fuel, tool.limits.memory, tool.enabled),
        (9, 7, 1 << 20, false)
    );
    assert_eq!(own.limits.memory, 128 << 20);
}

#[test]
fn policies_are_written_out_by_level() {
    let text = "[server]\ndata = \"/x\"\n[limits]\ncaller_rate_limit = \"filesystem\"\n[skills.a]\nrate_limit = \"mcp_tools\"\nretry = \"network\"\n\
                [skills.a.tools.b]\nbreaker = { preset = \"remote\", open = \"5s\" }\nrate_limit = { max = 3, per_second = 1.33 }";
    let raw = parse(Path::new("skillhost.toml"), text).unwrap();
    let rows = effective(&raw, "a", "b");
    let shown: Vec<_> = rows
        .iter()
        .filter(|row| ["rate_limit", "retry", "breaker"].iter().any(|key| row.key.ends_with(key)))
        .map(|row| format!("{} = {} ({})", row.key, row.value, row.from))
        .collect();
    insta::assert_snapshot!(shown.join("\n"));
    // What is written out counts as what was said.
    let expanded = raw.clone().expanded().unwrap();
    let policies = |raw: Raw| raw.check().unwrap().pipeline.policies;
    assert_eq!(policies(raw), policies(expanded));
}
