//! Cases as they are written.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail, ensure};
use axum::http::{HeaderName, HeaderValue, Method, Uri};
use serde::Deserialize;
use serde_json::{Map, Value};
use skillhost_core::{FailureKind, SkillName};
use toml::Spanned;

use super::written;
use crate::config::{ConfigError, raw::Grants, rooted};

/// One file of cases.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    /// For cases that have none of their own.
    #[serde(default)]
    grants: Grants,
    /// For every case, after its own. They need not be asked.
    #[serde(default)]
    mock_tool: Vec<MockTool>,
    #[serde(default)]
    mock_http: Vec<MockHttp>,
    #[serde(default)]
    mock_client: Vec<MockClient>,
    #[serde(default)]
    case: Vec<Written>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    name: Spanned<String>,
    grants: Option<Grants>,
    #[serde(default)]
    mock_tool: Vec<MockTool>,
    #[serde(default)]
    mock_http: Vec<MockHttp>,
    #[serde(default)]
    mock_client: Vec<MockClient>,
    // A case of one step says it itself.
    tool: Option<String>,
    #[serde(default, deserialize_with = "written::object")]
    arguments: Option<Map<String, Value>>,
    arguments_json: Option<String>,
    expect: Option<Expect>,
    #[serde(default)]
    step: Vec<WrittenStep>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenStep {
    tool: Option<String>,
    #[serde(default, deserialize_with = "written::object")]
    arguments: Option<Map<String, Value>>,
    arguments_json: Option<String>,
    undo: Option<usize>,
    #[serde(default)]
    expect: Expect,
}

/// What must come of a step. What is not said does not matter, but for success: without `failure` or `is_error` the call
/// must succeed.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Expect {
    /// The structured result.
    #[serde(deserialize_with = "written::json")]
    pub(super) result: Option<Value>,
    pub(super) result_json: Option<String>,
    /// What the structured result holds at least.
    #[serde(deserialize_with = "written::json")]
    pub(super) includes: Option<Value>,
    /// The text, all blocks of it.
    pub(super) text: Option<String>,
    /// Parts of the text.
    pub(super) text_includes: Texts,
    /// The tool answers "no".
    pub(super) is_error: bool,
    /// The kind of failure.
    pub(super) failure: Option<String>,
    /// A part of what the failure says.
    pub(super) message: Option<String>,
    /// Granted files afterwards, by the guest's paths: their contents, or false for none.
    pub(super) files: BTreeMap<String, FileIs>,
}

/// One text or several.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(untagged, expecting = "expected a text, or an array of texts")]
pub(super) enum Texts {
    #[default]
    None,
    One(String),
    Several(Vec<String>),
}

impl Texts {
    pub(super) fn iter(&self) -> impl Iterator<Item = &str> {
        let texts = match self {
            Self::None => &[],
            Self::One(text) => std::slice::from_ref(text),
            Self::Several(texts) => &texts[..],
        };
        texts.iter().map(String::as_str)
    }
}

/// What a file holds.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged, expecting = "expected the text of the file, or false where there is none")]
pub(super) enum FileIs {
    Text(String),
    There(bool),
}

/// What stands in for another skill's tool.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MockTool {
    /// Its full name.
    pub(super) tool: String,
    /// What the arguments must hold at least.
    #[serde(default, deserialize_with = "written::json")]
    pub(super) arguments: Option<Value>,
    #[serde(default)]
    pub(super) respond: Respond,
    /// How often it is asked; by default at least once.
    pub(super) times: Option<u32>,
    /// How often its calls are taken back; they can be only where this is said.
    pub(super) undone: Option<u32>,
    #[serde(skip)]
    pub(super) shared: bool,
}

/// What a tool answers.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Respond {
    #[serde(deserialize_with = "written::json")]
    pub(super) result: Option<Value>,
    pub(super) text: Option<String>,
    pub(super) is_error: bool,
    pub(super) failure: Option<String>,
    pub(super) message: Option<String>,
}

/// What stands in for a server.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MockHttp {
    /// `GET https://example.com/path`; a `*` at its end stands for anything.
    pub(super) request: String,
    /// Headers that the request must have.
    #[serde(default)]
    pub(super) headers: BTreeMap<String, String>,
    /// A part of the request's body.
    pub(super) body_includes: Option<String>,
    #[serde(default)]
    pub(super) respond: RespondHttp,
    /// How often it is asked; by default at least once.
    pub(super) times: Option<u32>,
    #[serde(skip)]
    pub(super) shared: bool,
}

