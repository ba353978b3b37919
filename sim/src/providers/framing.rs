//! How the bytes of a stream are dressed: line ends, a byte order mark, single bytes, compression nobody asked for.

use flate2::{Compression, write::GzEncoder};
use std::io::Write as _;

/// What is done to a stream's bytes on their way out; nothing by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Framing {
    pub(crate) line_end: LineEnd,
    /// A byte order mark comes first.
    pub(crate) bom: bool,
    /// Each byte has a chunk of its own.
    pub(crate) bytewise: bool,
    /// The bytes are compressed.
    pub(crate) gzip: bool,
}

/// What lines end with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum LineEnd {
    /// As the dialect has it.
    #[default]
    Own,
    CrLf,
    Cr,
}

impl Framing {
    /// The chunks that these bytes are sent as.
    pub(crate) fn chunks(self, bytes: &[u8]) -> Vec<Vec<u8>> {
        let lines = match self.line_end {
            LineEnd::Own => bytes.to_vec(),
            LineEnd::CrLf => with_line_ends(bytes, b"\r\n"),
            LineEnd::Cr => with_line_ends(bytes, b"\r"),
        };
        let sent = if self.gzip { gzipped(&lines) } else { lines };
        if self.bytewise { sent.into_iter().map(|it| vec![it]).collect() } else { vec![sent] }
    }
}

fn with_line_ends(bytes: &[u8], end: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + bytes.len() / 16);
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            b'\n' => out.extend_from_slice(end),
            b'\r' if bytes.get(at + 1) == Some(&b'\n') => {}
            other => out.push(*other),
        }
    }
    out
}

/// A gzip member of its own: several behind each other are one file, so that a stream needs no memory of what was before.
fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    // Writing to a Vec cannot fail.
    let _ = encoder.write_all(bytes);
    encoder.finish().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;

    #[test]
    fn bytes_are_dressed() {
        let said = |framing: Framing| framing.chunks("é\r\n\nb".as_bytes());
        let plain = Framing::default();
        assert_eq!(said(plain), ["é\r\n\nb".as_bytes()]);
        assert_eq!(said(Framing { line_end: LineEnd::CrLf, ..plain }), ["é\r\n\r\nb".as_bytes()]);
        assert_eq!(said(Framing { line_end: LineEnd::Cr, ..plain }), ["é\r\rb".as_bytes()]);
        assert_eq!(said(Framing { bytewise: true, ..plain }).len(), 6);
        let mut read = String::new();
        let two = [said(Framing { gzip: true, ..plain }).concat(), gzipped(b"!")].concat();
        flate2::read::MultiGzDecoder::new(&two[..]).read_to_string(&mut read).unwrap();
        assert_eq!(read, "é\r\n\nb!");
    }
}
