//! What the admin API cannot do, as a status, a word and a text.

use axum::{
    Json,
    extract::rejection::{JsonRejection, QueryRejection},
    http::StatusCode,
    response::Response,
};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error as _},
};
use serde_json::{Map, Value};
use skillhost_journal::JournalError;
use skillhost_pipeline::{LettersError, SagasError};

use super::refusal;

pub(super) type Body<T> = Result<Json<Object<T>>, JsonRejection>;

/// A JSON object: a list would be taken for one, field by field.
pub(super) struct Object<T>(pub(super) T);

impl<'de, T: DeserializeOwned> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let object = Map::deserialize(from)?;
        T::deserialize(Value::Object(object)).map(Self).map_err(D::Error::custom)
    }
}

/// What cannot be done, as a status and a word.
pub(super) enum Problem {
    Wrong(String),
    Letters(LettersError),
    Sagas(SagasError),
}

impl From<SagasError> for Problem {
    fn from(error: SagasError) -> Self {
        Self::Sagas(error)
    }
}

impl From<LettersError> for Problem {
    fn from(error: LettersError) -> Self {
        Self::Letters(error)
    }
}

impl From<String> for Problem {
    fn from(problem: String) -> Self {
        Self::Wrong(problem)
    }
}

impl From<JsonRejection> for Problem {
    fn from(rejection: JsonRejection) -> Self {
        Self::Wrong(rejection.body_text())
    }
}

impl From<QueryRejection> for Problem {
    fn from(rejection: QueryRejection) -> Self {
        Self::Wrong(rejection.body_text())
    }
}

pub(super) fn answer(result: Result<Response, Problem>) -> Response {
    let problem = match result {
        Ok(response) => return response,
        Err(problem) => problem,
    };
    let (status, code) = match &problem {
        Problem::Wrong(_) | Problem::Letters(LettersError::Arguments(_)) => {
            (StatusCode::BAD_REQUEST, "wrong-request")
        }
        Problem::Letters(LettersError::Missing(_)) => (StatusCode::NOT_FOUND, "no-letter"),
        Problem::Letters(LettersError::State(..)) => (StatusCode::CONFLICT, "wrong-state"),
        Problem::Sagas(SagasError::Missing(_)) => (StatusCode::NOT_FOUND, "no-saga"),
        Problem::Sagas(SagasError::Refused(_)) => (StatusCode::CONFLICT, "wrong-state"),
        Problem::Letters(LettersError::Journal(JournalError::Unavailable(_)))
        | Problem::Sagas(SagasError::Journal(JournalError::Unavailable(_))) => {
            (StatusCode::SERVICE_UNAVAILABLE, "journal-unavailable")
        }
        Problem::Letters(LettersError::Journal(_)) | Problem::Sagas(SagasError::Journal(_)) => {
            (StatusCode::INTERNAL_SERVER_ERROR, "journal-damaged")
        }
        Problem::Letters(LettersError::Seal(_)) => (StatusCode::INTERNAL_SERVER_ERROR, "secrets-unreadable"),
        Problem::Letters(LettersError::Archive { .. }) => {
            (StatusCode::INTERNAL_SERVER_ERROR, "archive-unwritable")
        }
    };
    let message = match problem {
        Problem::Wrong(message) => message,
        Problem::Letters(error) => error.to_string(),
        Problem::Sagas(error) => error.to_string(),
    };
    refusal(status, code, &message)
}
