//! COPY and ADD of a stage: flags, and where the files come from.

use super::carrying::KeptOut;
use super::context::Context;
use super::copy::{Copied, Copier, CopyOrder, Origin, Unpack};
use super::destination::Target;
use super::error::BuildError;
use super::files::Files;
use super::from_image::ImageOrigin;
use super::layer::Made;
use super::mode::ModeChange;
use super::placement::Stamp;
use super::stage::{Build, Done, StageState, Work};
use super::walk::Verdict;
use crate::kubefile::{Add, Copy, IgnoreFile, Source};
use crate::rootfs::passwd::lookup_user;

impl<'w> Build<'_, 'w> {
    /// COPY. With `--link` the files go into a layer that is made as if there were nothing below it: it is the same on
    /// every base, and goes over what the base has there, links included.
    ///
    /// # Errors
    /// When a source is not there or cannot go where it should.
    pub(super) fn copy(
        &self,
        copy: &Copy,
        state: &mut StageState<'w>,
        work: &Work<'_>,
        done: &mut Done<'w>,
    ) -> Result<Copied, BuildError> {
        let from = match &copy.from {
            None => From::Context(self.context),
            Some(name) => self.named(name, work.index, done)?,
        };
        let keeps_owner = matches!(from, From::Image(..));
        let stamp = self.stamp(copy.chown.as_deref(), copy.chmod.as_deref(), keeps_owner, state)?;
        let exclude = exclude(&copy.exclude)?;
        let exclude = |path: &[u8], is_directory: bool| judge(&exclude, path, is_directory);
        let order = CopyOrder {
            sources: &copy.sources,
            target: Target::parse(&copy.destination, &state.config.config.working_dir),
            stamp,
            exclude: &exclude,
            exclude_patterns: &copy.exclude,
            keeps_parents: copy.parents,
            unpack: Unpack::Nothing,
            takes_urls: false,
            checksum: None,
        };
        let copier = Copier { world: self.world, layers: self.layers };
        let mut nothing = Files::new(self.world.store, Vec::new())?;
        let into = if copy.link { &mut nothing } else { &mut state.files };
        match from {
            From::Context(context) => self.of_context(&copier, &order, context, into),
            From::Image(name, mut files) => {
                let origin = ImageOrigin { files: &mut files, name };
                copier.copy_from_image(&order, origin, into)
            }
            From::Stage(index) => match done.get_mut(&index) {
                Some(stage) => {
                    let order = CopyOrder { stamp: keep_owner(&order.stamp, copy.chown.as_deref()), ..order };
                    let origin = ImageOrigin { files: &mut stage.files, name: self.stage_name(index) };
                    copier.copy_from_image(&order, origin, into)
                }
                None => Err(BuildError::UnknownStage { name: index.to_string(), known: Vec::new() }),
            },
        }
    }

    fn of_context(
        &self,
        copier: &Copier<'_, 'w>,
        order: &CopyOrder<'_>,
        context: &Context,
        into: &mut Files<'w>,
    ) -> Result<Copied, BuildError> {
        let kept_out = if std::ptr::eq(context, self.context) { self.kept_out } else { KeptOut::default() };
        let sources = kept_out.filter(order.sources);
        if sources.is_empty() && !order.sources.is_empty() {
            // The images of `registry/` are carried otherwise.
            return Ok(Copied { made: Made { layer: None, was_cached: false }, items: Some(Vec::new()) });
        }
        let judge = self.judge(context);
        let order = CopyOrder { sources: &sources, stamp: order.stamp.clone(), target: order.target.clone(), ..*order };
        copier.copy(&order, &Origin { base: &context.base, judge: &judge }, into)
    }

    /// What of a context is there: of the build's own, what neither the ignore file leaves out nor is
    /// carried otherwise.
    pub(super) fn judge(&self, context: &Context) -> impl Fn(&[u8], bool) -> Verdict {
        let is_main = std::ptr::eq(context, self.context);
        let ignore = is_main.then_some(self.ignore);
        let kept_out = if is_main { self.kept_out } else { KeptOut::default() };
        move |path, is_directory| match kept_out.judge(path) {
            Verdict::Take => ignore.map_or(Verdict::Take, |ignore| judge(ignore, path, is_directory)),
            verdict => verdict,
        }
    }

    /// ADD.
    ///
    /// # Errors
    /// As for COPY; and when something cannot be fetched or unpacked.
    pub(super) fn add(&self, add: &Add, state: &mut StageState<'w>) -> Result<Copied, BuildError> {
        let stamp = self.stamp(add.chown.as_deref(), add.chmod.as_deref(), false, state)?;
        let excluded = exclude(&add.exclude)?;
        let exclude = |path: &[u8], is_directory: bool| judge(&excluded, path, is_directory);
        let checksum = add.checksum.as_ref().map(|text| {
            let wrong = |error: oci::DigestError| BuildError::Value {
                what: "the checksum",
                text: text.clone(),
                reason: error.to_string(),
            };
            text.parse().map_err(wrong)
        });
        let is_url = |source: &Source| matches!(source, Source::Path(path) if super::request::is_url(path));
        if add.checksum.is_some() && !(add.sources.len() == 1 && is_url(&add.sources[0])) {
            let what = "`--checksum` for anything but one URL".to_owned();
            return Err(BuildError::Unsupported { what, instead: None });
        }
        let order = CopyOrder {
            sources: &add.sources,
            target: Target::parse(&add.destination, &state.config.config.working_dir),
            stamp,
            exclude: &exclude,
            exclude_patterns: &add.exclude,
            keeps_parents: false,
            unpack: match add.unpack {
                None => Unpack::Local,
                Some(true) => Unpack::All,
                Some(false) => Unpack::Nothing,
            },
            takes_urls: true,
            checksum: checksum.transpose()?,
        };
        let copier = Copier { world: self.world, layers: self.layers };
        let mut nothing = Files::new(self.world.store, Vec::new())?;
        let into = if add.link { &mut nothing } else { &mut state.files };
        self.of_context(&copier, &order, self.context, into)
    }

    /// What `--from` names: a stage, a directory of `--build-context`, or an image.
    pub(crate) fn named(&self, name: &str, stage: usize, done: &Done<'w>) -> Result<From<'_, 'w>, BuildError> {
        if let Some(context) = self.directories.get(name) {
            return Ok(From::Context(context));
        }
        let index = self.kubefile.stage_before(name, stage).filter(|index| done.contains_key(index));
        match index.filter(|_| !self.request.build_contexts.contains_key(name)) {
            Some(index) => Ok(From::Stage(index)),
            // A number is never an image, as Docker has it: it names a stage that is not done yet, or none.
            None if !self.request.build_contexts.contains_key(name)
                && name.bytes().all(|byte| byte.is_ascii_digit()) =>
            {
                let known = self.kubefile.stages[..stage].iter().filter_map(|stage| stage.name.clone()).collect();
                Err(BuildError::UnknownStage { name: name.to_owned(), known })
            }
            None => {
                let image = self.image(name, self.platform)?;
                Ok(From::Image(format!("the image `{name}`"), Files::new(self.world.store, image.layers)?))
            }
        }
    }

    fn stage_name(&self, index: usize) -> String {
        match &self.kubefile.stages[index].name {
            Some(name) => format!("the stage `{name}`"),
            None => format!("the stage {index}"),
        }
    }

    fn stamp(
        &self,
        chown: Option<&str>,
        chmod: Option<&str>,
        keeps_owner: bool,
        state: &mut StageState<'w>,
    ) -> Result<Stamp, BuildError> {
        let owner = match chown {
            None if keeps_owner => None,
            None => Some((0, 0)),
            Some(text) => Some(owner(text, state)?),
        };
        let mode = chmod.map(ModeChange::parse).transpose()?;
        Ok(Stamp { owner, mode, mtime: self.timestamp })
    }
}

