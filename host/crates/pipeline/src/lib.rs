//! The order of a call, in one function: [`Dispatcher::call`].
//!
//! Transports hand in a [`Request`] and get a [`Response`]; they know nothing of skills. The dispatcher
//! knows nothing of wasmtime: it starts whatever the catalog's entry says.
#![deny(missing_docs)]

mod admission;
mod agents;
mod asking;
mod attempt;
mod attempts;
mod cache;
mod charge;
mod clock;
mod concurrency;
mod dispatcher;
mod events;
mod log;
mod policies;
mod recovery;
mod registry;
mod report;
mod request;
mod scope;
mod stopping;
mod tasks;
mod validation;

pub use agents::{OfferSearch, Offered, Wellness, built_in, is_own};
pub use asking::{Asking, Given};
pub use cache::CacheStats;
pub use clock::TokioClock;
pub use dispatcher::Dispatcher;
pub use policies::{HostPolicy, Policies, SkillPolicy, ToolPolicy};
pub use recovery::{
    Explained, Foreseen, Letters, LettersError, Passed, Recovery, RecoverySettings, Restored, RolledBack,
    SagaSettings, SagaShown, Sagas, SagasError, Shown, Standing, Stays, TaskSettings,
};
pub use report::{
    BreakerReport, CallersReport, ConcurrencyReport, PolicyReport, RateReport, SkillReport, ToolReport,
};
pub use request::{
    Above, Asked, FeatureRequest, FeatureResponse, Parent, Request, Response, Resume, Settings, StandIn,
    Wanted,
};

pub use tasks::{By, TaskShown, TaskShownState, Tasks};

/// The client gave up; whether anything had begun is told beside.
fn cancelled() -> skillhost_core::Failure {
    let kind = skillhost_core::FailureKind::Cancelled;
    skillhost_core::Failure::new(kind, "the client gave up on the call")
}
