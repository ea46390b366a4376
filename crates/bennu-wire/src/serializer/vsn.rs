//! The `vsn` parameter.

use std::{error, fmt};

use super::Serializer;

/// A `vsn` that no serializer speaks; the connection is refused with 403.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VsnError(());

impl fmt::Display for VsnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected a vsn of 1.0.x or 2.0.x, with all three numbers")
    }
}

impl error::Error for VsnError {}

/// Phoenix matches `~> 1.0.0` and `~> 2.0.0`, in Elixir's reading: a full version of that major and minor number that
/// is not before `x.0.0`. A pre-release is before its version, so `2.0.0-rc.1` is too early and `2.0.1-rc.1` is not.
/// Numbers have no upper end there, so patch is never turned into one here.
pub(super) fn negotiate(vsn: &str) -> Result<Serializer, VsnError> {
    parse(vsn).ok_or(VsnError(()))
}

fn parse(vsn: &str) -> Option<Serializer> {
    let (rest, build) = split(vsn, '+');
    let (numbers, pre) = split(rest, '-');
    let mut numbers = numbers.split('.');
    let (major, minor, patch) = (numbers.next()?, numbers.next()?, numbers.next()?);
    let well_formed = numbers.next().is_none()
        && is_number(patch)
        && build.is_none_or(|build| build.split('.').all(is_identifier))
        && pre.is_none_or(|pre| {
            pre.split('.')
                .all(|it| is_identifier(it) && !has_leading_zero(it))
        });
    let early = patch == "0" && pre.is_some();
    match (major, minor) {
        ("1", "0") if well_formed && !early => Some(Serializer::V1),
        ("2", "0") if well_formed && !early => Some(Serializer::V2),
        _ => None,
    }
}

fn split(text: &str, mark: char) -> (&str, Option<&str>) {
    text.split_once(mark)
        .map_or((text, None), |(before, after)| (before, Some(after)))
}

fn is_number(text: &str) -> bool {
    is_digits(text) && !has_leading_zero(text)
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn has_leading_zero(text: &str) -> bool {
    text.len() > 1 && text.starts_with('0') && is_digits(text)
}

fn is_identifier(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(expected: Option<Serializer>, versions: &[&str]) {
        for vsn in versions {
            assert_eq!(negotiate(vsn).ok(), expected, "{vsn:?}");
        }
    }

    #[test]
    fn versions_1_0_x_speak_v1() {
        check(
            Some(Serializer::V1),
            &["1.0.0", "1.0.9", "1.0.10", "1.0.0+build", "1.0.1-alpha"],
        );
        assert_eq!(Serializer::negotiate(None), Ok(Serializer::V1));
    }

    #[test]
    fn versions_2_0_x_speak_v2() {
        let long = format!("2.0.{}", "9".repeat(60));
        check(
            Some(Serializer::V2),
            &[
                "2.0.0",
                "2.0.5",
                "2.0.0+build",
                "2.0.0+b.1-2.007",
                "2.0.1-rc.1",
                "2.0.1-rc.1+b",
                "2.0.1-0",
                "2.0.1--",
                "2.0.1-0a",
                "2.0.0+a-b",
                &long,
            ],
        );
    }

    #[test]
    fn other_versions_are_refused() {
        check(
            None,
            &[
                "2.1.0",
                "2.1.0-rc.1",
                "3.0.0",
                "0.9.0",
                "1.1.0",
                "123.1.1",
                "10.0.0",
                "2.0.0-rc.1",
                "1.0.0-alpha",
                "2.0.0-rc.1+b",
            ],
        );
    }

    #[test]
    fn what_is_no_full_version_is_refused() {
        check(
            None,
            &[
                "",
                "2",
                "2.0",
                "abc",
                "2.0.0.0",
                "2.0.",
                ".0.0",
                "2..0",
                "02.0.0",
                "2.00.0",
                "2.0.00",
                "2.0.01",
                " 2.0.0",
                "2.0.0 ",
                "2.0.x",
                "2.0.-1",
                "2.0.0+",
                "2.0.1-",
                "2.0.1-a..b",
                "2.0.1-01",
                "2.0.1-rc_1",
                "2.0.0+b+c",
                "v2.0.0",
                "2.0.٣",
                "+",
                "-",
                "2.0.0\n",
            ],
        );
    }
}
