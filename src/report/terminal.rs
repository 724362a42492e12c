//! A live block at the bottom of the terminal: one line a running blob, and the total with rate and time left.
//!
//! Lasting lines (steps, output, warnings) scroll away above it. Redrawn ten times a second at most, and only when
//! something happened: there is no thread. Lines are cut to the terminal's width, so that the block's height is known.

use std::io::Write;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::plain::lasting_line;
use super::tally::{Moving, Tally};
use super::{Event, Reporter, size};

/// At most ten redraws a second.
const REDRAW_EVERY: Duration = Duration::from_millis(100);
/// More running blobs than these are only counted.
const LINES: usize = 8;
const BAR: usize = 24;

/// Draws on a terminal.
pub struct Terminal<W> {
    state: Mutex<State<W>>,
}

struct State<W> {
    out: W,
    /// Width in columns, asked anew at every redraw: windows are resized.
    width: fn() -> usize,
    tally: Tally,
    begun: Instant,
    drawn_at: Option<Instant>,
    /// Height of the block on the screen, in lines.
    height: usize,
}

impl<W: Write + Send> Terminal<W> {
    /// Draws to `out`, a terminal that is `width()` columns wide.
    pub fn new(out: W, width: fn() -> usize) -> Self {
        let (tally, begun) = (Tally::default(), Instant::now());
        Self { state: Mutex::new(State { out, width, tally, begun, drawn_at: None, height: 0 }) }
    }
}

impl<W: Write + Send> Reporter for Terminal<W> {
    fn event(&self, event: &Event) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Event::Content(content) = event {
            state.tally.count(content);
        }
        // On a terminal the block shows what moves; a line for every blob would only scroll the screen away.
        let finished = matches!(event, Event::Content(content::Event::Finished(_)));
        let line = lasting_line(event).filter(|_| !finished);
        if line.is_some() || state.drawn_at.is_none_or(|at| at.elapsed() >= REDRAW_EVERY) {
            state.redraw(line.as_deref());
        }
    }

    fn finish(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = state.wiped();
        if let Some(line) = state.tally.summary(state.begun.elapsed()) {
            text.push_str(&line);
            text.push('\n');
        }
        state.tally = Tally::default();
        state.put(&text);
    }
}

impl<W: Write> State<W> {
    fn redraw(&mut self, lasting: Option<&str>) {
        self.drawn_at = Some(Instant::now());
        let mut text = self.wiped();
        if let Some(line) = lasting {
            text.push_str(line);
            text.push('\n');
        }
        let block = block(&self.tally, self.begun.elapsed());
        self.height = block.len();
        let width = (self.width)().max(20) - 1;
        for line in block {
            text.extend(line.chars().take(width));
            text.push('\n');
        }
        self.put(&text);
    }

    /// The text that removes the block.
    fn wiped(&mut self) -> String {
        let height = std::mem::take(&mut self.height);
        if height == 0 { String::new() } else { format!("\u{1b}[{height}A\u{1b}[J") }
    }

    fn put(&mut self, text: &str) {
        // A terminal that is gone must not end the work.
        self.out.write_all(text.as_bytes()).and_then(|()| self.out.flush()).unwrap_or_default();
    }
}

fn block(tally: &Tally, elapsed: Duration) -> Vec<String> {
    let mut lines: Vec<String> = tally.running().iter().take(LINES).map(blob_line).collect();
    let hidden = tally.running().len().saturating_sub(LINES);
    if hidden > 0 {
        lines.push(format!("  and {hidden} more"));
    }
    lines.extend(tally.total_line(elapsed));
    lines
}

fn blob_line(blob: &Moving) -> String {
    let part = u128::from(blob.moved.min(blob.size)) * BAR as u128 / u128::from(blob.size.max(1));
    let full = usize::try_from(part).unwrap_or(BAR);
    let (done, open) = ("=".repeat(full), " ".repeat(BAR - full));
    format!("  {:<21} [{done}{open}] {} of {}", blob.name, size::human(blob.moved), size::human(blob.size))
}

#[cfg(test)]
mod tests {
    use oci::{Descriptor, MediaType};

    use super::*;

    #[test]
    fn the_block_is_wiped_before_a_lasting_line_and_at_the_end() {
        let blob = Descriptor::new(MediaType::OCI_LAYER, oci::Digest::of(b"abc"), 2_000);
        let mut out = Vec::new();
        let terminal = Terminal::new(&mut out, || 200);
        terminal.event(&Event::Content(content::Event::Started(blob.clone())));
        terminal.event(&Event::Content(content::Event::Progress { what: blob.clone(), bytes: 1_000 }));
        terminal.event(&Event::Warning("w".to_owned()));
        terminal.event(&Event::Content(content::Event::Finished(blob)));
        terminal.finish();
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains("layer ba7816bf8f01    [                        ] 0 B of 2 KB\n"), "{text}");
        assert!(text.contains("\u{1b}[2A\u{1b}[Jwarning: w\n"), "{text}");
        assert!(text.contains("[============            ] 1 KB of 2 KB"), "{text}");
        assert!(text.ends_with("\u{1b}[2A\u{1b}[J1 blob, 1 KB\n"), "{text}");
    }

    #[test]
    fn more_blobs_than_lines_are_counted() {
        let mut tally = Tally::default();
        for n in 0_u8..12 {
            tally.count(&content::Event::Started(Descriptor::of("x/y", &[n])));
        }
        let lines = block(&tally, Duration::from_secs(1));
        assert_eq!(lines.len(), LINES + 2);
        assert_eq!(lines[LINES], "  and 4 more");
    }
}
