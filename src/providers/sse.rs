//! Bytes in any chunks become server-sent events, read as the WHATWG says.
//!
//! Pure: the caller pushes what the socket gave and pulls events until there is none. Two things differ from a browser.
//! The last event counts even when no blank line follows it ([`Reader::end`]), because several vendors close that way;
//! whether the answer is whole is decided by its finish, not here. And fields that the standard does not know come out as
//! [`Event::Stray`], because old llama.cpp servers send `error: {…}` and Gemini's errors come without any `data:`.
//! Comments come out, too, without their text: they say that a connection is alive.

use super::lines::{Lines, MAX_LINE_BYTES};

pub(super) use super::lines::TooLong;

/// One event. It lies in the reader until the next one is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event<'a> {
    /// Data, with the name of the event; the name is empty where the stream gave none.
    Message {
        /// The last `event:` before the blank line.
        event: &'a str,
        /// All `data:` lines, joined by newlines.
        data: &'a str,
    },
    /// A line whose field the standard tells readers to ignore, as it came.
    Stray(&'a str),
    /// A comment.
    Comment,
}

/// Reads one stream. It looks at each byte once, however the chunks fall.
#[derive(Debug, Default)]
#[cfg_attr(test, derive(Clone))]
pub(super) struct Reader {
    lines: Lines,
    pending: Pending,
    too_long: bool,
}

impl Reader {
    /// Adds bytes from the socket.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        if !self.too_long {
            self.lines.push(bytes);
        }
    }

    /// Says that no bytes follow; a last line and a last event without their ends count from now on.
    pub(super) fn end(&mut self) {
        self.lines.end();
    }

    /// The next event, none while more bytes are needed.
    ///
    /// # Errors
    /// [`TooLong`], once and then nothing more.
    pub(super) fn next_event(&mut self) -> Option<Result<Event<'_>, TooLong>> {
        if self.too_long {
            return None;
        }
        self.pending.forget();
        let found = loop {
            let has_ended = self.lines.has_ended();
            match self.lines.next_line() {
                Ok(Some(line)) => match self.pending.add(&line) {
                    Found::Nothing if self.pending.data.len() > MAX_LINE_BYTES => break Err(TooLong),
                    Found::Nothing => {}
                    found => break Ok(found),
                },
                Ok(None) if has_ended => break Ok(self.pending.close()),
                Ok(None) => return None,
                Err(TooLong) => break Err(TooLong),
            }
        };
        match found {
            Ok(Found::Nothing) => None,
            Ok(Found::Comment) => Some(Ok(Event::Comment)),
            Ok(Found::Stray) => Some(Ok(Event::Stray(&self.pending.stray))),
            Ok(Found::Message) => {
                Some(Ok(Event::Message { event: &self.pending.event, data: &self.pending.data }))
            }
            Err(TooLong) => {
                // Said once: the memory goes, and what is pushed from now on is dropped.
                *self = Self { too_long: true, ..Self::default() };
                Some(Err(TooLong))
            }
        }
    }
}

/// What a line made of what is pending.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Found {
    /// It is not complete.
    Nothing,
    Comment,
    Stray,
    Message,
}

/// The event whose lines are being read.
#[derive(Debug, Default)]
#[cfg_attr(test, derive(Clone))]
struct Pending {
    event: String,
    data: String,
    has_data: bool,
    stray: String,
    /// It was told, and is forgotten when the next one is asked for.
    told: bool,
}

impl Pending {
    fn add(&mut self, line: &str) -> Found {
        if line.is_empty() {
            return self.close();
        }
        // Nearly all lines are data: those need no search.
        let (field, value) = match line.strip_prefix("data:") {
            Some(value) => ("data", value),
            None => line.split_once(':').unwrap_or((line, "")),
        };
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" => {
                if self.has_data {
                    self.data.push('\n');
                }
                self.has_data = true;
                self.data.push_str(value);
                Found::Nothing
            }
            "event" => {
                value.clone_into(&mut self.event);
                Found::Nothing
            }
            "" => Found::Comment,
            // What only a reader that connects again needs.
            "id" | "retry" => Found::Nothing,
            _ => {
                line.clone_into(&mut self.stray);
                Found::Stray
            }
        }
    }

    /// The event ends here; it is none if it has no data.
    fn close(&mut self) -> Found {
        self.told = true;
        if self.has_data {
            return Found::Message;
        }
        self.forget();
        Found::Nothing
    }

    fn forget(&mut self) {
        if std::mem::take(&mut self.told) {
            self.event.clear();
            self.data.clear();
            self.has_data = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};
    use proptest::prelude::*;

    fn read(chunks: &[&[u8]]) -> Vec<String> {
        let mut reader = Reader::default();
        let mut events = Vec::new();
        for chunk in chunks {
            reader.push(chunk);
            take(&mut reader, &mut events);
        }
        reader.end();
        take(&mut reader, &mut events);
        events
    }

    fn take(reader: &mut Reader, events: &mut Vec<String>) {
        while let Some(event) = reader.next_event() {
            events.push(match event {
                Ok(Event::Message { event, data }) => format!("{event}|{data:?}\n"),
                Ok(Event::Stray(line)) => format!("stray {line:?}\n"),
                Ok(Event::Comment) => "comment\n".to_owned(),
                Err(TooLong) => "too long\n".to_owned(),
            });
        }
    }

    fn check(stream: impl AsRef<[u8]>, expected: &Expect) {
        let stream = stream.as_ref();
        let whole = read(&[stream]);
        assert_eq!(read(&stream.chunks(1).collect::<Vec<_>>()), whole, "byte by byte");
        expected.assert_eq(&whole.concat());
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
        let line = vec![b'x'; MAX_LINE_BYTES + 1];
        assert_eq!(read(&line.chunks(256).collect::<Vec<_>>()), ["too long\n"]);
        // A line that never ends is given up while it comes.
        let mut reader = Reader::default();
        reader.push(&line);
        assert_eq!(reader.next_event(), Some(Err(TooLong)));
        assert!(format!("{reader:?}").len() < 400, "the memory goes");
        let lines = b"data: 7 bytes\n".repeat(MAX_LINE_BYTES / 8 + 1);
        assert_eq!(read(&lines.chunks(1 << 16).collect::<Vec<_>>()), ["too long\n"]);
        let comments = b":\n".repeat(100_000);
        assert_eq!(read(&comments.chunks(1 << 16).collect::<Vec<_>>()), vec!["comment\n"; 100_000]);
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
            Just(b"\xEF\xBB\xBF".to_vec()),
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
                events.into_iter().map(|(event, data)| format!("{event}|{data:?}\n")).collect();
            prop_assert_eq!(read(&[written.as_bytes()]), expected);
        }
    }
}
