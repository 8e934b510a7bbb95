//! A skill: reading, changing and searching files in the folders its operator granted.
mod change;
mod list;
mod read;
mod roots;
mod search;
mod walk;
mod write;

skillhost_sdk::skill!(read::read, write::write, change::r#move, change::delete, list::list, search::search);
