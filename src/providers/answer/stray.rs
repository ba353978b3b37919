//! Finds JSON among the lines of a stream that are no event (pure).

/// The most bytes of it: only errors come this way, and none is as long.
const MAX_BYTES: usize = 64 * 1024;

/// Lines that may become JSON. Each byte is looked at once, and each document is told once: when its brackets are closed.
#[derive(Debug, Default)]
#[cfg_attr(test, derive(Clone))]
pub(super) struct Json {
    lines: String,
    depth: usize,
    in_text: bool,
}

impl Json {
    /// Adds a line. Returns the document that it completes, if it is one.
    pub(super) fn add(&mut self, line: &str) -> Option<String> {
        if self.lines.is_empty() && !line.trim_start().starts_with(['{', '[']) {
            return None;
        }
        let mut is_escaped = false;
        for byte in line.bytes() {
            match byte {
                _ if is_escaped => {
                    is_escaped = false;
                    continue;
                }
                b'\\' => is_escaped = self.in_text,
                b'"' => self.in_text = !self.in_text,
                b'{' | b'[' if !self.in_text => self.depth += 1,
                b'}' | b']' if !self.in_text => self.depth = self.depth.saturating_sub(1),
                _ => {}
            }
        }
        self.lines.push_str(line);
        self.lines.push('\n');
        if self.depth > 0 && self.lines.len() <= MAX_BYTES {
            return None;
        }
        Some(std::mem::take(self).lines)
    }

    /// Whether no document is under way.
    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }
}
