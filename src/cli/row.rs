//! One image of the store with all its names, as `images` lists it.

use content::{Disk, Record};
use oci::{Platform, Reference};
use serde_json::{Value, json};

use super::error::CommandError;
use super::filter::{self, Filter};
use super::summary::{Summary, summarise};
use crate::report::size;
use crate::report::time::Moment;

/// An image of the store.
#[derive(Clone, Debug)]
pub(crate) struct Listed {
    /// As their users wrote them; empty for an image without a name.
    pub(crate) names: Vec<Reference>,
    /// When it was made, or stored if it does not say.
    pub(crate) created: Moment,
    /// Whether something that is installed here came from it.
    pub(crate) is_used: bool,
    pub(crate) summary: Summary,
}

/// The images that all of some filters keep.
pub(crate) fn filtered(
    disk: &Disk,
    mut images: Vec<Listed>,
    texts: &[String],
    keys: &[&'static str],
    now: Moment,
) -> Result<Vec<Listed>, CommandError> {
    let moment_of = |name: &str| {
        let digest = disk.find(name)?.root.digest;
        let image = images.iter().find(|image| image.summary.root.digest == digest);
        Ok(image.map_or(now, |image| image.created))
    };
    let filters = texts.iter().flat_map(|text| filter::split(text, keys));
    let filters = filters.map(|text| filter::parse(text, keys, now, &moment_of));
    let filters = filters.collect::<Result<Vec<Filter>, _>>()?;
    images.retain(|image| filter::keeps(&filters, image));
    Ok(images)
}

/// How much of an id is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ids {
    /// Twelve digits.
    Short,
    /// All of it, with its algorithm.
    Whole,
}

/// All images, newest first; images of one moment by name.
pub(crate) fn all(disk: &Disk) -> Result<Vec<Listed>, CommandError> {
    let mut listed: Vec<Listed> = Vec::new();
    for record in disk.records()? {
        match listed.iter_mut().find(|image| image.summary.root.digest == record.root.digest) {
            Some(image) => image.names.extend(record.name),
            None => listed.push(one(disk, record)?),
        }
    }
    let uses = disk.uses()?;
    for image in &mut listed {
        image.is_used = uses.iter().any(|(root, _)| *root == image.summary.root.digest);
        image.names.sort_by_key(Reference::normal);
    }
    listed.sort_by_cached_key(|image| (std::cmp::Reverse(image.created), image.names.first().map(Reference::normal)));
    Ok(listed)
}

fn one(disk: &Disk, record: Record) -> Result<Listed, CommandError> {
    let summary = summarise(disk, &record.root, &Platform::host())?;
    let created = summary.created().unwrap_or_else(|| record.added.into());
    Ok(Listed { names: record.name.into_iter().collect(), created, is_used: false, summary })
}

impl Listed {
    pub(crate) fn id(&self, ids: Ids) -> String {
        match ids {
            Ids::Short => self.summary.id().short(),
            Ids::Whole => self.summary.id().to_string(),
        }
    }

    fn name_texts(&self) -> Vec<String> {
        self.names.iter().map(Reference::familiar).collect()
    }

    /// The object that `images --json` shows. `history` holds the names the store knows: those taken away are not
    /// remembered.
    pub(crate) fn json(&self, now: Moment) -> Value {
        json!({
            "id": self.summary.id().hex(),
            "names": self.name_texts(),
            "digest": self.summary.root.digest,
            "createdat": self.created.ago(now),
            "size": size::human(self.summary.size),
            "created": self.created.seconds,
            "createdatraw": self.created.to_string(),
            "readonly": false,
            "history": self.name_texts(),
            "bytes": self.summary.size,
            "platforms": self.summary.platforms.iter().map(Platform::to_string).collect::<Vec<_>>(),
        })
    }

    /// What `images --format` sees: one row a name, one for an image without a name.
    pub(crate) fn rows(&self, now: Moment, ids: Ids) -> Vec<Value> {
        let none = || "<none>".to_owned();
        let parts = |name: Option<&Reference>| {
            let repository = name.map_or_else(none, |name| name.familiar_name().to_owned());
            (repository, name.and_then(Reference::tag_or_default).map_or_else(none, str::to_owned))
        };
        let names: Vec<_> = if self.names.is_empty() {
            vec![parts(None)]
        } else {
            self.names.iter().map(|name| parts(Some(name))).collect()
        };
        let row = |(repository, tag): (String, String)| {
            let since = self.created.ago(now);
            json!({
                "ID": self.id(ids),
                "Repository": repository,
                "Name": repository,
                "Tag": tag,
                "Digest": self.summary.root.digest,
                "Created": since,
                "CreatedAt": self.created.to_string(),
                "CreatedAtRaw": self.created.to_string(),
                "CreatedSince": since,
                "Size": size::human(self.summary.size),
                "Bytes": self.summary.size,
                "Names": self.name_texts(),
                "History": self.name_texts().join(", "),
                "ReadOnly": false,
                "Platforms": self.summary.platforms.iter().map(Platform::to_string).collect::<Vec<_>>().join(","),
            })
        };
        names.into_iter().map(row).collect()
    }
}

/// The headings of those fields.
pub(crate) const HEADINGS: &[(&str, &str)] = &[
    ("ID", "IMAGE ID"),
    ("Repository", "REPOSITORY"),
    ("Name", "REPOSITORY"),
    ("Tag", "TAG"),
    ("Digest", "DIGEST"),
    ("Created", "CREATED"),
    ("CreatedAt", "CREATED AT"),
    ("CreatedAtRaw", "CREATED AT"),
    ("CreatedSince", "CREATED"),
    ("Size", "SIZE"),
    ("Bytes", "BYTES"),
    ("Names", "NAMES"),
    ("History", "HISTORY"),
    ("ReadOnly", "READ ONLY"),
    ("Platforms", "PLATFORMS"),
];
