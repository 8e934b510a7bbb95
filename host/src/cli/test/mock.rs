//! What stands in for other skills' tools and for the network while a case runs.

use std::{
    collections::BTreeSet,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use anyhow::Context as _;
use axum::{
    body::Bytes,
    http::{HeaderName, Request, Response},
};
use serde_json::Value;
use skillhost_core::{
    Ask, Attempt, Block, Call, ClientFeatures, Digest, Entry, Failure, FailureKind, Instance, Invoke,
    Outcome, OwnTool, Reply, Report, Schema, SkillName, ToolName, ToolSpec, Undo, Usage,
};
use skillhost_engine::Upstream;
use skillhost_pipeline::{Asking, Given};

use super::{
    case::{Case, MockClient, MockHttp, MockTool},
    judge::includes,
};

/// The mocks of a case, and how often each was asked.
pub(super) struct Mocks {
    tools: Vec<(MockTool, Mutex<Count>)>,
    http: Vec<(MockHttp, Mutex<Count>)>,
    clients: Vec<(MockClient, Mutex<Count>)>,
    /// What no mock answers.
    missed: Mutex<Vec<String>>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Count {
    asked: u32,
    undone: u32,
}

impl Mocks {
    pub(super) fn of(case: &Case) -> Arc<Self> {
        Arc::new(Self {
            tools: case.mock_tools.iter().map(|mock| (mock.clone(), Mutex::default())).collect(),
            http: case.mock_http.iter().map(|mock| (mock.clone(), Mutex::default())).collect(),
            clients: case.mock_clients.iter().map(|mock| (mock.clone(), Mutex::default())).collect(),
            missed: Mutex::default(),
        })
    }

    /// The tools, for the catalog.
    pub(super) fn tools(self: &Arc<Self>) -> anyhow::Result<Vec<OwnTool>> {
        let names: BTreeSet<_> = self.tools.iter().map(|(mock, _)| mock.tool.as_str()).collect();
        let undoable = |name| self.tools.iter().any(|(mock, _)| mock.tool == name && mock.undone.is_some());
        names.into_iter().map(|name| own(name, undoable(name), self)).collect()
    }

    /// What went otherwise than the mocks say.
    pub(super) fn problems(&self) -> Vec<String> {
        let missed = lock(&self.missed);
        // An attempt is made again.
        let different: BTreeSet<_> = missed.iter().cloned().collect();
        let mut problems: Vec<_> = different.into_iter().collect();
        let tools = self.tools.iter().map(|(mock, asked)| {
            (format!("the tool `{}`", mock.tool), mock.times, mock.shared, *lock(asked))
        });
        let http = self
            .http
            .iter()
            .map(|(mock, asked)| (format!("`{}`", mock.request), mock.times, mock.shared, *lock(asked)));
        let clients = self.clients.iter().map(|(mock, asked)| {
            let what = [&mock.key, &mock.asks].into_iter().flatten().map(|part| format!(" `{part}`"));
            (format!("the client{}", what.collect::<String>()), mock.times, mock.shared, *lock(asked))
        });
        for (what, times, shared, Count { asked, .. }) in tools.chain(http).chain(clients) {
            match times {
                Some(times) if times != asked => {
                    problems.push(format!("{what} was asked {asked} times, not {times}"));
                }
                None if asked == 0 && !shared => problems.push(format!("{what} was never asked")),
                _ => {}
            }
        }
        for (mock, count) in &self.tools {
            let undone = lock(count).undone;
            if mock.undone.is_some_and(|wanted| wanted != undone) {
                problems.push(format!(
                    "calls of the tool `{}` were taken back {undone} times, not {}",
                    mock.tool,
                    mock.undone.unwrap_or_default()
                ));
            }
        }
        problems
    }

    fn miss(&self, what: String) {
        lock(&self.missed).push(format!("{what}, and no mock answers that"));
    }

    fn call(&self, name: &str, arguments: Option<&str>) -> Result<Reply, Failure> {
        let arguments = parsed(arguments);
        let fits = |(mock, count): &&(MockTool, Mutex<Count>)| {
            mock.answers(name, &arguments) && lock(count).is_below(mock.times)
        };
        let Some((mock, count)) = self.tools.iter().find(fits) else {
            self.miss(format!("the skill called `{name}` with {arguments}"));
            return Err(Failure::new(FailureKind::Permanent, "no mock answers this call"));
        };
        lock(count).asked += 1;
        let respond = &mock.respond;
        if let Some(kind) = respond.failure.as_deref().and_then(FailureKind::from_code) {
            return Err(Failure::new(
                kind,
                respond.message.clone().unwrap_or_else(|| "as the case says".into()),
            ));
        }
        let text = respond.text.clone().or_else(|| respond.result.as_ref().map(ToString::to_string));
        Ok(Reply {
            content: text.map(Block::text).into_iter().collect(),
            structured: respond.result.clone(),
            is_error: respond.is_error,
            ..Reply::default()
        })
    }
}

impl Mocks {
    /// Take back what a tool did.
    fn undo(&self, name: &str, arguments: Option<&str>) -> Result<Reply, Failure> {
        let arguments = parsed(arguments);
        let fits =
            |(mock, _): &&(MockTool, Mutex<Count>)| mock.undone.is_some() && mock.answers(name, &arguments);
        let Some((_, count)) = self.tools.iter().find(fits) else {
            self.miss(format!("the call of `{name}` with {arguments} was to be taken back"));
            return Err(Failure::new(FailureKind::Permanent, "no mock takes this call back"));
        };
        lock(count).undone += 1;
        Ok(Reply::default())
    }

    /// What the client can be asked: everything, where it answers at all.
    pub(super) fn client(&self) -> ClientFeatures {
        let can = !self.clients.is_empty();
        ClientFeatures {
            elicitation_form: can,
            elicitation_url: can,
            sampling: can,
            sampling_tools: can,
            roots: can,
            ..ClientFeatures::default()
        }
    }

    /// Answer all questions of a round; none when there is one that no mock answers.
    pub(super) fn answers(&self, asking: &Asking) -> Option<Given> {
        let answers = asking.questions.iter().map(|question| {
            let asked = match &question.ask {
                Ask::Form { message, .. } | Ask::Url { message, .. } => message.clone(),
                Ask::Sample(request) => Value::Object(request.clone()).to_string(),
                Ask::Roots => "roots".to_owned(),
            };
            let fits = |(mock, count): &&(MockClient, Mutex<Count>)| {
                mock.key.as_ref().is_none_or(|key| *key == question.key)
                    && mock.asks.as_ref().is_none_or(|part| asked.contains(part))
                    && lock(count).is_below(mock.times)
            };
            let Some((mock, count)) = self.clients.iter().find(fits) else {
                self.miss(format!("the skill asked {asked:?} under the key `{}`", question.key));
                return None;
            };
            lock(count).asked += 1;
            Some((question.key.clone(), mock.respond.clone().unwrap_or_default()))
        });
        let answers = answers.collect::<Option<_>>()?;
        Some(Given { state: Some(asking.state.clone()), answers })
    }
}

impl MockTool {
    fn answers(&self, name: &str, arguments: &Value) -> bool {
        self.tool == name && self.arguments.as_ref().is_none_or(|wanted| includes(arguments, wanted))
    }
}

impl Count {
    fn is_below(self, times: Option<u32>) -> bool {
        times.is_none_or(|times| self.asked < times)
    }
}

fn parsed(arguments: Option<&str>) -> Value {
    arguments.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
}

impl Upstream for Mocks {
    fn answer(&self, request: Request<Bytes>) -> Option<Response<Bytes>> {
        let said = format!("{} {}", request.method(), request.uri());
        let body = String::from_utf8_lossy(request.body());
        let header = |name: &str| {
            let name = name.parse::<HeaderName>().ok()?;
            request.headers().get(name)?.to_str().ok()
        };
        let fits = |(mock, count): &&(MockHttp, Mutex<Count>)| {
            requested(&mock.request, &said)
                && mock.headers.iter().all(|(name, value)| header(name) == Some(value))
                && mock.body_includes.as_ref().is_none_or(|part| body.contains(part))
                && lock(count).is_below(mock.times)
        };
        let Some((mock, count)) = self.http.iter().find(fits) else {
            let with = if body.is_empty() { String::new() } else { format!(" with the body {body:?}") };
            self.miss(format!("the skill sent {said}{with}"));
            return None;
        };
        lock(count).asked += 1;
        let respond = &mock.respond;
        if respond.refused {
            return None;
        }
        let mut answer = Response::builder().status(respond.status.unwrap_or(200));
        if respond.json.is_some()
            && !respond.headers.keys().any(|name| name.eq_ignore_ascii_case("content-type"))
        {
            answer = answer.header("content-type", "application/json");
        }
        for (name, value) in &respond.headers {
            answer = answer.header(name, value);
        }
        let json = respond.json.as_ref().map(ToString::to_string);
        let answer = answer.body(Bytes::from(json.or_else(|| respond.text.clone()).unwrap_or_default()));
        answer.map_err(|error| self.miss(format!("the mock `{}` cannot answer: {error}", mock.request))).ok()
    }
}

/// Whether a request is the one that is written, up to a `*` at its end. `https://a` is `https://A:443/`.
fn requested(written: &str, said: &str) -> bool {
    let said = normal(said);
    match written.strip_suffix('*') {
        Some(beginning) => said.starts_with(&normal(beginning)),
        None => said == normal(written) || said.strip_suffix('/') == Some(&normal(written)),
    }
}

/// The host in small letters, without the port that its scheme has anyway.
fn normal(request: &str) -> String {
    let Some((before, after)) = request.split_once("://") else { return request.to_owned() };
    let (authority, path) = after.split_at(after.find(['/', '?']).unwrap_or(after.len()));
    let authority = authority.to_ascii_lowercase();
    let port = if before.ends_with("https") { ":443" } else { ":80" };
    format!("{before}://{}{path}", authority.strip_suffix(port).unwrap_or(&authority))
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn own(name: &str, undoable: bool, mocks: &Arc<Mocks>) -> anyhow::Result<OwnTool> {
    let named = || format!("`{name}` cannot be the name of another skill's tool");
    let (skill, tool) = name.split_once('_').with_context(named)?;
    let input = Schema::for_arguments(r#"{"type": "object"}"#)?;
    let spec = ToolSpec { undoable, ..ToolSpec::new(tool, input) };
    let entry = Entry {
        spec: Arc::new(spec),
        skill: SkillName::new(skill).with_context(named)?,
        digest: Digest::of(name.as_bytes()),
        loaded: 0,
        timeout: Duration::from_secs(30),
        calls_tools: false,
        invoke: Arc::new(Mocked { name: name.into(), mocks: Arc::clone(mocks) }),
    };
    Ok(OwnTool { name: ToolName::bare(name).with_context(named)?, entry, above: None })
}

struct Mocked {
    name: String,
    mocks: Arc<Mocks>,
}

impl Invoke for Mocked {
    fn start(&self, call: Call) -> Box<dyn Attempt> {
        Box::new(Answer(Some(self.mocks.call(&self.name, call.arguments.as_deref().map(String::as_str)))))
    }

    fn undo(&self, undo: Undo) -> Box<dyn Attempt> {
        Box::new(Answer(Some(
            self.mocks.undo(&self.name, undo.call.arguments.as_deref().map(String::as_str)),
        )))
    }
}

/// What a mock answers, at once.
struct Answer(Option<Result<Reply, Failure>>);

impl Future for Answer {
    type Output = Report;

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Report> {
        let ended = || Err(Failure::new(FailureKind::Cancelled, "it was ended"));
        let result = self.0.take().unwrap_or_else(ended).map(Outcome::Reply);
        Poll::Ready(Report {
            result,
            usage: Usage { started: true, ..Usage::default() },
            instance: Instance::default(),
        })
    }
}

impl Attempt for Answer {
    fn abort(&mut self) {
        self.0 = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_matched_whole_or_by_its_beginning() {
        for (written, said, fits) in [
            ("GET https://a.example/x", "GET https://a.example/x", true),
            ("GET https://a.example", "GET https://a.example/", true),
            ("GET https://a.example/x", "GET https://a.example/xy", false),
            ("GET https://a.example/*", "GET https://a.example/xy?q=1", true),
            ("GET https://a.example/*", "POST https://a.example/xy", false),
            ("GET https://A.example/X", "GET https://a.Example:443/X", true),
            ("GET https://a.example:443/x*", "GET https://a.example/xy", true),
            ("GET http://a.example:80", "GET http://a.example/", true),
            ("GET http://a.example:443/", "GET http://a.example/", false),
            ("GET https://a.example/X", "GET https://a.example/x", false),
        ] {
            assert_eq!(requested(written, said), fits, "{written} {said}");
        }
    }
}
