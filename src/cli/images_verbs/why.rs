//! `sealos images why IMAGE [in WHAT]`

use clap::Args;

use super::super::carrying::ChartFlags;
use super::super::error::CommandError;
use super::super::registry::Registry;
use super::super::world::World;
use super::subject::{Asked, Subject};
use crate::discover::Ignore;

/// Say who asks for a container image
///
/// The image is named in full, by the last part of its name (`nginx`), or with `*`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sealos images why nginx in myapp:v1
  sealos images why 'quay.io/*' in .")]
pub(crate) struct Why {
    /// The image
    image: String,
    /// `in`, and a context, a chart or an image [default: in .]
    #[arg(value_name = "in WHAT", num_args = 0..=2)]
    what: Vec<String>,
    /// The recipe in the context
    #[arg(short, long, value_name = "FILE")]
    file: Option<String>,
    #[command(flatten)]
    charts: ChartFlags,
    #[command(flatten)]
    registry: Registry,
}

impl Why {
    pub(crate) fn run(self, world: &mut World<'_>) -> Result<(), CommandError> {
        let what = match &self.what[..] {
            [] => ".",
            [word, what] if word == "in" => what,
            [what] if what != "in" => what,
            _ => return Err(CommandError::Usage("expected `why IMAGE in WHAT`".to_owned())),
        };
        let subject = Subject::of(world, what, self.file.as_deref(), &self.charts, &self.registry)?;
        let found: Vec<&Asked> = subject.images.iter().filter(|asked| is_meant(&self.image, asked)).collect();
        if found.is_empty() {
            let names = subject.images.iter().map(|asked| asked.name.to_string()).collect();
            return Err(CommandError::NobodyAsks { image: self.image, what: what.to_owned(), names });
        }
        for asked in found {
            world.say(&asked.name)?;
            if let Some(locked) = &asked.locked {
                world.say(format_args!("    {}", locked.digest))?;
            }
            for origin in &asked.origins {
                world.say(format_args!("    {origin} [{}]", origin.rule))?;
            }
            if asked.origins.is_empty() {
                world.say("    from a base image of which nothing more is known")?;
            }
        }
        Ok(())
    }
}

fn is_meant(text: &str, asked: &Asked) -> bool {
    let mut pattern = Ignore::default();
    pattern.add(text);
    let last = asked.name.repository().rsplit('/').next();
    pattern.has(&asked.name) || last == Some(text) || asked.name.repository() == text
}
