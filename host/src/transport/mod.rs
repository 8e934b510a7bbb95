//! How clients reach the host: MCP over stdio and over HTTP.

pub(crate) mod admin;
mod body;
mod guard;
pub(crate) mod http;
mod mcp;
mod refusal;
pub(crate) mod reply;
pub(crate) mod stdio;
mod wording;

use mcp::McpServer;
pub(crate) use mcp::{Sources, ended};
