//! Layers into a directory.

use std::path::Path;

use content::layer::LayerReader;
use content::tar::{Entry, TarError, TarReader};
use content::{ContentError, Source};
use oci::{Descriptor, DiffId};

use super::{Extractor, RootfsError, UnpackOptions, Unpacked};

/// Applies layers, bottom to top, to the directory `into`, which is made if it does not exist and has to be empty. Blobs
/// and their contents are verified; on an error the directory is left as it is, half filled.
///
/// # Errors
/// When a layer is missing or corrupt, an entry would leave the directory, a limit is reached, or writing fails.
pub fn unpack(
    source: &dyn Source,
    layers: &[(Descriptor, DiffId)],
    into: &Path,
    options: &UnpackOptions,
) -> Result<Unpacked, RootfsError> {
    unpack_some(source, layers, into, options, &|_| true)
}

/// The same with those entries only that `wanted` says.
///
/// # Errors
/// As [`unpack`].
pub fn unpack_some(
    source: &dyn Source,
    layers: &[(Descriptor, DiffId)],
    into: &Path,
    options: &UnpackOptions,
    wanted: &dyn Fn(&Entry) -> bool,
) -> Result<Unpacked, RootfsError> {
    let path = into.as_os_str().as_encoded_bytes();
    std::fs::create_dir_all(into).map_err(RootfsError::io("make the directory", path))?;
    if std::fs::read_dir(into).map_err(RootfsError::io("list", path))?.next().is_some() {
        return Err(RootfsError::NotEmpty(into.to_owned()));
    }
    let mut extractor = Extractor::new(into, options)?;
    for (layer, diff_id) in layers {
        let mut tar = open_layer(source, layer, *diff_id)?;
        while let Some(entry) = next(&mut tar)? {
            if wanted(&entry) {
                extractor.apply(&entry, &mut tar)?;
            }
        }
        tar.into_inner().finish()?;
        extractor.end_layer();
    }
    extractor.finish()
}

/// A layer's entries, being verified.
pub(super) type LayerTar<'a> = TarReader<LayerReader<'a>>;

/// Opens a layer; it is verified only when it was read to its end ([`LayerReader::finish`]), which goes beyond the tar's
/// end mark.
pub(super) fn open_layer<'a>(
    source: &'a dyn Source,
    layer: &Descriptor,
    diff_id: DiffId,
) -> Result<LayerTar<'a>, RootfsError> {
    Ok(TarReader::new(LayerReader::open(source, layer)?.verify_diff_id(diff_id)?))
}

/// The next entry; an error of the blob below is told as such.
pub(super) fn next(tar: &mut LayerTar<'_>) -> Result<Option<Entry>, RootfsError> {
    tar.next().map_err(|error| match error {
        TarError::Read { place, source } => match source.downcast::<ContentError>() {
            Ok(inner) => RootfsError::Content(inner),
            Err(source) => RootfsError::Tar(TarError::Read { place, source }),
        },
        other => RootfsError::Tar(other),
    })
}
