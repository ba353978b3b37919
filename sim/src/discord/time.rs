//! Wall-clock times and ids as Discord writes them.

/// Milliseconds since 1970 at which Discord's ids begin (2015-01-01).
const EPOCH: u64 = 1_420_070_400_000;

/// Milliseconds since 1970.
pub(crate) fn now_ms() -> u64 {
    #[expect(clippy::disallowed_methods, reason = "ids and timestamps of an embedded Discord are real times")]
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}

/// The id after `last`: it grows with time, and always.
pub(crate) fn next_id(last: u64) -> u64 {
    (now_ms().saturating_sub(EPOCH) << 22).max(last + 1)
}

/// When an id was made, in milliseconds since 1970.
pub(crate) fn made_at(id: u64) -> u64 {
    (id >> 22) + EPOCH
}

/// ISO 8601 as in Discord's answers: `2026-01-31T23:59:59.123000+00:00`.
pub(crate) fn iso(ms: u64) -> String {
    let (days, in_day) = (ms / 86_400_000, ms % 86_400_000);
    let (year, month, day) = civil(days);
    let (hour, minute) = (in_day / 3_600_000, in_day / 60_000 % 60);
    let (second, milli) = (in_day / 1000 % 60, in_day % 1000);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}000+00:00")
}

/// Year, month and day of a number of days since 1970 (Howard Hinnant's `civil_from_days`).
pub(crate) fn civil(days: u64) -> (u64, u64, u64) {
    let z = days + 719_468;
    let (era, in_era) = (z / 146_097, z % 146_097);
    let year = (in_era - in_era / 1460 + in_era / 36_524 - in_era / 146_096) / 365;
    let in_year = in_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * in_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year + era * 400 + u64::from(month <= 2), month, in_year - (153 * shifted + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn times_read_as_discord_writes_them() {
        let lines: Vec<String> =
            [0, 951_782_400_000, 1_709_251_199_999, 4_107_542_399_001].into_iter().map(iso).collect();
        expect![[r#"
            1970-01-01T00:00:00.000000+00:00
            2000-02-29T00:00:00.000000+00:00
            2024-02-29T23:59:59.999000+00:00
            2100-02-28T23:59:59.001000+00:00"#]]
        .assert_eq(&lines.join("\n"));
    }

    #[test]
    fn ids_grow_and_tell_their_time() {
        let first = next_id(0);
        assert!(next_id(first) > first);
        assert!(now_ms().abs_diff(made_at(first)) < 5000);
    }
}
