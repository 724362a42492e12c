//! Which machine an image is for.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Operating system, processor architecture and its variant, in Go's names (`linux`, `amd64`, `arm64`, `v7`).
///
/// Source: OCI image specification, image-index.md, "Platform Variants".
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Platform {
    /// The processor architecture, such as `amd64`.
    pub architecture: String,
    /// The operating system, such as `linux`.
    pub os: String,
    /// The version of the operating system (Windows).
    #[serde(rename = "os.version", default, skip_serializing_if = "Option::is_none")]
    pub os_version: Option<String>,
    /// Features of the operating system that the image needs (Windows).
    #[serde(rename = "os.features", default, skip_serializing_if = "Vec::is_empty")]
    pub os_features: Vec<String>,
    /// The variant of the processor, such as `v7` of `arm`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

/// Why a text is not a platform.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a platform: expected os/arch or os/arch/variant, such as linux/amd64 or linux/arm/v7")]
pub struct PlatformError(String);

impl Platform {
    /// A platform by its three parts, normalised (`x86_64` is `amd64`, `arm64/v8` is `arm64`).
    pub fn new(os: &str, architecture: &str, variant: Option<&str>) -> Self {
        let (architecture, variant) = normalise(architecture, variant);
        Self { architecture, os: os.to_ascii_lowercase(), os_version: None, os_features: Vec::new(), variant }
    }

    /// The platform of this machine.
    pub fn host() -> Self {
        let os = if std::env::consts::OS == "macos" { "darwin" } else { std::env::consts::OS };
        Self::new(os, std::env::consts::ARCH, None)
    }

    /// Whether an image for `self` runs where `wanted` is asked for: same system and architecture, and the variant not
    /// newer than the wanted one (an `arm/v6` image serves an `arm/v7` machine).
    pub fn serves(&self, wanted: &Self) -> bool {
        let (mine, want) = (self.normalised(), wanted.normalised());
        if mine.os != want.os || mine.architecture != want.architecture {
            return false;
        }
        mine.variant_rank() <= want.variant_rank()
    }

    /// How well an image for `self` suits `wanted`, higher is better; none if it does not run there.
    pub fn rank(&self, wanted: &Self) -> Option<u32> {
        self.serves(wanted).then(|| self.normalised().variant_rank())
    }

    /// The same platform in its normal form.
    pub fn normalised(&self) -> Self {
        let (architecture, variant) = normalise(&self.architecture, self.variant.as_deref());
        Self { architecture, variant, os: self.os.to_ascii_lowercase(), ..self.clone() }
    }

    /// The variant as a number (`v7` is 7); 32-bit ARM without one counts as v7, everything else as its baseline.
    fn variant_rank(&self) -> u32 {
        let named = self.variant.as_deref().and_then(|v| v.strip_prefix('v')).and_then(|v| v.parse().ok());
        named.unwrap_or(match self.architecture.as_str() {
            "arm" => 7,
            "arm64" => 8,
            _ => 1,
        })
    }
}

fn normalise(architecture: &str, variant: Option<&str>) -> (String, Option<String>) {
    let lower = architecture.to_ascii_lowercase();
    let variant = variant.map(str::to_ascii_lowercase).filter(|v| !v.is_empty());
    let (architecture, variant) = match (lower.as_str(), variant.as_deref()) {
        ("x86_64" | "x86-64" | "amd64", v) => ("amd64", v.filter(|v| *v != "v1")),
        ("aarch64" | "arm64", v) => ("arm64", v.filter(|v| *v != "v8" && *v != "8")),
        ("i386" | "i686" | "x86" | "386", _) => ("386", None),
        ("armhf", _) => ("arm", Some("v7")),
        ("armel", _) => ("arm", Some("v6")),
        ("arm", v) => ("arm", Some(v.map_or("v7", |v| if v == "7" { "v7" } else { v }))),
        ("powerpc64le", v) => ("ppc64le", v),
        ("riscv64gc", v) => ("riscv64", v),
        (other, v) => (other, v),
    };
    (architecture.to_owned(), variant.map(str::to_owned))
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        self.variant.iter().try_for_each(|variant| write!(f, "/{variant}"))
    }
}

impl FromStr for Platform {
    type Err = PlatformError;

    fn from_str(text: &str) -> Result<Self, PlatformError> {
        let wrong = || PlatformError(text.to_owned());
        let word =
            |part: &&str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
        let parts: Vec<&str> = text.split('/').collect();
        if !parts.iter().all(word) {
            return Err(wrong());
        }
        match parts[..] {
            [os, architecture] => Ok(Self::new(os, architecture, None)),
            [os, architecture, variant] => Ok(Self::new(os, architecture, Some(variant))),
            _ => Err(wrong()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn platforms_are_normalised() {
        for (text, want) in [
            ("linux/amd64", "linux/amd64"),
            ("linux/x86_64", "linux/amd64"),
            ("Linux/AMD64", "linux/amd64"),
            ("linux/arm64/v8", "linux/arm64"),
            ("linux/aarch64", "linux/arm64"),
            ("linux/arm", "linux/arm/v7"),
            ("linux/arm/v6", "linux/arm/v6"),
            ("windows/amd64", "windows/amd64"),
        ] {
            assert_eq!(text.parse::<Platform>().unwrap().to_string(), want, "{text}");
        }
        for bad in ["", "linux", "linux/", "/amd64", "a/b/c/d", "linux/am d64"] {
            assert!(bad.parse::<Platform>().is_err(), "{bad}");
        }
    }

    #[test]
    fn an_older_variant_serves_a_newer_machine_only() {
        for (image, machine, want) in [
            ("linux/amd64", "linux/amd64", true),
            ("linux/arm/v6", "linux/arm/v7", true),
            ("linux/arm/v7", "linux/arm/v6", false),
            ("linux/amd64", "linux/arm64", false),
            ("linux/amd64/v3", "linux/amd64", false),
        ] {
            let serves = image.parse::<Platform>().unwrap().serves(&machine.parse().unwrap());
            assert_eq!(serves, want, "{image} on {machine}");
        }
    }
}
