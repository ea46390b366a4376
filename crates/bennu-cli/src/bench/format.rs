//! Figures as people read them.

/// A time: three digits, and the unit that suits.
pub(crate) fn time(us: f64) -> String {
    match us {
        us if us < 1e3 => format!("{} µs", digits(us)),
        us if us < 1e6 => format!("{} ms", digits(us / 1e3)),
        us => format!("{} s", digits(us / 1e6)),
    }
}

/// A count, with commas.
pub(crate) fn count(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A rate or another number that may be large: whole from a hundred up.
pub(crate) fn number(value: f64) -> String {
    match value {
        value if value >= 99.95 => count(value.round() as u64),
        value => digits(value),
    }
}

pub(crate) fn bytes(bytes: f64) -> String {
    match bytes {
        bytes if bytes < 9_999.5 => format!("{} B", number(bytes)),
        bytes if bytes < 999_500.0 => format!("{} kB", digits(bytes / 1e3)),
        bytes if bytes < 999.5e6 => format!("{} MB", digits(bytes / 1e6)),
        bytes => format!("{} GB", digits(bytes / 1e9)),
    }
}

/// Three digits, no more.
fn digits(value: f64) -> String {
    match value {
        0.0 => "0".to_owned(),
        value if value < 9.995 => format!("{value:.2}"),
        value if value < 99.95 => format!("{value:.1}"),
        value => format!("{value:.0}"),
    }
}

/// One of several, in words.
pub(crate) fn plural(n: u64, one: &str, many: &str) -> String {
    format!("{} {}", count(n), if n == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_three_digits_and_a_unit() {
        let check = |found: String, expected: &str| assert_eq!(found, expected);
        check(time(0.0), "0 µs");
        check(time(7.0), "7.00 µs");
        check(time(85.44), "85.4 µs");
        check(time(999.0), "999 µs");
        check(time(1234.0), "1.23 ms");
        check(time(5_000_000.0), "5.00 s");
        check(count(0), "0");
        check(count(999), "999");
        check(count(1_234_567), "1,234,567");
        check(number(12.34), "12.3");
        check(number(12_345.6), "12,346");
        check(bytes(1098.0), "1,098 B");
        check(bytes(23_400_000.0), "23.4 MB");
        check(plural(1, "process", "processes"), "1 process");
    }
}
