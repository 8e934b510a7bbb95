//! Which of a guest's progress reports are passed on.

use std::time::{Duration, Instant};

/// Reports are at least this far apart.
const EVERY: Duration = Duration::from_millis(40);

/// The throttle of one call.
#[derive(Debug, Default)]
pub(crate) struct Throttle {
    /// When a report was last passed on, and how far it was.
    last: Option<(Instant, f64)>,
    ended: bool,
}

impl Throttle {
    /// Whether to pass on a report. MCP wants each to be further than the one before. The first that reaches
    /// its total passes whenever it comes, so that clients see the end.
    pub(crate) fn pass(&mut self, now: Instant, progress: f64, total: Option<f64>) -> bool {
        let sound = progress.is_finite() && total.is_none_or(f64::is_finite);
        let grows = self.last.is_none_or(|(_, before)| progress > before);
        let due = self.last.is_none_or(|(at, _)| now.saturating_duration_since(at) >= EVERY);
        let end = !self.ended && total.is_some_and(|total| progress >= total);
        let pass = sound && grows && (due || end);
        if pass {
            self.last = Some((now, progress));
            self.ended |= end;
        }
        pass
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_most_25_a_second_and_the_end() {
        let start = Instant::from(tokio::time::Instant::now());
        let mut throttle = Throttle::default();
        let mut pass =
            |ms, progress, total| throttle.pass(start + Duration::from_millis(ms), progress, total);
        assert!(pass(0, 1.0, Some(3.0)));
        assert!(!pass(39, 2.0, Some(3.0)), "too soon");
        assert!(pass(40, 2.0, Some(3.0)));
        assert!(!pass(100, 2.0, Some(3.0)), "no further");
        assert!(!pass(100, f64::NAN, None) && !pass(100, 9.0, Some(f64::INFINITY)));
        assert!(pass(100, 2.5, Some(3.0)));
        assert!(pass(101, 3.0, Some(3.0)), "the end");
        assert!(!pass(102, 4.0, Some(3.0)), "an end each time is none");
        assert!(pass(141, 5.0, None));
    }
}
