//! Moments in headers: a scene says how far away they are, and they are written when the answer is sent.

use super::words::duration;
use crate::discord::time::{civil, iso};

/// What stands before the `+`.
const FORMS: [&str; 4] = ["date", "rfc3339", "epoch", "epoch-ms"];

/// The form and the time of a value such as `date+30s`; none for any other value.
fn parts(value: &str) -> Option<(&str, &str)> {
    value.split_once('+').filter(|(form, _)| FORMS.contains(form))
}

/// Looks whether a moment can be read.
///
/// # Errors
/// The time behind the `+` is none.
pub(crate) fn check(value: &str) -> Result<(), String> {
    parts(value).map_or(Ok(()), |(_, time)| duration(time).map(|_| ()))
}

/// A header's value; a moment is counted from `now`, in milliseconds since 1970.
pub(crate) fn written(value: &str, now: u64) -> String {
    let moment = parts(value).and_then(|(form, time)| Some((form, duration(time).ok()?)));
    let Some((form, time)) = moment else { return value.to_owned() };
    let at = now.saturating_add(u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
    match form {
        "date" => http_date(at),
        // `…:00.123000+00:00` → `…:00Z`, as Anthropic writes it.
        "rfc3339" => iso(at).split('.').next().unwrap_or_default().to_owned() + "Z",
        "epoch" => (at / 1000).to_string(),
        _ => at.to_string(),
    }
}

/// A date as HTTP writes it (RFC 9110, 5.6.7): `Sun, 06 Nov 1994 08:49:37 GMT`.
fn http_date(ms: u64) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (days, seconds) = (ms / 86_400_000, ms / 1000 % 86_400);
    let (year, month, day) = civil(days);
    let name = |names: &[&'static str], at: u64| names[usize::try_from(at).unwrap_or(0) % names.len()];
    let (weekday, month) = (name(&DAYS, days % 7), name(&MONTHS, month - 1));
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{weekday}, {day:02} {month} {year} {hour:02}:{minute:02}:{second:02} GMT")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_in_four_ways() {
        // The example of RFC 9110, half a minute before.
        const BEFORE: u64 = 784_111_747_250;
        let at = |value| written(value, BEFORE);
        assert_eq!(at("date+30s"), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(at("rfc3339+30s"), "1994-11-06T08:49:37Z");
        assert_eq!(at("epoch+30s"), "784111777");
        assert_eq!(at("epoch-ms+30s"), "784111777250");
        assert_eq!(at("a+b"), "a+b");
        assert!(check("date+soon").is_err());
        assert!(check("a+b").is_ok());
    }
}
