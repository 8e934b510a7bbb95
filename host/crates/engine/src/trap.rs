//! Why the engine ended a guest.

use skillhost_core::{Failure, FailureKind};
use wasmtime::{Trap, component::ResourceTableError};
use wasmtime_wasi::I32Exit;

use crate::{Limits, limiter::Refused};

/// The failure behind `error`. `refused` is what the limiter refused during the call, `tail` the redacted
/// end of the guest's stderr.
pub(crate) fn classify(
    error: &wasmtime::Error,
    limits: &Limits,
    refused: Option<Refused>,
    tail: Option<String>,
) -> Failure {
    if let Some(trap) = error.downcast_ref::<Trap>() {
        match trap {
            Trap::OutOfFuel => {
                return Failure::new(
                    FailureKind::OutOfFuel,
                    format!("the skill used up its fuel of {} units (`fuel`)", limits.fuel),
                );
            }
            Trap::StackOverflow => {
                return Failure::new(FailureKind::OutOfMemory, "the skill used up its stack of 512 KiB");
            }
            _ => {}
        }
    }
    match refused {
        Some(Refused::Memory { wanted, limit }) => {
            return Failure::new(
                FailureKind::OutOfMemory,
                format!("the skill wanted {wanted} bytes of memory, its bound is {limit} (`memory`)"),
            );
        }
        Some(Refused::Table { wanted, limit }) => {
            return Failure::new(
                FailureKind::OutOfMemory,
                format!("the skill wanted {wanted} table elements, its bound is {limit} (`table_elements`)"),
            );
        }
        None => {}
    }
    let what = if let Some(exit) = error.downcast_ref::<I32Exit>() {
        format!("the skill exited with code {} instead of answering", exit.0)
    } else if let Some(trap) = error.downcast_ref::<Trap>() {
        let text = trap.to_string();
        format!("the skill trapped: {}", text.strip_prefix("wasm trap: ").unwrap_or(&text))
    } else {
        if matches!(error.downcast_ref(), Some(ResourceTableError::Full)) {
            return Failure::new(
                FailureKind::OutOfMemory,
                format!(
                    "the skill held more than {} things of the host's at once (`handles`)",
                    limits.handles
                ),
            );
        }
        let cause = error.root_cause().to_string();
        if cause.contains("fuel allocated for hostcalls") {
            return Failure::new(
                FailureKind::InvalidOutput,
                format!("the skill passed more than {} bytes to the host at once (`result`)", limits.result),
            );
        }
        format!("the skill broke the contract: {cause}")
    };
    let text = match tail {
        Some(tail) => format!("{what}. The end of its stderr:\n{tail}"),
        None => what,
    };
    Failure::new(FailureKind::Trap, text)
}
