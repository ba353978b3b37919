//! What holds for all that people are shown, whatever the model writes and wherever its stream is cut: checked for random texts by a
//! reader of Discord's Markdown that shares nothing with the code under test.

use super::{LIMIT, messages, tame, tests::fences, tests::long_answer, units, wrap};
use proptest::{prelude::*, test_runner::RngSeed};
use std::time::Duration;

/// Length of what hides links from Discord at the beginning of `rest`: an escape, inline code, `<…>`.
fn hidden(rest: &str) -> Option<usize> {
    if let Some(behind) = rest.strip_prefix('\\') {
        let next = behind.chars().next()?;
        return (!next.is_alphanumeric() && !next.is_whitespace()).then_some(1 + next.len_utf8());
    }
    if rest.starts_with('`') {
        let run = rest.len() - rest.trim_start_matches('`').len();
        let mut at = run;
        while let Some(next) = rest[at..].find('`') {
            at += next;
            let length = rest[at..].len() - rest[at..].trim_start_matches('`').len();
            at += length;
            if length == run {
                return Some(at);
            }
        }
        return Some(run);
    }
    let inner = rest.strip_prefix('<')?;
    let end = inner.find(|it: char| it == '>' || it.is_whitespace())?;
    let word = inner.find(|it: char| it == ':' || it == '>' || it.is_whitespace())?;
    let is_link =
        word > 0 && inner[word..].starts_with(":/") && inner[end..].starts_with('>') && end > word + 2;
    is_link.then_some(end + 2)
}

/// The links in `text` that Discord would unfurl.
fn live(text: &str) -> Vec<String> {
    let (mut found, mut at) = (Vec::new(), 0);
    while at < text.len() {
        let rest = &text[at..];
        let lower: String = rest.chars().take(24).collect::<String>().to_lowercase();
        let is_in_word = text[..at].chars().next_back().is_some_and(|it| it.is_alphanumeric() || it == '_');
        let scheme = ["https://", "http://", "steam://"].into_iter().find(|it| lower.starts_with(it));
        let card = ["discord.gg/", "discord.com/invite/"]
            .into_iter()
            .find(|it| lower.starts_with(it) && !is_in_word);
        if let Some(length) = hidden(rest) {
            at += length;
            continue;
        }
        if let Some(scheme) = scheme {
            let link = rest.split(|it: char| it.is_whitespace() || it == '<').next().unwrap_or_default();
            let link = link.trim_end_matches(['.', ',', ':', ';', '"', '\'', ']']);
            if link.len() > scheme.len() && link[scheme.len()..].contains(char::is_alphanumeric) {
                found.push(link.to_owned());
                at += link.len();
                continue;
            }
        }
        if let Some(card) = card
            && rest[card.len()..].starts_with(|it: char| it.is_alphanumeric())
        {
            found.push(rest.chars().take(30).collect());
        }
        at += rest.chars().next().map_or(1, char::len_utf8);
    }
    found
}

/// Where a mark closes. Within code it does not (for Discord it may: a limit that `links.rs` states).
fn closing(inner: &str, mark: &str) -> Option<usize> {
    let mut at = 0;
    while at < inner.len() {
        let rest = &inner[at..];
        if rest.starts_with(mark) {
            return Some(at);
        }
        let code = hidden(rest).filter(|_| rest.starts_with('`'));
        at += code.unwrap_or_else(|| rest.chars().next().map_or(1, char::len_utf8));
    }
    None
}

/// What stands between the first two of these marks, as Discord pairs them: the first one outside of what hides, the second
/// one also within a link.
fn between<'t>(text: &'t str, mark: &str) -> Vec<&'t str> {
    let (mut found, mut at) = (Vec::new(), 0);
    while at < text.len() {
        let rest = &text[at..];
        if let Some(inner) = rest.strip_prefix(mark)
            && let Some(end) =
                closing(inner, mark).filter(|it| *it > 0 && !inner.starts_with(char::is_whitespace))
        {
            found.push(&inner[..end]);
            at += mark.len() * 2 + end;
        } else {
            at += hidden(rest).unwrap_or_else(|| rest.chars().next().map_or(1, char::len_utf8));
        }
    }
    found
}

/// Whether a masked link is left.
fn masked(text: &str) -> bool {
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        if let Some(address) = rest.strip_prefix("](") {
            let address: String = address.trim_start().trim_start_matches('<').chars().take(12).collect();
            let address = address.to_lowercase();
            let behind = address.strip_prefix("https://").or_else(|| address.strip_prefix("http://"));
            if behind.is_some_and(|it| it.starts_with(char::is_alphanumeric)) {
                return true;
            }
        }
        let hidden = hidden(rest).filter(|_| !rest.starts_with('\\'));
        at += hidden.unwrap_or_else(|| rest.chars().next().map_or(1, char::len_utf8));
    }
    false
}

/// What holds for a state of a reply.
fn law(text: &str) {
    for part in messages(text, &[], LIMIT) {
        assert!(units(&part) <= LIMIT, "{} units: {part:?}", units(&part));
        assert!(!part.trim().is_empty(), "a blank part");
        let (is_balanced, read) = fences(&part, LIMIT);
        assert!(is_balanced, "an open fence: {part:?}");
        assert!(part.chars().all(|it| !it.is_control() || matches!(it, '\n' | '\t')), "{part:?}");
        assert_eq!(live(&read), Vec::<String>::new(), "live in {part:?}");
        assert!(!masked(&read), "masked in {part:?}");
        for mark in ["**", "__", "~~", "||"] {
            for inner in between(&read, mark) {
                assert_eq!(live(inner), Vec::<String>::new(), "live between {mark} in {part:?}");
            }
        }
    }
}

