//! Bytes in any chunks become server-sent events, read as the WHATWG says.
//!
//! Pure: the caller pushes what the socket gave and pulls events until there is none. Two things differ from a browser.
//! The last event counts even when no blank line follows it ([`Reader::end`]), because several vendors close that way;
//! whether the answer is whole is decided by its finish, not here. And fields that the standard does not know come out as
//! [`Event::Stray`], because old llama.cpp servers send `error: {…}` and Gemini's errors come without any `data:`.
//! Comments come out, too, without their text: they say that a connection is alive.

use std::ops::Range;

/// The most bytes of one line, and of one event's data: far above any honest event, far below what hurts.
pub const MAX_EVENT_BYTES: usize = 8 * 1024 * 1024;

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Data, with the name of the event; the name is empty where the stream gave none.
    Message {
        /// The last `event:` before the blank line.
        event: String,
        /// All `data:` lines, joined by newlines.
        data: String,
    },
    /// A line whose field the standard tells readers to ignore, as it came.
    Stray(String),
    /// A comment.
    Comment,
}

/// A line or an event grew beyond [`MAX_EVENT_BYTES`]. The stream cannot be read further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong;

/// Reads one stream. It looks at each byte once, however the chunks fall.
#[derive(Debug, Default)]
pub struct Reader {
    buffer: Vec<u8>,
    /// Where the unread line begins in the buffer.
    start: usize,
    /// Up to where the unread line was searched for its end.
    searched: usize,
    /// A line was read: a byte order mark can no longer come.
    begun: bool,
    /// The last line ended with CR, so that an LF right behind it belongs to that end.
    after_cr: bool,
    ended: bool,
    too_long: bool,
    pending: Pending,
}

impl Reader {
    /// Adds bytes from the socket.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.too_long {
            return;
        }
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.searched -= self.start;
            self.start = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// Says that no bytes follow; a last line and a last event without their ends count from now on.
    pub fn end(&mut self) {
        self.ended = true;
    }

    /// The next event, none while more bytes are needed.
    ///
    /// # Errors
    /// [`TooLong`], once and then nothing more.
    pub fn next_event(&mut self) -> Option<Result<Event, TooLong>> {
        while !self.too_long {
            let Some(line) = self.next_line() else {
                self.too_long = self.buffer.len() - self.start > MAX_EVENT_BYTES;
                if self.too_long {
                    break;
                }
                return if self.ended { self.pending.take().map(Ok) } else { None };
            };
            self.too_long = line.len() > MAX_EVENT_BYTES;
            let line = &self.buffer[line];
            let event = match str::from_utf8(line) {
                Ok(line) => self.pending.add(line),
                Err(_) => self.pending.add(&String::from_utf8_lossy(line)),
            };
            self.too_long |= self.pending.data.len() > MAX_EVENT_BYTES;
            if let Some(event) = event.filter(|_| !self.too_long) {
                return Some(Ok(event));
            }
        }
        // Said once: the memory goes, and what is pushed from now on is dropped.
        let first = !self.buffer.is_empty();
        *self = Self { too_long: true, ..Self::default() };
        first.then_some(Err(TooLong))
    }

    /// Finds the next line and moves behind its end.
    fn next_line(&mut self) -> Option<Range<usize>> {
        if self.after_cr && self.start < self.buffer.len() {
            self.after_cr = false;
            self.start += usize::from(self.buffer[self.start] == b'\n');
            self.searched = self.start;
        }
        let mut from = self.start;
        let end = match self.buffer[self.searched..].iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
            Some(at) => {
                let end = self.searched + at;
                self.after_cr = self.buffer[end] == b'\r';
                self.start = end + 1;
                end
            }
            None if self.ended && from < self.buffer.len() => {
                self.start = self.buffer.len();
                self.start
            }
            None => {
                self.searched = self.buffer.len();
                return None;
            }
        };
        self.searched = self.start;
        if !self.begun {
            self.begun = true;
            from +=
                if self.buffer[from..end].starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
        }
        Some(from..end)
    }
}

/// The event whose lines are being read.
#[derive(Debug, Default)]
struct Pending {
    event: String,
    data: String,
    has_data: bool,
}