/// What a server answers.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RespondHttp {
    /// By default 200.
    pub(super) status: Option<u16>,
    pub(super) headers: BTreeMap<String, String>,
    pub(super) text: Option<String>,
    #[serde(deserialize_with = "written::json")]
    pub(super) json: Option<Value>,
    /// Nobody is there.
    pub(super) refused: bool,
}

/// What stands in for the client that calls, and for the person behind it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MockClient {
    /// The question's key; left out, any.
    pub(super) key: Option<String>,
    /// A part of what is asked.
    pub(super) asks: Option<String>,
    /// The answer, as MCP words it.
    #[serde(deserialize_with = "written::json")]
    pub(super) respond: Option<Value>,
    /// How often it is asked; by default at least once.
    pub(super) times: Option<u32>,
    #[serde(skip)]
    pub(super) shared: bool,
}

/// A case, checked.
#[derive(Debug, Clone)]
pub(super) struct Case {
    pub(super) name: String,
    /// The file and line where it stands.
    pub(super) at: String,
    pub(super) grants: Grants,
    pub(super) mock_tools: Vec<MockTool>,
    pub(super) mock_http: Vec<MockHttp>,
    pub(super) mock_clients: Vec<MockClient>,
    pub(super) steps: Vec<Step>,
}

/// A call, or taking one back.
#[derive(Debug, Clone)]
pub(super) struct Step {
    pub(super) what: What,
    pub(super) expect: Expect,
}

#[derive(Debug, Clone)]
pub(super) enum What {
    Call {
        tool: String,
        arguments: Option<Map<String, Value>>,
    },
    /// The step that is taken back, from 0.
    Undo(usize),
}

/// The cases in a file, or in the *.toml of a folder, in their order.
pub(super) fn read(path: &Path) -> anyhow::Result<Vec<Case>> {
    let unreadable = || format!("cannot read the cases in {}", path.display());
    if !fs::metadata(path).with_context(unreadable)?.is_dir() {
        return file(path);
    }
    let mut files: Vec<PathBuf> = fs::read_dir(path)
        .with_context(unreadable)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()
        .with_context(unreadable)?;
    // A link that leads nowhere is one that was forgotten.
    files.retain(|file| file.extension().is_some_and(|extension| extension == "toml") && !file.is_dir());
    files.sort();
    Ok(files.iter().map(|path| file(path)).collect::<Result<Vec<_>, _>>()?.concat())
}

fn file(path: &Path) -> anyhow::Result<Vec<Case>> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let File { mut grants, mut mock_tool, mut mock_http, mut mock_client, case } =
        toml::from_str(&text).map_err(|error| ConfigError::parse(path, &text, &error))?;
    let folder = path.parent().unwrap_or(Path::new(""));
    rooted(&mut grants, folder);
    mock_tool.iter_mut().for_each(|mock| mock.shared = true);
    mock_http.iter_mut().for_each(|mock| mock.shared = true);
    mock_client.iter_mut().for_each(|mock| mock.shared = true);
    let mut names = BTreeSet::new();
    let cases = case.into_iter().map(|written| {
        let line = text[..written.name.span().start].matches('\n').count() + 1;
        let at = format!("{}:{line}", path.display());
        let name = written.name.get_ref();
        ensure!(
            !name.trim().is_empty() && !name.contains(char::is_control),
            "{at}: a case is called something, in one line"
        );
        ensure!(names.insert(name.clone()), "{at}: another case above is called {name:?}");
        let own = written.grants.clone().map(|mut own| {
            rooted(&mut own, folder);
            own
        });
        let case = Case {
            name: written.name.get_ref().clone(),
            at: at.clone(),
            grants: own.unwrap_or_else(|| grants.clone()),
            mock_tools: [&written.mock_tool[..], &mock_tool].concat(),
            mock_http: [&written.mock_http[..], &mock_http].concat(),
            mock_clients: [&written.mock_client[..], &mock_client].concat(),
            steps: steps(written).with_context(|| at.clone())?,
        };
        case.check().with_context(|| at)?;
        Ok(case)
    });
    cases.collect()
}

fn steps(written: Written) -> anyhow::Result<Vec<Step>> {
    let Written { tool, arguments, arguments_json, expect, step, .. } = written;
    let written = match (tool, step) {
        (Some(tool), step) if step.is_empty() => {
            vec![WrittenStep {
                tool: Some(tool),
                arguments,
                arguments_json,
                undo: None,
                expect: expect.unwrap_or_default(),
            }]
        }
        (None, step)
            if !step.is_empty() && arguments.is_none() && arguments_json.is_none() && expect.is_none() =>
        {
            step
        }
        _ => bail!(
            "a case has either a `tool`, with its `arguments` and what to `expect`, or `[[case.step]]`s with those"
        ),
    };
    written.into_iter().enumerate().map(|(n, step)| self::step(n, step)).collect()
}

