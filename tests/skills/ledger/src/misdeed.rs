//! What a call or an undo does when it is told to misbehave.
use std::time::Duration;

use skillhost_sdk::prelude::{Deserialize, JsonSchema, Serialize};
use skillhost_sdk::{Context, Failure};

use crate::world;

/// What to do at some point of a call.
#[derive(Default, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Misdeed {
    /// Go on.
    #[default]
    Ok,
    /// Fail as transient.
    Transient,
    /// Fail as permanent.
    Permanent,
    /// Fail with a conflict.
    Conflict,
    Trap,
    /// Sleep for ever.
    Hang,
    /// Compute for ever.
    Spin,
    /// Sleep for `ms` and go on.
    Sleep,
    /// Fail as transient in the first attempt.
    FailFirst,
    /// Trap in the first attempt.
    TrapFirst,
}

impl Misdeed {
    /// Does it. `place` is `before` or `end`. Failures after an effect are lies; that is what they are for.
    pub(crate) fn done(self, ctx: &Context, place: &str, ms: u64) -> Result<(), Failure> {
        let first = ctx.attempt == 1;
        if self != Self::Ok {
            let word = serde_json::to_string(&self).unwrap_or_default();
            world::event(&format!("{place} {} {} {}", word.trim_matches('"'), ctx.call_id, ctx.attempt));
        }
        match self {
            Self::FailFirst | Self::TrapFirst if !first => Ok(()),
            Self::Ok => Ok(()),
            Self::Transient | Self::FailFirst => Err(Failure::transient(format_args!("transient {place}"))),
            Self::Permanent => Err(Failure::permanent(format_args!("permanent {place}"))),
            Self::Conflict => Err(Failure::conflict(format_args!("conflict {place}"))),
            Self::Trap | Self::TrapFirst => core::arch::wasm32::unreachable(),
            Self::Hang => hang(),
            Self::Spin => spin(),
            Self::Sleep => {
                std::thread::sleep(Duration::from_millis(ms));
                Ok(())
            }
        }
    }
}

/// Does what an undo is told to: `ok`, `transient`, `permanent`, `trap`, `hang`, or `flaky:N`, which fails N times.
pub(crate) fn undo(word: &str, ctx: &Context) -> Result<(), Failure> {
    let word = if word.is_empty() { "ok" } else { word };
    world::event(&format!("undo {word} {}", ctx.call_id));
    match word {
        "ok" => Ok(()),
        "transient" => Err(Failure::transient("the undo fails")),
        "permanent" => Err(Failure::permanent("the undo fails for ever")),
        "trap" => core::arch::wasm32::unreachable(),
        "hang" => hang(),
        flaky => {
            let failures = flaky.strip_prefix("flaky:").and_then(|n| n.parse::<u64>().ok());
            let Some(failures) = failures else {
                return Err(Failure::permanent(format_args!("an undo cannot be `{flaky}`")));
            };
            match world::count(&ctx.call_id)? {
                n if n <= failures => Err(Failure::transient(format_args!("undo {n} fails"))),
                _ => Ok(()),
            }
        }
    }
}

fn hang() -> ! {
    loop {
        std::thread::sleep(Duration::from_secs(60));
    }
}

fn spin() -> ! {
    let mut n = 0u64;
    loop {
        n = core::hint::black_box(n.wrapping_add(1));
    }
}
