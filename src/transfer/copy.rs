//! One image from one place to another: `push` and `copy`.
//!
//! ```text
//! origin ─▶ what of it ─▶ converted? ─▶ target, named
//! ```

use std::path::Path;

use content::archive::Format;
use content::convert::{Conversion, Converted, Family};
use content::{
    ContentError, CopyOptions, Disk, Keeper, Layout, Named, Observer, Outline, Overlay, Silent, Sink, Source, present,
};
use oci::{Compression, Descriptor, MediaType, Platform, Reference};

use super::choose::{Choice, Platforms, choose};
use super::error::TransferError;
use super::places::{LazyStore, Origin};
use super::recompress::{Stage, recompress};
use super::staging::{Staged, staged};
use super::target::{Indexed, Target};
use crate::report::{Event, Reporter, Watch, size};

/// How an image is copied.
#[derive(Clone, Debug)]
pub(crate) struct CopyWish {
    /// Which images of an index.
    pub(crate) platforms: Platforms,
    /// In which form.
    pub(crate) conversion: Conversion,
    /// Whether a digest may change on the way.
    pub(crate) digests: Digests,
    /// Whether anything is written.
    pub(crate) mode: Mode,
    /// How blobs are moved.
    pub(crate) options: CopyOptions,
}

/// Whether a digest may change on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Digests {
    /// It may, if what was asked for changes it.
    MayChange,
    /// What would change it is an error.
    Preserve,
}

/// Whether anything is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// It is.
    Write,
    /// Only what would be is found out.
    DryRun,
}

/// What was (or would be) copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CopyOutcome {
    /// What the target has now.
    pub(crate) root: Descriptor,
    /// The name it has there, if any.
    pub(crate) name: Option<Reference>,
    /// The platforms.
    pub(crate) platforms: Vec<Platform>,
    /// Of a dry run: blobs that would be written, and their bytes; and how many there are.
    pub(crate) missing: Option<Missing>,
}

/// What a dry run found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Missing {
    /// Blobs and documents that would be written.
    pub(crate) blobs: u64,
    /// Their bytes.
    pub(crate) bytes: u64,
    /// Blobs and documents of the image.
    pub(crate) of: u64,
}

/// Copies one image.
///
/// # Errors
/// When a side fails, there is nothing for a platform, or what was asked for cannot be.
pub(crate) fn copy_image(
    origin: &Origin<'_>,
    image: &Named,
    target: &Target<'_>,
    store: &LazyStore,
    wish: &CopyWish,
    reporter: &dyn Reporter,
) -> Result<CopyOutcome, TransferError> {
    let source = origin.source();
    let shown = image.name.as_ref().map_or_else(|| image.root.digest.to_string(), Reference::familiar);
    let (root, platforms) = what(origin, image, target, wish, reporter)?;
    let choice = choose(source, &root, &shown, &platforms)?;
    say_platforms(reporter, &shown, &choice);
    if wish.conversion.compression.is_some()
        && matches!(target, Target::Archive(Format::DockerArchive, ..) | Target::Foreign(_))
    {
        return Err(TransferError::NoConversion { place: target.place() });
    }
    let conversion = conversion(origin, target, wish);
    let wish = &CopyWish { options: with_mounts(&wish.options, origin, target), ..wish.clone() };
    let watch = Watch(reporter);

    if let (Target::Store(disk, name), true) = (target, conversion.is_none()) {
        return into_store(source, disk, name.as_ref(), &choice, wish, &watch);
    }
    let (whole, made) = choice.whole()?;
    // Another program's store makes digests of its own.
    let has_digests = !matches!(target, Target::Foreign(_));
    let is_changed = whole.digest != image.root.digest || !conversion.is_none();
    if wish.digests == Digests::Preserve && has_digests && is_changed {
        return Err(TransferError::DigestWouldChange { name: shown, platforms: choice.platforms.clone() });
    }
    let narrowed = Overlay::new(source, made);
    let outcome = |root: Descriptor, missing| CopyOutcome {
        root,
        name: target.name().cloned(),
        platforms: choice.platforms.clone(),
        missing,
    };
    if wish.mode == Mode::DryRun {
        let missing = dry_run(&narrowed, &whole, target, &wish.options)?;
        return Ok(outcome(whole, Some(missing)));
    }
    let root = match conversion.is_none() {
        true => {
            hint_uncompressed(source, &narrowed, &whole, target, reporter)?;
            hint_docker(&whole, target, reporter);
            match target {
                Target::Archive(..) if origin.is_remote() => {
                    let image = Staged { source: &narrowed, root: whole.clone() };
                    let write = |disk: &Disk| target.write(disk, &whole, store, &wish.options, &watch);
                    staged(&[image], store.disk()?, &wish.options, reporter, write)?;
                }
                _ => target.write(&narrowed, &whole, store, &wish.options, &watch)?,
            }
            whole
        }
        false => converted(&narrowed, &whole, target, store, &conversion, wish, reporter)?,
    };
    Ok(outcome(root, None))
}

