//! How clients reach the host: MCP over stdio and over HTTP.

pub(crate) mod admin;
mod auth;
mod body;
mod connections;
mod front;
mod guard;
pub(crate) mod http;
mod linger;
mod mcp;
mod pipes;
mod refusal;
pub(crate) mod reply;
pub(crate) mod stdio;
mod wording;

pub(crate) use auth::{Auth, LENGTH as TOKEN_LENGTH, is_scope, line as token_line};
use mcp::{Direct, McpServer};
pub(crate) use mcp::{Sources, ended};
