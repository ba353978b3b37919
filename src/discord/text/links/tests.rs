//! Each form of a link by example. That no text gets past the rules is in `laws.rs`.

use crate::discord::text::{LIMIT, wrap};
use expect_test::{Expect, expect};

fn trusted() -> Vec<String> {
    vec!["wikipedia.org".to_owned(), "docs.rs".to_owned()]
}

/// Shows each text as it comes out. It must come out the same when it is put in again.
fn check(texts: &[&str], expected: &Expect) {
    let mut shown = String::new();
    for text in texts {
        let wrapped = wrap(text, &trusted(), LIMIT);
        assert_eq!(wrap(&wrapped, &trusted(), LIMIT), wrapped, "once more");
        shown += &wrapped;
        shown.push('\n');
    }
    expected.assert_eq(&shown);
}

#[test]
fn bare_links_are_wrapped_and_wrapped_ones_stay() {
    check(
        &[
            "See https://example.com/a?b=c#d, or HTTP://EXAMPLE.COM.",
            "(https://example.com/a_(b)) and \"https://example.com/\" — https://example.com!",
            "<https://example.com/a>, <https://example.com and <https://example.com/a b>",
            "xhttps://example.com https://münchen.example:8080/ https://例え.jp。次",
            "| https://a.example | https://b.example|",
            "# https://example.com\n> - https://example.com\n    https://example.com",
            "[1]: https://example.com \"title\"",
            "steam://run/1 and discord://-/invite/abc",
            "http:// and https://... and (https://) say nothing",
        ],
        &expect![[r#"
            See <https://example.com/a?b=c#d>, or <HTTP://EXAMPLE.COM>.
            (<https://example.com/a_(b)>) and "<https://example.com/>" — <https://example.com>!
            <https://example.com/a>, <https://example.com> and <https://example.com/a> b>
            x<https://example.com> <https://münchen.example:8080/> <https://例え.jp>。次
            | <https://a.example> | <https://b.example>|
            # <https://example.com>
            > - <https://example.com>
                <https://example.com>
            [1]: <https://example.com> "title"
            <steam://run/1> and <discord://-/invite/abc>
            http:// and https://... and (https://) say nothing
        "#]],
    );
}

#[test]
fn masks_are_taken_off() {
    check(
        &[
            "[text](https://example.com/a_(b) \"title\") and [text]( <https://example.com> )",
            "![image](https://example.com/i.png), [![badge](https://b.example/i.svg)](https://example.com)",
            "[](https://example.com) [ ](https://example.com)",
            "[a [nested] text](https://example.com)",
            "[two\nlines](https://example.com)",
            "[https://good.example](https://evil.example)",
            "[`code`](https://example.com/) [not a link](example.com) [0, 1) [x][1]",
            "[win](discord.gg/abc)",
            "[text](https://example.com",
            "[text](\nhttps://example.com)",
            "\\[text](https://example.com) text](https://example.com)",
            "[text](https://example.com \"open title)",
            "h[ttps://evil.example](https://example.com)",
        ],
        &expect![[r#"
            text (<https://example.com/a_(b)>) and text (<https://example.com>)
            image (<https://example.com/i.png>), badge (<https://b.example/i.svg>) (<https://example.com>)
            <https://example.com>  <https://example.com>
            a [nested] text (<https://example.com>)
            two
            lines (<https://example.com>)
            <https://good.example> (<https://evil.example>)
            `code` (<https://example.com/>) [not a link](example.com) [0, 1) [x][1]
            win (<https://discord.gg/abc>)
            [text] (<https://example.com>
            [text] (
            <https://example.com>)
            \[text] (<https://example.com>) text] (<https://example.com>)
            [text] (<https://example.com> "open title)
            <https://evil.example> (<https://example.com>)
        "#]],
    );
}

#[test]
fn code_is_not_touched() {
    check(
        &[
            "`curl https://example.com` and ``a ` https://example.com``",
            "```sh\ncurl https://example.com [a](https://example.com)\n```\nhttps://example.com",
            "~~~~\nhttps://example.com\n~~~\n~~~~",
            "- ```\n  https://example.com\n  ```",
            "> ```\n> https://example.com\nhttps://example.com",
            "`not closed https://example.com",
            "```\nstill open https://example.com",
        ],
        &expect![[r#"
            `curl https://example.com` and ``a ` https://example.com``
            ```sh
            curl https://example.com [a](https://example.com)
            ```
            <https://example.com>
            ~~~~
            https://example.com
            ~~~
            ~~~~
            - ```
              https://example.com
              ```
            > ```
            > https://example.com
            <https://example.com>
            `not closed <https://example.com>
            ```
            still open https://example.com
        "#]],
    );
}

#[test]
fn what_is_code_for_markdown_only_hides_nothing() {
    check(
        &[
            "a ` stray\n`[free](https://evil.example)`",
            "~~~\n[free](https://evil.example)\n~~~",
            "````\n```\n[free](https://evil.example)\n```\n````\n`[free](https://evil.example)`",
            "```\na ``` [free](https://evil.example)\n```",
        ],
        &expect![[r#"
            a ` stray
            `free (<https://evil.example>)`
            ~~~
            free (<https://evil.example>)
            ~~~
            ````
            ```
            free (<https://evil.example>)
            ```
            ````
            `free (<https://evil.example>)`
            ```
            a ``` free (<https://evil.example>)
            ```
        "#]],
    );
}

#[test]
fn what_would_unwrap_a_link_does_not() {
    check(
        &[
            "\\https://evil.example \\<https://evil.example> \\\\https://evil.example",
            "**https://evil.example** __https://evil.example__ *https://evil.example*",
            "**<https://evil.example/a**b> ||https://evil.example|| ~~https://evil.example/~~",
            "_https://evil.example_ but https://example.com/snake_case_ and a_b https://example.com/__init__.py",
            "https://>@evil.example https://\"@evil.example https://|@evil.example",
            "https://https://evil.example <<https://evil.example>>",
        ],
        &expect![[r#"
            \ <https://evil.example> \<<https://evil.example>> \\<https://evil.example>
            **<https://evil.example>** __<https://evil.example>__ *<https://evil.example>*
            **<https://evil.example/a>**b> ||<https://evil.example>|| ~~<https://evil.example/>~~
            _<https://evil.example>_ but <https://example.com/snake_case>_ and a_b <https://example.com/>__init__.py
            https:// >@evil.example https:// "@evil.example https:// |@evil.example
            <https://https://evil.example> <<https://evil.example>>
        "#]],
    );
}

#[test]
fn trusted_hosts_stay_and_their_likes_do_not() {
    check(
        &[
            "https://wikipedia.org https://en.wikipedia.org/wiki/A_(b). [text](https://docs.rs/serde \"title\")",
            "(https://docs.rs), **https://docs.rs** https://WIKIPEDIA.org:443/ https://wikipedia.org./",
            "https://wikipedia.org@evil.example https://wikipedia.org:80@evil.example/ https://wikipedia.org\\@evil.example",
            "https://notwikipedia.org https://wikipedia.org.evil.example https://wikipedia.org。evil.example/",
            "https://wikipedia.org)@evil.example https://wikipediа.org https://org",
            "[text](https://docs.rs \"https://evil.example\") steam://docs.rs/ [docs.rs](https://evil.example)",
        ],
        &expect![[r#"
            https://wikipedia.org https://en.wikipedia.org/wiki/A_(b). [text](https://docs.rs/serde "title")
            (https://docs.rs), **https://docs.rs** https://WIKIPEDIA.org:443/ https://wikipedia.org./
            <https://wikipedia.org@evil.example> <https://wikipedia.org:80@evil.example/> <https://wikipedia.org\@evil.example>
            <https://notwikipedia.org> <https://wikipedia.org.evil.example> <https://wikipedia.org>。evil.example/
            <https://wikipedia.org>)@evil.example <https://wikipediа.org> <https://org>
            text (<https://docs.rs>) <steam://docs.rs/> docs.rs (<https://evil.example>)
        "#]],
    );
}

#[test]
fn invites_without_a_scheme_are_wrapped_as_links() {
    check(
        &[
            "discord.gg/abc, (Discord.com/invite/abc) discordapp.com/gifts/abc <discord.gg/abc>",
            "www.discord.gg/abc mydiscord.gg/abc discord.gg and https://discord.gg/abc",
        ],
        &expect![[r#"
            <https://discord.gg/abc>, (<https://Discord.com/invite/abc>) <https://discordapp.com/gifts/abc> <https://discord.gg/abc>
            www.<https://discord.gg/abc> mydiscord.gg/abc discord.gg and <https://discord.gg/abc>
        "#]],
    );
}

#[test]
fn a_link_that_is_too_long_is_wrapped_as_far_as_it_fits() {
    for text in [
        format!("https://evil.example/{}", "a".repeat(3000)),
        format!("<https://evil.example/{}>", "a".repeat(3000)),
        format!("[text](https://evil.example/{})", "a".repeat(3000)),
        format!("https://evil.example/{}", "https://evil.example/".repeat(200)),
    ] {
        let wrapped = wrap(&text, &[], LIMIT);
        assert_eq!(wrap(&wrapped, &[], LIMIT), wrapped);
        let longest = wrapped.split(['<', '>']).filter(|it| it.starts_with("https://")).map(str::len).max();
        assert!(longest.is_some_and(|it| (1300..1400).contains(&it)), "{longest:?}");
        assert_eq!(
            wrapped.replace("text (", "[text](").replace(['<', '>'], ""),
            text.replace(['<', '>'], "")
        );
    }
}
