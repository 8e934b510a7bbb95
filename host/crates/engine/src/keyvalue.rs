//! `wasi:keyvalue/store` for guests: one bucket a skill.

use std::sync::Arc;

use skillhost_core::{KeyValue, KeyValueBounds, KeyValueError};
use wasmtime::component::Resource;

use crate::{
    bindings::wasi::keyvalue::store::{Error, Host, HostBucket, KeyResponse},
    state::State,
};

/// An open bucket.
#[expect(unreachable_pub, reason = "the generated bindings name it")]
pub struct Bucket {
    store: Arc<dyn KeyValue>,
    name: Arc<str>,
    bounds: KeyValueBounds,
}

/// An operation of the store, away from the threads that run guests: it waits for the disk.
async fn run<T: Send + 'static>(
    state: &mut State,
    bucket: &Resource<Bucket>,
    work: impl FnOnce(&dyn KeyValue, &str, &KeyValueBounds) -> Result<T, KeyValueError> + Send + 'static,
) -> Result<T, Error> {
    let bucket = state.table.get(bucket).map_err(|error| Error::Other(error.to_string()))?;
    let (store, name, bounds) = (Arc::clone(&bucket.store), Arc::clone(&bucket.name), bucket.bounds);
    tokio::task::spawn_blocking(move || work(&*store, &name, &bounds))
        .await
        .unwrap_or_else(|error| Err(KeyValueError::Unavailable(error.to_string())))
        .map_err(|error| match error {
            KeyValueError::Full(why) => Error::Other(why),
            KeyValueError::Unavailable(why) => {
                if state.warnings.admit() {
                    tracing::error!(error = why, "the key-value store cannot be used");
                }
                Error::Other("the key-value store of the host cannot be used now".into())
            }
        })
}

fn checked(key: String) -> Result<String, Error> {
    match key.len() {
        1..=KeyValueBounds::KEY => Ok(key),
        n => Err(Error::Other(format!("a key has 1 to {} bytes, not {n}", KeyValueBounds::KEY))),
    }
}

impl State {
    /// Only calls write, and what they wrote stays.
    fn may_write(&mut self) -> Result<(), Error> {
        self.touched = true;
        if self.call.is_some() { Ok(()) } else { Err(Error::AccessDenied) }
    }
}

impl Host for State {
    async fn open(&mut self, identifier: String) -> Result<Resource<Bucket>, Error> {
        if !matches!(identifier.as_str(), "" | "default") {
            return Err(Error::NoSuchStore);
        }
        // Also while the skill is loaded: what it lists may depend on what it keeps.
        let Some((store, bounds)) = &self.sandbox.granted.keyvalue else { return Err(Error::AccessDenied) };
        let bucket =
            Bucket { store: Arc::clone(store), name: self.sandbox.name.as_str().into(), bounds: *bounds };
        self.table.push(bucket).map_err(|_| {
            Error::Other("the call holds as many things of the host's as it may (`handles`)".into())
        })
    }
}

impl HostBucket for State {
    async fn get(&mut self, bucket: Resource<Bucket>, key: String) -> Result<Option<Vec<u8>>, Error> {
        let key = checked(key)?;
        run(self, &bucket, move |store, name, _| store.get(name, &key)).await
    }

    async fn set(&mut self, bucket: Resource<Bucket>, key: String, value: Vec<u8>) -> Result<(), Error> {
        let key = checked(key)?;
        self.may_write()?;
        run(self, &bucket, move |store, name, bounds| store.set(name, &key, &value, bounds)).await
    }

    async fn delete(&mut self, bucket: Resource<Bucket>, key: String) -> Result<(), Error> {
        let key = checked(key)?;
        self.may_write()?;
        run(self, &bucket, move |store, name, _| store.delete(name, &key)).await
    }

    async fn exists(&mut self, bucket: Resource<Bucket>, key: String) -> Result<bool, Error> {
        let key = checked(key)?;
        run(self, &bucket, move |store, name, _| store.exists(name, &key)).await
    }

    async fn list_keys(
        &mut self,
        bucket: Resource<Bucket>,
        cursor: Option<u64>,
    ) -> Result<KeyResponse, Error> {
        let (keys, cursor) = run(self, &bucket, move |store, name, _| store.keys(name, cursor)).await?;
        Ok(KeyResponse { keys, cursor })
    }

    async fn drop(&mut self, bucket: Resource<Bucket>) -> wasmtime::Result<()> {
        self.table.delete(bucket)?;
        Ok(())
    }
}