fn step(n: usize, written: WrittenStep) -> anyhow::Result<Step> {
    let WrittenStep { tool, arguments, arguments_json, undo, mut expect } = written;
    let arguments = match (arguments, arguments_json) {
        (arguments, None) => arguments,
        (None, Some(text)) => {
            Some(serde_json::from_str(&text).context("`arguments_json` is no JSON object")?)
        }
        (Some(_), Some(_)) => {
            bail!("`arguments` and `arguments_json` are the same thing in two ways; write one")
        }
    };
    let what = match (tool, undo) {
        (Some(tool), None) => What::Call { tool, arguments },
        (None, Some(earlier)) => {
            ensure!((1..=n).contains(&earlier), "`undo` names a step before this one, from 1");
            ensure!(arguments.is_none(), "`undo` takes no arguments");
            What::Undo(earlier - 1)
        }
        _ => bail!("a step has either a `tool` or `undo`, the number of an earlier step"),
    };
    if let Some(text) = expect.result_json.take() {
        ensure!(
            expect.result.is_none(),
            "`result` and `result_json` are the same thing in two ways; write one"
        );
        expect.result = Some(serde_json::from_str(&text).context("`result_json` is no JSON")?);
    }
    Ok(Step { what, expect })
}

impl Case {
    /// Whether each tool that is called is one of the skill's, unless that is what is tried out.
    pub(super) fn knows(&self, skill: &SkillName, tools: &[&str]) -> anyhow::Result<()> {
        let own = |mock: &&MockTool| mock.tool.split_once('_').is_some_and(|(of, _)| of == skill.as_str());
        if let Some(mock) = self.mock_tools.iter().find(own) {
            bail!(
                "`{}` is a tool of the skill that is tried out; only other skills' tools have mocks",
                mock.tool
            );
        }
        for step in &self.steps {
            let What::Call { tool, .. } = &step.what else { continue };
            if !tools.contains(&tool.as_str()) && step.expect.failure.as_deref() != Some("unknown-tool") {
                bail!("the skill has no tool `{tool}`; it has {}", tools.join(", "));
            }
        }
        Ok(())
    }

    fn check(&self) -> anyhow::Result<()> {
        for expect in self.steps.iter().map(|step| &step.expect) {
            kind(expect.failure.as_deref())?;
            let failed = expect.failure.is_some();
            ensure!(
                expect.message.is_none() || failed,
                "`message` is what a `failure` says; a reply has `text`"
            );
            let of_a_reply = expect.result.is_some()
                || expect.includes.is_some()
                || expect.text.is_some()
                || expect.text_includes.iter().next().is_some()
                || expect.is_error;
            ensure!(!failed || !of_a_reply, "a call ends with a `failure` or with a reply, not with both");
        }
        self.mock_tools.iter().try_for_each(|mock| mock.respond.check())?;
        self.mock_http.iter().try_for_each(MockHttp::check)
    }
}

impl Respond {
    fn check(&self) -> anyhow::Result<()> {
        kind(self.failure.as_deref())?;
        let failed = self.failure.is_some();
        ensure!(self.message.is_none() || failed, "`message` is what a `failure` says; a reply has `text`");
        ensure!(
            !failed || self.result.is_none() && self.text.is_none() && !self.is_error,
            "a mock answers with a `failure` or with a reply, not with both"
        );
        Ok(())
    }
}

impl MockHttp {
    fn check(&self) -> anyhow::Result<()> {
        let (method, url) = self.request.split_once(' ').unwrap_or_default();
        let url = url.strip_suffix('*').unwrap_or(url).parse::<Uri>();
        ensure!(
            method.parse::<Method>().is_ok_and(|method| !method.as_str().contains(char::is_lowercase))
                && url.is_ok_and(|url| url.scheme().is_some()),
            "`{}` is no request; write it such as `GET https://example.com/path`",
            self.request
        );
        let RespondHttp { status, headers, text, json, refused } = &self.respond;
        for (name, value) in self.headers.iter().chain(headers) {
            ensure!(
                name.parse::<HeaderName>().is_ok() && value.parse::<HeaderValue>().is_ok(),
                "`{name}: {value}` is no header of HTTP"
            );
        }
        ensure!(
            status.is_none_or(|status| (200..600).contains(&status)),
            "a response has a `status` from 200 to 599"
        );
        ensure!(text.is_none() || json.is_none(), "a response has one body, `text` or `json`");
        ensure!(
            !refused || status.is_none() && headers.is_empty() && text.is_none() && json.is_none(),
            "nobody answers where the connection is `refused`"
        );
        Ok(())
    }
}

