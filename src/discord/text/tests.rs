//! Texts as parts: each rule by example, and all of them for random texts.

use super::*;
use expect_test::{Expect, expect};
use proptest::prelude::*;

/// Shows parts between rulers that say how long each one is.
fn check(text: &str, limit: usize, expected: &Expect) {
    let shown: Vec<String> =
        parts(text, limit).iter().map(|it| format!("--- {}\n{it}\n", units(it))).collect();
    expected.assert_eq(&shown.concat());
    law(text, limit);
}

/// Whether each fence is closed.
fn is_balanced(part: &str, limit: usize) -> bool {
    fences(part, limit).0
}

/// Whether each fence is closed, and the lines outside of them, by a reading of Markdown that shares nothing with the code under
/// test.
pub(super) fn fences(part: &str, limit: usize) -> (bool, String) {
    let mut outside = String::new();
    let mut open: Option<(String, usize, bool)> = None;
    for line in part.split('\n') {
        if open.as_ref().is_some_and(|it| it.2) && !line.trim_start().starts_with('>') {
            open = None;
        }
        let bare = line.trim_start_matches([' ', '\t', '>']);
        match &open {
            Some((marks, indent, quoted)) => {
                let rest = bare.trim_end().strip_prefix(marks.as_str());
                let only_marks = rest.is_some_and(|it| it.chars().all(|mark| marks.starts_with(mark)));
                if only_marks
                    && *quoted == line.trim_start().starts_with('>')
                    && line.len() - bare.len() <= indent + 3
                {
                    open = None;
                }
            }
            None => {
                let mut item = bare;
                while let Some(next) = ["- ", "* ", "1. "]
                    .into_iter()
                    .find_map(|it| item.strip_prefix(it))
                    .map(|it| it.trim_start_matches([' ', '\t', '>']))
                {
                    item = next;
                }
                let mark = if item.starts_with("```") { '`' } else { '~' };
                let info = item.trim_start_matches(mark);
                let length = item.len() - info.len();
                let is_text =
                    length < 3 || (mark == '`' && info.contains('`')) || units(line.trim_end()) > limit / 4;
                if is_text {
                    outside.push_str(line);
                    outside.push('\n');
                } else {
                    // Something stands there: what is before and behind the fence does not touch.
                    outside.push_str("…\n");
                    open = Some((
                        mark.to_string().repeat(length),
                        line.len() - item.len(),
                        line[..line.len() - item.len()].contains('>'),
                    ));
                }
            }
        }
    }
    (open.is_none(), outside)
}

/// The text's own characters, in order: without white space, and without lines that are only a fence.
fn substance(text: &str) -> String {
    let is_fence = |line: &&str| {
        let bare = line.trim_start_matches(|it: char| it.is_whitespace() || "->*+.)0123456789".contains(it));
        bare.starts_with("```") || bare.starts_with("~~~")
    };
    text.split('\n').filter(|it| !is_fence(it)).collect::<String>().split_whitespace().collect()
}

/// What holds for every text.
fn law(text: &str, limit: usize) {
    let parts = parts(text, limit);
    for part in &parts {
        assert!(units(part) <= limit, "{} > {limit}: {part:?}", units(part));
        assert!(!part.trim().is_empty(), "blank part");
    }
    joins(text, limit);
}

/// Follows the cuts and sees that between two parts there is only the white space that may go.
fn joins(text: &str, limit: usize) {
    let whole = text.trim_end();
    let (mut at, mut open, mut shown) = (cut::behind_space(whole, 0, limit), None, Vec::new());
    assert!(whole[..at].trim().is_empty(), "lost the beginning");
    while at < whole.len() {
        let cut = cut::cut(whole, at, open, limit);
        let gap = &whole[cut.end..cut.next];
        assert!(gap.trim().is_empty(), "lost {gap:?}");
        if cut.open.is_some() {
            assert!(gap.is_empty() || gap == "\n", "lost {gap:?} in code");
        }
        assert!(cut.next > at, "no progress");
        shown.push(assemble(open, &whole[at..cut.end], cut.unclosed));
        (at, open) = (cut.next, cut.open);
    }
    assert_eq!(shown, parts(text, limit));
}

