//! The functions of the contract, as the host of a test answers them.

use super::{Line, Progress, current};

const NOBODY: &str = "there is no host here; run the test in `skillhost_sdk::testing::Host::run`";

pub(crate) mod host {
    use std::collections::BTreeSet;

    use super::{NOBODY, Progress, current};
    use crate::host::{CallError, HostError};
    use crate::types::Reply;

    fn nobody() -> HostError {
        HostError::NotOffered(NOBODY.into())
    }

    pub(crate) fn progress(progress: f64, total: Option<f64>, message: Option<&str>) {
        let report = Progress { progress, total, message: message.map(str::to_owned) };
        current(|host| host.progress.push(report));
    }

    pub(crate) fn cancelled() -> bool {
        current(|host| {
            host.cancel_checks += 1;
            host.cancel_after.is_some_and(|after| host.cancel_checks > after)
        })
        .unwrap_or(false)
    }

    pub(crate) fn tools_changed() -> Result<(), HostError> {
        current(|host| host.tools_changed += 1).ok_or_else(nobody)
    }

    pub(crate) fn prompts_changed() -> Result<(), HostError> {
        current(|host| host.prompts_changed += 1).ok_or_else(nobody)
    }

    pub(crate) fn resources_changed() -> Result<(), HostError> {
        current(|host| host.resources_changed += 1).ok_or_else(nobody)
    }

    pub(crate) fn resource_updated(uri: &str) -> Result<(), HostError> {
        let said = current(|host| {
            if host.resources_updated.len() >= 1_000 {
                let different: BTreeSet<_> = host.resources_updated.iter().map(String::as_str).collect();
                if different.len() >= 1_000 && !different.contains(uri) {
                    return Err(HostError::Unavailable("a call says it of 1000 resources at most".into()));
                }
            }
            host.resources_updated.push(uri.to_owned());
            Ok(())
        });
        said.unwrap_or_else(|| Err(nobody()))
    }

    pub(crate) fn prepare_undo(token: &str) -> Result<(), HostError> {
        if serde_json::from_str::<serde::de::IgnoredAny>(token).is_err() {
            return Err(HostError::Invalid("the undo token is not JSON".into()));
        }
        if token.len() > 64 << 10 {
            return Err(HostError::Invalid("an undo token has at most 64 KiB".into()));
        }
        current(|host| host.undo_tokens.push(token.to_owned())).ok_or_else(nobody)
    }

    pub(crate) fn call_tool(name: &str, arguments: Option<&str>) -> Result<Reply, CallError> {
        // Not held while the tool runs: it may ask the host itself.
        match current(|host| host.tools.get(name).cloned()) {
            None => Err(CallError::Refused(nobody())),
            Some(None) => {
                Err(CallError::Refused(HostError::Denied(format!("the tool `{name}` is not granted"))))
            }
            Some(Some(tool)) => tool(arguments),
        }
    }
}

pub(crate) mod config {
    use super::current;
    use crate::bindings::wasi::config::store::Error;

    pub(crate) fn get(key: &str) -> Result<Option<String>, Error> {
        Ok(current(|host| host.config.get(key).cloned()).flatten())
    }

    pub(crate) fn get_all() -> Result<Vec<(String, String)>, Error> {
        Ok(current(|host| host.config.clone().into_iter().collect()).unwrap_or_default())
    }
}

pub(crate) mod secrets {
    use super::{NOBODY, current};
    use crate::host::HostError;

    pub(crate) fn get(name: &str) -> Result<String, HostError> {
        let found = current(|host| host.secrets.get(name).cloned());
        found
            .ok_or_else(|| HostError::NotOffered(NOBODY.into()))?
            .ok_or_else(|| HostError::Denied(format!("the secret `{name}` is not granted")))
    }
}

pub(crate) mod keyvalue {
    use super::super::State;
    use super::{NOBODY, current};

    pub(crate) use crate::bindings::wasi::keyvalue::store::Error;

    fn with<T>(ask: impl FnOnce(&mut State) -> T) -> Result<T, Error> {
        let asked = current(|host| if host.no_values { Err(Error::AccessDenied) } else { Ok(ask(host)) });
        asked.unwrap_or_else(|| Err(Error::Other(NOBODY.into())))
    }

    pub(crate) fn get(key: &str) -> Result<Option<Vec<u8>>, Error> {
        with(|host| host.values.iter().find(|(found, _)| found == key).map(|(_, value)| value.clone()))
    }

    pub(crate) fn set(key: &str, value: &[u8]) -> Result<(), Error> {
        if !(1..=512).contains(&key.len()) {
            return Err(Error::Other(format!("a key has 1 to 512 bytes, not {}", key.len())));
        }
        if value.len() > 1 << 20 {
            return Err(Error::Other(format!(
                "the value has {} bytes; at most 1048576 are allowed",
                value.len()
            )));
        }
        with(|host| {
            let others = host.values.iter().filter(|(found, _)| found != key);
            let total: usize = others.map(|(key, value)| key.len() + value.len()).sum();
            let total = (total + key.len() + value.len()) as u64;
            if let Some(most) = host.values_total.filter(|most| total > *most) {
                return Err(Error::Other(format!(
                    "the bucket would hold {total} bytes; at most {most} are allowed"
                )));
            }
            match host.values.iter_mut().find(|(found, _)| found == key) {
                Some((_, old)) => *old = value.to_vec(),
                None => host.values.push((key.to_owned(), value.to_vec())),
            }
            Ok(())
        })?
    }

    pub(crate) fn delete(key: &str) -> Result<(), Error> {
        with(|host| host.values.retain(|(found, _)| found != key))
    }

    pub(crate) fn exists(key: &str) -> Result<bool, Error> {
        with(|host| host.values.iter().any(|(found, _)| found == key))
    }

    pub(crate) fn keys() -> Result<Vec<String>, Error> {
        with(|host| host.values.iter().map(|(key, _)| key.clone()).collect())
    }
}

pub(crate) mod http {
    use super::current;
    use crate::http::{Error, Request, Response};

    pub(crate) fn send(request: &Request) -> Result<Response, Error> {
        // Not held while the servers are played.
        let web = current(|host| {
            host.requests.push(request.clone());
            host.http.clone()
        });
        let mut response = web.flatten().ok_or(Error::Denied)?(request)?;
        if response.body.len() > request.max_bytes {
            response.body.truncate(request.max_bytes);
            response.truncated = true;
        }
        Ok(response)
    }
}

/// Answers whether a host took the line.
pub(crate) fn log(level: crate::log::Level, context: &str, message: &str) -> bool {
    let line = Line { level, context: context.to_owned(), message: message.to_owned() };
    current(|host| host.logs.push(line)).is_some()
}
