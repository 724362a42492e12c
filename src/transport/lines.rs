//! Cuts a stream of bytes into lines.

/// No piece of output is longer, in bytes: a longer line is handed on in pieces.
pub const LINE_LIMIT: usize = 64 << 10;

/// Bytes that are no whole line yet.
#[derive(Default)]
pub(crate) struct Lines {
    pending: Vec<u8>,
}

impl Lines {
    /// Takes bytes and hands on the lines that are whole now.
    pub(crate) fn take(&mut self, mut bytes: &[u8], line: &mut dyn FnMut(&[u8])) {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            let (head, tail) = bytes.split_at(end + 1);
            self.append(head, line);
            self.finish(line);
            bytes = tail;
        }
        self.append(bytes, line);
    }

    fn append(&mut self, mut bytes: &[u8], line: &mut dyn FnMut(&[u8])) {
        while self.pending.len() + bytes.len() > LINE_LIMIT {
            let (head, tail) = bytes.split_at(LINE_LIMIT - self.pending.len());
            self.pending.extend_from_slice(head);
            self.finish(line);
            bytes = tail;
        }
        self.pending.extend_from_slice(bytes);
    }

    /// Hands on what is left.
    pub(crate) fn finish(&mut self, line: &mut dyn FnMut(&[u8])) {
        if !self.pending.is_empty() {
            line(&self.pending);
            self.pending.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(chunks: &[&[u8]]) -> Vec<Vec<u8>> {
        let (mut lines, mut out) = (Lines::default(), Vec::new());
        let mut keep = |line: &[u8]| out.push(line.to_vec());
        for chunk in chunks {
            lines.take(chunk, &mut keep);
        }
        lines.finish(&mut keep);
        out
    }

    #[test]
    fn lines_are_whole_however_the_bytes_come() {
        for (chunks, want) in [
            (&[][..], &[][..]),
            (&[b"a\nb".as_slice(), b"c\n", b"d"], &[b"a\n".as_slice(), b"bc\n", b"d"]),
            (&[b"a", b"\n", b"\n"], &[b"a\n", b"\n"]),
        ] {
            assert_eq!(cut(chunks), want, "{chunks:?}");
        }
    }

    #[test]
    fn a_line_without_end_is_handed_on_in_pieces() {
        let long = vec![b'x'; 2 * LINE_LIMIT + 5];
        let got = cut(&[&long[..10], &long[10..], b"\n"]);
        assert_eq!(got.iter().map(Vec::len).collect::<Vec<_>>(), [LINE_LIMIT, LINE_LIMIT, 6]);
    }
}
