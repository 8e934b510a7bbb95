//! Arguments as they are kept, and as they are handed to the tool again.

use serde_json::{Map, Value};
use skillhost_core::{Call, CallId, Entry, Failure};
use skillhost_journal::{Arguments, SealError, Sealer};
use skillhost_policy::secret;

use super::unavailable;
use crate::ToolPolicy;

/// The arguments of `call` with what is secret in them sealed.
pub(super) fn kept(
    sealer: &Sealer,
    call: &Call,
    entry: &Entry,
    policy: &ToolPolicy,
) -> Result<Arguments, Failure> {
    let shown = call.arguments.as_deref().cloned();
    let marked = secret::marked(entry.spec.input.raw());
    let pointers =
        || marked.iter().map(String::as_str).chain(policy.secret_arguments.iter().map(String::as_str));
    let Some(text) = shown.as_deref().filter(|_| pointers().next().is_some()) else {
        return Ok(Arguments { shown, sealed: None });
    };
    let value = serde_json::from_str(text).map_err(|error| unavailable(&error))?;
    sealed(sealer, call.id, value, pointers()).map_err(|error| unavailable(&error))
}

/// `value` with what `pointers` point at sealed.
pub(super) fn sealed<'a>(
    sealer: &Sealer,
    id: CallId,
    mut value: Value,
    pointers: impl IntoIterator<Item = &'a str>,
) -> Result<Arguments, SealError> {
    let sealed = match secret::take(&mut value, pointers) {
        Some(secrets) => Some(sealer.seal(id, &Value::Object(secrets).to_string())?),
        None => None,
    };
    Ok(Arguments { shown: Some(value.to_string()), sealed })
}

/// What was kept, whole again.
pub(super) fn opened(
    sealer: &Sealer,
    id: CallId,
    kept: &Arguments,
) -> Result<Option<Map<String, Value>>, SealError> {
    let Some(shown) = &kept.shown else { return Ok(None) };
    // It was checked when it was read.
    let mut value: Value = serde_json::from_str(shown).map_err(|_| SealError::Broken)?;
    if let Some(sealed) = &kept.sealed {
        let secrets = serde_json::from_str(&sealer.open(id, sealed)?).map_err(|_| SealError::Broken)?;
        secret::put_back(&mut value, secrets);
    }
    match value {
        Value::Object(map) => Ok(Some(map)),
        _ => Err(SealError::Broken),
    }
}
