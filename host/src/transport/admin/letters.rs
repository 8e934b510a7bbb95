//! `/admin/dead-letters`

use std::collections::BTreeMap;

use axum::{
    Json, Router,
    extract::{Path, Query, State, rejection::QueryRejection},
    response::Response,
    routing::{get, post},
};
use skillhost_core::{CallId, Clock as _, SystemClock};
use skillhost_journal::{JournalError, State as LetterState};
use skillhost_pipeline::LettersError;

use super::{
    Admin,
    answer::{Body, Object, Problem, answer},
    json,
    view::{
        Done, EditBody, LetterView, ListView, Many, Refused, ReplayBody, WholeView, parse_id, parse_priority,
        query, spread,
    },
};

pub(super) const LIST: &str = "/admin/dead-letters";
pub(super) const ONE: &str = "/admin/dead-letters/{id}";
pub(super) const EXPLAIN: &str = "/admin/dead-letters/{id}/explain";
pub(super) const STATS: &str = "/admin/dead-letters/stats";
pub(super) const REPLAY: &str = "/admin/dead-letters/replay";
pub(super) const DISCARD: &str = "/admin/dead-letters/discard";
pub(super) const ARCHIVE: &str = "/admin/dead-letters/archive";
pub(super) const RESTORE: &str = "/admin/dead-letters/restore";

pub(super) fn router() -> Router<Admin> {
    Router::new()
        .route(LIST, get(list))
        .route(ONE, get(show).patch(edit))
        .route(EXPLAIN, get(explain))
        .route(STATS, get(stats))
        .route("/admin/dead-letters/{id}/replay", post(replay_one))
        .route("/admin/dead-letters/{id}/discard", post(discard_one))
        .route(
            REPLAY,
            post(async |State(admin): State<Admin>, body: Body<Many>| many(admin, Deed::Replay, body).await),
        )
        .route(
            DISCARD,
            post(async |State(admin): State<Admin>, body: Body<Many>| many(admin, Deed::Discard, body).await),
        )
        .route(
            ARCHIVE,
            post(async |State(admin): State<Admin>, body: Body<Many>| many(admin, Deed::Archive, body).await),
        )
        .route(RESTORE, post(restore))
}

async fn list(
    State(admin): State<Admin>,
    said: Result<Query<BTreeMap<String, String>>, QueryRejection>,
) -> Response {
    let work = async {
        let Query(said) = said?;
        let (which, part) = query(said)?;
        let filter = which.filter(&[], SystemClock.wall().into())?;
        let page = admin.letters.list(filter, part.page()?).await?;
        Ok(json(&ListView {
            letters: page.letters.iter().map(LetterView::of).collect(),
            next: page.next.map(|id| id.to_string()),
            damaged: page.damaged.iter().map(ToString::to_string).collect(),
        }))
    };
    answer(work.await)
}

async fn show(State(admin): State<Admin>, Path(id): Path<String>) -> Response {
    answer(whole(&admin, &id).await)
}

async fn whole(admin: &Admin, id: &str) -> Result<Response, Problem> {
    let shown = admin.letters.show(parse_id(id)?).await?;
    Ok(json(&WholeView::of(&shown.letter, shown.history)))
}

async fn explain(State(admin): State<Admin>, Path(id): Path<String>) -> Response {
    let work = async { Ok(json(&admin.letters.explain(parse_id(&id)?).await?)) };
    answer(work.await)
}

async fn stats(State(admin): State<Admin>) -> Response {
    let work = async { Ok(json(&admin.letters.stats().await?)) };
    answer(work.await)
}

async fn edit(State(admin): State<Admin>, Path(id): Path<String>, body: Body<EditBody>) -> Response {
    let work = async {
        let Json(Object(EditBody { arguments, priority })) = body?;
        let priority = priority.as_deref().map(parse_priority).transpose()?;
        if arguments.is_none() && priority.is_none() {
            return Err(Problem::Wrong("nothing is to be changed; say `arguments` or `priority`".into()));
        }
        admin.letters.edit(parse_id(&id)?, arguments, priority, admin.by).await?;
        whole(&admin, &id).await
    };
    answer(work.await)
}

