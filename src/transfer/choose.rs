//! Which images of an index are moved: those of the platforms that were asked for.
//!
//! ```text
//! root ── index ──▶ platform? ──▶ manifests, and the indexes that lead to them
//!      └─ image ──▶ is it for the platform at all?
//! ```
//!
//! A store keeps the index as it is, though only a part of it is there, so that a name means here what it means in the
//! registry. Registries and files take whole images only: they get the one image, or an index of those chosen.

use content::{ContentError, DocumentKind, Source, companions, fetch_document, narrowed};
use oci::{Descriptor, Digest, ImageConfig, Index, Manifest, Platform, Raw};

use super::error::TransferError;

/// Indexes in indexes that are followed.
const MAX_DEPTH: usize = 8;

/// The platforms that were asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Platforms {
    /// The one of this machine.
    Host,
    /// These.
    Only(Vec<Platform>),
    /// All that there are.
    All,
}

impl Platforms {
    fn wanted(&self) -> Vec<Platform> {
        match self {
            Self::Host => vec![Platform::host()],
            Self::Only(only) => only.clone(),
            Self::All => Vec::new(),
        }
    }
}

/// What of a root is moved.
#[derive(Clone, Debug)]
pub(crate) struct Choice {
    /// The root itself.
    pub(crate) root: Descriptor,
    /// The manifests that were chosen, each with everything it needs; the root alone if all of it was.
    pub(crate) chosen: Vec<Descriptor>,
    /// The indexes that lead to them, outermost first, with their bytes.
    pub(crate) indexes: Vec<Document>,
    /// The platforms of the chosen images.
    pub(crate) platforms: Vec<Platform>,
    /// The platforms that the root has and that were not chosen.
    pub(crate) left_out: Vec<Platform>,
}

/// A document and its bytes.
pub(crate) type Document = (Descriptor, Vec<u8>);

impl Choice {
    /// The same as one whole image, and the document that was made for it, if one was.
    ///
    /// # Errors
    /// When an index cannot be narrowed.
    pub(crate) fn whole(&self) -> Result<(Descriptor, Option<Document>), ContentError> {
        let [(index, bytes), ..] = &self.indexes[..] else { return Ok((self.root.clone(), None)) };
        if let ([image], 1) = (&self.chosen[..], self.platforms.len()) {
            return Ok((Descriptor { platform: None, ..image.clone() }, None));
        }
        let parsed = Raw::<Index>::parse(bytes.clone()).map_err(|error| json(index.digest, error))?;
        // Of indexes inside the index, those that lead to what was chosen.
        let inner = self.indexes.iter().skip(1).map(|(inner, _)| inner.digest);
        let kept: Vec<Digest> = inner.chain(self.chosen.iter().map(|chosen| chosen.digest)).collect();
        if parsed.value().manifests.iter().all(|entry| kept.contains(&entry.digest)) {
            return Ok((self.root.clone(), None));
        }
        let bytes = narrowed(bytes, &kept).map_err(|error| json(index.digest, error))?;
        let narrow =
            Descriptor { annotations: index.annotations.clone(), ..Descriptor::of(index.media_type.as_str(), &bytes) };
        Ok((narrow.clone(), Some((narrow, bytes))))
    }
}

fn json(digest: Digest, error: serde_json::Error) -> ContentError {
    ContentError::Document { place: "an index".to_owned(), digest, source: DocumentKind::Json(error) }
}

/// Chooses.
///
/// # Errors
/// [`ContentError::NoPlatform`] when there is nothing for a platform that was asked for, or an image says that it is for
/// another one.
pub(crate) fn choose(
    source: &dyn Source,
    root: &Descriptor,
    name: &str,
    platforms: &Platforms,
) -> Result<Choice, TransferError> {
    let mut chooser = Chooser { source, name, indexes: Vec::new(), chosen: Vec::new() };
    let all: Vec<Platform> = match chooser.document(root)? {
        Manifest::Image(image) => chooser.platform_of(&image.value().config)?.into_iter().collect(),
        Manifest::Index(index) => platforms_of(index.value()),
    };
    let wanted = platforms.wanted();
    // What has no platform (an artifact, a list of artifacts) is for every one.
    if wanted.is_empty() || all.is_empty() {
        let chosen = vec![root.clone()];
        return Ok(Choice { root: root.clone(), chosen, indexes: Vec::new(), platforms: all, left_out: Vec::new() });
    }
    let mut found = Vec::new();
    for platform in &wanted {
        let actual = chooser.descend(root, platform, &all)?;
        if !found.contains(&actual) {
            found.push(actual);
        }
    }
    let left_out = all.into_iter().filter(|platform| !found.contains(platform)).collect();
    let Chooser { indexes, chosen, .. } = chooser;
    Ok(Choice { root: root.clone(), chosen, indexes, platforms: found, left_out })
}

