//! `--all-platforms`: the platforms that every base image of a build is there for.

use content::{ContentError, archive, platforms_of};
use oci::Platform;

use super::error::BuildError;
use super::plan::{Base, BuildPlan};
use super::request::{BuildRequest, NamedContext, PullPolicy};
use super::world::World;

/// The platforms, as the first base lists them.
///
/// # Errors
/// When no stage has a base image, they have no platform in common, or one cannot be asked.
pub(crate) fn of_bases(
    request: &BuildRequest,
    world: &World<'_>,
    plan: &BuildPlan,
) -> Result<Vec<Platform>, BuildError> {
    let mut common: Option<Vec<Platform>> = None;
    for stage in &plan.stages {
        // A stage that names its platform is there for all others.
        let (Base::Image(name), None) = (&stage.base, &stage.platform) else { continue };
        let there = of_image(request, world, name)?;
        common = Some(match common {
            None => there,
            Some(common) => common.into_iter().filter(|platform| there.contains(platform)).collect(),
        });
    }
    let reason = match common {
        Some(common) if !common.is_empty() => return Ok(common),
        Some(_) => "the base images have none in common",
        None => "no stage has a base image that would have any",
    };
    Err(BuildError::NoPlatforms { reason })
}

fn of_image(request: &BuildRequest, world: &World<'_>, name: &str) -> Result<Vec<Platform>, BuildError> {
    let name = match request.build_contexts.get(name) {
        Some(NamedContext::Image(image)) => image,
        Some(NamedContext::Layout(path)) => {
            let layout = archive::open(&request.working_directory.join(path))?;
            let roots = layout.images().iter().map(|image| platforms_of(&layout, &image.root));
            return Ok(roots.collect::<Result<Vec<_>, _>>()?.concat());
        }
        Some(NamedContext::Directory(_)) | None => name,
    };
    match (request.pull, world.store.find(name)) {
        (PullPolicy::Missing | PullPolicy::Never, Ok(record)) => Ok(platforms_of(world.store, &record.root)?),
        (PullPolicy::Never, Err(source @ ContentError::UnknownImage { .. })) => {
            Err(BuildError::NoImage { name: name.to_owned(), source, pull_forbidden: true })
        }
        (_, Ok(_) | Err(ContentError::UnknownImage { .. })) => {
            let asked = world.resolver.platforms(name);
            asked.map_err(|source| BuildError::Pull { name: name.to_owned(), source })
        }
        (_, Err(error)) => Err(error.into()),
    }
}
