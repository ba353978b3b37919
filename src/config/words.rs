//! How a setting is written in a file and read back: words, times and addresses as text, `off` for none.

use serde::{Deserializer, Serializer, de};
use std::{fmt, marker::PhantomData, net::SocketAddr, path::PathBuf, time::Duration};

/// A value that a configuration file holds as text.
pub(super) trait Text: Sized {
    /// What a person has to write, to end a sentence that begins with "expected".
    const EXPECTS: &'static str;

    /// Reads it; the error is a clause that says what is wrong with the text.
    fn read(text: &str) -> Result<Self, String>;

    /// Writes it so that [`Text::read`] gives the same value.
    fn write(&self) -> String;
}

/// For `#[serde(with = "text")]`: a value that is always there.
pub(super) mod text {
    use super::{Deserializer, Serializer, Text, read_with};

    pub(crate) fn serialize<T: Text, S: Serializer>(value: &T, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&value.write())
    }

    pub(crate) fn deserialize<'de, T: Text, D: Deserializer<'de>>(from: D) -> Result<T, D::Error> {
        read_with(from, T::EXPECTS, T::read)
    }
}

/// For `#[serde(with = "off")]`: a value, or the word `off` for none.
pub(super) mod off {
    use super::{Deserializer, Serializer, Text, read_with};

    pub(crate) fn serialize<T: Text, S: Serializer>(value: &Option<T>, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&value.as_ref().map_or_else(|| "off".to_owned(), Text::write))
    }

    pub(crate) fn deserialize<'de, T: Text, D: Deserializer<'de>>(from: D) -> Result<Option<T>, D::Error> {
        read_with(from, T::EXPECTS, |text| {
            if text == "off" {
                return Ok(None);
            }
            T::read(text).map(Some).map_err(|why| format!("{why}, or \"off\""))
        })
    }
}

/// For `#[serde(with = "maybe")]`: a value, or empty text (or no such key) for none.
pub(super) mod maybe {
    use super::{Deserializer, Serializer, Text, read_with};

    pub(crate) fn serialize<T: Text, S: Serializer>(value: &Option<T>, to: S) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => to.serialize_str(&value.write()),
            None => to.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, T: Text, D: Deserializer<'de>>(from: D) -> Result<Option<T>, D::Error> {
        read_with(from, T::EXPECTS, |text| if text.is_empty() { Ok(None) } else { T::read(text).map(Some) })
    }
}

/// For `#[serde(with = "ids")]`: Discord's ids, as whole numbers or as text.
///
/// They are written as text: ids have 64 bits, of which TOML's and many JSON readers' numbers lose some.
pub(super) mod ids {
    use super::{Deserializer, Id, Serializer};
    use serde::Deserialize as _;

    pub(crate) fn serialize<S: Serializer>(ids: &[u64], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(ids.iter().map(ToString::to_string))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u64>, D::Error> {
        Ok(Vec::<Id>::deserialize(from)?.into_iter().map(|id| id.0).collect())
    }
}

/// One id, on its way in.
pub(super) struct Id(pub(super) u64);

impl Id {
    /// Reads an id that is written as text.
    pub(super) fn read(text: &str) -> Result<u64, String> {
        let digits = text.trim();
        digits.parse().ok().filter(|id| *id > 0).ok_or_else(|| format!("`{digits}` is not a Discord id"))
    }
}

impl<'de> serde::Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Reader;

        impl de::Visitor<'_> for Reader {
            type Value = Id;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a Discord id, such as 1234567890123456789")
            }

            fn visit_u64<E: de::Error>(self, id: u64) -> Result<Id, E> {
                Ok(Id(id))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Id, E> {
                Id::read(text).map(Id).map_err(E::custom)
            }
        }
        from.deserialize_any(Reader)
    }
}

/// Reads text with `read`; anything that is not text is refused with what was expected.
fn read_with<'de, T, D: Deserializer<'de>>(
    from: D,
    expects: &'static str,
    read: impl FnOnce(&str) -> Result<T, String>,
) -> Result<T, D::Error> {
    struct Reader<T, F>(&'static str, F, PhantomData<T>);

    impl<T, F: FnOnce(&str) -> Result<T, String>> de::Visitor<'_> for Reader<T, F> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
            (self.1)(text).map_err(E::custom)
        }
    }
    from.deserialize_str(Reader(expects, read, PhantomData))
}

/// Gives types that implement [`Text`] serde's traits, through it.
macro_rules! as_text {
    ($($name:ty),+) => {$(
        impl ::serde::Serialize for $name {
            fn serialize<S: ::serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                $crate::config::words::text::serialize(self, to)
            }
        }

        impl<'de> ::serde::Deserialize<'de> for $name {
            fn deserialize<D: ::serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                $crate::config::words::text::deserialize(from)
            }
        }
    )+};
}
pub(super) use as_text;

