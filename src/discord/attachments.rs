//! Pictures and texts that people attach, as a model can take them.
//!
//! **The problem.** A file may be anything, of any size, under any name, and an address in a message may lead anywhere. **The
//! rule.** Files are read from Discord's own hosts only, all of a question's within five seconds, while its turn begins. What they are is
//! told by their first bytes, never by their names: PNG, JPEG, GIF and WebP are pictures, UTF-8 without NUL is text. **The limits.**
//! Four pictures of 5 MiB, four texts of 64 KiB, and eight files that are looked at. What is not read is named to the
//! model with the reason, and the person who asked sees nothing special.

use super::rest::{Download, Files};
use crate::{
    chat::files::{Content, Fetch, Loaded},
    message::{Attachment, Image},
};
use futures::future::{BoxFuture, join_all};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// All of a question's files.
const WITHIN: Duration = Duration::from_secs(5);
/// So many are looked at.
const MOST_FILES: usize = 8;
/// Pictures and texts that are passed on.
const MOST_OF_A_SORT: usize = 4;
/// Anthropic takes pictures up to this size, the others larger ones.
const LARGEST_PICTURE: usize = 5 << 20;
/// Some ten thousand words: more than most windows have room for beside a conversation.
const LARGEST_TEXT: usize = 64 << 10;
/// So many bytes tell the sort of a picture.
const HEAD: usize = 12;

const TOO_LARGE: &str = "too large";
const OTHER_SORT: &str = "neither a picture nor plain text";
const NOT_THERE: &str = "it could not be fetched";
const TOO_MANY: &str = "one of too many";

/// Reads attachments for the conversations.
#[derive(Clone, Debug)]
pub(super) struct Attachments {
    files: Files,
}

impl Attachments {
    pub(super) fn new(files: Files) -> Self {
        Self { files }
    }

    async fn load(&self, file: &Attachment) -> Result<Content, &'static str> {
        if file.size > LARGEST_PICTURE as u64 {
            return Err(TOO_LARGE);
        }
        let address = file.url.as_deref().ok_or(NOT_THERE)?;
        let download = self.files.open(address).await.ok_or(NOT_THERE)?;
        read(download).await
    }
}

impl Fetch for Attachments {
    fn fetch(&self, files: Vec<Attachment>) -> BoxFuture<'static, Vec<Loaded>> {
        let this = self.clone();
        Box::pin(async move {
            let deadline = Instant::now() + WITHIN;
            let load = async |(at, file): (usize, &Attachment)| {
                if at >= MOST_FILES {
                    return Content::Unreadable(TOO_MANY);
                }
                let loaded = timeout_at(deadline, this.load(file)).await;
                loaded.unwrap_or(Err(NOT_THERE)).unwrap_or_else(Content::Unreadable)
            };
            let contents = join_all(files.iter().enumerate().map(load)).await;
            let loaded = files.iter().zip(contents);
            few(loaded.map(|(file, content)| Loaded { name: file.name.clone(), content }).collect())
        })
    }
}

/// No more than a few of each sort (pure).
fn few(mut loaded: Vec<Loaded>) -> Vec<Loaded> {
    let (mut pictures, mut texts) = (0, 0);
    for it in &mut loaded {
        let count = match it.content {
            Content::Picture(_) => &mut pictures,
            Content::Text(_) => &mut texts,
            Content::Unreadable(_) => continue,
        };
        *count += 1;
        if *count > MOST_OF_A_SORT {
            it.content = Content::Unreadable(TOO_MANY);
        }
    }
    loaded
}

/// Reads a file for as long as it may become something.
async fn read(mut download: Download) -> Result<Content, &'static str> {
    let mut bytes = Vec::new();
    loop {
        let goes_on = download.read(&mut bytes).await.map_err(|()| NOT_THERE)?;
        if goes_on && bytes.len() < HEAD {
            continue;
        }
        let largest = if picture(&bytes).is_some() { LARGEST_PICTURE } else { LARGEST_TEXT };
        match () {
            () if bytes.len() > largest && is_text(&bytes) => return Err(TOO_LARGE),
            () if bytes.len() > largest => {
                return Err(if picture(&bytes).is_some() { TOO_LARGE } else { OTHER_SORT });
            }
            () if !goes_on => return content(bytes).ok_or(OTHER_SORT),
            () => {}
        }
    }
}

/// Whether it may be the beginning of a text.
fn is_text(bytes: &[u8]) -> bool {
    let is_cut = |it: std::str::Utf8Error| it.error_len().is_none();
    !bytes.contains(&0) && std::str::from_utf8(bytes).map_or_else(is_cut, |_| true)
}

fn content(bytes: Vec<u8>) -> Option<Content> {
    if let Some(media_type) = picture(&bytes) {
        let image = Image { media_type: media_type.to_owned(), base64: base64(&bytes).into() };
        return Some(Content::Picture(image));
    }
    let text = String::from_utf8(bytes).ok().filter(|it| !it.contains('\0'))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text).to_owned();
    Some(Content::Text(text))
}

/// What sort of picture begins like this.
fn picture(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Some("image/png"),
        [0xff, 0xd8, 0xff, ..] => Some("image/jpeg"),
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some("image/gif"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some("image/webp"),
        _ => None,
    }
}

/// RFC 4648, with padding.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let byte = |at: usize| u32::from(three.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for place in 0..4 {
            let digit = char::from(DIGITS[(bits >> (18 - 6 * place) & 63) as usize]);
            out.push(if place <= three.len() { digit } else { '=' });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_known_by_its_first_bytes() {
        assert_eq!(picture(b"\x89PNG\r\n\x1a\n...."), Some("image/png"));
        assert_eq!(picture(b"\xff\xd8\xff\xe0...."), Some("image/jpeg"));
        assert_eq!(picture(b"GIF89a......"), Some("image/gif"));
        assert_eq!(picture(b"RIFF\x01\x02\x03\x04WEBP"), Some("image/webp"));
        assert_eq!(picture(b"RIFF\x01\x02\x03\x04WAVE"), None);
        assert_eq!(picture(b"\x89PNG"), None);
        assert_eq!(picture(b"<svg>"), None);
    }

    #[test]
    fn what_is_no_text_is_none() {
        assert!(matches!(content("\u{feff}größe".into()), Some(Content::Text(it)) if it == "größe"));
        assert_eq!(content(vec![b'a', 0, b'b']), None);
        assert_eq!(content(vec![0xff, 0xfe, b'a']), None);
        assert!(is_text("gr\u{f6}".as_bytes()) && is_text(&"gr\u{f6}".as_bytes()[..3]), "it may go on");
        assert!(!is_text(b"PK\x03\x04\x00") && !is_text(b"\xff\xffabc"));
    }

    #[test]
    fn base_64_is_that_of_the_rfc() {
        let said: Vec<String> =
            ["", "f", "fo", "foo", "foob", "fooba", "foobar"].map(|it| base64(it.as_bytes())).into();
        assert_eq!(said, ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"]);
        assert_eq!(base64(&[0xfb, 0xff, 0xbf]), "+/+/");
    }

    #[test]
    fn a_few_of_each_sort_are_enough() {
        let text = || Loaded { name: "a".to_owned(), content: Content::Text(String::new()) };
        let unread = |it: &Loaded| it.content == Content::Unreadable(TOO_MANY);
        let kept = few((0..6).map(|_| text()).collect());
        assert_eq!(kept.iter().map(unread).collect::<Vec<_>>(), [false, false, false, false, true, true]);
    }
}
