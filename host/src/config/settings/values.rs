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
