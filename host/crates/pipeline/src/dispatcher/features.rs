//! What skills offer beside tools. It goes the way of a call: found, charged, run under the same limits; but nothing of it is
//! kept, and it calls no tools.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use serde_json::{Map, Value};
use skillhost_core::{
    Call, CallId, Catalog, Completing, Effect, Entry, Failure, FailureKind, Outcome, PromptSpec, Served,
    SkillState, Subject, Target,
};
use skillhost_policy::{Deadline, canonical};
use tracing::{Span, field};

use super::{Dispatcher, Through};
use crate::{
    Asking, FeatureRequest, FeatureResponse, Wanted,
    asking::{About, Opened, Purpose},
    attempts::Tally,
    log::{Dropped, End, told, traced},
};

/// Bytes of all arguments of a prompt, or of what is completed.
const MAX_TEXT: usize = 256 << 10;

/// Something to run, found.
struct Found {
    entry: Entry,
    target: Target,
    arguments: Option<String>,
}

impl Dispatcher {
    /// Take a request for something beside tools through. Always answers, even when something in here panics.
    pub async fn serve(&self, request: FeatureRequest) -> FeatureResponse {
        let early = request.given.as_ref().is_some_and(crate::Given::is_early).then(|| request.clone());
        let response = self.serve_once(request).await;
        if let (Some(FeatureRequest { given: Some(given), .. }), Some(asked)) = (&early, &response.asked)
            && let Some(given) = given.clone().fits(asked)
            && let Some(again) = early
        {
            return self.serve_once(FeatureRequest { given: Some(given), ..again }).await;
        }
        response
    }

    async fn serve_once(&self, request: FeatureRequest) -> FeatureResponse {
        let _in_flight = self.calls.token();
        let (kind, name) = named(&request.wanted);
        let purpose = Purpose { caller: &request.caller, kind, name };
        let opened = self.opened(&purpose, request.given.as_ref());
        let id = opened.as_ref().ok().and_then(Option::as_ref).map_or_else(CallId::new, |opened| opened.call);
        let correlation_id: Arc<str> =
            request.correlation_id.clone().unwrap_or_else(|| id.to_string()).as_str().into();
        let span = tracing::info_span!(
            "call", call_id = %id, correlation_id = &*correlation_id, kind, name = super::once::brief(name),
            caller = request.caller.as_str(), skill = field::Empty,
        );
        let mut dropped = Dropped { span: Some(span.clone()) };
        let (began, mut tally, mut asked) = (self.clock.now(), Tally::default(), None);
        let result = match &opened {
            Err(failure) => Err(failure.clone()),
            Ok(opened) => {
                let work =
                    self.found((id, opened.as_ref()), &correlation_id, &request, (&mut tally, &mut asked));
                self.to_its_end(Box::pin(work), &request.cancel, &span).await
            }
        };
        dropped.span = None;
        let effect = if tally.usage.started { Effect::Unknown } else { Effect::None };
        let result = result.map_err(|failure| self.shutting_down(failure, effect));
        let took = self.clock.now().saturating_duration_since(began);
        let end = End::from(result.as_ref().map(|_| false));
        traced(&span, end, &tally);
        span.in_scope(|| told(end, &tally, None, took));
        FeatureResponse { id, correlation_id, result, asked }
    }

