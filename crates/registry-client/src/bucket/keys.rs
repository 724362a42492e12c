//! Where a bucket is and who asks: as AWS's own tools are told.

use std::path::{Path, PathBuf};

use super::sign::Keys;
use crate::credentials::Secret;
use crate::error::RegistryError;

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// `$AWS_REGION`, `$AWS_DEFAULT_REGION`, or the first region that there was.
pub(super) fn region() -> String {
    variable("AWS_REGION").or_else(|| variable("AWS_DEFAULT_REGION")).unwrap_or_else(|| "us-east-1".to_owned())
}

/// `$AWS_ENDPOINT_URL_S3`, `$AWS_ENDPOINT_URL`, or Amazon's of the region.
pub(super) fn endpoint(region: &str) -> String {
    let told = variable("AWS_ENDPOINT_URL_S3").or_else(|| variable("AWS_ENDPOINT_URL"));
    told.unwrap_or_else(|| format!("https://s3.{region}.amazonaws.com"))
}

/// The keys of the environment, else those of the profile in the shared file of credentials.
pub(super) fn keys() -> Result<Keys, RegistryError> {
    let missing = |reason: String| RegistryError::NoKeys { reason };
    match (variable("AWS_ACCESS_KEY_ID"), variable("AWS_SECRET_ACCESS_KEY")) {
        (Some(id), Some(secret)) => {
            let session = variable("AWS_SESSION_TOKEN").map(Secret::new);
            return Ok(Keys { id, secret: Secret::new(secret), session });
        }
        (Some(_), None) => return Err(missing("AWS_ACCESS_KEY_ID is set, AWS_SECRET_ACCESS_KEY is not".to_owned())),
        (None, Some(_)) => return Err(missing("AWS_SECRET_ACCESS_KEY is set, AWS_ACCESS_KEY_ID is not".to_owned())),
        (None, None) => {}
    }
    let path = variable("AWS_SHARED_CREDENTIALS_FILE").map(PathBuf::from);
    let home = || variable("HOME").map(|home| Path::new(&home).join(".aws/credentials"));
    let path = path.or_else(home).ok_or_else(|| missing("no variable of AWS's tools is set".to_owned()))?;
    let profile = variable("AWS_PROFILE").unwrap_or_else(|| "default".to_owned());
    let shown = path.display();
    let text = std::fs::read_to_string(&path)
        .map_err(|error| missing(format!("AWS_ACCESS_KEY_ID is not set, and {shown} cannot be read: {error}")))?;
    of_profile(&text, &profile)
        .ok_or_else(|| missing(format!("{shown} has no aws_access_key_id and aws_secret_access_key under [{profile}]")))
}

fn of_profile(text: &str, profile: &str) -> Option<Keys> {
    let (mut is_ours, mut id, mut secret, mut session) = (false, None, None, None);
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            is_ours = name.trim() == profile;
        } else if let (true, Some((key, value))) = (is_ours, line.split_once('=')) {
            let value = value.trim();
            match key.trim() {
                "aws_access_key_id" => id = Some(value.to_owned()),
                "aws_secret_access_key" => secret = Some(Secret::new(value)),
                "aws_session_token" => session = Some(Secret::new(value)),
                _ => {}
            }
        }
    }
    Some(Keys { id: id?, secret: secret?, session })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_those_of_the_profile() {
        let text =
            "[other]\naws_access_key_id = no\n[default]\n# mine\naws_access_key_id=me\naws_secret_access_key = s=t\n";
        let keys = of_profile(text, "default").map(|keys| (keys.id, keys.secret.reveal().to_owned()));
        assert_eq!(keys, Some(("me".to_owned(), "s=t".to_owned())));
        assert!(of_profile(text, "other").is_none());
    }
}
