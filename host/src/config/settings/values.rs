//! Values within their ranges.

use std::time::Duration;

use bytesize::ByteSize;

use crate::config::ConfigError;

pub(super) fn within<T: PartialOrd + std::fmt::Display>(
    key: &str,
    value: T,
    min: T,
    max: T,
) -> Result<T, ConfigError> {
    // So that what is not a number is outside too.
    let inside = value >= min && value <= max;
    if !inside {
        return Err(ConfigError::value(key, format!("is {value}; it must be from {min} to {max}")));
    }
    Ok(value)
}

pub(super) fn bytes(key: &str, value: Option<ByteSize>, min: u64, max: u64) -> Result<usize, ConfigError> {
    let value = value.expect("filled").as_u64();
    if value < min || value > max {
        let show = |n| ByteSize(n).display().iec();
        let problem = format!("is {}; it must be from {} to {}", show(value), show(min), show(max));
        return Err(ConfigError::value(key, problem));
    }
    usize::try_from(value).map_err(|_| ConfigError::value(key, "is too large for this machine"))
}

pub(super) fn time(key: &str, value: Option<Duration>) -> Result<Duration, ConfigError> {
    let value = value.expect("filled");
    if value < Duration::from_millis(1) || value > Duration::from_secs(24 * 3600) {
        return Err(ConfigError::value(key, "must be from 1ms to 24h"));
    }
    Ok(value)
}

pub(super) fn at_most(key: &str, value: Option<Duration>, max: Duration) -> Result<Duration, ConfigError> {
    let value = value.expect("filled");
    if value > max {
        return Err(ConfigError::value(key, format!("must be at most {} s", max.as_secs())));
    }
    Ok(value)
}

/// The longest time any policy takes.
const DAY: Duration = Duration::from_secs(24 * 3600);

/// A preset by name; none for "off".
pub(super) fn preset<T>(
    key: &str,
    name: &str,
    presets: &[&str],
    find: impl FnOnce(&str) -> Option<T>,
) -> Result<T, ConfigError> {
    find(name).ok_or_else(|| {
        let likeness = |known: &str| strsim::jaro_winkler(known, name);
        let nearest = presets.iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
        let hint = nearest.filter(|known| likeness(known) > 0.8).map_or_else(
            || format!("there are {}", presets.join(", ")),
            |known| format!("did you mean `{known}`?"),
        );
        ConfigError::value(key, format!("names the preset `{name}`, which there is not; {hint}"))
    })
}

/// A time from `min`, which is nothing or a millisecond, to a day.
pub(super) fn span(key: &str, value: Duration, min: Duration) -> Result<Duration, ConfigError> {
    if value < min || value > DAY {
        let min = if min.is_zero() { "0s" } else { "1ms" };
        return Err(ConfigError::value(key, format!("must be from {min} to 24h")));
    }
    Ok(value)
}

/// A time from `min` to `max`.
pub(super) fn between(
    key: &str,
    value: Duration,
    min: Duration,
    max: Duration,
) -> Result<Duration, ConfigError> {
    if value < min || value > max {
        let told = |span: Duration| match span.as_secs() / (24 * 3_600) {
            0 => humantime::format_duration(span).to_string(),
            days => format!("{days}d"),
        };
        let (min, max) = (told(min), told(max));
        return Err(ConfigError::value(key, format!("must be from {min} to {max}")));
    }
    Ok(value)
}

/// The shortest time where there must be some.
pub(super) const MS: Duration = Duration::from_millis(1);

/// A part of a whole: over 0, unless that switches it off, to 1.
pub(super) fn part(key: &str, value: f64) -> Result<f64, ConfigError> {
    if !(0.0..=1.0).contains(&value) {
        return Err(ConfigError::value(key, format!("is {value}; it must be from 0 to 1")));
    }
    Ok(value)
}
