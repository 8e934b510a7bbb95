//! A component that is a command (`wasi:cli/run`) as a tool: run with arguments and a standard input.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Map, Value, json};
use skillhost_core::{Block, Failure, FailureKind, Outcome, Reply};
use wasmtime::{
    Store,
    component::{ComponentExportIndex, Instance, TypedFunc},
};
use wasmtime_wasi::{I32Exit, p2::pipe::MemoryOutputPipe};

use crate::state::State;

/// Its function.
type Run = TypedFunc<(), (Result<(), ()>,)>;

/// What a command reads and writes, in place of the log.
#[derive(Clone)]
pub(crate) struct Terminal {
    pub(crate) args: Vec<String>,
    pub(crate) stdin: bytes::Bytes,
    pub(crate) stdout: MemoryOutputPipe,
}

/// What it is called with.
pub(crate) fn input() -> Value {
    json!({
        "type": "object",
        "properties": {
            "args": {"type": "array", "items": {"type": "string"}, "description": "arguments, without the program's name"},
            "stdin": {"type": "string", "description": "what it reads from its standard input"},
        },
        "additionalProperties": false,
    })
}

/// What it gives.
pub(crate) fn output() -> Value {
    json!({
        "type": "object",
        "properties": {
            "exit_code": {"type": "integer"},
            "stdout": {"type": "string"},
            "stdout_base64": {"type": "string", "description": "in place of `stdout`, when that is no UTF-8"},
            "stderr": {"type": "string", "description": "its end"},
        },
        "required": ["exit_code"],
        "additionalProperties": false,
    })
}

/// What a call's arguments say. They were held against [`input`] before.
pub(crate) fn terminal(name: &str, arguments: &Map<String, Value>, most: usize) -> Terminal {
    let given = arguments.get("args").and_then(Value::as_array).into_iter().flatten();
    let given = given.filter_map(|arg| arg.as_str().map(str::to_owned));
    let stdin = arguments.get("stdin").and_then(Value::as_str).unwrap_or_default();
    Terminal {
        args: std::iter::once(name.to_owned()).chain(given).collect(),
        stdin: bytes::Bytes::copy_from_slice(stdin.as_bytes()),
        // One more, to tell what fits from what does not.
        stdout: MemoryOutputPipe::new(most.saturating_add(1)),
    }
}

/// The command of `instance`.
///
/// # Errors
/// In what its type is not that of WASI.
pub(crate) fn typed(
    index: &ComponentExportIndex,
    store: &mut Store<State>,
    instance: &Instance,
) -> wasmtime::Result<Run> {
    instance.get_typed_func(&mut *store, index)
}

/// Run it to its end.
pub(crate) async fn run(
    index: &ComponentExportIndex,
    store: &mut Store<State>,
    instance: &Instance,
    most: usize,
) -> wasmtime::Result<Result<Outcome, Failure>> {
    let terminal = store.data().terminal.clone();
    let terminal = terminal.ok_or_else(|| wasmtime::format_err!("a command without a terminal"))?;
    let run = typed(index, store, instance)?;
    let code = match run.call_async(&mut *store, ()).await {
        Ok((Ok(()),)) => 0,
        Ok((Err(()),)) => 1,
        Err(error) => match error.downcast_ref::<I32Exit>() {
            Some(exit) => exit.0,
            None if terminal.stdout.contents().len() > most => return Ok(Err(too_much(most))),
            None => return Err(error),
        },
    };
    let stdout = terminal.stdout.contents();
    // Programs that do not look what becomes of their output succeed all the same.
    if stdout.len() > most {
        return Ok(Err(too_much(most)));
    }
    let mut result = Map::from_iter([("exit_code".to_owned(), Value::from(code))]);
    let mut text = String::new();
    match String::from_utf8(stdout.to_vec()) {
        Ok(stdout) => {
            text.clone_from(&stdout);
            result.insert("stdout".to_owned(), stdout.into())
        }
        Err(error) => {
            text = format!("({} bytes that are no text, in `stdout_base64`)", error.as_bytes().len());
            result.insert("stdout_base64".to_owned(), BASE64_STANDARD.encode(error.as_bytes()).into())
        }
    };
    if let Some(stderr) = store.data().output.stderr_tail() {
        if code != 0 {
            text.push_str(&stderr);
        }
        result.insert("stderr".to_owned(), stderr.into());
    }
    Ok(Ok(Outcome::Reply(Reply {
        content: vec![Block::text(text)],
        structured: Some(result.into()),
        is_error: code != 0,
        ..Reply::default()
    })))
}

fn too_much(most: usize) -> Failure {
    Failure::new(
        FailureKind::InvalidOutput,
        format!("it wrote more than {most} bytes (`result`) to its standard output"),
    )
}
