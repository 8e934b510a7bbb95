//! A skill: notes that stay over calls and restarts, in the skill's key-value bucket. Each note has a key of its own,
//! so that calls which run side by side never overwrite each other's notes.
mod note;
mod tools;
mod undo;

skillhost_sdk::skill!(
    tools: [tools::get, tools::list, tools::search],
    undoable: [tools::put, tools::delete],
);
