//! The values that settings take, beyond numbers and text: words, and words with a number in them.

use super::words::{Id, Text, as_text, words};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::{fmt, time::Duration};

words! {
    /// In which order, and when, the router tries the providers.
    Strategy: "the name of a strategy, such as \"hedged\"" {
        /// In order; the next one when one has failed.
        Priority = "priority",
        /// All at once; the first good answer wins.
        Race = "race",
        /// In order; the next one joins when the first is slow to start.
        Hedged = "hedged",
        /// By weight, the same provider for a whole conversation.
        Weighted = "weighted",
        /// In turn.
        RoundRobin = "round-robin",
        /// By measured time to first text.
        Fastest = "fastest",
        /// By price.
        Cheapest = "cheapest",
        /// By what outcomes and feedback taught.
        Adaptive = "adaptive",
    }
}

words! {
    /// Which dialect a provider speaks.
    Kind: "the kind of a provider, such as \"openai\"" {
        /// Chat completions: OpenAI and everything compatible.
        OpenAi = "openai",
        /// OpenAI's responses.
        OpenAiResponses = "openai-responses",
        /// Anthropic's messages.
        Anthropic = "anthropic",
        /// Gemini's generateContent.
        Gemini = "gemini",
        /// Legacy completions with a flat prompt, as InterWest.
        Completions = "completions",
        /// Ollama's own.
        Ollama = "ollama",
    }
}

impl Kind {
    /// Where its vendor answers, when the file names no other place.
    ///
    /// InterWest publishes no documentation; its address is the best that is known, so set `base_url` if yours differs.
    #[must_use]
    pub fn default_base_url(self) -> &'static str {
        match self {
            Self::OpenAi | Self::OpenAiResponses => "https://api.openai.com/v1",
            Self::Anthropic => "https://api.anthropic.com/v1",
            Self::Gemini => "https://generativelanguage.googleapis.com/v1beta",
            Self::Completions => "https://api.interwest.ai/v1",
            Self::Ollama => "http://127.0.0.1:11434",
        }
    }
}

words! {
    /// When a reply says who gave it.
    Footer: "one of \"always\", \"failover\" and \"never\"" {
        /// Under every answer.
        Always = "always",
        /// Only when another provider than the first one answered.
        Failover = "failover",
        /// Under none.
        Never = "never",
    }
}

words! {
    /// What happens to the text that people saw when the stream behind it breaks.
    OnBrokenStream: "one of \"rewrite\" and \"keep\"" {
        /// The next provider's answer takes its place.
        Rewrite = "rewrite",
        /// It stays, and the reply says that it is not whole.
        Keep = "keep",
    }
}

words! {
    /// Which messages the bot takes as meant for it.
    RespondTo: "one of \"mention\", \"reply\", \"dm\" and \"thread\"" {
        /// It is mentioned.
        Mention = "mention",
        /// One of its messages is replied to.
        Reply = "reply",
        /// A direct message.
        Dm = "dm",
        /// Anything in a thread that it was asked into.
        Thread = "thread",
    }
}

words! {
    /// How log lines look.
    LogFormat: "one of \"text\" and \"json\"" {
        /// For people.
        Text = "text",
        /// One JSON object a line, for collectors.
        Json = "json",
    }
}

/// How long a stream may be silent between two pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StallTimeout {
    /// Eight times the provider's own p95 gap, kept within 3 s and 10 s.
    Adaptive,
    /// Always this long.
    Fixed(Duration),
}

impl Text for StallTimeout {
    const EXPECTS: &'static str = "\"adaptive\", or a time such as \"5s\"";

    fn read(text: &str) -> Result<Self, String> {
        word_or_time(text, "adaptive", Self::Adaptive, Self::Fixed, Self::EXPECTS)
    }

    fn write(&self) -> String {
        match self {
            Self::Adaptive => "adaptive".to_owned(),
            Self::Fixed(time) => time.write(),
        }
    }
}

/// How long the first provider has the stage to itself under the strategy `hedged`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HedgeAfter {
    /// The provider's own p95 time to first text, kept within 0.7 s and 4 s; 2.5 s before anything is known.
    P95,
    /// Always this long.
    Fixed(Duration),
}

impl Text for HedgeAfter {
    const EXPECTS: &'static str = "\"p95\", or a time such as \"2s\"";

    fn read(text: &str) -> Result<Self, String> {
        word_or_time(text, "p95", Self::P95, Self::Fixed, Self::EXPECTS)
    }

    fn write(&self) -> String {
        match self {
            Self::P95 => "p95".to_owned(),
            Self::Fixed(time) => time.write(),
        }
    }
}

fn word_or_time<T>(
    text: &str,
    word: &str,
    meaning: T,
    fixed: fn(Duration) -> T,
    expects: &str,
) -> Result<T, String> {
    if text == word {
        return Ok(meaning);
    }
    Duration::read(text).map(fixed).map_err(|_| format!("`{text}` is not {expects}"))
}

/// How often something may happen: so many times in a time, written `10/1m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many times, at least once.
    pub count: u32,
    /// In how long, more than nothing.
    pub per: Duration,
}

