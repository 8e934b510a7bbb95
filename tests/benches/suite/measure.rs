//! Medians of interleaved rounds: what else the machine does meanwhile meets all that are compared.

use std::time::{Duration, Instant};

/// What one round measured.
#[derive(Clone, Default)]
pub(crate) struct Load {
    pub(crate) calls: u64,
    pub(crate) took: Duration,
    /// Of each call, in nanoseconds.
    pub(crate) latencies: Vec<u64>,
    /// What the server's processor did for it.
    pub(crate) cpu: Duration,
}

impl Load {
    pub(crate) fn per_second(&self) -> f64 {
        self.calls as f64 / self.took.as_secs_f64()
    }

    /// Of the calls' latencies, in microseconds.
    pub(crate) fn quantile(&self, q: f64) -> f64 {
        let mut all = self.latencies.clone();
        all.sort_unstable();
        let at = ((all.len() as f64 - 1.0) * q).round() as usize;
        all.get(at).map_or(f64::NAN, |nanos| *nanos as f64 / 1e3)
    }

    /// Microseconds of processor a call.
    pub(crate) fn cpu_per_call(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.calls as f64
    }

    /// `call` again and again for `time`.
    pub(crate) fn of(time: Duration, mut call: impl FnMut()) -> Self {
        let began = Instant::now();
        let mut latencies = vec![];
        while began.elapsed() < time {
            let start = Instant::now();
            call();
            latencies.push(nanos(start.elapsed()));
        }
        Self { calls: latencies.len() as u64, took: began.elapsed(), latencies, cpu: Duration::ZERO }
    }
}

pub(crate) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// What is measured in each round.
pub(crate) struct Variant<'a, T> {
    pub(crate) name: String,
    pub(crate) run: Box<dyn FnMut() -> T + 'a>,
}

impl<'a, T> Variant<'a, T> {
    pub(crate) fn new(name: impl Into<String>, run: impl FnMut() -> T + 'a) -> Self {
        Self { name: name.into(), run: Box::new(run) }
    }
}

/// All of `variants` in each of `rounds`, after one that only warms up; each round begins with another of them.
pub(crate) fn interleaved<T>(rounds: usize, variants: &mut [Variant<'_, T>]) -> Vec<Vec<T>> {
    let count = variants.len();
    let mut all: Vec<Vec<T>> = variants.iter().map(|_| vec![]).collect();
    for round in 0..=rounds {
        for step in 0..count {
            let n = (step + round) % count;
            let sample = (variants[n].run)();
            if round > 0 {
                all[n].push(sample);
            }
        }
    }
    all
}

/// The middle one.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        len if len % 2 == 1 => values[middle],
        _ => f64::midpoint(values[middle - 1], values[middle]),
    }
}

/// The median of what `of` says of each round.
pub(crate) fn of<T>(rounds: &[T], of: impl Fn(&T) -> f64) -> Option<f64> {
    Some(median(rounds.iter().map(of)))
}

/// The median of the ratios of each round to the same round of another.
pub(crate) fn ratio<T>(rounds: &[T], to: &[T], of: impl Fn(&T) -> f64) -> Option<f64> {
    Some(median(rounds.iter().zip(to).map(|(one, other)| of(one) / of(other))))
}
