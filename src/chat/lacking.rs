//! What moderators are told of permissions that the bot lacks.

use crate::message::ChannelId;
use std::fmt::Write;

/// So many are named; a server where more is amiss has one reason for all of it.
const NAMED: usize = 6;

/// Something that is missing in a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lacking {
    /// Where.
    pub channel: ChannelId,
    /// The permissions, by Discord's own names.
    pub names: String,
    /// What follows from it.
    pub effect: Effect,
}

/// What follows when permissions are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nobody is answered there.
    NoAnswers,
    /// Answers are no replies, and the bot cannot read what was said while it was away.
    NoReplies,
    /// Long answers come without their file.
    NoFiles,
}

impl Effect {
    /// The rest of a sentence that says what is missing.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::NoAnswers => "so questions there get no answer",
            Self::NoReplies => {
                "so answers there do not point at their question, and what was asked while the bot was away is not seen"
            }
            Self::NoFiles => "so a very long answer comes without its file",
        }
    }
}

/// What is missing, as lines below `/status`; nothing when nothing is.
#[must_use]
pub fn lacking(all: &[Lacking]) -> String {
    let mut out = String::new();
    for Lacking { channel, names, effect } in all.iter().take(NAMED) {
        let _ = write!(out, "\n⚠️ I lack **{names}** in <#{channel}>, {}.", effect.words());
    }
    if all.len() > NAMED {
        let _ = write!(out, "\n⚠️ And {} more like these.", all.len() - NAMED);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn what_is_missing_is_named_with_what_follows() {
        let it = |channel, names: &str, effect| Lacking {
            channel: ChannelId(channel),
            names: names.to_owned(),
            effect,
        };
        let all = [
            it(1, "Send Messages", Effect::NoAnswers),
            it(2, "Read Message History", Effect::NoReplies),
            it(2, "Attach Files", Effect::NoFiles),
        ];
        expect![[""]].assert_eq(&lacking(&all));
        assert_eq!(lacking(&[]), "");
        assert!(lacking(&vec![all[0].clone(); 100]).len() < 1000);
    }
}