impl Pending {
    fn add(&mut self, line: &str) -> Option<Event> {
        if line.is_empty() {
            return self.take();
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" => {
                if self.has_data {
                    self.data.push('\n');
                }
                self.has_data = true;
                self.data.push_str(value);
                None
            }
            "event" => {
                value.clone_into(&mut self.event);
                None
            }
            "" => Some(Event::Comment),
            // What only a reader that connects again needs.
            "id" | "retry" => None,
            _ => Some(Event::Stray(line.to_owned())),
        }
    }

    fn take(&mut self) -> Option<Event> {
        let Self { event, data, has_data } = std::mem::take(self);
        has_data.then_some(Event::Message { event, data })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};
    use proptest::prelude::*;

    fn read(chunks: &[&[u8]]) -> Vec<Result<Event, TooLong>> {
        let mut reader = Reader::default();
        let mut events = Vec::new();
        for chunk in chunks {
            reader.push(chunk);
            events.extend(std::iter::from_fn(|| reader.next_event()));
        }
        reader.end();
        events.extend(std::iter::from_fn(|| reader.next_event()));
        events
    }

    fn check(stream: impl AsRef<[u8]>, expected: &Expect) {
        let stream = stream.as_ref();
        let whole = read(&[stream]);
        assert_eq!(read(&stream.chunks(1).collect::<Vec<_>>()), whole, "byte by byte");
        let lines = whole.iter().map(|event| match event {
            Ok(Event::Message { event, data }) => format!("{event}|{data:?}\n"),
            Ok(Event::Stray(line)) => format!("stray {line:?}\n"),
            Ok(Event::Comment) => "comment\n".to_owned(),
            Err(TooLong) => "too long\n".to_owned(),
        });
        expected.assert_eq(&lines.collect::<String>());
    }

    #[test]
    fn lines_end_in_lf_crlf_or_cr() {
        let with = |end: &str| read(&[format!("data: one{end}{end}data: two{end}{end}").as_bytes()]);
        check(
            "data: one\n\ndata: two\n\n",
            &expect![[r#"
            |"one"
            |"two"
        "#]],
        );
        assert_eq!(with("\n"), with("\r\n"));
        assert_eq!(with("\n"), with("\r"));
        check(
            "data: a\r\ndata: b\rdata: c\n\r\ndata: d\r\r\n",
            &expect![[r#"
            |"a\nb\nc"
            |"d"
        "#]],
        );
    }

    #[test]
    fn fields_are_read_as_the_standard_says() {
        check(
            "data:no space\n\ndata:  two spaces\n\n",
            &expect![[r#"
            |"no space"
            |" two spaces"
        "#]],
        );
        check(
            "data: one\ndata\ndata: three\n\n",
            &expect![[r#"
            |"one\n\nthree"
        "#]],
        );
        check(
            "data\n\ndata:\n\n",
            &expect![[r#"
            |""
            |""
        "#]],
        );
        check(
            "event: error\ndata: {}\n\ndata: the name is gone\n\n",
            &expect![[r#"
            error|"{}"
            |"the name is gone"
        "#]],
        );
        check("event: alone\n\n\n\n", &expect![[""]]);
        check(
            ": OPENROUTER PROCESSING\n\nid: 7\nretry: 100\ndata: a:b\n\n",
            &expect![[r#"
                comment
                |"a:b"
            "#]],
        );
    }

    #[test]
    fn an_unknown_field_is_an_aside() {
        check(
            "data: one\nerror: {\"code\":400}\n\n",
            &expect![[r#"
                stray "error: {\"code\":400}"
                |"one"
            "#]],
        );
        check(
            "<html>\n",
            &expect![[r#"
                stray "<html>"
            "#]],
        );
    }

    #[test]
    fn the_last_event_needs_no_blank_line() {
        check(
            "data: one\n\ndata: two",
            &expect![[r#"
            |"one"
            |"two"
        "#]],
        );
        check(
            "data: one\r",
            &expect![[r#"
            |"one"
        "#]],
        );
        check("", &expect![[""]]);
    }

    #[test]
    fn only_the_first_byte_order_mark_is_one() {
        check(
            "\u{feff}data: one\n\n\u{feff}data: two\n\n",
            &expect![[r#"
                |"one"
                stray "\u{feff}data: two"
            "#]],
        );
    }

    #[test]
    fn broken_utf8_becomes_a_mark() {
        check(
            b"data: caf\xC3\xA9 \xF0\x9F\x98\x80 \xFF \xC3\n\n",
            &expect![[r#"
            |"café 😀 � �"
        "#]],
        );
    }

    #[test]
    fn sizes_are_bounded() {
        let line = vec![b'x'; MAX_EVENT_BYTES + 1];
        assert_eq!(read(&line.chunks(256).collect::<Vec<_>>()), [Err(TooLong)]);
        // A line that never ends is given up while it comes.
        let mut reader = Reader::default();
        reader.push(&line);
        assert_eq!(reader.next_event(), Some(Err(TooLong)));
        assert_eq!(reader.buffer.capacity(), 0);
        let lines = b"data: 7 bytes\n".repeat(MAX_EVENT_BYTES / 8 + 1);
        assert_eq!(read(&lines.chunks(1 << 16).collect::<Vec<_>>()), [Err(TooLong)]);
        let comments = b":\n".repeat(100_000);
        assert_eq!(read(&comments.chunks(1 << 16).collect::<Vec<_>>()), vec![Ok(Event::Comment); 100_000]);
    }

    fn stream() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            Just(b"\n".to_vec()),
            Just(b"\r".to_vec()),
            Just(b"\r\n".to_vec()),
            Just(b"\n\n".to_vec()),
            Just(b"data:".to_vec()),
            Just(b"data: ".to_vec()),
            Just(b"event: x".to_vec()),
            Just(b": note".to_vec()),
            Just(BYTE_ORDER_MARK.to_vec()),
            Just("é😀".as_bytes().to_vec()),
            proptest::collection::vec(any::<u8>(), 0..6),
        ];
        proptest::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn every_split_gives_the_same_events(stream in stream(), cuts in proptest::collection::vec(0_usize..200, 0..8)) {
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(stream.len())).collect();
            cuts.extend([0, stream.len()]);
            cuts.sort_unstable();
            let chunks: Vec<&[u8]> = cuts.windows(2).map(|cut| &stream[cut[0]..cut[1]]).collect();
            prop_assert_eq!(read(&chunks), read(&[&stream]));
        }

        #[test]
        fn what_a_server_writes_is_what_is_read(
            events in proptest::collection::vec(("[a-z]{0,5}", "[^\r\n\u{0}]{0,20}(\n[^\r\n\u{0}]{0,20}){0,3}"), 0..6),
            crlf in any::<bool>(),
        ) {
            let mut written = String::new();
            for (event, data) in &events {
                written.push_str(&format!("event: {event}\n"));
                data.split('\n').for_each(|line| written.push_str(&format!("data: {line}\n")));
                written.push('\n');
            }
            let written = if crlf { written.replace('\n', "\r\n") } else { written };
            let expected: Vec<_> =
                events.into_iter().map(|(event, data)| Ok(Event::Message { event, data })).collect();
            prop_assert_eq!(read(&[written.as_bytes()]), expected);
        }
    }
}
