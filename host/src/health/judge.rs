//! When a part of the host is well. Pure: what is judged comes in.

use std::time::Duration;

use serde::Serialize;
use skillhost_pipeline::PolicyReport;

use super::machine::Room;
use crate::config::Least;

const GIB: u64 = 1 << 30;
/// Requests before a share of them says anything.
const ENOUGH: u64 = 100;
/// Hits below which a cache does not pay.
const POOR_HITS: f64 = 0.3;
/// Refusals above which a limit is too narrow, or somebody too loud.
const MANY_REJECTED: f64 = 0.5;
/// The share of the dead letters' capacity at which somebody should look.
const NEARLY_FULL: f64 = 0.8;

/// How well.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Status {
    #[default]
    Ok,
    Warning,
    Critical,
}

/// A part, and what was seen of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(crate) struct Part {
    pub(crate) status: Status,
    /// What is wrong, for people; nothing when all is well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) message: Option<String>,
    /// What was seen, and against what it was held.
    #[serde(skip_serializing_if = "serde_json::Value::is_null")]
    pub(crate) seen: serde_json::Value,
}

impl Part {
    fn new(status: Status, message: String, seen: serde_json::Value) -> Self {
        let message = (status != Status::Ok).then_some(message);
        Self { status, message, seen }
    }
}

/// What there must be when nobody says so: a share of all, since half a gigabyte is much to a small container, and not more
/// than so much, since a tenth of a large disk is enough to go on for long.
fn least(said: Option<u64>, total: u64, share: u64, most: u64) -> u64 {
    said.unwrap_or((total / share).min(most))
}

/// A disk, or memory.
pub(crate) fn room(what: &str, room: Option<Room>, said: &Least, most: [u64; 2]) -> Part {
    let Some(Room { total, free }) = room else {
        return Part { seen: serde_json::json!({"known": false}), ..Part::default() };
    };
    let warning = least(said.warning, total, 5, most[0] * GIB);
    let critical = least(said.critical, total, 10, most[1] * GIB).min(warning);
    let status = match free {
        free if free < critical => Status::Critical,
        free if free < warning => Status::Warning,
        _ => Status::Ok,
    };
    let show = |bytes| bytesize::ByteSize(bytes).display().iec();
    let message = format!("{} of {what} left, of {}", show(free), show(total));
    let seen = serde_json::json!({
        "free_bytes": free, "total_bytes": total, "warning_below": warning, "critical_below": critical,
    });
    Part::new(status, message, seen)
}

/// Skills whose newest version cannot be loaded.
pub(crate) fn skills(failed: &[String], ready: usize) -> Part {
    let status = if failed.is_empty() { Status::Ok } else { Status::Warning };
    let message = format!("cannot be loaded: {}; see `skillhost list`", failed.join(", "));
    Part::new(status, message, serde_json::json!({"ready": ready, "failed": failed}))
}

/// Breakers that keep calls off.
pub(crate) fn breakers(report: &PolicyReport) -> Part {
    let mut open = vec![];
    for (skill, state) in &report.skills {
        let tools = state
            .tools
            .iter()
            .filter_map(|(tool, report)| Some((format!("{skill}/{tool}"), report.breaker.as_ref()?)));
        let all = std::iter::once((skill.clone(), &state.breaker)).chain(tools);
        open.extend(all.filter(|(_, breaker)| breaker.keeps_off()).map(|(name, _)| name));
    }
    let status = if open.is_empty() { Status::Ok } else { Status::Warning };
    Part::new(status, format!("open: {}", open.join(", ")), serde_json::json!({"open": open}))
}

/// Rate limits that refuse more than they let through.
pub(crate) fn rate_limits(report: &PolicyReport) -> Part {
    let mut busy = vec![];
    let mut look = |name: String, rate: Option<&skillhost_pipeline::RateReport>| {
        if let Some(rate) = rate
            && rate.allowed + rate.rejected >= ENOUGH
            && rate.rejection_rate > MANY_REJECTED
        {
            busy.push(name);
        }
    };
    look("the host".into(), report.rate_limit.as_ref());
    look("callers".into(), report.callers.as_ref().and_then(|callers| callers.rate_limit.as_ref()));
    for (skill, state) in &report.skills {
        look(skill.clone(), state.rate_limit.as_ref());
        for (tool, state) in &state.tools {
            look(format!("{skill}/{tool}"), state.rate_limit.as_ref());
        }
    }
    let status = if busy.is_empty() { Status::Ok } else { Status::Warning };
    let seen = serde_json::json!({"refusing": busy, "warning_above": MANY_REJECTED, "after": ENOUGH});
    Part::new(status, format!("more than half is refused by the limit of {}", busy.join(", ")), seen)
}