impl Text for Rate {
    const EXPECTS: &'static str = "a count and a time, such as \"10/1m\"";

    fn read(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not {}", Self::EXPECTS);
        let (count, per) = text.split_once('/').ok_or_else(wrong)?;
        let count = count.trim().parse().ok().filter(|count| *count > 0).ok_or_else(wrong)?;
        let per = Duration::read(per.trim()).ok().filter(|per| !per.is_zero()).ok_or_else(wrong)?;
        Ok(Self { count, per })
    }

    fn write(&self) -> String {
        format!("{}/{}", self.count, self.per.write())
    }
}

as_text!(StallTimeout, HedgeAfter, Rate);

/// Where the slash commands are registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RegisterCommands {
    /// Everywhere the bot is.
    Global,
    /// In these servers only.
    Guilds(Vec<u64>),
}

impl Serialize for RegisterCommands {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Global => to.serialize_str("global"),
            Self::Guilds(ids) => super::words::ids::serialize(ids, to),
        }
    }
}

impl<'de> Deserialize<'de> for RegisterCommands {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Reader;

        impl<'de> de::Visitor<'de> for Reader {
            type Value = RegisterCommands;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"global\", or a list of server ids")
            }

            // An environment variable has no lists: its ids come as one text, with commas.
            fn visit_str<E: de::Error>(self, text: &str) -> Result<RegisterCommands, E> {
                if text == "global" {
                    return Ok(RegisterCommands::Global);
                }
                let ids: Result<_, _> = text.split(',').map(Id::read).collect();
                ids.map(RegisterCommands::Guilds)
                    .map_err(|_| E::custom(format!("`{text}` is not \"global\", or a list of server ids")))
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, mut list: A) -> Result<RegisterCommands, A::Error> {
                let mut ids = Vec::new();
                while let Some(Id(id)) = list.next_element()? {
                    ids.push(id);
                }
                Ok(RegisterCommands::Guilds(ids))
            }
        }
        from.deserialize_any(Reader)
    }
}

/// Whether a provider trains models on what it is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TrainsOnData {
    /// It does.
    Yes,
    /// It does not.
    No,
    /// Nobody has said.
    #[default]
    Unknown,
}

impl Serialize for TrainsOnData {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Yes => to.serialize_bool(true),
            Self::No => to.serialize_bool(false),
            Self::Unknown => to.serialize_str("unknown"),
        }
    }
}

impl<'de> Deserialize<'de> for TrainsOnData {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Reader;

        impl de::Visitor<'_> for Reader {
            type Value = TrainsOnData;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("true, false or \"unknown\"")
            }

            fn visit_bool<E: de::Error>(self, trains: bool) -> Result<TrainsOnData, E> {
                Ok(if trains { TrainsOnData::Yes } else { TrainsOnData::No })
            }

            // A variable's value is always text.
            fn visit_str<E: de::Error>(self, text: &str) -> Result<TrainsOnData, E> {
                match text {
                    "true" => Ok(TrainsOnData::Yes),
                    "false" => Ok(TrainsOnData::No),
                    "unknown" => Ok(TrainsOnData::Unknown),
                    _ => Err(E::custom(format!("`{text}` is not true, false or \"unknown\""))),
                }
            }
        }
        from.deserialize_any(Reader)
    }
}

/// What a provider's tokens cost.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// Money per million tokens of the prompt.
    pub input: f64,
    /// Money per million tokens of the answer.
    pub output: f64,
}

#[cfg(test)]
mod tests {
    use super::{HedgeAfter, Kind, Rate, StallTimeout, Strategy, Text};
    use expect_test::{Expect, expect};

    fn check<T: Text>(text: &str, expect: &Expect) {
        expect.assert_eq(&T::read(text).map_or_else(|why| format!("refused: {why}"), |it| it.write()));
    }

    #[test]
    fn values_are_read_and_written() {
        check::<Rate>("10/60s", &expect!["10/1m"]);
        check::<Rate>("0/1m", &expect![[r#"refused: `0/1m` is not a count and a time, such as "10/1m""#]]);
        check::<Rate>("10/0s", &expect![[r#"refused: `10/0s` is not a count and a time, such as "10/1m""#]]);
        check::<StallTimeout>("adaptive", &expect!["adaptive"]);
        check::<StallTimeout>("4s", &expect!["4s"]);
        check::<HedgeAfter>("p96", &expect![[r#"refused: `p96` is not "p95", or a time such as "2s""#]]);
        check::<Strategy>(
            "hedge",
            &expect![
                "refused: `hedge` is not one of priority, race, hedged, weighted, round-robin, fastest, cheapest, adaptive; did you mean `hedged`?"
            ],
        );
    }

    #[test]
    fn every_word_is_read_back() {
        for kind in Kind::ALL {
            assert_eq!(Kind::parse(kind.as_str()), Some(*kind));
        }
        for strategy in Strategy::ALL {
            assert_eq!(Strategy::parse(strategy.as_str()), Some(*strategy));
        }
    }
}
