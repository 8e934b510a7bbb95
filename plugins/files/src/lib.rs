//! A skill: reading, changing and searching files in the folders its operator granted.
//!
//! What it changes can be taken back. Before its first effect a call keeps what it is about to destroy ([`keep`]) with a
//! plan of what it does; its undo looks whether everything is still as the call left it, or as it was before, and only
//! then brings it back. WASI knows no owners and permissions: what is made anew has those of a new file.
mod delete;
mod disk;
mod keep;
mod list;
mod moving;
mod place;
mod print;
mod read;
mod roots;
mod search;
#[cfg(test)]
mod tests;
mod walk;
mod write;

skillhost_sdk::skill!(
    tools: [read::read, list::list, search::search],
    undoable: [write::write, moving::r#move, delete::delete],
);
