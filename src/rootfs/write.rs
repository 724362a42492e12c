//! File contents on their way to disk.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};

use super::Holes;

/// Runs of zeros of this many bytes become holes, at multiples of it.
const RUN: usize = 64 << 10;

/// Copies `size` bytes, in pieces as large as the buffer. Returns how many came; fewer if the content ended early.
///
/// # Errors
/// What reading or writing said.
pub(crate) fn copy_content(
    content: &mut dyn Read,
    size: u64,
    file: &mut File,
    holes: Holes,
    buffer: &mut [u8],
) -> io::Result<u64> {
    let mut copied = 0;
    let mut ends_in_hole = false;
    while copied < size {
        let wanted = usize::try_from(size - copied).unwrap_or(usize::MAX).min(buffer.len());
        let filled = fill(content, &mut buffer[..wanted])?;
        if filled == 0 {
            break;
        }
        ends_in_hole = match holes {
            Holes::Make if size >= RUN as u64 => write_sparse(file, &buffer[..filled])?,
            _ => file.write_all(&buffer[..filled]).map(|()| false)?,
        };
        copied += filled as u64;
    }
    if ends_in_hole {
        file.set_len(copied)?;
    }
    Ok(copied)
}

/// Reads until the buffer is full or the content ends.
fn fill(content: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match content.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Writes a piece, seeking over runs of zeros. Returns whether its end was seeked over.
fn write_sparse(file: &mut File, piece: &[u8]) -> io::Result<bool> {
    let mut pending = 0;
    let mut at = 0;
    let mut skipped = 0_i64;
    while at < piece.len() {
        let run = &piece[at..piece.len().min(at + RUN)];
        if run.len() == RUN && is_zero(run) {
            if pending < at {
                seek_over(file, &mut skipped)?;
                file.write_all(&piece[pending..at])?;
            }
            skipped += RUN as i64;
            pending = at + RUN;
        }
        at += run.len();
    }
    seek_over(file, &mut skipped)?;
    file.write_all(&piece[pending..])?;
    Ok(pending == piece.len())
}

fn seek_over(file: &mut File, skipped: &mut i64) -> io::Result<()> {
    if *skipped > 0 {
        file.seek(SeekFrom::Current(*skipped))?;
        *skipped = 0;
    }
    Ok(())
}

fn is_zero(run: &[u8]) -> bool {
    // The first bytes tell nearly always; the comparison of the rest with itself, shifted, is a vectorised memcmp.
    run.first().is_none_or(|byte| *byte == 0) && run[1..] == run[..run.len() - 1]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_with_runs_of_zeros_is_the_same_and_takes_fewer_blocks() {
        let directory = tempfile::tempdir().expect("a directory");
        for (index, pieces) in [
            vec![],
            vec![(5, 1)],
            vec![(1 << 20, 0)],
            vec![(100, 1), (300 << 10, 0), (7, 2)],
            vec![(65536, 1), (65536, 0)],
        ]
        .into_iter()
        .enumerate()
        {
            let bytes: Vec<u8> =
                pieces.iter().flat_map(|(count, byte)| std::iter::repeat_n(*byte as u8, *count as usize)).collect();
            for buffer_size in [64 << 10, 256 << 10, 100_000] {
                let path = directory.path().join(format!("{index}-{buffer_size}"));
                let mut file = File::create(&path).expect("a file");
                let mut buffer = vec![0; buffer_size];
                let copied =
                    copy_content(&mut bytes.as_slice(), bytes.len() as u64, &mut file, Holes::Make, &mut buffer);
                assert_eq!(copied.expect("copied"), bytes.len() as u64, "{index}");
                assert_eq!(std::fs::read(&path).expect("read"), bytes, "{index} {buffer_size}");
            }
        }
        use std::os::unix::fs::MetadataExt;
        let blocks = std::fs::metadata(directory.path().join("2-262144")).expect("a file").blocks();
        assert_eq!(blocks, 0, "a file of zeros takes no blocks");
    }
}
