//! A skill: counting, comparing and searching text.
mod count;
mod diff;
mod search;

skillhost_sdk::skill!(count::word_count, diff::diff, search::regex_search);
