//! What every place for content promises, as tests that each of them runs: stores, layouts, archives, registries.
//!
//! A test calls the function that suits its place and fails with the [`Broken`] promise.

use std::io::{Read, Write};
use std::sync::Mutex;
use std::thread;

use oci::{Descriptor, DiffId, Digest, ImageConfig, ImageManifest, Index, MediaType, Raw, Reference};

use crate::{
    ContentError, CopyOptions, Event, Ingest, Memory, Observer, Silent, Sink, Source, Store, copy, store_bytes,
};

/// A promise that a place does not keep.
#[derive(Debug, thiserror::Error)]
#[error("not kept: {promise}: {found}")]
pub struct Broken {
    /// What should be true.
    pub promise: &'static str,
    /// What is true instead.
    pub found: String,
}

/// An image of one index, two manifests and three layers, of which one is in both; and where it is.
#[derive(Debug)]
pub struct Sample {
    /// Holds the whole image, without a name.
    pub source: Memory,
    /// The index.
    pub root: Descriptor,
    /// The two manifests.
    pub manifests: Vec<Descriptor>,
    /// Configurations and layers.
    pub blobs: Vec<Descriptor>,
}

type Kept = Result<(), Broken>;

fn check(promise: &'static str, is_kept: bool, found: impl std::fmt::Debug) -> Kept {
    match is_kept {
        true => Ok(()),
        false => Err(Broken { promise, found: format!("{found:?}") }),
    }
}

fn works<T>(promise: &'static str, result: Result<T, ContentError>) -> Result<T, Broken> {
    result.map_err(|error| Broken { promise, found: error.to_string() })
}

fn name(text: &str) -> Result<Reference, Broken> {
    text.parse().map_err(|error| Broken { promise: "the kit's names are names", found: format!("{error}") })
}

impl Sample {
    /// Makes the sample; `seed` makes its layers differ from those of other samples.
    ///
    /// # Errors
    /// When it cannot be put together.
    pub fn new(seed: u8) -> Result<Self, Broken> {
        const MADE: &str = "the sample can be made";
        let source = Memory::default();
        let put = |media_type: &str, bytes: &[u8]| -> Result<Descriptor, Broken> {
            let what = Descriptor::of(media_type, bytes);
            works(MADE, store_bytes(&source, &what, bytes))?;
            Ok(what)
        };
        let layer = |number: u8, size: u32| -> Result<Descriptor, Broken> {
            let bytes: Vec<u8> =
                (0..size).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8 ^ seed ^ number).collect();
            put(MediaType::OCI_LAYER, &bytes)
        };
        let (shared, layers) = (layer(1, 3 << 20)?, [layer(2, 1000)?, layer(3, 77_777)?]);
        let mut blobs = vec![shared.clone()];
        let mut manifests = Vec::new();
        for (own, platform) in layers.iter().zip(["linux/amd64", "linux/arm64"]) {
            let platform = platform.parse().map_err(|e| Broken { promise: MADE, found: format!("{e}") })?;
            let mut config = ImageConfig::default();
            config.set_platform(&platform);
            config.rootfs.diff_ids = vec![DiffId(shared.digest), DiffId(own.digest)];
            let config = Raw::write(config).map_err(|e| Broken { promise: MADE, found: e.to_string() })?;
            let config = put(MediaType::OCI_CONFIG, config.bytes())?;
            blobs.extend([config.clone(), own.clone()]);
            let manifest = ImageManifest {
                schema_version: 2,
                media_type: Some(MediaType::OCI_MANIFEST.into()),
                artifact_type: None,
                config,
                layers: vec![shared.clone(), own.clone()],
                subject: None,
                annotations: std::collections::BTreeMap::new(),
            };
            let manifest = Raw::write(manifest).map_err(|e| Broken { promise: MADE, found: e.to_string() })?;
            manifests.push(put(MediaType::OCI_MANIFEST, manifest.bytes())?.for_platform(platform));
        }
        let index = Raw::write(Index::new(manifests.clone()));
        let index = index.map_err(|e| Broken { promise: MADE, found: e.to_string() })?;
        let root = put(MediaType::OCI_INDEX, index.bytes())?;
        Ok(Self { source, root, manifests, blobs })
    }

    /// The root and everything under it.
    pub fn all(&self) -> impl Iterator<Item = &Descriptor> {
        self.blobs.iter().chain(&self.manifests).chain([&self.root])
    }
}

