//! What a breaker is told.

use std::time::Duration;

/// When a breaker opens, for how long, and how it tries again.
#[derive(Debug, Clone, PartialEq)]
pub struct BreakerSettings {
    /// What an operator chose. Default [`Mode::Normal`].
    pub mode: Mode,
    /// Failures in a row that open it, 1 to 10,000. Default 5. None: they do not.
    pub consecutive: Option<u32>,
    /// What the rates are taken over. Default the last 100 calls.
    pub window: Window,
    /// Calls there must be in the window before a rate counts, 1 to 10,000. Default 20.
    pub min_calls: u32,
    /// The part of the calls in the window, above 0 to 1, that opens it by failing. Default 0.5. None: it does not.
    pub failure_rate: Option<f64>,
    /// The part that opens it by being slow. Default none.
    pub slow_rate: Option<f64>,
    /// From when on a call is slow. Default 10 s; counts with `slow_rate` only.
    pub slow_call: Duration,
    /// How long it stays open the first time. Default 60 s.
    pub open: Duration,
    /// How much longer each time it opens again before it was closed, 1 to 10. Default 2.
    pub growth: f64,
    /// The longest open time, before jitter. Default 10 min.
    pub max_open: Duration,
    /// The part of the open time, 0 to 1, up to which it is lengthened at random, so that many hosts do not come back in
    /// one moment. Default 0.1.
    pub jitter: f64,
    /// Calls let through half-open, 1 to 1,000. Default 1.
    pub probes: u32,
    /// The part of the probes, above 0 to 1, that must succeed. Default 1.
    pub probe_ratio: f64,
    /// How long the probes may take together before it opens again. Default 60 s.
    pub probe_deadline: Duration,
}

impl Default for BreakerSettings {
    fn default() -> Self {
        Self {
            mode: Mode::Normal,
            consecutive: Some(5),
            window: Window::Calls(100),
            min_calls: 20,
            failure_rate: Some(0.5),
            slow_rate: None,
            slow_call: Duration::from_secs(10),
            open: Duration::from_secs(60),
            growth: 2.0,
            max_open: Duration::from_secs(600),
            jitter: 0.1,
            probes: 1,
            probe_ratio: 1.0,
            probe_deadline: Duration::from_secs(60),
        }
    }
}

impl BreakerSettings {
    /// Names of [`BreakerSettings::preset`].
    pub const PRESETS: [&str; 3] = ["default", "remote", "off"];

    /// Settings by name: `remote` is for what a network lies before, `off` lets everything through.
    #[must_use]
    pub fn preset(name: &str) -> Option<Self> {
        Some(match name {
            "default" => Self::default(),
            "remote" => Self {
                consecutive: Some(3),
                slow_rate: Some(0.8),
                window: Window::Calls(50),
                ..Self::default()
            },
            "off" => Self { mode: Mode::Disabled, ..Self::default() },
            _ => return None,
        })
    }

    /// Probes that must succeed.
    pub(super) fn needed(&self) -> u32 {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most `probes`")]
        let needed = (f64::from(self.probes) * self.probe_ratio).ceil() as u32;
        needed.clamp(1, self.probes.max(1))
    }
}

/// What rates are taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Window {
    /// The last so many calls, 1 to 10,000.
    Calls(u32),
    /// The last so long, 1 s to 1 h, in ten slices.
    Time(Duration),
}

/// What an operator chose for a breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// It opens and closes by itself.
    #[default]
    Normal,
    /// Every call is refused.
    ForcedOpen,
    /// Every call is let through, nothing is counted.
    Disabled,
    /// Every call is let through and counted; it never opens.
    MetricsOnly,
}

/// Where a breaker stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Calls pass.
    Closed,
    /// Calls are refused.
    Open,
    /// A few calls pass, to see.
    HalfOpen,
    /// An operator refuses calls.
    ForcedOpen,
    /// An operator switched it off.
    Disabled,
    /// It only counts.
    MetricsOnly,
}

impl State {
    /// The stable word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half-open",
            Self::ForcedOpen => "forced-open",
            Self::Disabled => "disabled",
            Self::MetricsOnly => "metrics-only",
        }
    }
}
