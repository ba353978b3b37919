//! Characters that nobody wrote to be read: control characters, tricks with directions and widths, and letters under heaps of marks.
//!
//! **The problem.** A model that obeys an attacker can write text that looks like other text: turned round (`U+202E`), with nothing
//! in the middle of a word (`U+200B`), with a hidden message (`U+E0041`), or with marks that cover the lines above and below.
//! **The rule.** Such characters go; everything that a script or an emoji needs stays. **The limits.** Letters that look alike
//! (Cyrillic `а`) stay: no rule tells them from Russian.

use unicode_segmentation::UnicodeSegmentation as _;

/// The most marks on one letter. The fullest that people write are letters of the Hebrew Bible, with four or five.
pub const MOST_MARKS: usize = 5;
/// The most tags behind a black flag: six spell a region and one ends it.
const MOST_TAGS: usize = 7;

const ZERO_WIDTH_SPACE: char = '\u{200B}';
const ZERO_WIDTH_NON_JOINER: char = '\u{200C}';
const ZERO_WIDTH_JOINER: char = '\u{200D}';
const BLACK_FLAG: char = '\u{1F3F4}';

/// The text without control characters (but with its line breaks and tabs), without what turns or hides text, and with at most
/// [`MOST_MARKS`] marks on a letter. Everything else stays as the model wrote it.
#[must_use]
pub fn tame(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let mut plain = rest.bytes().position(|it| !is_plain(it)).unwrap_or(rest.len());
        // What comes next may stand on the last letter.
        plain -= usize::from(plain > 0 && plain < rest.len());
        out.push_str(&rest[..plain]);
        rest = &rest[plain..];
        let grapheme = rest.graphemes(true).next().unwrap_or_default();
        cluster(grapheme, &mut out);
        rest = &rest[grapheme.len()..];
    }
    out
}

fn is_plain(it: u8) -> bool {
    matches!(it, b' '..=b'~' | b'\n' | b'\t')
}

/// One grapheme, however many characters it has.
fn cluster(grapheme: &str, out: &mut String) {
    let (mut marks, mut tags) = (0, 0);
    for it in grapheme.chars() {
        let last = out.chars().next_back();
        let is_kept = match it {
            '\n' | '\t' => true,
            '\u{2028}' | '\u{2029}' => {
                out.push('\n');
                false
            }
            ZERO_WIDTH_JOINER | ZERO_WIDTH_NON_JOINER => last.is_some_and(may_be_joined),
            ZERO_WIDTH_SPACE => last.is_some_and(has_no_spaces),
            '\u{E0020}'..='\u{E007F}' => {
                tags += 1;
                tags <= MOST_TAGS && last.is_some_and(|it| it == BLACK_FLAG || is_tag(it))
            }
            it if it.is_control() || is_trick(it) => false,
            it if is_mark(it) => {
                marks += 1;
                marks <= MOST_MARKS
            }
            _ => {
                marks = 0;
                true
            }
        };
        if is_kept {
            out.push(it);
        }
    }
}

/// Turns text round, or shows nothing. The marks for a single place (`U+200E`, `U+200F`, `U+061C`) turn no text and stay.
fn is_trick(it: char) -> bool {
    matches!(
        it,
        '\u{202A}'..='\u{202E}' // embeddings and overrides of direction
            | '\u{2066}'..='\u{2069}' // isolates
            | '\u{2060}'..='\u{2065}' // word joiner, invisible operators
            | '\u{206A}'..='\u{206F}' // deprecated
            | '\u{180E}' // Mongolian vowel separator
            | '\u{FEFF}' // byte order mark
            | '\u{FFF9}'..='\u{FFFB}' // annotations
            | '\u{E0000}'..='\u{E001F}' // tags' beginnings
    )
}

fn is_tag(it: char) -> bool {
    matches!(it, '\u{E0020}'..='\u{E007F}')
}

