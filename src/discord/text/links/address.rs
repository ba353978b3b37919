//! Where a link begins and ends, and whose it is (pure).

use super::super::units;

/// What Discord makes a link of. In any case: browsers don't mind.
const SCHEMES: [&str; 4] = ["https://", "http://", "steam://", "discord://"];

/// What Discord shows a card for without a scheme: invites, gifts, templates, events.
const CARDS: [&str; 11] = [
    "discord.gg/",
    "discord.gift/",
    "discord.new/",
    "discord.com/invite/",
    "discord.com/gifts/",
    "discord.com/template/",
    "discord.com/events/",
    "discordapp.com/invite/",
    "discordapp.com/gifts/",
    "discordapp.com/template/",
    "discordapp.com/events/",
];

/// A sentence puts these behind a link. (Discord's own list, and `!` and `?`.)
const BEHIND: [char; 8] = ['.', ',', ':', ';', '\'', '"', '!', '?'];

/// The most characters behind a host that may be looked through for the end of the link.
const CLOSING: usize = 8;

/// So many bytes of a link are looked through; it is cut long before.
const LOOKED_THROUGH: usize = 8192;

/// The beginning of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Start {
    /// Bytes that are no part of the host.
    pub(super) scheme: usize,
    /// What has to be put before it, so that it is a link at all.
    pub(super) missing: &'static str,
}

/// What opened before a link may close within it: then the link ends there, for Discord reads from outside to inside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Marks {
    star: bool,
    underscore: bool,
    two_underscores: bool,
    two_tildes: bool,
}

impl Marks {
    /// Takes note of a mark at the beginning of `rest`; `before` stands before it.
    pub(super) fn note(&mut self, before: Option<char>, rest: &str) {
        let bytes = rest.as_bytes();
        let next = bytes.get(1);
        match bytes[0] {
            b'*' => self.star |= next.is_some_and(|it| !it.is_ascii_whitespace()),
            b'_' => {
                self.two_underscores |= next == Some(&b'_');
                self.underscore |= !before.is_some_and(is_word);
            }
            _ => self.two_tildes |= next == Some(&b'~'),
        }
    }

    /// Whether one of them closes at the beginning of `rest`.
    fn close(self, rest: &str) -> bool {
        let mut chars = rest.chars();
        let (it, next) = (chars.next(), chars.next());
        match it {
            Some('*') => self.star,
            Some('_') => {
                let may_end = next.is_none_or(|it| !it.is_alphanumeric());
                (self.two_underscores && next == Some('_')) || (self.underscore && may_end)
            }
            Some('~') => self.two_tildes && next == Some('~'),
            _ => false,
        }
    }
}

fn is_word(it: char) -> bool {
    it.is_alphanumeric() || it == '_'
}

/// Whether a link begins with `rest`; `before` stands before it. Discord finds `https://` in the middle of a word, too.
pub(super) fn begins(before: Option<char>, rest: &str) -> Option<Start> {
    if !rest.starts_with(['h', 'H', 's', 'S', 'd', 'D']) {
        return None;
    }
    let starts = |with: &str| {
        rest.as_bytes().get(..with.len()).is_some_and(|it| it.eq_ignore_ascii_case(with.as_bytes()))
    };
    if let Some(scheme) = SCHEMES.into_iter().find(|it| starts(it)) {
        return Some(Start { scheme: scheme.len(), missing: "" });
    }
    let is_code = |it: char| is_word(it) || it == '-';
    let is_card = |card: &&str| starts(card) && rest[card.len()..].starts_with(is_code);
    let is_card = !before.is_some_and(is_word) && CARDS.iter().any(is_card);
    is_card.then_some(Start { scheme: 0, missing: "https://" })
}

/// How the end of a link is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// It stands in the text: it ends where Discord ends it, or where the sentence goes on.
    Bare,
    /// It stands in `<…>`.
    Bracketed,
}

/// Bytes of the link that `rest` begins with, its scheme included.
pub(super) fn length(rest: &str, start: Start, form: Form, marks: Marks) -> usize {
    let (mut round, mut square) = (0_usize, 0_usize);
    for (at, it) in rest[start.scheme..].char_indices().map(|(at, it)| (at + start.scheme, it)) {
        let is_end = match it {
            '<' | '>' | '`' => true,
            '|' => form == Form::Bare || rest[at..].starts_with("||"),
            '*' | '_' | '~' => marks.close(&rest[at..]),
            it if it.is_whitespace() || it.is_control() => true,
            _ if form == Form::Bracketed => false,
            '"' | '。' | '，' | '、' | '！' | '？' | '；' | '：' | '）' | '」' | '』' | '】' | '》' => {
                true
            }
            '(' => {
                round += 1;
                false
            }
            '[' => {
                square += 1;
                false
            }
            ')' => round.checked_sub(1).map(|it| round = it).is_none(),
            ']' => square.checked_sub(1).map(|it| square = it).is_none(),
            _ => false,
        };
        if is_end || at > LOOKED_THROUGH {
            return at;
        }
    }
    rest.len()
}

/// Bytes without what a sentence puts behind a link.
pub(super) fn trimmed(link: &str) -> usize {
    link.trim_end_matches(BEHIND).len()
}

/// As much of a link as has at most `longest` UTF-16 units, in bytes.
pub(super) fn fitting(link: &str, longest: usize) -> usize {
    if link.len() <= longest || units(link) <= longest {
        return link.len();
    }
    let mut used = 0;
    let is_over = |it: char| {
        used += it.len_utf16();
        used > longest
    };
    link.find(is_over).unwrap_or(link.len())
}

/// Whether Discord would make something of what follows a scheme: a dot or a bracket alone is no address.
pub(super) fn may_be_live(behind: &str) -> bool {
    behind.chars().take_while(|it| !it.is_whitespace() && *it != '<').any(char::is_alphanumeric)
}

/// Whether the link at the beginning of `rest` leads to one of these hosts, or to a part of one (`en.wikipedia.org` of `wikipedia.org`).
/// A name before the host (`https://wikipedia.org@…`), letters outside of ASCII and whatever else there is to doubt are not trusted.
pub(super) fn is_trusted(rest: &str, start: Start, hosts: &[String]) -> bool {
    if hosts.is_empty() || !(start.scheme == 0 || rest.as_bytes()[0].eq_ignore_ascii_case(&b'h')) {
        return false;
    }
    let rest = &rest[start.scheme..];
    let is_plain = |it: char| it.is_ascii_alphanumeric() || matches!(it, '.' | '-' | ':');
    let (authority, behind) = rest.split_at(rest.find(|it| !is_plain(it)).unwrap_or(rest.len()));
    if !behind.starts_with(['/', '?', '#']) {
        let closes = |it: &char| BEHIND.contains(it) || matches!(it, ')' | ']' | '>' | '*' | '_' | '~' | '|');
        let mut behind = behind.chars().take(CLOSING).skip_while(closes);
        if behind.next().is_some_and(|it| !it.is_whitespace() && it != '<') {
            return false;
        }
    }
    let (host, port) = authority.split_once(':').unwrap_or((authority, ""));
    let host = host.trim_end_matches('.');
    let is_of = |trusted: &String| {
        let trusted = trusted.as_bytes();
        let host = host.as_bytes();
        let Some(at) = host.len().checked_sub(trusted.len()) else { return false };
        !trusted.is_empty() && host[at..].eq_ignore_ascii_case(trusted) && (at == 0 || host[at - 1] == b'.')
    };
    port.bytes().all(|it| it.is_ascii_digit() || it == b':') && hosts.iter().any(is_of)
}
