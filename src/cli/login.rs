//! `sealos login [REGISTRY]`

use clap::Args;
use registry_client::{Credentials, Secret, TOKEN_USER};

use super::ask;
use super::error::CommandError;
use super::registry::{Registry, Trust, client};
use super::world::World;
use crate::report::Event;

/// Log in to a registry
///
/// The registry is asked whether it accepts the credentials; then they are kept where docker, podman and sealos find
/// them, readable for this user only. They may be for one repository or namespace: HOST/PATH. An identity token is the
/// password of the user `<token>`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sealos login hub.example
  sealos login -u robot --password-stdin hub.example < password
  sealos login -u robot --password-stdin hub.example/team < password
  sealos login --get-login hub.example")]
pub(crate) struct Login {
    /// The registry, or a part of it: HOST[:PORT][/PATH]
    #[arg(default_value = "docker.io")]
    registry: String,
    /// The user; asked for where it is left out
    #[arg(short, long, value_name = "USER")]
    username: Option<String>,
    /// The password; every user of this machine can see it while the command runs
    #[arg(short, long, value_name = "PASSWORD", conflicts_with = "password_stdin", requires = "username")]
    password: Option<String>,
    /// Read the password from stdin
    #[arg(long, requires = "username")]
    password_stdin: bool,
    /// Only print who is logged in
    #[arg(long, conflicts_with_all = ["username", "password", "password_stdin"])]
    get_login: bool,
    /// Say where the credentials are kept
    #[arg(short, long)]
    verbose: bool,
    #[command(flatten)]
    trust: Trust,
}

impl Login {
    pub(crate) fn run(self, world: &mut World<'_>) -> Result<(), CommandError> {
        let key = key(&self.registry)?;
        let client = client(&Registry::from(self.trust.clone()), "", None);
        let logins = client.logins()?;
        // A file that was named may be one that is to be made.
        let is_new = !self.get_login && self.trust.authfile.as_ref().is_some_and(|file| !file.exists());
        let known = if is_new { None } else { logins.get(&key)? };
        if self.get_login {
            let known = known.ok_or_else(|| CommandError::NotLoggedIn { key: key.clone() })?;
            return world.say(if known.user.is_empty() { TOKEN_USER } else { known.user.as_str() });
        }
        if self.password.is_some() {
            let text = "a password on the command line can be seen by others; use --password-stdin";
            world.reporter(super::world::Silence::Unasked).event(&Event::Warning(text.to_owned()));
        }
        // Who is known already need not type anything.
        if self.username.is_none() && known.is_some() && client.ping(key.split('/').next().unwrap_or(&key)).is_ok() {
            return world.say("Login Succeeded!");
        }
        let credentials = self.credentials(&key, known.as_ref().map(|known| known.user.as_str()))?;
        client.check_login(&key, &credentials)?;
        let place = logins.save(&key, &credentials)?;
        world.say("Login Succeeded!")?;
        if self.verbose { world.say(format_args!("Used: {place}")) } else { Ok(()) }
    }

    fn credentials(&self, key: &str, known: Option<&str>) -> Result<Credentials, CommandError> {
        let user = match (&self.username, known.filter(|user| !user.is_empty())) {
            (Some(user), _) => user.clone(),
            (None, None) => ask::line("Username: ")?,
            (None, Some(known)) => {
                let answer = ask::line(&format!("Username ({known}): "))?;
                if answer.is_empty() { known.to_owned() } else { answer }
            }
        };
        if user.is_empty() || user.contains(':') {
            return Err(CommandError::Usage("a user name cannot be empty or hold a colon".to_owned()));
        }
        let password = match &self.password {
            Some(password) => Secret::new(password),
            None if self.password_stdin => ask::secret_on_stdin()?,
            None => ask::secret(&format!("Password of {user} for {key}: "))?,
        };
        Ok(Credentials::of(&user, password))
    }
}

/// `HOST[/PATH]`, from what users copy from browsers and other tools.
///
/// # Errors
/// When that is no registry.
pub(crate) fn key(text: &str) -> Result<String, CommandError> {
    let bare = text.trim_start_matches("https://").trim_start_matches("http://").trim_start_matches("docker://");
    let bare = bare.trim_end_matches('/');
    let bare = bare.strip_suffix("/v1").or_else(|| bare.strip_suffix("/v2")).unwrap_or(bare);
    let key = match bare {
        "index.docker.io" | "registry-1.docker.io" | "registry.hub.docker.com" => "docker.io",
        other => other,
    };
    // A path may be a namespace, which reads as a repository does.
    let (host, path) = key.split_once('/').unwrap_or((key, "x"));
    match format!("{host}/{path}").parse::<oci::Reference>() {
        Ok(name) if name.registry() == host && name.tag().is_none() && name.digest().is_none() => Ok(key.to_owned()),
        _ => Err(CommandError::Usage(format!("`{text}` is no registry: expected HOST[:PORT] or HOST[:PORT]/PATH"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registries_are_taken_as_people_copy_them() {
        for (text, want) in [
            ("hub.example", Some("hub.example")),
            ("https://hub.example/", Some("hub.example")),
            ("hub.example:5000/team/app", Some("hub.example:5000/team/app")),
            ("https://index.docker.io/v1/", Some("docker.io")),
            ("docker.io", Some("docker.io")),
            ("localhost", Some("localhost")),
            ("127.0.0.1:5000", Some("127.0.0.1:5000")),
            ("[::1]:5000", Some("[::1]:5000")),
            ("hub.example/team:v1", None),
            ("team", None),
            ("", None),
            ("a b", None),
        ] {
            assert_eq!(key(text).ok().as_deref(), want, "{text}");
        }
    }
}
