//! The words that stand for our enums in the tables, the same as in config, logs and docs.

use crate::message::{Place, Role, Trigger};

/// An enum with one word for each of its values.
pub(super) trait Word: Copy + PartialEq + 'static {
    /// Every value.
    const ALL: &'static [Self];

    /// The word.
    fn word(self) -> &'static str;

    /// Reads the word in `column` back. The error names the column only: a stored value never reaches a log.
    fn read(column: &str, word: &str) -> Result<Self, sqlx::Error> {
        Self::ALL.iter().copied().find(|it| it.word() == word).ok_or_else(|| unknown(column))
    }
}

/// A stored value that this program does not know.
pub(super) fn unknown(column: &str) -> sqlx::Error {
    sqlx::Error::ColumnDecode { index: column.to_owned(), source: "unknown value".into() }
}

macro_rules! words {
    ($name:ty { $($value:ident = $word:literal),+ $(,)? }) => {
        impl Word for $name {
            const ALL: &'static [Self] = &[$(Self::$value),+];

            fn word(self) -> &'static str {
                match self {
                    $(Self::$value => $word),+
                }
            }
        }
    };
}

words!(Place { Dm = "dm", Channel = "channel", Thread = "thread", ForumPost = "forum_post" });
words!(Role { User = "user", Assistant = "assistant" });
words!(Trigger {
    Mention = "mention",
    Reply = "reply",
    Dm = "dm",
    Thread = "thread",
    Channel = "channel",
    Forum = "forum",
    Command = "command",
});

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Serialize;

    fn agrees_with_json<T: Word + Serialize + std::fmt::Debug>() {
        for &it in T::ALL {
            assert_eq!(serde_json::to_value(it).unwrap(), it.word(), "one word a thing");
            assert_eq!(T::read("any", it.word()).unwrap(), it);
        }
        assert!(T::read("any", "nonsense").is_err());
    }

    #[test]
    fn a_word_is_the_same_in_the_tables_and_in_json() {
        agrees_with_json::<Place>();
        agrees_with_json::<Role>();
        agrees_with_json::<Trigger>();
    }
}
