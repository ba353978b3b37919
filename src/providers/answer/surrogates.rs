//! Mends JSON in which half a character stands (pure).
//!
//! Gateways written in JavaScript cut texts anywhere, also in the middle of an emoji: one chunk then ends with `\ud83d` and the
//! next begins with `\udc4b`. That is no JSON for anybody who is strict, and an answer must not be lost for it.

/// The JSON with U+FFFD for each half of a character that lacks the other half; none if there is no such half.
pub(in crate::providers) fn mended(json: &str) -> Option<String> {
    let mut mended = String::new();
    let mut told = 0;
    let mut at = 0;
    while let Some(found) = json.get(at..).and_then(|rest| rest.find('\\')) {
        at += found;
        match unit(json, at) {
            Some(0xD800..=0xDBFF) if matches!(unit(json, at + 6), Some(0xDC00..=0xDFFF)) => at += 12,
            Some(0xD800..=0xDFFF) => {
                mended.push_str(&json[told..at]);
                mended.push('\u{FFFD}');
                at += 6;
                told = at;
            }
            Some(_) => at += 6,
            // Whatever is escaped: also a backslash.
            None => at += 2,
        }
    }
    mended.push_str(&json[told..]);
    (told > 0).then_some(mended)
}

/// The number of the escape that stands there.
fn unit(json: &str, at: usize) -> Option<u16> {
    let digits = json.get(at..at + 6)?.strip_prefix("\\u")?;
    u16::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    #[test]
    fn halves_become_one_sign_each() {
        let read = |json: &str| mended(json).map(|it| serde_json::from_str::<Value>(&it).unwrap());
        assert_eq!(read(r#"{"a":"Hi \ud83d"}"#), Some(serde_json::json!({ "a": "Hi \u{fffd}" })));
        assert_eq!(
            read(r#"["\udc4b!", "\ud83d\ud83d\udc4b"]"#),
            Some(serde_json::json!(["\u{fffd}!", "\u{fffd}👋"]))
        );
        assert_eq!(read(r#""\ud83d\n""#), Some(Value::from("\u{fffd}\n")));
        for whole in
            [r#""\ud83d\udc4b""#, r#""\\ud83d""#, r#""\u00fc ü \" \\""#, "{}", "", "\\", "\\u", "\\ü"]
        {
            assert_eq!(mended(whole), None, "{whole}");
        }
    }

    proptest! {
        #[test]
        fn what_is_json_but_for_halves_becomes_json(
            parts in proptest::collection::vec(proptest::sample::select(&[r"\ud83d", r"\udc4b", r"\n", r"\\", "a", "ü", r"\u0041", "\\\""][..]), 0..9),
        ) {
            let json = format!("[\"{}\"]", parts.concat());
            let read = serde_json::from_str::<Value>(&json);
            match mended(&json) {
                Some(mended) => {
                    prop_assert!(read.is_err());
                    prop_assert!(serde_json::from_str::<Value>(&mended).is_ok(), "{}", mended);
                }
                None => prop_assert!(read.is_ok(), "{}", json),
            }
        }

        #[test]
        fn nothing_is_too_odd(text in r#"(\\|u|d|8|"|ü|[0-9a-f]){0,30}"#) {
            mended(&text);
        }
    }
}
