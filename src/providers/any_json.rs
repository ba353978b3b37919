//! Random JSON for tests, in the words that a vendor uses: what a reader must not stumble over.

use proptest::prelude::*;
use serde_json::Value;

/// Documents of all shapes with these keys, and with these words among their strings.
pub(super) fn any_json(
    keys: &'static [&'static str],
    words: &[&'static str],
) -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        1 => Just(Value::Null),
        1 => any::<bool>().prop_map(Value::from),
        1 => any::<f64>().prop_map(Value::from),
        1 => any::<u64>().prop_map(Value::from),
        1 => any::<i64>().prop_map(Value::from),
        1 => (0_u16..1000).prop_map(Value::from),
        1 => ".{0,20}".prop_map(Value::from),
        2 => proptest::sample::select(words.to_vec()).prop_map(Value::from),
    ];
    leaf.prop_recursive(7, 60, 6, move |inner| {
        let pair = (proptest::sample::select(keys), inner.clone());
        prop_oneof![
            proptest::collection::vec(inner, 0..4).prop_map(Value::from),
            proptest::collection::vec(pair, 0..8)
                .prop_map(|pairs| pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()),
        ]
    })
}