/// Whether a joiner behind it means something: in emoji, and in scripts whose letters join. Between Latin letters it hides.
fn may_be_joined(it: char) -> bool {
    matches!(it, '\u{0600}'..='\u{1FFF}' | '\u{2190}'..='\u{2BFF}' | '\u{A800}'..='\u{ABFF}' | '\u{FB50}'..='\u{FDFF}' | '\u{FE0F}'
        | '\u{FE70}'..='\u{FEFC}' | '\u{10A00}'..='\u{1FAFF}')
        || is_tag(it)
}

/// Thai, Lao, Burmese, Khmer and their neighbours write no spaces: a zero-width one tells where a line may end.
fn has_no_spaces(it: char) -> bool {
    matches!(it, '\u{0E00}'..='\u{0EFF}' | '\u{1000}'..='\u{109F}' | '\u{1780}'..='\u{17FF}' | '\u{1950}'..='\u{1AAF}')
}

/// Whether it stands on the letter before it.
fn is_mark(it: char) -> bool {
    if it.is_ascii() {
        return false;
    }
    let mut pair = [b'a'; 5];
    let length = it.encode_utf8(&mut pair[1..]).len();
    str::from_utf8(&pair[..=length]).is_ok_and(|pair| pair.graphemes(true).nth(1).is_none())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn control_characters_and_tricks_go() {
        assert_eq!(
            tame("a\r\nb\tc\u{0}\u{1b}[1m\u{7f}\u{85}👩‍🚀 <@1> @everyone"),
            "a\nb\tc[1m👩‍🚀 <@1> @everyone"
        );
        assert_eq!(tame("gpj.\u{202E}exe\u{202C} \u{2066}a\u{2069}"), "gpj.exe a");
        assert_eq!(
            tame("pass\u{200B}word\u{200D}s \u{FEFF}a\u{2060}d\u{200C}d"),
            "password's add".replace('\'', "")
        );
        assert_eq!(tame("a\u{2028}b"), "a\nb");
        assert_eq!(tame("hi\u{E0068}\u{E0069}"), "hi", "a hidden message");
    }

    #[test]
    fn what_scripts_and_emoji_need_stays() {
        for text in [
            "👨‍👩‍👧‍👦 🏴\u{E0067}\u{E0062}\u{E0065}\u{E006E}\u{E0067}\u{E007F} 👩🏽‍❤️‍💋‍👨🏿 1️⃣ 🇩🇪 🏳️‍🌈",
            "می‌خواهم",         // Persian, with a non-joiner
            "क्‍ष क्‌ष क्ष न्त्स्थ",   // Devanagari, with both, and a long conjunct
            "ශ්‍රී ලංකා",          // Sinhala, with a joiner
            "ភាសា\u{200B}ខ្មែរ", // Khmer, with a zero-width space
            "שָּׁ֣",               // Hebrew, with four marks
            "Tiếng Việt, ภาษาไทย, 한국어, e\u{301}",
            "\u{200F}שלום (hello)",
        ] {
            assert_eq!(tame(text), text);
        }
    }

    #[test]
    fn a_heap_of_marks_is_cut() {
        let heap = |count| format!("z{}algo", "\u{301}\u{322}".repeat(count));
        assert_eq!(tame(&heap(2)), heap(2));
        assert_eq!(tame(&heap(20)), "z\u{301}\u{322}\u{301}\u{322}\u{301}algo");
        assert_eq!(tame(&"ก\u{E47}".repeat(3)), "ก\u{E47}".repeat(3));
        assert_eq!(tame(&format!("ก{}", "\u{E47}".repeat(40))).chars().count(), 1 + MOST_MARKS);
    }

    proptest! {
        #[test]
        fn tame_text_has_no_control_characters_and_stays_tame(text in any::<String>()) {
            let tamed = tame(&text);
            let is_fine = |it: char| it == '\n' || it == '\t' || !(it.is_control() || is_trick(it));
            prop_assert!(tamed.chars().all(is_fine));
            prop_assert_eq!(tame(&tamed), tamed);
        }
    }
}
