//! The buttons below a reply: which ones there are, how Discord is told of them, and how a press is read (pure).

use crate::{chat::Buttons, message::TurnId};
use serde_json::{Value, json};

/// What somebody wants who presses a button below a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Button {
    /// The answer is not wanted any more.
    Stop,
    /// The question is to be asked once more.
    Again,
    /// Another answer, from somebody else where there is one.
    Regenerate,
    /// The answer was good.
    Up,
    /// It was not.
    Down,
    /// Who was asked, and how it went.
    Info,
    /// The forum post is solved.
    Solved,
}

impl Button {
    const ALL: [Self; 7] =
        [Self::Stop, Self::Again, Self::Regenerate, Self::Up, Self::Down, Self::Info, Self::Solved];

    fn word(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Again => "again",
            Self::Regenerate => "regenerate",
            Self::Up => "up",
            Self::Down => "down",
            Self::Info => "info",
            Self::Solved => "solved",
        }
    }

    /// Discord's number for how it looks: 2 is grey.
    fn declared(self, turn: &TurnId) -> Value {
        const GREY: u8 = 2;
        let mut button = json!({ "type": 2, "style": GREY, "custom_id": format!("{}:{turn}", self.word()) });
        match self {
            Self::Stop => button["label"] = "Stop".into(),
            Self::Again => button["label"] = "Try again".into(),
            Self::Regenerate => button["label"] = "Regenerate".into(),
            Self::Up => button["emoji"] = json!({ "name": "👍" }),
            Self::Down => button["emoji"] = json!({ "name": "👎" }),
            Self::Info => button["emoji"] = json!({ "name": "ℹ️" }),
            Self::Solved => {
                button["label"] = "Solved".into();
                button["emoji"] = json!({ "name": "✅" });
            }
        }
        button
    }
}

/// The rows below a reply's last message.
pub(crate) fn rows(buttons: Buttons, turn: &TurnId) -> Vec<Value> {
    let which: &[Button] = match buttons {
        Buttons::None => return Vec::new(),
        Buttons::Running => &[Button::Stop],
        Buttons::Answered => &[Button::Regenerate, Button::Up, Button::Down, Button::Info],
        Buttons::AnsweredInPost => {
            &[Button::Regenerate, Button::Up, Button::Down, Button::Info, Button::Solved]
        }
        Buttons::Failed => &[Button::Again, Button::Info],
    };
    let which: Vec<Value> = which.iter().map(|it| it.declared(turn)).collect();
    vec![json!({ "type": 1, "components": which })]
}

/// Which button was pressed below which turn's reply; none when it is no button of a reply's.
pub(crate) fn read(custom_id: &str) -> Option<(Button, TurnId)> {
    let (word, turn) = custom_id.split_once(':')?;
    let button = Button::ALL.into_iter().find(|it| it.word() == word)?;
    Some((button, TurnId(turn.to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_declared_is_read_back() {
        let turn = TurnId("7k2m9x4q8d".to_owned());
        let mut seen = Vec::new();
        for buttons in
            [Buttons::None, Buttons::Running, Buttons::Answered, Buttons::AnsweredInPost, Buttons::Failed]
        {
            for row in rows(buttons, &turn) {
                for button in row["components"].as_array().unwrap() {
                    let (button, of) = read(button["custom_id"].as_str().unwrap()).unwrap();
                    assert_eq!(of, turn);
                    seen.push(button);
                }
            }
        }
        assert!(Button::ALL.iter().all(|it| seen.contains(it)), "{seen:?}");
        assert_eq!(read("elsewhere"), None);
        assert_eq!(read("hug:7k2m9x4q8d"), None);
    }
}
