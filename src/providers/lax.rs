//! Reads values of JSON that may be of another sort than they should be: such a value is as good as none.
//!
//! **The problem.** Vendors send a null, an empty text or a list where others have an object, and change that without a word. An
//! answer must not be lost for it. A tree of the whole document would be lenient, too, but making one costs more than all the
//! rest of the reading. **The rule.** A dialect writes down the shape that it looks for, as structs of the types below with
//! `#[serde(default)]`; what has another shape, or is not looked for, is skipped in one pass over the bytes. Only what is no JSON at
//! all is an error. **The limits.** A key that is said twice in an object makes it no JSON
//! for these types; whoever reads with them has to say it once.

use serde::{
    Deserialize, Deserializer,
    de::{Error, IgnoredAny, MapAccess, SeqAccess, Visitor, value::MapAccessDeserializer},
};
use std::{borrow::Cow, fmt, marker::PhantomData};

/// What every sort of value that is not looked for becomes.
macro_rules! skipped {
    (scalars: $none:expr) => {
        fn visit_bool<E: Error>(self, _: bool) -> Result<Self::Value, E> {
            Ok($none)
        }
        skipped!(numbers: $none);
    };
    (numbers: $none:expr) => {
        fn visit_i64<E: Error>(self, _: i64) -> Result<Self::Value, E> {
            Ok($none)
        }
        fn visit_u64<E: Error>(self, _: u64) -> Result<Self::Value, E> {
            Ok($none)
        }
        fn visit_f64<E: Error>(self, _: f64) -> Result<Self::Value, E> {
            Ok($none)
        }
    };
    (null: $none:expr) => {
        fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
            Ok($none)
        }
    };
    (text: $none:expr) => {
        fn visit_str<E: Error>(self, _: &str) -> Result<Self::Value, E> {
            Ok($none)
        }
    };
    (list: $none:expr) => {
        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
            while list.next_element::<IgnoredAny>()?.is_some() {}
            Ok($none)
        }
    };
    (object: $none:expr) => {
        fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Self::Value, A::Error> {
            while object.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            Ok($none)
        }
    };
}

macro_rules! expecting {
    () => {
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("any value")
        }
    };
}

/// A text; anything else is an empty one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Text<'a>(pub(super) Cow<'a, str>);

impl Text<'_> {
    /// This text, or that one if this is empty.
    pub(super) fn or(self, other: Self) -> Self {
        if self.0.is_empty() { other } else { self }
    }

    pub(super) fn into_owned(self) -> String {
        self.0.into_owned()
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Text<'de>;
            expecting!();
            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
            skipped!(null: Text::default());
            skipped!(scalars: Text::default());
            skipped!(list: Text::default());
            skipped!(object: Text::default());
        }
        from.deserialize_any(Reader)
    }
}

/// A text, or a list of such values; anything else is neither.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TextOrList<'a, T> {
    pub(super) text: Text<'a>,
    pub(super) list: Vec<T>,
}

impl<T> Default for TextOrList<'_, T> {
    fn default() -> Self {
        Self { text: Text::default(), list: Vec::new() }
    }
}

impl<'de: 'a, 'a, T: Deserialize<'de>> Deserialize<'de> for TextOrList<'a, T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Reader<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Reader<T> {
            type Value = TextOrList<'de, T>;
            expecting!();
            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(TextOrList { text: Text(Cow::Borrowed(text)), ..TextOrList::default() })
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(TextOrList { text: Text(Cow::Owned(text.to_owned())), ..TextOrList::default() })
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
                let mut list = Vec::new();
                while let Some(item) = items.next_element()? {
                    list.push(item);
                }
                Ok(TextOrList { list, ..TextOrList::default() })
            }
            skipped!(null: TextOrList::default());
            skipped!(scalars: TextOrList::default());
            skipped!(object: TextOrList::default());
        }
        from.deserialize_any(Reader(PhantomData))
    }
}

/// A count; anything else is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Count(pub(super) Option<u64>);

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Count;
            expecting!();
            fn visit_u64<E: Error>(self, count: u64) -> Result<Count, E> {
                Ok(Count(Some(count)))
            }
            fn visit_i64<E: Error>(self, count: i64) -> Result<Count, E> {
                Ok(Count(u64::try_from(count).ok()))
            }
            fn visit_f64<E: Error>(self, _: f64) -> Result<Count, E> {
                Ok(Count(None))
            }
            fn visit_bool<E: Error>(self, _: bool) -> Result<Count, E> {
                Ok(Count(None))
            }
            skipped!(null: Count(None));
            skipped!(text: Count(None));
            skipped!(list: Count(None));
            skipped!(object: Count(None));
        }
        from.deserialize_any(Reader)
    }
}

/// Whether it is there and means something: `null`, `false`, `""` and `{}` do not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Present(pub(super) bool);