async fn replay_one(State(admin): State<Admin>, Path(id): Path<String>, body: Body<ReplayBody>) -> Response {
    let work = async {
        let Json(Object(body)) = body?;
        admin.letters.replay(parse_id(&id)?, std::time::Duration::ZERO, body.pin, admin.by).await?;
        whole(&admin, &id).await
    };
    answer(work.await)
}

async fn discard_one(State(admin): State<Admin>, Path(id): Path<String>) -> Response {
    let work = async {
        admin.letters.discard(parse_id(&id)?, admin.by).await?;
        whole(&admin, &id).await
    };
    answer(work.await)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Deed {
    Replay,
    Discard,
    Archive,
}

impl Deed {
    /// States of letters that it is meant for, when none is said.
    fn states(self) -> Vec<LetterState> {
        use LetterState::{Discarded, Done, Failed, Parked, Unknown, Waiting};
        match self {
            Self::Replay => vec![Parked],
            Self::Discard => vec![Parked, Waiting],
            Self::Archive => vec![Done, Failed, Unknown, Discarded],
        }
    }

    /// Whether it can be done with a letter in this state.
    fn fits(self, state: LetterState) -> bool {
        match self {
            Self::Replay | Self::Discard => matches!(state, LetterState::Parked | LetterState::Waiting),
            Self::Archive => !matches!(state, LetterState::Running | LetterState::Waiting),
        }
    }
}

/// A part of many letters. Who asks goes on with `next`.
async fn many(admin: Admin, deed: Deed, body: Body<Many>) -> Response {
    let work = async {
        let Json(Object(many)) = body?;
        let ids = match (&many.ids, many.all) {
            (None, false) => return Err(Problem::Wrong("say `ids`, or `all`".into())),
            (Some(_), true) => return Err(Problem::Wrong("say either `ids` or `all`".into())),
            (Some(ids), _) if ids.len() > 1_000 => {
                return Err(Problem::Wrong(format!("there are {} `ids`; at most 1000 are taken", ids.len())));
            }
            (Some(ids), _) if ids.is_empty() => return Ok(json(&Done::default())),
            (ids, _) => ids.as_deref().unwrap_or_default(),
        };
        let mut filter = many.filter.filter(ids, SystemClock.wall().into())?;
        if filter.states.is_empty() && filter.ids.is_empty() {
            filter.states = deed.states();
        }
        spread(many.rate, many.offset)?;
        let page = admin.letters.list(filter, many.part.page()?).await?;
        let mut done = Done {
            matched: page.letters.iter().map(|letter| letter.id.to_string()).collect(),
            next: page.next.map(|id| id.to_string()),
            ..Done::default()
        };
        let (fit, unfit): (Vec<_>, Vec<_>) = page.letters.iter().partition(|letter| deed.fits(letter.state));
        done.refused.extend(
            unfit.into_iter().map(|letter| Refused {
                id: letter.id.to_string(),
                why: format!("it is {}", letter.status()),
            }),
        );
        let mut fit: Vec<CallId> = fit.into_iter().map(|letter| letter.id).collect();
        for id in page.damaged {
            done.matched.push(id.to_string());
            if deed == Deed::Discard {
                fit.push(id);
            } else {
                done.refused
                    .push(Refused { id: id.to_string(), why: "it cannot be read back; discard it".into() });
            }
        }
        if many.dry_run {
            done.changed = fit.len() as u64;
            return Ok(json(&done));
        }
        if deed == Deed::Archive {
            let (archived, file) = admin.letters.archive(&fit).await?;
            done.changed = archived;
            done.file = (archived > 0).then(|| file.display().to_string());
            return Ok(json(&done));
        }
        for id in fit {
            let result = match deed {
                Deed::Replay => {
                    let after = spread(many.rate, many.offset + done.changed)?;
                    admin.letters.replay(id, after, many.pin, admin.by).await
                }
                _ => admin.letters.discard(id, admin.by).await,
            };
            match result {
                Ok(()) => done.changed += 1,
                // It has changed since it was listed.
                Err(
                    error @ (LettersError::Missing(_)
                    | LettersError::State(..)
                    | LettersError::Journal(JournalError::Damaged(_))),
                ) => {
                    done.refused.push(Refused { id: id.to_string(), why: error.to_string() });
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(json(&done))
    };
    answer(work.await)
}

async fn restore(State(admin): State<Admin>, lines: String) -> Response {
    let work = async { Ok(json(&admin.letters.restore(&lines).await?)) };
    answer(work.await)
}