struct Chooser<'a> {
    source: &'a dyn Source,
    name: &'a str,
    indexes: Vec<Document>,
    chosen: Vec<Descriptor>,
}

impl Chooser<'_> {
    fn document(&self, what: &Descriptor) -> Result<Manifest, ContentError> {
        let bytes = match self.indexes.iter().find(|(index, _)| index.digest == what.digest) {
            Some((_, bytes)) => bytes.clone(),
            None => fetch_document(self.source, what)?,
        };
        Manifest::parse(&what.media_type, bytes).map_err(|error| self.invalid(what, error.into()))
    }

    fn invalid(&self, what: &Descriptor, source: DocumentKind) -> ContentError {
        ContentError::Document { place: self.source.place(), digest: what.digest, source }
    }

    /// The platform that a configuration says; none for an artifact, and for an image that says nothing.
    fn platform_of(&self, config: &Descriptor) -> Result<Option<Platform>, ContentError> {
        if !config.media_type.is_config() {
            return Ok(None);
        }
        let parsed = ImageConfig::parse(fetch_document(self.source, config)?);
        let platform = parsed.map_err(|error| self.invalid(config, error.into()))?.value().platform();
        Ok(Some(platform).filter(|platform| !platform.architecture.is_empty()))
    }

    /// Goes down to the image for a platform; the platform that it says it is for.
    fn descend(&mut self, root: &Descriptor, wanted: &Platform, all: &[Platform]) -> Result<Platform, ContentError> {
        let mut what = root.clone();
        for _ in 0..MAX_DEPTH {
            match self.document(&what)? {
                Manifest::Image(image) => {
                    let actual = self.platform_of(&image.value().config)?.unwrap_or_else(|| wanted.clone());
                    if !actual.serves(wanted) {
                        return Err(self.no_platform(wanted, &[actual]));
                    }
                    self.add(what);
                    return Ok(actual.normalised());
                }
                Manifest::Index(index) => {
                    let Some(next) = index.value().select(wanted).cloned() else {
                        return Err(self.no_platform(wanted, all));
                    };
                    // What a cluster image carries for this platform, and its lock.
                    let carried = next.platform.as_ref().map(|own| companions(index.value(), own)).unwrap_or_default();
                    if self.indexes.iter().all(|(known, _)| known.digest != what.digest) {
                        self.indexes.push((what.clone(), index.bytes().to_vec()));
                    }
                    carried.into_iter().for_each(|entry| self.add(entry));
                    what = next;
                }
            }
        }
        let (place, root) = (self.source.place(), root.digest);
        Err(ContentError::GraphTooLarge { place, root, what: "indexes inside each other", limit: MAX_DEPTH })
    }

    fn add(&mut self, what: Descriptor) {
        if self.chosen.iter().all(|known| known.digest != what.digest) {
            self.chosen.push(what);
        }
    }

    fn no_platform(&self, wanted: &Platform, there: &[Platform]) -> ContentError {
        let available: Vec<String> = there.iter().map(Platform::to_string).collect();
        ContentError::NoPlatform {
            place: self.source.place(),
            name: self.name.to_owned(),
            wanted: wanted.to_string(),
            available: if available.is_empty() { "none".to_owned() } else { available.join(", ") },
        }
    }
}

/// The platforms that an index has images for, each once, in its order.
fn platforms_of(index: &Index) -> Vec<Platform> {
    let mut all: Vec<Platform> = Vec::new();
    for platform in index.manifests.iter().filter_map(|entry| entry.platform.as_ref()) {
        let platform = platform.normalised();
        if platform.os != "unknown" && !all.contains(&platform) {
            all.push(platform);
        }
    }
    all
}
