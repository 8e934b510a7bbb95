//! Effects that a test counts outside of everything the host keeps.

use std::{fs::OpenOptions, io::Write as _, time::Duration};

use skillhost_sdk::prelude::{Deserialize, JsonSchema, tool};
use skillhost_sdk::{Context, Failure};

#[derive(Deserialize, JsonSchema)]
pub(crate) struct Effect {
    /// One line.
    line: String,
    /// Before the line is written: nothing, or "transient", "permanent", "trap".
    #[serde(default)]
    before: String,
    /// After it: nothing, or "trap", "hang".
    #[serde(default)]
    after: String,
    /// How long to wait between.
    #[serde(default)]
    ms: u64,
    /// Never told to anybody.
    #[serde(default)]
    #[schemars(extend("writeOnly" = true))]
    token: Option<String>,
}

/// Appends a line, with the call's id, to a file; `/effects/log` must be granted. In the mode "mended" it fails no more.
#[tool]
pub(crate) fn record(ctx: &Context, args: Effect) -> Result<String, Failure> {
    let mended = super::mode::mode() == "mended";
    let then = |word: &str| match word {
        _ if mended => Ok(()),
        "transient" => Err(Failure::transient("the line cannot be written now")),
        "permanent" => Err(Failure::permanent("the line can never be written")),
        "trap" => core::arch::wasm32::unreachable(),
        "hang" => loop {
            std::thread::sleep(Duration::from_secs(60));
        },
        _ => Ok(()),
    };
    then(&args.before)?;
    let mut log =
        OpenOptions::new().append(true).create(true).open("/effects/log").map_err(Failure::permanent)?;
    log.write_all(format!("{} {}\n", args.line, ctx.call_id).as_bytes()).map_err(Failure::permanent)?;
    std::thread::sleep(Duration::from_millis(args.ms));
    then(&args.after)?;
    Ok(format!("{} {}", args.line, args.token.is_some()))
}
