//! `/admin/sagas`, and undoing calls.

use std::collections::BTreeMap;

use axum::{
    Json, Router,
    extract::{Path, Query, State, rejection::QueryRejection},
    response::Response,
    routing::{get, post},
};
use skillhost_core::SagaId;
use skillhost_journal::{SagaFilter, SagaState};

use super::{
    Admin,
    answer::{Body, Object, Problem, answer},
    json,
    saga_view::{ResumeBody, RolledBackView, SagaView, SagasView, ShownView, UndoBody},
};

pub(super) const LIST: &str = "/admin/sagas";
pub(super) const ONE: &str = "/admin/sagas/{id}";
pub(super) const ROLL_BACK: &str = "/admin/sagas/{id}/rollback";
pub(super) const RESUME: &str = "/admin/sagas/{id}/resume";
pub(super) const ABANDON: &str = "/admin/sagas/{id}/abandon";
pub(super) const UNDO: &str = "/admin/calls/{id}/undo";

pub(super) fn router() -> Router<Admin> {
    Router::new()
        .route(LIST, get(list))
        .route(ONE, get(show))
        .route(
            ROLL_BACK,
            post(async |State(admin): State<Admin>, Path(id): Path<String>| {
                answer(roll_back(&admin, &id, false, false).await)
            }),
        )
        .route(RESUME, post(resume))
        .route(ABANDON, post(abandon))
        .route(UNDO, post(undo))
}

fn parse(text: &str) -> Result<SagaId, String> {
    text.parse().map_err(|expected| format!("`{text}` is no id of a saga or a call: {expected}"))
}

async fn list(
    State(admin): State<Admin>,
    said: Result<Query<BTreeMap<String, String>>, QueryRejection>,
) -> Response {
    let work = async {
        let Query(mut said) = said?;
        let states = match said.remove("state") {
            None => vec![],
            Some(words) => words
                .split(',')
                .map(|word| {
                    let known = SagaState::ALL.map(SagaState::as_str).join(", ");
                    SagaState::from_word(word.trim())
                        .ok_or_else(|| format!("there is no state `{word}`; there are {known}"))
                })
                .collect::<Result<_, _>>()?,
        };
        let held = match said.remove("held").as_deref() {
            None => None,
            Some("true") => Some(true),
            Some("false") => Some(false),
            Some(word) => return Err(Problem::Wrong(format!("`held` is `{word}`; it is true or false"))),
        };
        let limit = said.remove("limit").map_or(Ok(100), |text| {
            let limit = text.parse().ok().filter(|limit| (1..=1_000).contains(limit));
            limit.ok_or_else(|| format!("`limit` is `{text}`; it must be from 1 to 1000"))
        })?;
        let after = said.remove("after").map(|after| parse(&after)).transpose()?;
        let filter = SagaFilter { states, caller: said.remove("caller"), held };
        if let Some(other) = said.keys().next() {
            let text = format!("unknown `{other}`; there are state, held, caller, after, limit");
            return Err(Problem::Wrong(text));
        }
        let sagas = admin.sagas.list(filter, after, limit).await?;
        let next = sagas.last().filter(|_| sagas.len() == limit as usize).map(|saga| saga.id.to_string());
        Ok(json(&SagasView { sagas: sagas.iter().map(SagaView::of).collect(), next }))
    };
    answer(work.await)
}

async fn show(State(admin): State<Admin>, Path(id): Path<String>) -> Response {
    let work = async { Ok(json(&ShownView::of(&admin.sagas.show(parse(&id)?).await?))) };
    answer(work.await)
}

async fn roll_back(admin: &Admin, id: &str, resume: bool, force: bool) -> Result<Response, Problem> {
    let id = parse(id)?;
    if admin.dispatcher.is_none() {
        return Err(Problem::Wrong("no host runs here that could take anything back".into()));
    }
    let report = admin.sagas.roll_back(id, resume, force, admin.by).await?;
    Ok(json(&RolledBackView::of(&report)))
}

async fn resume(State(admin): State<Admin>, Path(id): Path<String>, body: Body<ResumeBody>) -> Response {
    let work = async {
        let Json(Object(ResumeBody { force })) = body?;
        roll_back(&admin, &id, true, force).await
    };
    answer(work.await)
}

async fn abandon(State(admin): State<Admin>, Path(id): Path<String>) -> Response {
    let work = async {
        let id = parse(&id)?;
        admin.sagas.abandon(id, admin.by).await?;
        Ok(json(&ShownView::of(&admin.sagas.show(id).await?)))
    };
    answer(work.await)
}

async fn undo(State(admin): State<Admin>, Path(id): Path<String>, body: Body<UndoBody>) -> Response {
    let work = async {
        let Json(Object(UndoBody { force })) = body?;
        if admin.sagas.show(parse(&id)?).await?.saga.held {
            return Err(Problem::Wrong(format!("{id} is a saga, not a call; roll it back as one")));
        }
        // Who forces has looked at the conflict: what was in conflict is tried again.
        roll_back(&admin, &id, force, force).await
    };
    answer(work.await)
}