/// The root that is copied, and of which platforms.
fn what(
    origin: &Origin<'_>,
    image: &Named,
    target: &Target<'_>,
    wish: &CopyWish,
    reporter: &dyn Reporter,
) -> Result<(Descriptor, Platforms), TransferError> {
    let one = target.takes_one_platform();
    let Some(disk) = origin.store() else {
        return Ok((image.root.clone(), wish.platforms.clone()));
    };
    // What the store has of an image is what it is here; the rest was never asked for.
    let there = present(disk, &image.root)?;
    if wish.platforms == Platforms::All && !there.missing.is_empty() {
        let platforms = there.missing.iter().filter_map(|lost| lost.platform.as_ref().map(Platform::to_string));
        let name = image.name.as_ref().map_or_else(|| image.root.digest.to_string(), Reference::familiar);
        return Err(TransferError::NotWhole { name, missing: there.missing.len(), platforms: platforms.collect() });
    }
    match &wish.platforms {
        Platforms::Host if !one => {
            if !there.missing.is_empty() {
                let platforms: Vec<String> =
                    there.missing.iter().filter_map(|lost| lost.platform.as_ref().map(Platform::to_string)).collect();
                let lost = if platforms.is_empty() { "some manifests".to_owned() } else { platforms.join(", ") };
                reporter.event(&Event::Warning(format!("{lost}: not in the store, and not copied")));
            }
            Ok((there.root, Platforms::All))
        }
        other => Ok((image.root.clone(), other.clone())),
    }
}

/// How the image is converted: as was asked, and compressed for a registry where it comes from a place that keeps
/// layers unpacked.
fn conversion(origin: &Origin<'_>, target: &Target<'_>, wish: &CopyWish) -> Conversion {
    let mut conversion = wish.conversion.clone();
    let unpacked = origin.has_made_manifests() && matches!(target, Target::Registry(..));
    if unpacked && conversion.compression.is_none() && wish.digests == Digests::MayChange {
        conversion.compression = Some(Compression::Gzip);
    }
    // Others look for OCI manifests only in layouts; a manifest that was made here can as well be one.
    let is_layout = matches!(target, Target::Layout(..) | Target::Archive(Format::OciArchive, ..));
    if origin.has_made_manifests() && is_layout && conversion.family.is_none() {
        conversion.family = Some(Family::Oci);
    }
    // What Docker is given, it is given as plain tars; skopeo makes none of zstd.
    if matches!(target, Target::Foreign(address) if address.keeper() == Keeper::DockerDaemon) {
        conversion.compression = Some(Compression::None);
    }
    conversion
}

/// Where blobs of the target's own registry may be mounted from.
fn with_mounts(options: &CopyOptions, origin: &Origin<'_>, target: &Target<'_>) -> CopyOptions {
    let mut options = options.clone();
    if let Target::Registry(_, name) = target {
        let is_same = |other: &Reference| other.registry() == name.registry();
        options.mounts.extend(origin.repositories().into_iter().filter(is_same));
    }
    options
}

fn say_platforms(reporter: &dyn Reporter, name: &str, choice: &Choice) {
    if choice.left_out.is_empty() || choice.platforms.is_empty() {
        return;
    }
    let list = |all: &[Platform]| all.iter().map(Platform::to_string).collect::<Vec<_>>().join(", ");
    let (taken, left) = (list(&choice.platforms), list(&choice.left_out));
    reporter.event(&Event::Task(format!("{name}: {taken} (it also has {left})")));
}

/// Into the store, the index stays what it is though only a part of it comes.
fn into_store(
    source: &dyn Source,
    disk: &Disk,
    name: Option<&Reference>,
    choice: &Choice,
    wish: &CopyWish,
    observer: &dyn Observer,
) -> Result<CopyOutcome, TransferError> {
    let sink = Indexed { store: disk, indexes: choice.indexes.clone() };
    let root = choice.root.clone();
    let mut outcome = CopyOutcome { root, name: name.cloned(), platforms: choice.platforms.clone(), missing: None };
    if wish.mode == Mode::DryRun {
        outcome.missing = Some(missing_in(source, &choice.chosen, &sink, &wish.options)?);
        return Ok(outcome);
    }
    content::copy(source, &sink, &choice.chosen, &wish.options, observer)?;
    match name {
        Some(name) => sink.tag(name, &choice.root)?,
        None => {
            choice.indexes.iter().rev().try_for_each(|(index, bytes)| disk.publish(index, bytes))?;
            disk.add_root(&choice.root)?;
        }
    }
    Ok(outcome)
}

fn missing_in(
    source: &dyn Source,
    roots: &[Descriptor],
    sink: &dyn Sink,
    options: &CopyOptions,
) -> Result<Missing, ContentError> {
    let outline = Outline::of(source, roots, &Silent)?;
    let missing = outline.missing(sink, options.foreign)?;
    Ok(Missing { blobs: missing.count(), bytes: missing.bytes(), of: outline.count() })
}