fn bytes(source: &dyn Source, what: &Descriptor, from: u64) -> Result<Vec<u8>, ContentError> {
    let mut bytes = Vec::new();
    let doing = format!("read {}", what.digest);
    source.fetch(what, from)?.read_to_end(&mut bytes).map_err(ContentError::io(doing))?;
    Ok(bytes)
}

/// What a source of the sample promises.
///
/// # Errors
/// The first promise that is broken.
pub fn source(place: &dyn Source, sample: &Sample) -> Kept {
    for what in sample.all() {
        let want = works("the sample is readable", bytes(&sample.source, what, 0))?;
        let got = works("every blob of the image can be read", bytes(place, what, 0))?;
        check("the bytes are those that were stored", got == want, what)?;
        let from = what.size / 2;
        let got = works("a blob can be read from its middle", bytes(place, what, from))?;
        check("reading from the middle gives the rest", got == want[want.len() / 2..], what)?;
        let got = works("a blob can be read from its end", bytes(place, what, what.size))?;
        check("behind the end there is nothing", got.is_empty(), what)?;
    }
    let missing = Descriptor::of(MediaType::OCI_LAYER, b"this is nowhere");
    let got = bytes(place, &missing, 0);
    check("a missing blob is said to be missing", matches!(got, Err(ContentError::MissingBlob { .. })), got)?;
    let got = place.resolve(&name("kit.example/no/such:name")?);
    check("an unknown name is said to be unknown", matches!(got, Err(ContentError::UnknownImage { .. })), got)
}

/// What a place promises that is both source and sink. `fresh` makes an empty one.
///
/// # Errors
/// The first promise that is broken.
pub fn place<P: Source + Sink>(fresh: impl Fn() -> P) -> Kept {
    let sample = Sample::new(0)?;
    round_trip(&fresh(), &sample)?;
    refuses_wrong_bytes(&fresh())?;
    takes_up_uploads(&fresh())?;
    takes_unknown_digests(&fresh())?;
    takes_many_at_once(&fresh())
}

fn round_trip<P: Source + Sink>(place: &P, sample: &Sample) -> Kept {
    for what in sample.all() {
        check("an empty place has nothing", matches!(place.has(what), Ok(false)), what)?;
    }
    let roots = [sample.root.clone()];
    let order = Order::default();
    let copied = works("an image can be copied", copy(&sample.source, place, &roots, &CopyOptions::default(), &order))?;
    let count = sample.all().count() as u64;
    check("each blob is copied once", copied.sent == count && copied.skipped == 0, copied)?;
    order.check()?;
    for what in sample.all() {
        check("what was copied is there", matches!(place.has(what), Ok(true)), what)?;
    }
    source(place, sample)?;
    let again = works("copying again works", copy(&sample.source, place, &roots, &CopyOptions::default(), &Silent))?;
    check("the second copy moves nothing", again.sent == 0 && again.bytes == 0 && again.skipped > 0, again)
}

fn refuses_wrong_bytes<P: Source + Sink>(place: &P) -> Kept {
    let right: Vec<u8> = (0..100_000_u32).map(|at| at as u8).collect();
    let what = Descriptor::of(MediaType::OCI_LAYER, &right);
    let mut flipped = right.clone();
    flipped[50_000] ^= 1;
    let invisible = |promise| {
        let got = place.fetch(&what, 0).map(|_reader| ());
        check(promise, matches!(place.has(&what), Ok(false)) && got.is_err(), got)
    };
    let store = |bytes: &[u8]| {
        let mut ingest = Ingest::begin(place, Some(&what))?;
        let from = usize::try_from(ingest.resume_at()).unwrap_or(usize::MAX).min(bytes.len());
        ingest.take(&bytes[from..])?;
        ingest.commit()
    };
    let got = store(&flipped);
    check("wrong bytes are refused", matches!(got, Err(ContentError::DigestMismatch { .. })), got)?;
    invisible("wrong bytes are not visible")?;
    let got = store(&[&right[..], b"more"].concat());
    check("too many bytes are refused", matches!(got, Err(ContentError::SizeMismatch { .. })), got)?;
    invisible("too many bytes are not visible")?;
    let got = store(&right[..99_999]);
    check("too few bytes are refused", matches!(got, Err(ContentError::SizeMismatch { .. })), got)?;
    invisible("too few bytes are not visible")?;
    let manifest = Descriptor::of(MediaType::OCI_INDEX, b"{}");
    check("wrong manifests are refused", place.publish(&manifest, b"[]").is_err(), &manifest)?;
    works("right bytes are taken after wrong ones", store(&right))?;
    check("right bytes are visible", matches!(place.has(&what), Ok(true)), what)
}

