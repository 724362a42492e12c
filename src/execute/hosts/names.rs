//! The lines of clusters in `/etc/hosts`: a block of each cluster's own between two markers; every other line stays as it
//! is, byte for byte.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

/// The text of the file with `lines` as the block of a cluster; without a block where there are none.
pub(super) fn with_block(text: &str, cluster: &str, lines: &[String]) -> String {
    let (begin, end) = (format!("# begin of sealos cluster {cluster}"), format!("# end of sealos cluster {cluster}"));
    let mut out = String::with_capacity(text.len() + 128);
    let block: String = match lines.is_empty() {
        true => String::new(),
        false => format!("{begin}\n{}\n{end}\n", lines.join("\n")),
    };
    let (mut inside, mut placed) = (false, false);
    let has_end = text.lines().any(|line| line.trim_end() == end);
    for line in text.split_inclusive('\n') {
        let bare = line.trim_end();
        if bare == begin && has_end {
            inside = true;
            if !placed {
                out.push_str(&block);
                placed = true;
            }
        } else if inside {
            inside = bare != end;
        } else {
            out.push_str(line);
        }
    }
    if !placed && !block.is_empty() {
        if !out.is_empty() && !out.ends_with('\n') {
            out.push('\n');
        }
        out.push_str(&block);
    }
    out
}

/// Writes the block of a cluster into a file. In a container the file can be a mount of its own, which cannot be
/// replaced; then it is written in place.
pub(super) fn write(path: &Path, cluster: &str, lines: &[String]) -> io::Result<()> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error),
    };
    let new = with_block(&text, cluster, lines);
    if new == text {
        return Ok(());
    }
    let staged = path.with_extension("sealos-new");
    let mode = fs::metadata(path).map_or(0o644, |found| found.mode() & 0o7777);
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&staged)?;
    file.write_all(new.as_bytes())?;
    file.sync_all()?;
    match fs::rename(&staged, path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
            fs::remove_file(&staged)?;
            let mut file = File::options().write(true).truncate(true).open(path)?;
            file.write_all(new.as_bytes())?;
            file.sync_all()
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_of_others_is_lost_or_changed() {
        let own = "127.0.0.1 localhost\n::1 localhost # both names\n\n# a comment\n10.0.0.9 db";
        let lines = |list: &[&str]| list.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>();
        let with = with_block(own, "a", &lines(&["10.0.0.1 hub", "10.0.0.2 api"]));
        let block = "# begin of sealos cluster a\n10.0.0.1 hub\n10.0.0.2 api\n# end of sealos cluster a\n";
        assert_eq!(with, format!("{own}\n{block}"));
        assert_eq!(with_block(&with, "a", &lines(&["10.0.0.1 hub", "10.0.0.2 api"])), with, "twice is once");
        let two = with_block(&with, "b", &lines(&["10.1.0.1 hub"]));
        assert_eq!(with_block(&two, "b", &[]), with);
        assert_eq!(with_block(&with, "a", &[]), format!("{own}\n"));
        let changed = with_block(&format!("{with}late\n"), "a", &lines(&["10.0.0.3 hub"]));
        assert!(changed.ends_with("# end of sealos cluster a\nlate\n") && changed.contains("10.0.0.3 hub"));
        let torn = "x\n# begin of sealos cluster a\ny\n";
        assert!(with_block(torn, "a", &lines(&["z"])).starts_with(torn), "a block without end swallows nothing");
    }
}
