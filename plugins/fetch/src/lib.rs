//! A skill: fetching pages and calling web services, on the hosts its operator granted.
mod follow;
mod page;
mod tools;

skillhost_sdk::skill!(tools::get, tools::post);