    async fn found(
        &self,
        (id, opened): (CallId, Option<&Opened>),
        correlation_id: &Arc<str>,
        request: &FeatureRequest,
        (tally, asked): (&mut Tally, &mut Option<Asking>),
    ) -> Result<Outcome, Failure> {
        if self.calls.is_closed() {
            let failure = Failure::new(FailureKind::ShuttingDown, "the host is stopping");
            return Err(failure.retry_after(super::RESTART));
        }
        let (kind, name) = named(&request.wanted);
        if !request.access.allows(name) {
            let name: String = name.chars().take(200).collect();
            let text = format!("the caller's scopes do not reach the {kind} `{name}`");
            return Err(Failure::new(FailureKind::Denied, text));
        }
        let candidates = self.look_up(&request.wanted).await?;
        let mut last = Ok(Outcome::Read(None));
        // Families of resources may overlap: who knows nothing of a URI leaves it to the next.
        for Found { entry, target, arguments } in candidates {
            Span::current().record("skill", entry.skill.as_str());
            let about = About::new(entry.digest, arguments.as_deref());
            if let Some(opened) = opened {
                opened.about.check(&about)?;
            }
            let call = Call {
                id,
                correlation_id: Arc::clone(correlation_id),
                caller: request.caller.clone(),
                access: request.access.clone(),
                target: Arc::new(target),
                tool: entry.spec.name.as_str().into(),
                arguments: arguments.map(Arc::new),
                meta: request.meta.as_deref().map(Into::into),
                attempt: 1,
                round: opened.map(|opened| Arc::clone(&opened.round)),
                deadline: self.clock.now(),
                client: request.client,
                link: Arc::clone(&request.link),
                depth: 0,
                tools: Arc::clone(&self.no_tools),
                undo: None,
                span: Span::current(),
            };
            last = self.run_feature(&entry, call, request, tally).await;
            if let Err(failure) = &mut last
                && let Some(questions) = failure.asked.take()
            {
                let (kind, name) = named(&request.wanted);
                let purpose = Purpose { caller: &request.caller, kind, name };
                let round = opened.map(|opened| &*opened.round);
                *asked = Some(self.ask(&purpose, (id, about, round), *questions)?);
            }
            if !matches!(last, Ok(Outcome::Read(None))) {
                break;
            }
        }
        last
    }

    async fn run_feature(
        &self,
        entry: &Entry,
        mut call: Call,
        request: &FeatureRequest,
        tally: &mut Tally,
    ) -> Result<Outcome, Failure> {
        let now = self.clock.now();
        let known = |name: &skillhost_core::SkillName| self.catalog.borrow().skills.contains_key(name);
        let skill = self.registry.of(entry, now, known);
        let deadline = Deadline::after(now, entry.timeout);
        call.deadline = deadline.at();
        let through = Through {
            entry,
            skill: &skill,
            tool: skill.tool(&entry.spec.name),
            deadline,
            cancel: &request.cancel,
            is_root: true,
            earlier: 0,
        };
        self.charge(&through, &call.caller).await?;
        self.outcome(&through, &call, tally, &AtomicBool::new(false), None).await
    }

    /// Who may have what is wanted, in the order to ask them. While skills are loaded at start, what is not there is waited for.
    async fn look_up(&self, wanted: &Wanted) -> Result<Vec<Found>, Failure> {
        let catalog = self.catalog();
        let found = look(&catalog, wanted);
        let loading = |catalog: &Catalog| {
            let busy = |state: &SkillState| matches!(state, SkillState::Waiting | SkillState::Compiling);
            !catalog.settled || catalog.skills.values().any(|skill| busy(&skill.state))
        };
        let nothing = found.as_ref().map_or(true, Vec::is_empty);
        if !nothing || !loading(&catalog) {
            return found;
        }
        let mut newer = self.catalog.clone();
        let patience: Duration = self.settings.ready_wait;
        // Either way the newest catalog is what counts.
        let _ = tokio::time::timeout(
            patience,
            newer.wait_for(|catalog| {
                !loading(catalog) || look(catalog, wanted).is_ok_and(|found| !found.is_empty())
            }),
        )
        .await;
        look(&self.catalog(), wanted)
    }
}

/// What a state is good for.
fn named(wanted: &Wanted) -> (&'static str, &str) {
    match wanted {
        Wanted::Prompt { name, .. } => ("prompt", name),
        Wanted::Resource(uri) => ("resource", uri),
        Wanted::Completion(completing) => match &completing.subject {
            Subject::Prompt(name) | Subject::Template(name) => ("completion", name),
        },
    }
}