/// What a hostile text is put together from.
const PIECES: &[&str] = &[
    "word",
    "word ",
    " ",
    " ",
    "\n",
    "\n",
    "\n\n",
    ". ",
    "\n```\n",
    "\n```\n",
    "\n```rust\n",
    "\n~~~\n",
    "\n~~~\n",
    "\n````\n",
    "```",
    "``",
    "`",
    "`",
    "~~",
    "**",
    "**",
    "__",
    "_",
    "*",
    "||",
    "|",
    "- ",
    "\n- ",
    "\n1. ",
    "> ",
    "\n> ",
    "\n> ```\n> ",
    "\n# ",
    "[",
    "[",
    "]",
    "](",
    "(",
    ")",
    "!",
    "<",
    ">",
    "\\",
    "\"",
    "@",
    "a",
    "h",
    "https://",
    "https://",
    "http://",
    "ttps://q.example",
    "HTTPS://E.example/a_b",
    "://",
    "steam://run/1",
    "https://evil.example/a?b=(c)",
    "https://evil.example",
    "[t](https://evil.example)",
    "](https://evil.example)",
    "](<https://evil.example> \"t\")",
    "![i](https://evil.example/i.png \"t\")",
    "<https://evil.example>",
    "`https://evil.example`",
    "discord.gg/abc",
    "discord.",
    "gg/abc",
    "<@123456>",
    "<#1>",
    "</use it:12>",
    "@everyone",
    "👨‍👩‍👧‍👦",
    "🇩🇪",
    "e\u{301}",
    "\u{301}",
    "\u{202e}",
    "\u{200b}",
    "\u{0}",
    "漢字かな",
    "。",
    "「",
    "averyveryverylongwordwithoutanyspaceinit",
    "| a | b |\n|---|---|\n",
    "\t",
    "    ",
];

fn hostile() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(PIECES), 0..80).prop_map(|it| it.concat())
}

/// The same, with something long in it, so that it takes several messages.
fn long() -> impl Strategy<Value = String> {
    let filler = prop::sample::select(vec![
        "word ",
        "漢字。",
        "code;\n",
        "https://evil.example/a",
        "`a b` ",
        "[",
        "👩‍🚀",
        "word",
        "a](",
        "\\",
    ]);
    let block =
        (hostile(), filler, 0..700_usize).prop_map(|(text, filler, count)| text + &filler.repeat(count));
    prop::collection::vec(block, 1..4).prop_map(|it| it.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, rng_seed: RngSeed::Fixed(5), ..ProptestConfig::default() })]

    #[test]
    fn nothing_shown_is_live_or_masked(text in prop_oneof![3 => hostile(), 1 => long(), 1 => any::<String>()]) {
        law(&text);
    }

    #[test]
    fn wrapping_twice_changes_nothing(text in hostile()) {
        let trusted = ["evil.example".to_owned()];
        for hosts in [&[][..], &trusted] {
            let once = wrap(&text, hosts, LIMIT);
            prop_assert_eq!(wrap(&once, hosts, LIMIT), once);
        }
    }

    #[test]
    fn what_has_no_links_stays(text in "[a-z\\[\\]()<>*_`~|!\\\\ \n#>-]{0,200}") {
        prop_assert_eq!(wrap(&text, &[], LIMIT), text);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, rng_seed: RngSeed::Fixed(5), ..ProptestConfig::default() })]

    #[test]
    fn every_beginning_of_a_stream_obeys_the_law(text in hostile()) {
        for end in (0..=text.len()).filter(|it| text.is_char_boundary(*it)) {
            law(&text[..end]);
        }
    }

    #[test]
    fn messages_that_are_full_stay_as_they_are(text in long(), ends in prop::collection::vec(any::<prop::sample::Index>(), 2)) {
        let mut ends: Vec<usize> = ends.iter().map(|it| text.floor_char_boundary(it.index(text.len() + 1))).collect();
        ends.sort_unstable();
        let (before, after) = (messages(&text[..ends[0]], &[], LIMIT), messages(&text[..ends[1]], &[], LIMIT));
        let full = before.len().saturating_sub(3);
        prop_assert_eq!(&before[..full], &after[..full.min(after.len())]);
    }
}

/// The work grows with the text, not with its square. The bound is wide: machines are busy.
#[test]
fn a_hundred_kilobytes_take_milliseconds() {
    let hostile = [
        "https://",
        "[",
        "](",
        "](https://e.v)",
        "[a](https://e.v)",
        "<https://",
        "`",
        "`` ",
        "\\",
        "discord.gg/a",
        "**https://e.v",
        "z\u{301}",
        "[ ",
        "h",
        "https://\"",
        "(((",
        "[](",
        "```\n",
        "a]( \n",
        "\u{200d}",
        "https://e.v/a|",
    ];
    let texts = std::iter::once(long_answer(100_000)).chain(hostile.map(|it| it.repeat(100_000 / it.len())));
    for text in texts {
        let start = tokio::time::Instant::now();
        let count = messages(&text, &["docs.rs".to_owned()], LIMIT).len();
        let took = start.elapsed();
        let begins: String = text.chars().take(8).collect();
        assert!(took < Duration::from_secs(4), "{took:?} for {count} messages of {begins:?}");
    }
}

#[test]
fn tamed_text_is_what_is_shown() {
    assert_eq!(messages("\u{202e}https://evil.example\u{0}", &[], LIMIT), ["<https://evil.example>"]);
    assert_eq!(tame("h\u{200b}ttps://evil.example"), "https://evil.example");
}