#[test]
fn prose_ends_at_a_paragraph_a_line_a_sentence_or_a_space() {
    check(
        "One two three four.\n\nFive six seven eight.",
        24,
        &expect![[r#"
            --- 19
            One two three four.
            --- 21
            Five six seven eight.
        "#]],
    );
    check(
        "One two three four\nfive six seven eight",
        24,
        &expect![[r#"
        --- 18
        One two three four
        --- 20
        five six seven eight
    "#]],
    );
    check(
        "One two three. Four five six seven eight",
        24,
        &expect![[r#"
        --- 24
        One two three. Four five
        --- 15
        six seven eight
    "#]],
    );
    check(
        "One two three four five six seven eight",
        24,
        &expect![[r#"
        --- 23
        One two three four five
        --- 15
        six seven eight
    "#]],
    );
}

#[test]
fn a_fence_is_closed_and_opened_again() {
    check(
        "Look:\n```rust\nlet a = 1;\nlet b = 2;\n\nlet c = 3;\n```\nDone.",
        40,
        &expect![[r#"
        --- 40
        Look:
        ```rust
        let a = 1;
        let b = 2;

        ```
        --- 28
        ```rust
        let c = 3;
        ```
        Done.
    "#]],
    );
    check(
        "~~~~ python\na = 1\n```\nb = 2\n~~~\nc = 3\nd = 4\ne = 5\n~~~~",
        48,
        &expect![[r#"
        --- 48
        ~~~~ python
        a = 1
        ```
        b = 2
        ~~~
        c = 3
        d = 4
        ~~~~
        --- 22
        ~~~~ python
        e = 5
        ~~~~
    "#]],
    );
}

#[test]
fn a_fence_in_a_list_or_a_quote_is_closed_and_opened_again() {
    check(
        "1. Item\n\n   ```sh\n   one two\n   three four\n   five six\n   ```\n2. Next",
        44,
        &expect![[r#"
        --- 35
        1. Item

           ```sh
           one two
           ```
        --- 41
           ```sh
           three four
           five six
           ```
        --- 7
        2. Next
    "#]],
    );
    check(
        "- ```sh\n  one two three\n  four five six\n  seven eight\n  ```",
        44,
        &expect![[r#"
        --- 29
        - ```sh
          one two three
          ```
        --- 43
          ```sh
          four five six
          seven eight
          ```
    "#]],
    );
    check(
        "> ```sh\n> one two three\n> four five six\n> seven eight\n> ```",
        44,
        &expect![[r#"
        --- 29
        > ```sh
        > one two three
        > ```
        --- 43
        > ```sh
        > four five six
        > seven eight
        > ```
    "#]],
    );
}

#[test]
fn an_open_fence_at_the_end_is_closed() {
    check(
        "```py\nprint(1)\n",
        100,
        &expect![[r#"
        --- 18
        ```py
        print(1)
        ```
    "#]],
    );
    check(
        "```py",
        100,
        &expect![[r#"
        --- 9
        ```py
        ```
    "#]],
    );
    check(
        "Text\n\n~~~",
        100,
        &expect![[r#"
        --- 13
        Text

        ~~~
        ~~~
    "#]],
    );
}

#[test]
fn a_line_of_code_longer_than_a_part_is_cut_within_it() {
    check(
        "```\naaaaaaaaaaaaaaaaaaaaaaaaa bbbbbbbbbbbbbbbbbbb\ncc\n```",
        40,
        &expect![[r#"
        --- 34
        ```
        aaaaaaaaaaaaaaaaaaaaaaaaa 
        ```
        --- 30
        ```
        bbbbbbbbbbbbbbbbbbb
        cc
        ```
    "#]],
    );
}

#[test]
fn what_belongs_together_stays_together() {
    check(
        "See the page https://example.com/a/long/path for more.",
        40,
        &expect![[r#"
        --- 12
        See the page
        --- 35
        https://example.com/a/long/path for
        --- 5
        more.
    "#]],
    );
    check(
        "See [the very long title](https://example.com/page) now.",
        52,
        &expect![[r#"
        --- 51
        See [the very long title](https://example.com/page)
        --- 4
        now.
    "#]],
    );
    check(
        "Ask somebody such as <@123456789012345678> about it",
        40,
        &expect![[r#"
        --- 20
        Ask somebody such as
        --- 30
        <@123456789012345678> about it
    "#]],
    );
    check(
        "Use the good old </provider use beta:123456> for it",
        40,
        &expect![[r#"
        --- 16
        Use the good old
        --- 34
        </provider use beta:123456> for it
    "#]],
    );
    check(
        "You can type `cargo run --release -- demo` here",
        40,
        &expect![[r#"
        --- 7
        You can
        --- 39
        type `cargo run --release -- demo` here
    "#]],
    );
    check(
        "The interval [0, 1) has no end, and that is fine here",
        40,
        &expect![[r#"
        --- 12
        The interval
        --- 40
        [0, 1) has no end, and that is fine here
    "#]],
    );
}

#[test]
fn emoji_and_cjk_are_counted_as_discord_counts_and_never_broken() {
    check(
        "👨‍👩‍👧‍👦👨‍👩‍👧‍👦👨‍👩‍👧‍👦",
        25,
        &expect![[r#"
        --- 22
        👨‍👩‍👧‍👦👨‍👩‍👧‍👦
        --- 11
        👨‍👩‍👧‍👦
    "#]],
    );
    check(
        "🇩🇪🇫🇷🇮🇹🇪🇸",
        10,
        &expect![[r#"
        --- 8
        🇩🇪🇫🇷
        --- 8
        🇮🇹🇪🇸
    "#]],
    );
    check(
        "今日は天気がいいです。散歩に行きましょう、「公園」まで。",
        16,
        &expect![[r#"
        --- 16
        今日は天気がいいです。散歩に行き
        --- 12
        ましょう、「公園」まで。
    "#]],
    );
    check(
        &format!("e{}x", "\u{301}".repeat(30)),
        16,
        &expect![[r#"
        --- 16
        é́́́́́́́́́́́́́́
        --- 16
        ́́́́́́́́́́́́́́́x
    "#]],
    );
}

#[test]
fn a_word_longer_than_a_part_is_cut() {
    check(
        "See https://example.com/0123456789/0123456789/0123456789",
        30,
        &expect![[r#"
        --- 3
        See
        --- 30
        https://example.com/0123456789
        --- 22
        /0123456789/0123456789
    "#]],
    );
}

#[test]
fn lists_are_cut_between_items_and_keep_their_indent() {
    check(
        "- one two\n  - three four\n  - five six\n- seven",
        30,
        &expect![[r#"
        --- 24
        - one two
          - three four
        --- 20
          - five six
        - seven
    "#]],
    );
}

#[test]
fn nothing_comes_of_nothing() {
    check("", 100, &expect![[""]]);
    check(" \n\n ", 100, &expect![[""]]);
    check(
        "\n\n  a  \n\n",
        100,
        &expect![[r#"
        --- 3
          a
    "#]],
    );
}

/// A long answer as models write them, of at least `length` characters.
pub(super) fn long_answer(length: usize) -> String {
    let mut text = String::new();
    for it in 0.. {
        text += &format!(
            "## Step {it}\n\nFirst, open the file and look for the function that reads the settings. It is short; \
             see [the guide](https://example.com/guide/{it}) for more. Then change it as follows:\n\n```rust\n"
        );
        for line in 0..12 + it {
            text += &format!("    let value_{line} = settings.get(\"key_{line}\").unwrap_or_default();\n");
        }
        text += "```\n\n- Save the file.\n- Run `cargo test`, and look at what it says.\n\n";
        if text.len() > length {
            return text;
        }
    }
    text
}

#[test]
fn a_long_answer_fills_its_messages() {
    let text = long_answer(6000);
    law(&text, 2000);
    let parts = parts(&text, 2000);
    let shape: Vec<String> = parts
        .iter()
        .map(|it| {
            let line = |it: Option<&str>| it.unwrap_or_default().to_owned();
            format!("{:4} {} … {}\n", units(it), line(it.lines().next()), line(it.lines().last()))
        })
        .collect();
    expect![[r#"
        1981 ## Step 0 … ```
        1359 - Save the file. … First, open the file and look for the function that reads the settings. It is short; see [the guide](https://example.com/guide/3) for more. Then change it as follows:
        1991 ```rust … ```
        1571 ```rust … - Run `cargo test`, and look at what it says.
    "#]].assert_eq(&shape.concat());
    assert!(parts.iter().all(|it| is_balanced(it, 2000)));
    assert_eq!(substance(&parts.join("\n")), substance(&text));
}

/// The work grows with the text, not with its square. The bound is wide: machines are busy.
#[test]
fn a_hundred_kilobytes_take_milliseconds() {
    let hostile =
        ["`", "[", "```\n", "a", "<@", "> ", "\n", " ", "https://", "~", "\u{301}", "- ", "[a](", "e\u{301}"];
    let texts = std::iter::once(long_answer(100_000)).chain(hostile.map(|it| it.repeat(100_000 / it.len())));
    for text in texts {
        let start = tokio::time::Instant::now();
        let count = parts(&text, 2000).len();
        let took = start.elapsed();
        println!("{took:?} for {count} parts of {:?}", text.chars().take(8).collect::<String>());
        assert!(took < std::time::Duration::from_secs(2), "{took:?} for {count} parts");
    }
}

fn markdown() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "word",
        "word",
        " ",
        " ",
        " ",
        "\n",
        "\n",
        "\n\n",
        "sentence. ",
        "\n```\n",
        "\n```\n",
        "\n```rust\n",
        "\n~~~\n",
        "\n~~~~py\n",
        "\n~~~~\n",
        "```",
        "````",
        "``",
        "`",
        "~",
        "~~~",
        "- ",
        "\n- ",
        "1. ",
        "> ",
        "\n> ",
        "\n> ```\n> ",
        "\n  ",
        "    ",
        "\t",
        "[a b](https://x.y/z)",
        "[",
        "](",
        ")",
        "`some code`",
        "<@123456>",
        "</use it:12>",
        "<",
        ">",
        "https://example.com/path?q=1",
        "👨‍👩‍👧‍👦",
        "🇩🇪",
        "e\u{301}",
        "\u{301}",
        "漢字かな",
        "。",
        "「",
        "averyveryverylongwordwithoutanyspaceinit",
        "#",
        "*",
        "**bold**",
        "\r\n",
        "\u{200b}",
        "0123456789",
    ]);
    prop::collection::vec(pieces, 0..120).prop_map(|it| it.concat())
}

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![4 => markdown(), 1 => any::<String>()]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_text_obeys_the_law(text in any_text(), limit in 2..200_usize) {
        law(&text, limit);
    }

    #[test]
    fn every_part_is_balanced(text in markdown(), limit in 40..200_usize) {
        for part in parts(&text, limit) {
            prop_assert!(is_balanced(&part, limit), "{part:?}");
        }
    }

    #[test]
    fn full_parts_stay_as_they_are(text in any_text(), limit in 2..120_usize, cuts in prop::collection::vec(any::<prop::sample::Index>(), 2)) {
        let mut ends = cuts.iter().map(|it| text.floor_char_boundary(it.index(text.len() + 1))).collect::<Vec<_>>();
        ends.sort_unstable();
        let (before, after) = (parts(&text[..ends[0]], limit), parts(&text[..ends[1]], limit));
        let full = before.len().saturating_sub(2);
        prop_assert_eq!(&before[..full], &after[..full.min(after.len())]);
    }
}
