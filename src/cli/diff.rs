//! `sealos diff A B`

use std::collections::BTreeSet;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use content::ClusterImage;
use oci::{Compression, Platform};
use serde_json::json;

use super::error::CommandError;
use super::image_files::{self, Files};
use super::image_layers::image_layers;
use super::images_verbs::changes;
use super::locate::{self, Located};
use super::registry::Registry;
use super::whole_file::WholeFile;
use super::world::World;
use super::{pack, show};
use crate::report::table::Table;
use crate::rootfs::Tree;

/// Show which files two images differ in
///
/// What they carry is compared, too. Files are the same when kind, mode, owner, attributes and content are; times are not looked at.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sealos diff app:v1 app:v2
  sealos diff -o json app:v1 docker://hub.example/app:v2
  sealos diff --patch changes.tar.gz app:v1 app:v2")]
pub(crate) struct Diff {
    /// The older image: a name or id, an archive, or docker://NAME
    a: String,
    /// The newer image
    b: String,
    /// How the difference is written
    #[arg(short, long, value_enum, default_value_t = Form::Table, value_name = "FORM")]
    output: Form,
    /// Write added and changed files to a tar; compressed if it is called .tar.gz, .tgz or .tar.zst
    #[arg(long, value_name = "FILE", value_parser = patch)]
    patch: Option<(PathBuf, Compression)>,
    /// Of an index, the image for this platform
    #[arg(long, value_name = "OS/ARCH")]
    platform: Option<Platform>,
    #[command(flatten)]
    registry: Registry,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    Table,
    Json,
}

#[derive(Default)]
struct Difference {
    added: Vec<Vec<u8>>,
    changed: Vec<Vec<u8>>,
    deleted: Vec<Vec<u8>>,
    /// Carried images, as `sealos images diff` has them.
    images: Vec<String>,
}

impl Diff {
    pub(crate) fn run(self, world: &mut World<'_>) -> Result<(), CommandError> {
        let (a, carried) = locate::with(world, &self.registry, &self.a, |found| {
            let carried = ClusterImage::load(found.source, &found.root)?.lock;
            Ok((image_files::of(&self.tree(found, &self.a)?), carried))
        })?;
        let difference = locate::with(world, &self.registry, &self.b, |found| {
            let tree = self.tree(found, &self.b)?;
            let mut difference = compare(&a, &image_files::of(&tree));
            difference.images = changes(&carried, &ClusterImage::load(found.source, &found.root)?.lock);
            if let Some((path, compression)) = &self.patch {
                let wanted = difference.added.iter().chain(&difference.changed).cloned().collect();
                write_patch(&tree, &wanted, path, *compression)?;
            }
            Ok(difference)
        })?;
        self.tell(world, &difference)
    }

    fn tree<'a>(&self, found: &Located<'a>, name: &str) -> Result<Tree<'a>, CommandError> {
        let wanted = self.platform.clone().unwrap_or_else(Platform::host);
        let layers = image_layers(found.source, &found.root, &wanted, name)?.layer_pairs();
        Ok(Tree::open_hashed(found.source, &layers)?)
    }

    fn tell(&self, world: &mut World<'_>, difference: &Difference) -> Result<(), CommandError> {
        let texts = |paths: &[Vec<u8>]| paths.iter().map(|path| text(path)).collect::<Vec<_>>();
        let Difference { added, changed, deleted, images } = difference;
        match self.output {
            Form::Json => {
                let (added, changed, deleted) = (texts(added), texts(changed), texts(deleted));
                let mut document = json!({"added": added, "changed": changed, "deleted": deleted});
                if !images.is_empty() {
                    document["images"] = json!(images);
                }
                show::json(world, &document)
            }
            Form::Table => {
                let mut rows: Vec<(&Vec<u8>, &str)> = Vec::new();
                for (paths, kind) in [(added, "added"), (changed, "changed"), (deleted, "deleted")] {
                    rows.extend(paths.iter().map(|path| (path, kind)));
                }
                rows.sort();
                let mut table = Table::new();
                table.row(["CHANGE", "PATH"]);
                for (path, kind) in rows {
                    table.row([kind.to_owned(), text(path)]);
                }
                for line in images {
                    let (sign, image) = line.split_once(' ').unwrap_or(("", line));
                    let kind = match sign {
                        "+" => "image added",
                        "-" => "image deleted",
                        _ => "image changed",
                    };
                    table.row([kind, image]);
                }
                table.write(world.out).map_err(CommandError::Output)
            }
        }
    }
}

fn compare(a: &Files, b: &Files) -> Difference {
    let mut difference = Difference::default();
    for (path, file) in b {
        match a.get(path) {
            None => difference.added.push(path.clone()),
            Some(old) if !old.same(file) => difference.changed.push(path.clone()),
            Some(_) => {}
        }
    }
    difference.deleted = a.keys().filter(|path| !b.contains_key(*path)).cloned().collect();
    difference
}

fn write_patch(
    tree: &Tree<'_>,
    wanted: &BTreeSet<Vec<u8>>,
    path: &Path,
    compression: Compression,
) -> Result<(), CommandError> {
    let mut file = WholeFile::begin(path)?;
    {
        let mut out = BufWriter::with_capacity(1 << 20, &mut file);
        pack::compressed(&mut out, compression, |out| image_files::write(tree, wanted, out))?;
        out.flush().map_err(CommandError::io(format!("write {}", path.display())))?;
    }
    file.commit()
}

/// A path as users write it, from the root of the image.
fn text(path: &[u8]) -> String {
    format!("/{}", String::from_utf8_lossy(path))
}

/// The name of a patch says how it is compressed.
fn patch(path: &str) -> Result<(PathBuf, Compression), String> {
    let endings = [
        (".tar", Compression::None),
        (".tar.gz", Compression::Gzip),
        (".tgz", Compression::Gzip),
        (".tar.zst", Compression::Zstd),
    ];
    let found = endings.into_iter().find(|(ending, _)| path.ends_with(ending));
    found.map(|(_, c)| (PathBuf::from(path), c)).ok_or("expected a name in .tar, .tar.gz, .tgz or .tar.zst".to_owned())
}