/// What would be written. Into a file or another program's store, that is everything.
fn dry_run(
    source: &dyn Source,
    root: &Descriptor,
    target: &Target<'_>,
    options: &CopyOptions,
) -> Result<Missing, ContentError> {
    let roots = std::slice::from_ref(root);
    match target {
        Target::Store(disk, _) => missing_in(source, roots, *disk, options),
        Target::Registry(repository, _) => missing_in(source, roots, repository, options),
        Target::Layout(path, _) if path.join("oci-layout").exists() => {
            missing_in(source, roots, &Layout::open(path.as_path())?, options)
        }
        _ => {
            let outline = Outline::of(source, roots, &Silent)?;
            Ok(Missing { blobs: outline.count(), bytes: outline.bytes(), of: outline.count() })
        }
    }
}

/// Layers that are not compressed cost a registry, and everybody who pulls from it, several times the bytes.
fn hint_uncompressed(
    source: &dyn Source,
    whole: &dyn Source,
    root: &Descriptor,
    target: &Target<'_>,
    reporter: &dyn Reporter,
) -> Result<(), ContentError> {
    /// Below this nobody minds, in bytes.
    const NOTHING: u64 = 10 << 20;
    if !matches!(target, Target::Registry(..)) {
        return Ok(());
    }
    let outline = Outline::of(whole, std::slice::from_ref(root), &Silent)?;
    let is_plain = |blob: &&Descriptor| {
        blob.media_type.is_layer()
            && !blob.media_type.is_foreign_layer()
            && blob.media_type.compression() == Compression::None
    };
    let bytes: u64 = outline.blobs.iter().filter(is_plain).map(|blob| blob.size).sum();
    if bytes >= NOTHING {
        let (place, bytes) = (source.place(), size::human(bytes));
        let text =
            format!("{bytes} of layers in {place} are not compressed; `--compression-format zstd` would send less");
        reporter.event(&Event::Warning(text));
    }
    Ok(())
}

/// Docker manifests are allowed in a layout, but some tools do not find them there.
fn hint_docker(root: &Descriptor, target: &Target<'_>, reporter: &dyn Reporter) {
    let is_docker = [MediaType::DOCKER_MANIFEST, MediaType::DOCKER_LIST].contains(&root.media_type.as_str());
    if is_docker && matches!(target, Target::Layout(..) | Target::Archive(Format::OciArchive, ..)) {
        let text = "skopeo and podman do not find Docker manifests in a layout; `--format oci` would convert it";
        reporter.event(&Event::Warning(text.to_owned()));
    }
}

/// Converts and writes; the root as it is now.
fn converted(
    source: &dyn Source,
    root: &Descriptor,
    target: &Target<'_>,
    store: &LazyStore,
    conversion: &Conversion,
    wish: &CopyWish,
    reporter: &dyn Reporter,
) -> Result<Descriptor, TransferError> {
    let watch = Watch(reporter);
    let disk = store.disk()?;
    let run = |stage: Stage<'_>| recompress(source, root, conversion, stage, Some(disk), &watch);
    let scratch = disk.scratch("convert")?;
    let layout = || Layout::create(scratch.path().join("layout"));
    let blobs = scratch.path().join("layout/blobs");
    let write = |converted: &Converted, blobs: Option<&dyn Source>| {
        let overlay = Overlay::new(source, converted.documents.iter().cloned());
        let overlay = match blobs {
            Some(blobs) => overlay.with_blobs(blobs),
            None => overlay,
        };
        target.write(&overlay, &converted.root, store, &wish.options, &watch)
    };
    let converted = match target {
        Target::Store(disk, _) => {
            let converted = run(Stage::Into(*disk))?;
            write(&converted, Some(*disk))?;
            converted
        }
        Target::Registry(repository, _) => {
            let layout = layout()?;
            let options = &wish.options;
            let converted = run(Stage::Through { scratch: &layout, blobs: &blobs, target: repository, options })?;
            write(&converted, Some(&layout))?;
            converted
        }
        Target::Layout(path, _) => {
            let own = Layout::create(path.as_path())?;
            let converted = run(Stage::Into(&own))?;
            write(&converted, Some(&own))?;
            converted
        }
        Target::Archive(..) | Target::Directory(_) | Target::Foreign(_) => {
            let layout = layout()?;
            let converted = run(Stage::Keep(&layout))?;
            write(&converted, Some(&layout))?;
            converted
        }
    };
    Ok(converted.root)
}

/// Writes a digest to a file, whole or not at all.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn write_digest(path: &Path, root: &Descriptor) -> Result<(), TransferError> {
    let doing = |source| TransferError::Io { doing: format!("write {}", path.display()), source };
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(directory).map_err(doing)?;
    std::io::Write::write_all(&mut file, root.digest.to_string().as_bytes()).map_err(doing)?;
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    file.as_file().set_permissions(mode).map_err(doing)?;
    file.persist(path).map_err(|error| doing(error.error))?;
    Ok(())
}