/// What `--from` names.
pub(crate) enum From<'a, 'w> {
    /// A directory.
    Context(&'a Context),
    /// A stage that is done.
    Stage(usize),
    /// An image.
    Image(String, Files<'w>),
}

/// Files of stages keep their owners unless `--chown` says otherwise.
fn keep_owner(stamp: &Stamp, chown: Option<&str>) -> Stamp {
    Stamp { owner: stamp.owner.filter(|_| chown.is_some()), ..stamp.clone() }
}

fn owner(text: &str, state: &mut StageState<'_>) -> Result<(u64, u64), BuildError> {
    // A number alone is user and group; a name alone brings the group of its account.
    if let Ok(id) = text.parse::<u32>() {
        return Ok((id.into(), id.into()));
    }
    let identity = lookup_user(state.files.tree()?, text)?;
    Ok((identity.uid.into(), identity.gid.into()))
}

fn exclude(patterns: &[String]) -> Result<IgnoreFile, BuildError> {
    IgnoreFile::from_patterns(patterns.iter().map(String::as_str)).map_err(|(text, reason)| BuildError::Value {
        what: "the pattern",
        text,
        reason: reason.to_string(),
    })
}

/// The word of an ignore file about a path.
fn judge(ignore: &IgnoreFile, path: &[u8], is_directory: bool) -> Verdict {
    if ignore.is_empty() {
        return Verdict::Take;
    }
    let path = String::from_utf8_lossy(path);
    match ignore.ignored(&path) {
        false => Verdict::Take,
        true if is_directory && ignore.may_reinclude_under(&path) => Verdict::Enter,
        true => Verdict::Skip,
    }
}
