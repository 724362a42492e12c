//! `sealos images list [WHAT]`

use clap::Args;

use super::super::carrying::{ChartFlags, tell};
use super::super::error::CommandError;
use super::super::registry::Registry;
use super::super::show;
use super::super::world::{Silence, World};
use super::subject::Subject;
use crate::carry::CarryError;

/// Print the container images that a context, a chart or an image asks for
///
/// Nothing is built or fetched. Of a cluster image, what it carries is printed; of an image without a lock, what its
/// charts, manifests and lists ask for. What looks like an image and would not be carried is said on stderr.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sealos images list .
  sealos images list charts/web --why
  sealos images list myapp:v1 --json")]
pub(crate) struct List {
    /// A context, a chart (directory or .tgz), or an image
    #[arg(default_value = ".")]
    what: String,
    /// The recipe in the context
    #[arg(short, long, value_name = "FILE")]
    file: Option<String>,
    /// Also print who asks for each image
    #[arg(long)]
    why: bool,
    /// Print everything as JSON
    #[arg(long, conflicts_with = "why")]
    json: bool,
    #[command(flatten)]
    charts: ChartFlags,
    #[command(flatten)]
    registry: Registry,
}

impl List {
    pub(crate) fn run(self, world: &mut World<'_>) -> Result<(), CommandError> {
        let subject = Subject::of(world, &self.what, self.file.as_deref(), &self.charts, &self.registry)?;
        if self.json {
            show::json(world, &subject.json())?;
        } else {
            let reporter = world.reporter(Silence::Unasked);
            tell(&subject.findings, &*reporter);
            reporter.finish();
            for asked in &subject.images {
                world.say(&asked.name)?;
                for origin in asked.origins.iter().filter(|_| self.why) {
                    world.say(format_args!("    {origin} [{}]", origin.rule))?;
                }
            }
            for archived in subject.findings.archives() {
                world.say(archived.name.as_ref().map_or_else(|| archived.path.clone(), ToString::to_string))?;
                if self.why {
                    world.say(format_args!("    {} [{}]", archived.origin, archived.origin.rule))?;
                }
            }
        }
        let mistakes: Vec<_> = subject.findings.mistakes().cloned().collect();
        match mistakes.is_empty() {
            true => Ok(()),
            false => Err(CarryError::Mistakes { mistakes }.into()),
        }
    }
}
