//! Bytes in any chunks become lines: LF, CRLF or CR ends one, and a byte order mark before the first is none of it (pure).

use std::{borrow::Cow, ops::Range};

/// The most bytes of one line, and of one event's data: far above any honest event, far below what hurts.
pub(super) const MAX_LINE_BYTES: usize = 8 * 1024 * 1024;

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// A line or an event grew beyond [`MAX_LINE_BYTES`]. The stream cannot be read further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooLong;

/// Reads one stream. It looks at each byte once, however the chunks fall.
#[derive(Debug, Default)]
#[cfg_attr(test, derive(Clone))]
pub(super) struct Lines {
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
}

impl Lines {
    /// Adds bytes from the socket.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.searched -= self.start;
            self.start = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// Says that no bytes follow: a last line without its end counts from now on.
    pub(super) fn end(&mut self) {
        self.ended = true;
    }

    /// Whether no bytes follow.
    #[must_use]
    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    /// The next line without its end, none while more bytes are needed. What is no UTF-8 is replaced, as the WHATWG says.
    ///
    /// # Errors
    /// [`TooLong`]: nothing of this stream can be read any more.
    pub(super) fn next_line(&mut self) -> Result<Option<Cow<'_, str>>, TooLong> {
        let line = self.find();
        let length = line.as_ref().map_or(self.buffer.len() - self.start, Range::len);
        if length > MAX_LINE_BYTES {
            return Err(TooLong);
        }
        // The lossy reading alone would do, but it is slow with what is in order.
        let text = |line: Range<usize>| match str::from_utf8(&self.buffer[line.clone()]) {
            Ok(text) => Cow::Borrowed(text),
            Err(_) => String::from_utf8_lossy(&self.buffer[line]),
        };
        Ok(line.map(text))
    }

    /// Finds the next line and moves behind its end.
    fn find(&mut self) -> Option<Range<usize>> {
        if self.after_cr && self.start < self.buffer.len() {
            self.after_cr = false;
            self.start += usize::from(self.buffer[self.start] == b'\n');
            self.searched = self.start;
        }
        let mut from = self.start;
        let end = match memchr::memchr2(b'\n', b'\r', &self.buffer[self.searched..]) {
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
            let has_mark = self.buffer[from..end].starts_with(BYTE_ORDER_MARK);
            from += if has_mark { BYTE_ORDER_MARK.len() } else { 0 };
        }
        Some(from..end)
    }
}