fn takes_up_uploads<P: Source + Sink>(place: &P) -> Kept {
    let content: Vec<u8> = (0..3_000_000_u32).map(|at| (at / 7) as u8).collect();
    let what = Descriptor::of(MediaType::OCI_LAYER, &content);
    let mut first = works("a blob can be begun", Ingest::begin(place, Some(&what)))?;
    works("bytes are taken", first.take(&content[..2_000_000]))?;
    drop(first);
    check("an interrupted blob is not visible", matches!(place.has(&what), Ok(false)), &what)?;
    let take_up = || {
        let mut second = Ingest::begin(place, Some(&what))?;
        let from = second.resume_at();
        second.take(&content[usize::try_from(from).unwrap_or(usize::MAX).min(content.len())..])?;
        second.commit()?;
        Ok(from)
    };
    // A registry may lose an upload while it says how far it got: that is one more interruption, as for whoever copies.
    let mut taken = take_up();
    for _ in 0..3 {
        let Err(ContentError::Interrupted { wait, .. }) = &taken else { break };
        thread::sleep(wait.unwrap_or_default());
        taken = take_up();
    }
    let from = works("what was taken up can be finished", taken)?;
    check("no more is there than was written", from <= 2_000_000, from)?;
    let got = works("what was taken up can be read", bytes(place, &what, 0))?;
    check("what was taken up is whole", got == content, got.len())
}

fn takes_unknown_digests<P: Source + Sink>(place: &P) -> Kept {
    for content in [&b""[..], b"bytes that nobody announced"] {
        let mut ingest = works("a blob can be begun without a digest", Ingest::begin(place, None))?;
        let written = ingest.write_all(content).map_err(ContentError::io("write"));
        works("bytes without a digest are taken", written)?;
        let sealed = works("a blob without a digest can be finished", ingest.commit())?;
        check("the digest is that of the bytes", sealed.digest() == Digest::of(content), sealed)?;
        let what = Descriptor::of(MediaType::OCI_LAYER, content);
        let got = works("it can be read", bytes(place, &what, 0))?;
        check("it is whole", got == content, got)?;
    }
    let dropped = works("a blob can be begun without a digest", Ingest::begin(place, None))?;
    works("a blob can be thrown away", dropped.discard())
}

fn takes_many_at_once<P: Source + Sink>(place: &P) -> Kept {
    let samples = [Sample::new(1)?, Sample::new(2)?];
    let broken = Mutex::new(None);
    thread::scope(|scope| {
        for at in 0..6 {
            let (sample, broken) = (&samples[at % 2], &broken);
            scope.spawn(move || {
                let roots = [sample.root.clone()];
                if let Err(error) = copy(&sample.source, place, &roots, &CopyOptions::default(), &Silent) {
                    broken.lock().unwrap_or_else(std::sync::PoisonError::into_inner).get_or_insert(error.to_string());
                }
            });
        }
    });
    let broken = broken.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    check("many can copy the same image at once", broken.is_none(), broken)?;
    samples.iter().try_for_each(|sample| source(place, sample))
}

