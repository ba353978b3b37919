//! What a draft looks like as messages, and what has to be done next so that people see it (pure).

use super::{Part, Shown};
use crate::{
    chat::{Buttons, Draft, whole_in_file},
    discord::text::{self, LIMIT},
};

/// One call to Discord.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The part at this place shows something else.
    Edit(usize),
    /// There is none at this place yet.
    Post(usize),
    /// There is one too many.
    Delete,
}

/// What is to be done first so that `parts` show `wanted`; none when they do.
pub(super) fn next(parts: &[Part], wanted: &[Shown]) -> Option<Step> {
    for (place, shown) in wanted.iter().enumerate() {
        match parts.get(place) {
            None => return Some(Step::Post(place)),
            Some(part) if part.shown.as_ref() != Some(shown) => return Some(Step::Edit(place)),
            Some(_) => {}
        }
    }
    (parts.len() > wanted.len()).then_some(Step::Delete)
}

/// The messages that show a draft, at most `most`. Of an answer that needs more they are the beginning; while it grows the
/// rest is not shown, and at its end a file below the last message has the whole text.
pub(super) fn shown(draft: &Draft, trusted_links: &[String], most: usize) -> Vec<Shown> {
    let tame = text::tame(&draft.text);
    let mut texts = text::messages(beginning(&tame, most), trusted_links, LIMIT);
    let mut footer = draft.footer.clone();
    let fits = |texts: &[String], footer: &str| texts.last().is_some_and(|it| has_room(it, footer));
    let needed = texts.len() + usize::from(footer.as_ref().is_some_and(|it| !fits(&texts, it)));
    let is_beginning = needed > most.max(1);
    if is_beginning {
        texts.truncate(most.max(1));
    }
    if is_beginning && draft.is_final {
        let word = whole_in_file(footer.as_deref());
        if let Some(last) = texts.last_mut().filter(|it| !has_room(it, &word)) {
            // What stands there is cut once more, so that it stays whole Markdown.
            *last = text::parts(last, LIMIT - 1 - text::units(&word)).swap_remove(0);
        }
        footer = Some(word);
    }
    if let Some(footer) = footer {
        match texts.last_mut() {
            Some(last) if has_room(last, &footer) => {
                last.push('\n');
                last.push_str(&footer);
            }
            Some(_) | None => texts.push(footer),
        }
    }
    let plain = |text| Shown { text, buttons: Buttons::None, has_file: false };
    let mut shown: Vec<Shown> = texts.into_iter().map(plain).collect();
    if let Some(last) = shown.last_mut() {
        (last.buttons, last.has_file) = (draft.buttons, is_beginning && draft.is_final);
    }
    shown
}

/// As much of a text as can matter for so many messages: what is behind it changes nothing of them.
fn beginning(text: &str, most: usize) -> &str {
    let chars = most.saturating_add(1).saturating_mul(LIMIT);
    text.char_indices().nth(chars).map_or(text, |(end, _)| &text[..end])
}

fn has_room(text: &str, footer: &str) -> bool {
    text::units(text) + 1 + text::units(footer) <= LIMIT
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::MessageId;

    fn draft(text: &str, footer: Option<&str>) -> Draft {
        Draft {
            text: text.to_owned(),
            footer: footer.map(str::to_owned),
            is_final: true,
            buttons: Buttons::Answered,
        }
    }

    fn texts(draft: &Draft) -> Vec<String> {
        shown(draft, &[], 8).into_iter().map(|it| it.text).collect()
    }

    #[test]
    fn a_footer_is_the_last_line_of_the_last_part() {
        let footer = Some("-# answered by beta");
        assert_eq!(texts(&draft("Hello.", footer)), ["Hello.\n-# answered by beta"]);
        let full = "x".repeat(1990);
        assert_eq!(texts(&draft(&full, footer)), [full.as_str(), "-# answered by beta"]);
        let buttons: Vec<Buttons> =
            shown(&draft(&full, footer), &[], 8).into_iter().map(|it| it.buttons).collect();
        assert_eq!(buttons, [Buttons::None, Buttons::Answered], "they stand below the last message");
    }

    #[test]
    fn of_a_long_answer_the_beginning_is_shown_and_at_its_end_a_file() {
        let code = format!("```rust\n{}```", "let x = 1;\n".repeat(700));
        let growing = Draft { is_final: false, buttons: Buttons::Running, ..draft(&code, None) };
        let grown = shown(&growing, &[], 3);
        assert_eq!((grown.len(), grown[2].has_file, grown[2].buttons), (3, false, Buttons::Running));
        for footer in [None, Some("-# answered by beta")] {
            let ended = shown(&draft(&code, footer), &[], 3);
            assert_eq!(ended.iter().map(|it| it.has_file).collect::<Vec<_>>(), [false, false, true]);
            assert_eq!(ended[..2], grown[..2], "what people read stays as it is");
            let last = &ended[2].text;
            assert!(
                text::units(last) <= LIMIT && last.lines().filter(|it| it.starts_with("```")).count() == 2
            );
            let line = last.lines().last().unwrap();
            assert!(line.starts_with("-# ") && line.contains("file"), "{line}");
        }
        assert!(shown(&draft(&code, None), &[], 8).iter().all(|it| !it.has_file), "it fits into five");
    }

    #[test]
    fn a_footer_does_not_make_one_message_too_many() {
        let full = "x".repeat(1990);
        let ended = shown(&draft(&full, Some("-# answered by beta")), &[], 1);
        assert!(ended.len() == 1 && ended[0].has_file && text::units(&ended[0].text) <= LIMIT, "{ended:?}");
    }

    #[test]
    fn steps_lead_to_what_is_wanted_and_then_there_is_none() {
        let shown = |text: &str| Shown { text: text.to_owned(), buttons: Buttons::None, has_file: false };
        let part = |text: Option<&str>| Part { id: MessageId(1), shown: text.map(shown) };
        let wanted = [shown("a"), shown("b")];
        assert_eq!(next(&[], &wanted), Some(Step::Post(0)));
        assert_eq!(next(&[part(Some("a"))], &wanted), Some(Step::Post(1)));
        assert_eq!(next(&[part(Some("old"))], &wanted), Some(Step::Edit(0)), "in order");
        assert_eq!(next(&[part(Some("a")), part(None)], &wanted), Some(Step::Edit(1)), "what is not known");
        assert_eq!(next(&[part(Some("a")), part(Some("b")), part(None)], &wanted), Some(Step::Delete));
        assert_eq!(next(&[part(Some("a")), part(Some("b"))], &wanted), None, "nothing is sent twice");
    }
}