fn kind(code: Option<&str>) -> anyhow::Result<()> {
    let Some(code) = code.filter(|code| FailureKind::from_code(code).is_none()) else { return Ok(()) };
    let codes = FailureKind::ALL.map(FailureKind::code);
    bail!("there is no failure `{code}`; the kinds are {}", codes.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> anyhow::Result<Vec<Case>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.toml");
        fs::write(&path, text).unwrap();
        read(&path)
    }

    #[test]
    fn a_case_of_one_step_and_one_of_several() {
        let cases = parsed(
            r#"
            grants = { config = { a = "b" } }
            [[mock_tool]]
            tool = "text_diff"
            [[case]]
            name = "one"
            tool = "put"
            arguments_json = '{"a": null}'
            expect = { result_json = "null", text_includes = "x", files = { "/a" = false } }
            [[case]]
            name = "two"
            grants = { keyvalue = true }
            [[case.mock_http]]
            request = "GET https://example.com/*"
            [[case.step]]
            tool = "put"
            [[case.step]]
            undo = 1
            "#,
        )
        .unwrap();
        let [one, two] = &cases[..] else { panic!() };
        assert!(one.at.ends_with("a.toml:6"), "{}", one.at);
        assert!(matches!(&one.steps[0].what, What::Call { arguments: Some(a), .. } if a["a"].is_null()));
        assert_eq!(one.steps[0].expect.result, Some(Value::Null));
        assert!(one.mock_tools[0].shared && one.grants.config.contains_key("a"));
        assert!(matches!(two.steps[1].what, What::Undo(0)));
        assert!(two.grants.config.is_empty() && !two.mock_http[0].shared);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        let case = |rest: &str| format!("[[case]]\nname = \"x\"\n{rest}");
        let http = |respond: &str| {
            case(&format!(
                "tool = \"a\"\n[[case.mock_http]]\nrequest = \"GET http://a/\"\nrespond = {{ {respond} }}"
            ))
        };
        let tool = |respond: &str| {
            case(&format!("tool = \"a\"\n[[case.mock_tool]]\ntool = \"b_c\"\nrespond = {{ {respond} }}"))
        };
        for (text, told) in [
            (case("tol = \"a\""), "did you mean `tool`?"),
            (case(""), "either a `tool`"),
            (case("tool = \"a\"\n[[case.step]]\ntool = \"b\""), "either a `tool`"),
            (case("[[case.step]]\nundo = 1"), "before this one"),
            (case("[[case.step]]\ntool = \"a\"\nundo = 1"), "either a `tool` or `undo`"),
            (case("tool = \"a\"\nexpect = { failure = \"broken\" }"), "no failure `broken`"),
            (case("tool = \"a\"\nexpect = { failure = \"trap\", text = \"b\" }"), "not with both"),
            (case("tool = \"a\"\nexpect = { message = \"b\" }"), "a reply has `text`"),
            (case("tool = \"a\"\narguments_json = \"[\""), "no JSON object"),
            (case("tool = \"a\"\narguments_json = \"{}\"\narguments = {}"), "in two ways"),
            (case("tool = \"a\"\n[[case.mock_http]]\nrequest = \"example.com\""), "is no request"),
            (case("tool = \"a\"\nexpect = { files = { \"/a\" = 1 } }"), "expected the text of the file"),
            (case("tool = \"a\"\nexpect = { text_includes = 1 }"), "expected a text, or an array"),
            (case("tool = \"a\"\narguments = { b = [inf] }"), "cannot be told in JSON"),
            (case("tool = \"a\"\nexpect = { result = { b = 2026-01-01 } }"), "in quotes"),
            ("[[case]]\nname = \" \"\ntool = \"a\"".into(), "called something"),
            (format!("{0}\n{0}", case("tool = \"a\"")), "another case above"),
            (http("status = 9999"), "from 200 to 599"),
            (http("headers = { \"a b\" = \"c\" }"), "no header"),
            (http("text = \"a\", json = 1"), "one body"),
            (http("refused = true, status = 200"), "nobody answers"),
            (http("").replace("GET", "get"), "is no request"),
            (tool("failure = \"trap\", text = \"a\""), "not with both"),
            (tool("message = \"a\""), "a reply has `text`"),
            (tool("failure = \"none\""), "no failure `none`"),
        ] {
            let error = format!("{:#}", parsed(&text).unwrap_err());
            assert!(error.contains(told) && error.contains("a.toml:"), "{text}: {error}");
        }
    }
}
