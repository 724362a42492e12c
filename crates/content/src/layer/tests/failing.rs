//! Sinks that fail, layers that are given up.

use std::sync::atomic::{AtomicBool, Ordering};

use oci::{Hasher, Reference};

use super::*;
use crate::layer::block::BLOCK;
use crate::{Sealed, Upload};

/// A sink with room for so many bytes.
#[derive(Default)]
struct Full {
    room: usize,
    is_committed: AtomicBool,
}

struct FullUpload<'a> {
    sink: &'a Full,
    left: usize,
}

impl Sink for Full {
    fn place(&self) -> String {
        "a full disk".to_owned()
    }

    fn has(&self, _what: &Descriptor) -> Result<bool, ContentError> {
        Ok(false)
    }

    fn begin(&self, _what: Option<&Descriptor>) -> Result<Box<dyn Upload + '_>, ContentError> {
        Ok(Box::new(FullUpload { sink: self, left: self.room }))
    }

    fn publish(&self, _what: &Descriptor, _bytes: &[u8]) -> Result<(), ContentError> {
        Ok(())
    }

    fn tag(&self, _name: &Reference, _what: &Descriptor) -> Result<(), ContentError> {
        Ok(())
    }
}

impl Write for FullUpload<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.len() > self.left {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.left -= bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Upload for FullUpload<'_> {
    fn offset(&self) -> u64 {
        0
    }

    fn replay(&mut self, _hasher: &mut Hasher) -> Result<bool, ContentError> {
        Ok(true)
    }

    fn commit(self: Box<Self>, _sealed: &Sealed) -> Result<(), ContentError> {
        self.sink.is_committed.store(true, Ordering::Relaxed);
        Ok(())
    }

    fn discard(self: Box<Self>) -> Result<(), ContentError> {
        Ok(())
    }
}

#[test]
fn a_full_disk_ends_the_layer_with_its_own_error() {
    let tar = sample(12 * BLOCK, 1);
    for compression in ALL {
        // From none to nearly all of it: the last bytes come from `finish`.
        let whole = write(&Memory::default(), &tar, &options(compression, 2), BLOCK).unwrap().descriptor.size as usize;
        for room in [0, 5, whole / 2, whole - 1] {
            let sink = Full { room, ..Full::default() };
            let error = write(&sink, &tar, &options(compression, 2), 70_000).unwrap_err();
            let is_full = matches!(&error, ContentError::Io { source, .. }
                if source.kind() == io::ErrorKind::StorageFull);
            assert!(is_full, "{compression} {room}: {error}");
            assert!(error.to_string().contains("a full disk"), "{compression} {room}: {error}");
            assert!(error.help().is_some(), "{compression} {room}");
            assert!(!sink.is_committed.load(Ordering::Relaxed), "{compression} {room}");
        }
        let sink = Full { room: whole, ..Full::default() };
        write(&sink, &tar, &options(compression, 2), 70_000).unwrap();
        assert!(sink.is_committed.load(Ordering::Relaxed), "{compression}");
    }
}

#[test]
fn nothing_of_a_layer_that_failed_can_be_finished() {
    let tar = sample(12 * BLOCK, 2);
    for compression in ALL {
        let sink = Full { room: 100, ..Full::default() };
        let Ok(mut writer) = LayerWriter::begin(&sink, &options(compression, 2)) else { continue };
        let failed = (0..20).find_map(|_| writer.write_all(&tar).err());
        assert!(failed.is_some(), "{compression}");
        assert!(writer.finish().is_err(), "{compression}");
        assert!(!sink.is_committed.load(Ordering::Relaxed), "{compression}");
    }
}

#[test]
fn a_layer_that_is_dropped_is_not_visible() {
    let tar = sample(8 * BLOCK, 3);
    for compression in ALL {
        let sink = Full { room: usize::MAX, ..Full::default() };
        for count in [0, 10, tar.len()] {
            let mut writer = LayerWriter::begin(&sink, &options(compression, 4)).unwrap();
            writer.write_all(&tar[..count]).unwrap();
            drop(writer);
        }
        assert!(!sink.is_committed.load(Ordering::Relaxed), "{compression}");
    }
}
