//! Which images of an index, from the command line.

use clap::Args;
use oci::Platform;

use crate::transfer::Platforms;

/// Which images of an index.
#[derive(Clone, Debug, Args)]
pub(crate) struct PlatformArgs {
    /// Of an index, the image for this platform; may be given several times [default: this machine's]
    #[arg(long, value_name = "OS/ARCH", value_delimiter = ',')]
    platform: Vec<Platform>,
    /// The same in parts, as other tools have it.
    #[arg(long, alias = "override-os", hide = true, conflicts_with = "platform")]
    os: Option<String>,
    #[arg(long, alias = "override-arch", hide = true, conflicts_with = "platform")]
    arch: Option<String>,
    #[arg(long, alias = "override-variant", hide = true, conflicts_with = "platform")]
    variant: Option<String>,
}

impl PlatformArgs {
    /// The platforms; all of them if `all` was asked for.
    pub(crate) fn platforms(&self, all: Extent) -> Platforms {
        match (all, &self.platform[..], self.parts()) {
            (Extent::All, ..) => Platforms::All,
            (Extent::Some, [], Some(platform)) => Platforms::Only(vec![platform]),
            (Extent::Some, [], None) => Platforms::Host,
            (Extent::Some, only, _) => Platforms::Only(only.to_vec()),
        }
    }

    fn parts(&self) -> Option<Platform> {
        from_parts(self.os.as_deref(), self.arch.as_deref(), self.variant.as_deref())
    }
}

/// A platform of which parts are given; the others are this machine's. None if nothing is given.
pub(crate) fn from_parts(os: Option<&str>, architecture: Option<&str>, variant: Option<&str>) -> Option<Platform> {
    if os.is_none() && architecture.is_none() && variant.is_none() {
        return None;
    }
    let host = Platform::host();
    Some(Platform::new(os.unwrap_or(&host.os), architecture.unwrap_or(&host.architecture), variant))
}

/// Whether a flag asked for everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// It did.
    All,
    /// It did not.
    Some,
}

impl From<bool> for Extent {
    fn from(all: bool) -> Self {
        if all { Self::All } else { Self::Some }
    }
}
