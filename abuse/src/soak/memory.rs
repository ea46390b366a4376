//! How a server's memory went over time, and whether that's flat.

use std::{fmt, time::Duration};

/// Parts of the last half, whose medians are compared: a single sample shows what the allocator gives back a moment later.
const PARTS: usize = 5;

/// Samples in the order in which they were taken.
#[derive(Debug, Default)]
pub(crate) struct Memory(Vec<(f64, f64)>);

impl Memory {
    /// Adds resident bytes.
    pub(crate) fn add(&mut self, at: Duration, bytes: u64) {
        self.0.push((at.as_secs_f64(), bytes as f64));
    }

    /// Whether the last half moved by no more than so many percent.
    pub(crate) fn verdict(&self, percent_max: f64) -> Result<(), String> {
        match self.moved_percent() {
            Some(percent) if percent <= percent_max => Ok(()),
            Some(percent) => Err(format!(
                "memory moved by {percent:.1}% in the last half, {percent_max}% are allowed"
            )),
            None => Err("there are too few samples to say whether memory is flat".to_owned()),
        }
    }

    fn last_half(&self) -> &[(f64, f64)] {
        self.0.get(self.0.len() / 2..).unwrap_or_default()
    }

    /// How far the medians of the last half's parts lie apart.
    fn moved_percent(&self) -> Option<f64> {
        let half = self.last_half();
        if half.len() < PARTS * 2 {
            return None;
        }
        let medians = half.chunks(half.len().div_ceil(PARTS)).map(median);
        let (least, most) = medians.fold((f64::MAX, 0.0), |(least, most), it| {
            (it.min(least), it.max(most))
        });
        Some((most - least) / median(half) * 100.0)
    }

    /// Of the last half, by least squares.
    fn slope_bytes_per_s(&self) -> f64 {
        let half = self.last_half();
        let count = half.len().max(1) as f64;
        let mean = |value: fn(&(f64, f64)) -> f64| half.iter().map(value).sum::<f64>() / count;
        let (time, bytes) = (mean(|it| it.0), mean(|it| it.1));
        let moved: f64 = half.iter().map(|it| (it.0 - time) * (it.1 - bytes)).sum();
        let spread: f64 = half.iter().map(|it| (it.0 - time).powi(2)).sum();
        if spread == 0.0 { 0.0 } else { moved / spread }
    }
}

fn median(samples: &[(f64, f64)]) -> f64 {
    let mut bytes: Vec<f64> = samples.iter().map(|it| it.1).collect();
    bytes.sort_by(f64::total_cmp);
    bytes.get(bytes.len() / 2).copied().unwrap_or_default()
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:.1} MB in the last half, moved by {:.1}%, slope {:+.2} MB an hour",
            median(self.last_half()) / 1e6,
            self.moved_percent().unwrap_or_default(),
            self.slope_bytes_per_s() * 3600.0 / 1e6
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_flat_when_its_last_half_is() {
        let check = |bytes: fn(u64) -> u64, expected: &str| {
            let mut memory = Memory::default();
            for second in 0..100 {
                memory.add(Duration::from_secs(second), bytes(second));
            }
            let found = memory.verdict(5.0).err().unwrap_or_default();
            assert!(
                found.starts_with(expected) && found.is_empty() == expected.is_empty(),
                "{found}"
            );
        };
        check(|_| 100, "");
        // Growth while it warms up, and a spike, say nothing.
        check(|it| it.min(40) * 1_000, "");
        check(|it| if it == 70 { 200 } else { 100 }, "");
        check(|it| 1_000 + it * 10, "memory moved by 2");
        let none = Memory::default().verdict(5.0);
        assert!(none.is_err_and(|it| it.starts_with("there are too few")));
    }

    #[test]
    fn a_slope_is_in_bytes_for_a_second() {
        let mut memory = Memory::default();
        for second in 0..100 {
            memory.add(Duration::from_secs(second), 5_000 + second * 3);
        }
        assert!((memory.slope_bytes_per_s() - 3.0).abs() < 1e-6);
    }
}