/// A cache that does not pay.
pub(crate) fn cache(stats: &skillhost_pipeline::CacheStats) -> Part {
    let poor = stats.hits + stats.misses >= ENOUGH && stats.hit_rate < POOR_HITS;
    let status = if poor { Status::Warning } else { Status::Ok };
    let seen = serde_json::json!({
        "hit_rate": stats.hit_rate, "requests": stats.hits + stats.misses, "warning_below": POOR_HITS, "after": ENOUGH,
    });
    Part::new(status, format!("{:.0} % of calls of cached tools were hits", stats.hit_rate * 100.0), seen)
}

/// Letters that wait for somebody, or leave no room for others.
pub(crate) fn dead_letters(parked: u64, open: u64, capacity: u64) -> Part {
    #[expect(clippy::cast_precision_loss, reason = "a share")]
    let full = open as f64 >= capacity as f64 * NEARLY_FULL;
    let status = if full || parked > 0 { Status::Warning } else { Status::Ok };
    let message = match (parked, full) {
        (_, true) => format!("{open} open, of {capacity} that there may be"),
        (parked, _) => {
            format!("{parked} parked: somebody must judge them; see `skillhost dlq list --state parked`")
        }
    };
    let seen = serde_json::json!({"parked": parked, "open": open, "capacity": capacity, "warning_from": NEARLY_FULL});
    Part::new(status, message, seen)
}

/// Sagas that somebody must look at.
pub(crate) fn sagas(stuck: u64) -> Part {
    let status = if stuck > 0 { Status::Warning } else { Status::Ok };
    let message = format!("{stuck} could not be taken back whole; see `skillhost saga list --state stuck`");
    Part::new(status, message, serde_json::json!({"stuck": stuck}))
}

/// The journal: without it nothing that must not be lost can begin.
pub(crate) fn journal(check: Result<(), String>, within: Duration) -> Part {
    let seen = serde_json::json!({"writes_within_seconds": within.as_secs()});
    match check {
        Ok(()) => Part { seen, ..Part::default() },
        Err(message) => Part { status: Status::Critical, message: Some(message), seen },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk(total: u64, free: u64, said: &Least) -> Status {
        room("disk", Some(Room { total: total << 20, free: free << 20 }), said, [50, 10]).status
    }

    #[test]
    fn a_share_counts_up_to_a_size() {
        let default = Least::default();
        for (total, free, status) in [
            (1_000, 201, Status::Ok),
            (1_000, 199, Status::Warning),
            (1_000, 99, Status::Critical),
            // Four terabytes: not a tenth of it.
            (4 << 20, 52 << 10, Status::Ok),
            (4 << 20, 49 << 10, Status::Warning),
            (4 << 20, 9 << 10, Status::Critical),
        ] {
            assert_eq!(disk(total, free, &default), status, "{free} of {total} MiB");
        }
        let said = Least { warning: Some(5 << 20), critical: Some(1 << 20) };
        assert_eq!(disk(1_000, 6, &said), Status::Ok);
        assert_eq!(disk(1_000, 4, &said), Status::Warning);
        assert_eq!(disk(1_000, 0, &said), Status::Critical);
        assert_eq!(room("disk", None, &said, [50, 10]).status, Status::Ok);
    }

    #[test]
    fn what_waits_for_somebody_is_a_warning() {
        assert_eq!(dead_letters(0, 10, 100).status, Status::Ok);
        assert_eq!(dead_letters(1, 1, 100).status, Status::Warning);
        assert_eq!(dead_letters(0, 80, 100).status, Status::Warning);
        assert_eq!((sagas(0).status, sagas(1).status), (Status::Ok, Status::Warning));
        assert_eq!(skills(&["a".into()], 3).message.unwrap(), "cannot be loaded: a; see `skillhost list`");
        assert_eq!(journal(Err("full".into()), Duration::from_secs(2)).status, Status::Critical);
    }

    #[test]
    fn a_poor_cache_is_told_after_a_while_only() {
        let stats = |hits: u64, misses: u64| skillhost_pipeline::CacheStats {
            hits,
            misses,
            evictions: 0,
            invalidations: 0,
            #[expect(clippy::cast_precision_loss, reason = "a ratio")]
            hit_rate: hits as f64 / (hits + misses) as f64,
            entries: 0,
            bytes: 0,
        };
        assert_eq!(cache(&stats(1, 98)).status, Status::Ok);
        assert_eq!(cache(&stats(29, 71)).status, Status::Warning);
        assert_eq!(cache(&stats(31, 69)).status, Status::Ok);
    }
}