/// What a place promises that takes names.
///
/// # Errors
/// The first promise that is broken.
pub fn names<P: Source + Sink>(place: &P) -> Kept {
    let (one, two) = (Sample::new(3)?, Sample::new(4)?);
    let tag = name("kit.example/team/app:v1")?;
    let got = place.tag(&tag, &one.root);
    check("what is not there cannot be named", got.is_err(), got)?;
    for sample in [&one, &two] {
        let copied = copy(&sample.source, place, std::slice::from_ref(&sample.root), &CopyOptions::default(), &Silent);
        works("an image can be copied", copied)?;
    }
    works("an image can be named", place.tag(&tag, &one.root))?;
    works("an image can be named twice", place.tag(&tag, &one.root))?;
    let got = works("a name resolves", place.resolve(&tag))?;
    check("a name stands for its root", got.digest == one.root.digest && got.size == one.root.size, &got)?;
    works("a name can be moved", place.tag(&tag, &two.root))?;
    let got = works("a moved name resolves", place.resolve(&tag))?;
    check("a moved name stands for the new root", got.digest == two.root.digest, &got)?;
    let by_digest = tag.with_digest(two.root.digest);
    let got = works("a name with a digest resolves", place.resolve(&by_digest))?;
    check("a name with a digest stands for that root", got.digest == two.root.digest, got)
}

/// What a store promises; everything that [`place`] and [`names`] ask is included.
///
/// # Errors
/// The first promise that is broken.
pub fn store<S: Store>(fresh: impl Fn() -> S) -> Kept {
    place(&fresh)?;
    names(&fresh())?;
    let store = fresh();
    let sample = Sample::new(5)?;
    works(
        "an image can be copied",
        copy(&sample.source, &store, std::slice::from_ref(&sample.root), &CopyOptions::default(), &Silent),
    )?;
    let tags = [name("app:v1")?, name("localhost/app:v2")?];
    for tag in &tags {
        works("an image can be named", store.tag(tag, &sample.root))?;
    }
    let roots = works("roots can be listed", store.roots())?;
    let shown: Vec<String> = roots.iter().filter_map(|root| root.name.as_ref()).map(Reference::familiar).collect();
    check("names are listed as they were written", shown == ["app:v1", "localhost/app:v2"], &shown)?;
    let listed = works("blobs can be listed", store.blobs())?;
    let is_listed = |what: &Descriptor| listed.contains(&(what.digest, what.size));
    check("every blob is listed once", sample.all().all(is_listed) && listed.len() == sample.all().count(), &listed)?;
    for tag in &tags {
        let got = works("a name can be taken away", store.untag(tag))?;
        check("untagging gives the root", got.as_ref().map(|root| root.digest) == Some(sample.root.digest), got)?;
        let got = works("an unknown name can be taken away", store.untag(tag))?;
        check("of an unknown name there is no root", got.is_none(), got)?;
    }
    let roots = works("roots can be listed", store.roots())?;
    check("a root without names stays, once", roots.len() == 1 && roots[0].name.is_none(), &roots)?;
    works("a root can be forgotten", store.forget(&sample.root.digest))?;
    let roots = works("roots can be listed", store.roots())?;
    check("a forgotten root is gone", roots.is_empty(), roots)?;
    let gone = &sample.blobs[0];
    works("a blob can be deleted", store.delete(&gone.digest))?;
    check("a deleted blob is gone", matches!(store.has(gone), Ok(false)), gone)
}

/// Checks the order of events.
#[derive(Default)]
struct Order(Mutex<Vec<Event>>);

impl Observer for Order {
    fn event(&self, event: &Event) {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(event.clone());
    }
}

impl Order {
    /// Every blob: started, its bytes, finished; and the plan in front of them all.
    fn check(&self) -> Kept {
        let events = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let is_plan = |event: &Event| matches!(event, Event::Planned { .. });
        check("the plan comes first, once", events.iter().position(is_plan) == Some(0), &events[..1])?;
        for started in events.iter() {
            let Event::Started(what) = started else { continue };
            let of_blob = |event: &&Event| match event {
                Event::Started(other) | Event::Finished(other) | Event::Progress { what: other, .. } => other == what,
                _ => false,
            };
            let mine: Vec<&Event> = events.iter().filter(of_blob).collect();
            let moved: u64 =
                mine.iter().map(|event| if let Event::Progress { bytes, .. } = event { *bytes } else { 0 }).sum();
            let is_ordered = matches!(mine.first(), Some(Event::Started(_)))
                && matches!(mine.last(), Some(Event::Finished(_)))
                && mine[1..mine.len() - 1].iter().all(|event| matches!(event, Event::Progress { .. }));
            check("a blob's events come in order", is_ordered, &mine)?;
            check("progress adds up to the size", moved == what.size, moved)?;
        }
        Ok(())
    }
}