fn look(catalog: &Catalog, wanted: &Wanted) -> Result<Vec<Found>, Failure> {
    match wanted {
        Wanted::Prompt { name, arguments } => {
            let served = catalog.prompts.get(name.as_str()).ok_or_else(|| unknown("prompt", name))?;
            prompt(served, arguments).map(|found| vec![found])
        }
        Wanted::Resource(uri) => {
            let exact = catalog.resources.get(uri).map(|served| &served.entry);
            let families = catalog.templates.values().filter(|served| served.spec.may_match(uri));
            let mut asked: BTreeMap<&str, &Entry> = BTreeMap::new();
            let mut all = vec![];
            for entry in exact.into_iter().chain(families.map(|served| &served.entry)) {
                // Each skill once.
                if asked.insert(entry.skill.as_str(), entry).is_none() {
                    all.push(Found {
                        entry: entry.clone(),
                        target: Target::Resource(uri.clone()),
                        arguments: None,
                    });
                }
            }
            Ok(all)
        }
        Wanted::Completion(completing) => completion(catalog, completing),
    }
}

fn unknown(what: &str, name: &str) -> Failure {
    let name: String = name.chars().take(80).collect();
    Failure::new(FailureKind::UnknownTool, format!("unknown {what} `{name}`"))
}

fn prompt(served: &Served<PromptSpec>, arguments: &Map<String, Value>) -> Result<Found, Failure> {
    let wrong = |text: String| Failure::new(FailureKind::InvalidInput, text);
    for argument in served.spec.arguments.iter().filter(|argument| argument.required) {
        if !arguments.contains_key(&argument.name) {
            return Err(wrong(format!("the prompt needs its argument `{}`", argument.name)));
        }
    }
    for (name, value) in arguments {
        if !served.spec.arguments.iter().any(|argument| argument.name == *name) {
            let name: String = name.chars().take(80).collect();
            return Err(wrong(format!("the prompt has no argument `{name}`")));
        }
        if !value.is_string() {
            return Err(wrong(format!("the argument `{name}` must be a text")));
        }
    }
    let text = canonical(&Value::Object(arguments.clone()));
    if text.len() > MAX_TEXT {
        return Err(wrong(format!(
            "the arguments have {} bytes, at most {MAX_TEXT} are allowed",
            text.len()
        )));
    }
    let target = Target::Prompt(served.spec.name.clone());
    Ok(Found { entry: served.entry.clone(), target, arguments: Some(text) })
}

fn completion(catalog: &Catalog, completing: &Completing) -> Result<Vec<Found>, Failure> {
    let (entry, completes, subject) = match &completing.subject {
        Subject::Prompt(name) => {
            let served = catalog.prompts.get(name.as_str()).ok_or_else(|| unknown("prompt", name))?;
            if !served.spec.arguments.iter().any(|argument| argument.name == completing.argument) {
                let argument: String = completing.argument.chars().take(80).collect();
                let text = format!("the prompt has no argument `{argument}`");
                return Err(Failure::new(FailureKind::InvalidInput, text));
            }
            (&served.entry, served.completes, Subject::Prompt(served.spec.name.clone()))
        }
        Subject::Template(template) => {
            let served =
                catalog.templates.get(template).ok_or_else(|| unknown("resource template", template))?;
            (&served.entry, served.completes, completing.subject.clone())
        }
    };
    let size = completing.known.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
    if completing.value.len() + size > MAX_TEXT {
        let text = format!("what is completed has more than {MAX_TEXT} bytes");
        return Err(Failure::new(FailureKind::InvalidInput, text));
    }
    if !completes {
        return Ok(vec![]);
    }
    let target = Target::Completion(Box::new(Completing { subject, ..completing.clone() }));
    Ok(vec![Found { entry: entry.clone(), target, arguments: None }])
}
