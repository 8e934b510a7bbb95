//! A skill: querying and checking JSON.
mod query;
mod validate;

skillhost_sdk::skill!(query::query, validate::validate);