impl<'de> Deserialize<'de> for Present {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Present;
            expecting!();
            fn visit_bool<E: Error>(self, value: bool) -> Result<Present, E> {
                Ok(Present(value))
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Present, E> {
                Ok(Present(!text.is_empty()))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Present, A::Error> {
                let mut is_empty = true;
                while object.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {
                    is_empty = false;
                }
                Ok(Present(!is_empty))
            }
            skipped!(null: Present(false));
            skipped!(numbers: Present(true));
            skipped!(list: Present(true));
        }
        from.deserialize_any(Reader)
    }
}

/// An object of this shape; anything else is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Object<T>(pub(super) Option<T>);

impl<T> Default for Object<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T: Default> Object<T> {
    pub(super) fn or_default(self) -> T {
        self.0.unwrap_or_default()
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Reader<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Reader<T> {
            type Value = Object<T>;
            expecting!();
            fn visit_map<A: MapAccess<'de>>(self, object: A) -> Result<Object<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(object)).map(|it| Object(Some(it)))
            }
            skipped!(null: Object(None));
            skipped!(scalars: Object(None));
            skipped!(text: Object(None));
            skipped!(list: Object(None));
        }
        from.deserialize_any(Reader(PhantomData))
    }
}

/// A list of such values; anything else is an empty one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct List<T>(pub(super) Vec<T>);

impl<T> Default for List<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Reader<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Reader<T> {
            type Value = List<T>;
            expecting!();
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<List<T>, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = list.next_element()? {
                    items.push(item);
                }
                Ok(List(items))
            }
            skipped!(null: List::default());
            skipped!(scalars: List::default());
            skipped!(text: List::default());
            skipped!(object: List::default());
        }
        from.deserialize_any(Reader(PhantomData))
    }
}

/// The first object of a list; anything else is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct First<T>(pub(super) Option<T>);

impl<T> Default for First<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for First<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Reader<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Reader<T> {
            type Value = First<T>;
            expecting!();
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<First<T>, A::Error> {
                let first = list.next_element::<Object<T>>()?;
                while list.next_element::<IgnoredAny>()?.is_some() {}
                Ok(First(first.and_then(|it| it.0)))
            }
            skipped!(null: First(None));
            skipped!(scalars: First(None));
            skipped!(text: First(None));
            skipped!(object: First(None));
        }
        from.deserialize_any(Reader(PhantomData))
    }
}

/// Reads a document; one that is no object is one with nothing in it.
///
/// # Errors
/// It is no JSON.
pub(super) fn read<'a, T: Deserialize<'a> + Default>(json: &'a str) -> serde_json::Result<T> {
    serde_json::from_str::<Object<T>>(json).map(Object::or_default)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(default)]
    struct Shape<'a> {
        #[serde(borrow)]
        text: Text<'a>,
        count: Count,
        present: Present,
        object: Object<Inner>,
        list: List<Count>,
        first: First<Inner>,
    }

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(default)]
    struct Inner {
        count: Count,
    }

    #[test]
    fn what_has_the_shape_is_read() {
        let json = r#"{"text":"a\u0062","count":7,"present":{"x":1},"object":{"count":1,"y":[]},"list":[1,"x",2],"first":[{"count":3},4],"else":{}}"#;
        let read: Shape<'_> = read(json).unwrap();
        let inner = |count| Inner { count: Count(Some(count)) };
        assert_eq!(read.text.0, "ab");
        assert_eq!((read.count, read.present), (Count(Some(7)), Present(true)));
        assert_eq!((read.object, read.first), (Object(Some(inner(1))), First(Some(inner(3)))));
        assert_eq!(read.list.0, [Count(Some(1)), Count(None), Count(Some(2))]);
    }

    #[test]
    fn any_other_value_is_as_good_as_none() {
        const KEYS: [&str; 6] = ["text", "count", "present", "object", "list", "first"];
        for key in KEYS {
            for value in ["null", "false", "-1", "1.5", "\"\"", "[]", "{}"] {
                let json = format!("{{\"{key}\":{value}}}");
                let read: Shape<'_> = read(&json).unwrap_or_else(|why| panic!("{json}: {why}"));
                let is_more = matches!((key, value), ("present", "-1" | "1.5" | "[]") | ("object", "{}"));
                assert_eq!(read == Shape::default(), !is_more, "{json}");
            }
        }
        for json in ["null", "7", "\"x\"", "[]", "[1,{}]", "true"] {
            assert_eq!(read::<Shape<'_>>(json).unwrap(), Shape::default(), "{json}");
        }
        for json in ["", "{", "{}x", "{\"text\":}", "{'text':1}"] {
            assert!(read::<Shape<'_>>(json).is_err(), "{json}");
        }
    }
}
