//! What has moved so far, counted from content events. No clock: whoever asks says how much time has passed.

use std::time::Duration;

use content::Event;
use oci::{Descriptor, Digest};

use super::size;

/// A blob on its way.
#[derive(Clone, Debug)]
pub(super) struct Moving {
    pub(super) digest: Digest,
    pub(super) name: String,
    pub(super) size: u64,
    pub(super) moved: u64,
}

/// Counts.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    planned_bytes: u64,
    finished_blobs: u64,
    skipped_blobs: u64,
    /// Bytes that moved, of finished and running blobs.
    moved: u64,
    /// Bytes that need not move any more: skipped ones.
    spared: u64,
    running: Vec<Moving>,
}

/// What a blob is called in a line: its kind and the first digits of its digest.
pub(super) fn blob_name(what: &Descriptor) -> String {
    let kind = match &what.media_type {
        media if media.is_index() => "index",
        media if media.is_image_manifest() => "manifest",
        media if media.is_config() => "config",
        media if media.is_layer() => "layer",
        _ => "blob",
    };
    format!("{kind} {}", what.digest.short())
}

impl Tally {
    pub(super) fn count(&mut self, event: &Event) {
        match event {
            Event::Planned { bytes, .. } => self.planned_bytes += bytes,
            Event::Started(what) => {
                self.running.push(Moving { digest: what.digest, name: blob_name(what), size: what.size, moved: 0 })
            }
            Event::Progress { what, bytes } => {
                self.moved += bytes;
                if let Some(blob) = self.running.iter_mut().find(|blob| blob.digest == what.digest) {
                    blob.moved += bytes;
                }
            }
            Event::Finished(what) => {
                self.finished_blobs += 1;
                self.stop(what);
            }
            Event::Failed { what, .. } => self.stop(what),
            Event::Skipped(what) => {
                self.skipped_blobs += 1;
                self.spared += what.size;
            }
            _ => {}
        }
    }

    fn stop(&mut self, what: &Descriptor) {
        self.running.retain(|blob| blob.digest != what.digest);
    }

    pub(super) fn running(&self) -> &[Moving] {
        &self.running
    }

    pub(super) fn moved(&self) -> u64 {
        self.moved
    }

    pub(super) fn planned(&self) -> u64 {
        self.planned_bytes
    }

    /// `1.2 GB of 3.4 GB, 120 MB/s, 18 seconds left`; nothing when nothing moves.
    pub(super) fn total_line(&self, elapsed: Duration) -> Option<String> {
        if self.moved == 0 && self.running.is_empty() {
            return None;
        }
        let mut line = size::human(self.moved + self.spared);
        if self.planned_bytes > 0 {
            line.push_str(&format!(" of {}", size::human(self.planned_bytes)));
        }
        let rate = self.rate(elapsed);
        if rate > 0 {
            line.push_str(&format!(", {}/s", size::human(rate)));
            let left = self.planned_bytes.saturating_sub(self.moved + self.spared);
            if left > 0 {
                line.push_str(&format!(", {} left", super::time::span(left.div_ceil(rate)).to_lowercase()));
            }
        }
        Some(line)
    }

    /// `12 blobs, 3.4 GB, 120 MB/s; 3 blobs already there`; nothing when nothing moved.
    pub(super) fn summary(&self, elapsed: Duration) -> Option<String> {
        if self.finished_blobs == 0 {
            return None;
        }
        let mut line = format!("{}, {}", blobs(self.finished_blobs), size::human(self.moved));
        // Below a second a rate says more about the clock than about the copy.
        if elapsed >= Duration::from_secs(1) {
            line.push_str(&format!(", {}/s", size::human(self.rate(elapsed))));
        }
        if self.skipped_blobs > 0 {
            line.push_str(&format!("; {} already there", blobs(self.skipped_blobs)));
        }
        Some(line)
    }

    fn rate(&self, elapsed: Duration) -> u64 {
        let millis = elapsed.as_millis().max(1);
        u64::try_from(u128::from(self.moved) * 1000 / millis).unwrap_or(u64::MAX)
    }
}

fn blobs(count: u64) -> String {
    if count == 1 { "1 blob".to_owned() } else { format!("{count} blobs") }
}

/// A line as a foreign program wrote it, made harmless: what a carriage return has overwritten, escape sequences and
/// control characters are gone.
pub(super) fn harmless(line: &str) -> String {
    let line = line.trim_end_matches('\r');
    let line = line.rsplit('\r').next().unwrap_or_default();
    let mut out = String::with_capacity(line.len());
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        if c == '\u{1b}' && chars.next_if_eq(&'[').is_some() {
            // A control sequence ends with a character from `@` to `~`.
            while chars.next().is_some_and(|c| !('@'..='~').contains(&c)) {}
        } else if c == '\t' || !c.is_control() {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use oci::MediaType;

    use super::*;

    fn layer(size: u64) -> Descriptor {
        Descriptor::new(MediaType::OCI_LAYER_GZIP, Digest::of(&size.to_le_bytes()), size)
    }

    #[test]
    fn the_total_counts_what_moved_and_what_was_there() {
        let mut tally = Tally::default();
        let (a, b) = (layer(3_000), layer(1_000));
        assert_eq!(tally.total_line(Duration::from_secs(1)), None);
        for event in [
            Event::Planned { blobs: 2, bytes: 4_000 },
            Event::Skipped(b),
            Event::Started(a.clone()),
            Event::Progress { what: a.clone(), bytes: 1_000 },
        ] {
            tally.count(&event);
        }
        let line = tally.total_line(Duration::from_secs(2)).unwrap();
        assert_eq!(line, "2 KB of 4 KB, 500 B/s, 4 seconds left");
        assert_eq!(tally.running().len(), 1);
        tally.count(&Event::Progress { what: a.clone(), bytes: 2_000 });
        tally.count(&Event::Finished(a));
        assert!(tally.running().is_empty());
        let summary = tally.summary(Duration::from_secs(3)).unwrap();
        assert_eq!(summary, "1 blob, 3 KB, 1 KB/s; 1 blob already there");
    }

    #[test]
    fn foreign_lines_cannot_move_the_cursor() {
        for (line, want) in [
            ("plain\ttext", "plain\ttext"),
            ("\u{1b}[31mred\u{1b}[0m", "red"),
            ("10%\r20%\r", "20%"),
            ("a\u{7}b\u{1b}", "ab"),
            ("\u{1b}[2", ""),
        ] {
            assert_eq!(harmless(line), want, "{line:?}");
        }
    }
}