/// Declares an enum of which each variant is one word in the file.
macro_rules! words {
    ($(#[$about:meta])* $name:ident: $expects:literal { $($(#[$doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $($(#[$doc])* $variant,)+
        }

        impl $name {
            /// Every one, in the order of the documentation.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The word for it in files, commands and logs.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }

            /// Reads the word back.
            #[must_use]
            pub fn parse(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|it| it.as_str() == word)
            }
        }

        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl $crate::config::words::Text for $name {
            const EXPECTS: &'static str = $expects;

            fn read(text: &str) -> Result<Self, String> {
                Self::parse(text).ok_or_else(|| {
                    let known: Vec<&str> = Self::ALL.iter().map(|it| it.as_str()).collect();
                    $crate::config::words::no_such_word(text, &known)
                })
            }

            fn write(&self) -> String {
                self.as_str().to_owned()
            }
        }

        $crate::config::words::as_text!($name);
    };
}
pub(super) use words;

/// The clause about a word that is none of the `known` ones.
pub(super) fn no_such_word(text: &str, known: &[&str]) -> String {
    let list = known.join(", ");
    match nearest(text, known.iter().copied()) {
        Some(meant) => format!("`{text}` is not one of {list}; did you mean `{meant}`?"),
        None => format!("`{text}` is not one of {list}"),
    }
}

/// The known word that `wrong` is most likely a slip of the pen for.
pub(super) fn nearest<'a>(wrong: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // A third of the letters may be wrong: enough for swapped and doubled letters, too few to guess at another word.
    let most = (wrong.chars().count() / 3).max(1);
    let wrong = wrong.to_lowercase();
    known
        .map(|it| (strsim::damerau_levenshtein(&wrong, it), it))
        .filter(|(distance, _)| *distance <= most)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, it)| it)
}

impl Text for Duration {
    const EXPECTS: &'static str = "a time such as \"1200ms\", \"15m\" or \"30d\"";

    fn read(text: &str) -> Result<Self, String> {
        humantime::parse_duration(text)
            .map_err(|_| format!("`{text}` is not {}", <Self as Text>::EXPECTS))
            .and_then(
                |it| if it > LONGEST { Err(format!("`{text}` is more than 100 years")) } else { Ok(it) },
            )
    }

    fn write(&self) -> String {
        const UNITS: [(u128, &str); 6] = [
            (86_400_000_000_000, "d"),
            (3_600_000_000_000, "h"),
            (60_000_000_000, "m"),
            (1_000_000_000, "s"),
            (1_000_000, "ms"),
            (1_000, "us"),
        ];
        let nanos = self.as_nanos();
        if nanos == 0 {
            return "0s".to_owned();
        }
        let unit = UNITS.into_iter().find(|(size, _)| nanos.is_multiple_of(*size));
        unit.map_or_else(|| format!("{nanos}ns"), |(size, name)| format!("{}{name}", nanos / size))
    }
}

/// More than any setting needs, and little enough that a moment plus this time is still a moment.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 86_400);

impl Text for SocketAddr {
    const EXPECTS: &'static str = "an address with a port, such as \"127.0.0.1:9464\"";

    fn read(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| format!("`{text}` is not {}", <Self as Text>::EXPECTS))
    }

    fn write(&self) -> String {
        self.to_string()
    }
}

impl Text for PathBuf {
    const EXPECTS: &'static str = "a path in quotes";

    fn read(text: &str) -> Result<Self, String> {
        Ok(Self::from(text))
    }

    fn write(&self) -> String {
        self.to_string_lossy().into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::{Duration, Text as _, nearest};
    use expect_test::{Expect, expect};

    fn check(text: &str, expect: &Expect) {
        let read = Duration::read(text).map(|it| it.write());
        expect.assert_eq(&read.unwrap_or_else(|why| format!("refused: {why}")));
    }

    #[test]
    fn a_time_is_written_in_its_largest_whole_unit() {
        check("1200ms", &expect!["1200ms"]);
        check("1s 200ms", &expect!["1200ms"]);
        check("60s", &expect!["1m"]);
        check("24h", &expect!["1d"]);
        check("30d", &expect!["30d"]);
        check("0s", &expect!["0s"]);
        check("90 sec", &expect!["90s"]);
    }

    #[test]
    fn a_time_needs_its_unit_and_an_end() {
        check("25", &expect![[r#"refused: `25` is not a time such as "1200ms", "15m" or "30d""#]]);
        check("soon", &expect![[r#"refused: `soon` is not a time such as "1200ms", "15m" or "30d""#]]);
        check("999y", &expect!["refused: `999y` is more than 100 years"]);
    }

    #[test]
    fn only_a_slip_is_guessed_at() {
        let known = ["footer", "forums", "channels"];
        assert_eq!(nearest("fotter", known.into_iter()), Some("footer"));
        assert_eq!(nearest("Chanels", known.into_iter()), Some("channels"));
        assert_eq!(nearest("colour", known.into_iter()), None);
    }
}
