//! `skillhost explain`

use std::{fmt::Write as _, process::ExitCode};

use clap::Args;
use skillhost_core::FailureKind;

use super::out;

#[derive(Debug, Args)]
pub(super) struct Explain {
    /// The kind of failure, such as circuit-open, as it stands in brackets in a reply; without it all are listed
    kind: Option<String>,
}

impl Explain {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let text = match self.kind.as_deref() {
            Some(code) => page(code)?.to_owned(),
            None => FailureKind::ALL.iter().fold(String::new(), |mut text, kind| {
                let summary = page(kind.code()).ok().and_then(|page| page.lines().nth(2)).unwrap_or_default();
                let _ = writeln!(text, "{:<20} {summary}", kind.code());
                text
            }),
        };
        out::text(&text)?;
        Ok(ExitCode::SUCCESS)
    }
}

fn page(code: &str) -> anyhow::Result<&'static str> {
    if let Some(kind) = FailureKind::from_code(code) {
        return Ok(document(kind));
    }
    let codes = FailureKind::ALL.iter().map(|kind| kind.code());
    let nearest =
        codes.max_by(|a, b| strsim::jaro_winkler(a, code).total_cmp(&strsim::jaro_winkler(b, code)));
    let hint = nearest.map(|nearest| format!("\n  hint: did you mean `{nearest}`?")).unwrap_or_default();
    anyhow::bail!("there is no kind of failure `{}`{hint}", out::harmless(code))
}

/// The page in `docs/errors`.
fn document(kind: FailureKind) -> &'static str {
    macro_rules! pages {
        ($($kind:ident $code:literal,)*) => {
            match kind {
                $(FailureKind::$kind => include_str!(concat!("../../../docs/errors/", $code, ".md")),)*
            }
        };
    }
    pages! {
        UnknownTool "unknown-tool",
        NotReady "not-ready",
        InvalidInput "invalid-input",
        Denied "denied",
        MissingCapability "missing-capability",
        InputRequired "input-required",
        InvalidAnswers "invalid-answers",
        KeyConflict "key-conflict",
        Conflict "conflict",
        RateLimited "rate-limited",
        Overloaded "overloaded",
        CircuitOpen "circuit-open",
        JournalUnavailable "journal-unavailable",
        Transient "transient",
        Permanent "permanent",
        InvalidOutput "invalid-output",
        Trap "trap",
        OutOfFuel "out-of-fuel",
        OutOfMemory "out-of-memory",
        Timeout "timeout",
        Cancelled "cancelled",
        ShuttingDown "shutting-down",
        Unsupported "unsupported",
        Internal "internal",
    }
}

#[cfg(test)]
mod tests {
    use skillhost_core::Verdict;

    use super::*;

    #[test]
    fn every_page_and_the_table_say_what_the_code_says() {
        let table =
            std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/failures.md")).unwrap();
        for kind in FailureKind::ALL {
            let (code, page) = (kind.code(), document(kind));
            assert!(page.starts_with(&format!("# {code}\n\n")), "{code}");
            let counts = if kind.breaker() == Verdict::Failure { "counts" } else { "does not count" };
            let (retry, hint) = (kind.retry().as_str(), kind.hint().as_str());
            let effect = kind.effect(true).as_str();
            let once = if effect == "none" { "" } else { " once the guest has started" };
            let row = format!("| {effect}{once} | {counts} | {retry} | `{hint}` |");
            assert!(page.contains(&row), "docs/errors/{code}.md lacks: {row}");
            let row = format!("| [`{code}`](errors/{code}.md) | {effect} | {counts} | {retry} | `{hint}` |");
            assert!(table.contains(&row), "docs/failures.md lacks: {row}");
        }
    }

    #[test]
    fn a_code_that_is_none_is_told_with_the_nearest() {
        assert!(page("circuit-opened").unwrap_err().to_string().contains("did you mean `circuit-open`?"));
    }
}
