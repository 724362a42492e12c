//! How registries are spoken to, from the command line.

use std::num::NonZeroU64;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::{ArgAction, Args};
use content::{CopyOptions, ForeignLayers, Location};
use oci::Reference;
use registry_client::{Client, ClientOptions, Credentials, Notice, Secret, Tls};

use super::ask;
use super::error::CommandError;
use super::go_bool;
use super::interrupts;
use crate::kubefile::duration;
use crate::report::{Event, Reporter};

/// Who is trusted, and with what.
#[derive(Clone, Debug, Args)]
pub(crate) struct Trust {
    /// The file with credentials
    #[arg(long, env = "REGISTRY_AUTH_FILE", hide_env = true, value_name = "FILE")]
    pub(crate) authfile: Option<PathBuf>,
    /// A directory with certificates for the registry
    #[arg(long, value_name = "DIR")]
    pub(crate) cert_dir: Option<PathBuf>,
    /// Whether registries have to prove who they are
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, action = ArgAction::Set,
          default_value = "true", default_missing_value = "true", value_parser = go_bool::parser(),
          hide_possible_values = true)]
    pub(crate) tls_verify: bool,
    /// The file that says where registries are, instead of the usual one
    #[arg(long, hide = true, value_name = "FILE")]
    pub(crate) registries_conf: Option<PathBuf>,
}

impl Default for Trust {
    fn default() -> Self {
        Self { authfile: None, cert_dir: None, tls_verify: true, registries_conf: None }
    }
}

/// How registries are spoken to.
#[derive(Clone, Debug, Args)]
pub(crate) struct Registry {
    #[command(flatten)]
    pub(crate) trust: Trust,
    /// Credentials for the registry; the password is asked for where it is left out
    #[arg(long, value_name = "USER[:PASSWORD]")]
    pub(crate) creds: Option<String>,
    /// How often a failing request is tried again
    #[arg(long, alias = "retry-times", default_value_t = 3, value_name = "N")]
    pub(crate) retry: u32,
    /// The pause before the first of these; each further one is twice as long [default: 500ms]
    #[arg(long, value_name = "TIME", value_parser = pause)]
    pub(crate) retry_delay: Option<Duration>,
}

impl From<Trust> for Registry {
    fn from(trust: Trust) -> Self {
        Self { trust, creds: None, retry: 3, retry_delay: None }
    }
}

/// How blobs are moved.
#[derive(Clone, Debug, Args)]
pub(crate) struct Moving {
    /// Blobs that move at once
    #[arg(long, alias = "max-pull-procs", default_value_t = 6, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(crate) jobs: u16,
    /// Bytes a second of all transfers together, such as 500K, 20M or 1G
    #[arg(long, value_name = "RATE", value_parser = rate)]
    pub(crate) limit_rate: Option<NonZeroU64>,
    /// Send registries layers that may not be distributed, too (foreign layers), where they are at hand
    #[arg(long)]
    allow_nondistributable_artifacts: bool,
}

impl Moving {
    pub(crate) fn options(&self, registry: &Registry) -> CopyOptions {
        let (jobs, limit_rate, retries) = (self.jobs.into(), self.limit_rate, registry.retry);
        let foreign = if self.allow_nondistributable_artifacts { ForeignLayers::Send } else { ForeignLayers::Leave };
        CopyOptions { jobs, limit_rate, retries, foreign, stop: interrupts::stop(), ..CopyOptions::default() }
    }
}

impl Registry {
    /// The same with the password, which is asked for where only a user was given.
    ///
    /// # Errors
    /// When there is nobody to ask.
    pub(crate) fn complete(mut self) -> Result<Self, CommandError> {
        if let Some(user) = self.creds.take_if(|creds| !creds.contains(':')) {
            let password = ask::secret(&format!("Password of {user}: "))?;
            self.creds = Some(format!("{user}:{}", password.reveal()));
        }
        Ok(self)
    }
}

/// A client for these arguments. Credentials of the command line are for `registry` and go nowhere else.
pub(crate) fn client(args: &Registry, registry: &str, reporter: Option<&Arc<dyn Reporter>>) -> Client {
    let credentials = args.creds.as_deref().filter(|_| !registry.is_empty()).map(|text| {
        let (user, password) = text.split_once(':').unwrap_or((text, ""));
        (registry.to_owned(), Credentials::of(user, Secret::new(password)))
    });
    let defaults = ClientOptions::default();
    Client::new(ClientOptions {
        tls: if args.trust.tls_verify { Tls::Verify } else { Tls::Skip },
        cert_dir: args.trust.cert_dir.clone(),
        authfile: args.trust.authfile.clone(),
        credentials,
        retries: args.retry,
        retry_delay: args.retry_delay.unwrap_or(defaults.retry_delay),
        registries_conf: args.trust.registries_conf.clone(),
        notice: reporter.map_or_else(Notice::default, notice),
        ..defaults
    })
}

/// The one registry that names are of, which credentials of the command line are for; nothing without credentials.
///
/// # Errors
/// When there are credentials, and names of several registries.
pub(crate) fn one_registry<'a>(
    args: &Registry,
    names: impl Iterator<Item = &'a Reference>,
) -> Result<String, CommandError> {
    let mut registries: Vec<&str> = names.map(Reference::registry).collect();
    registries.sort_unstable();
    registries.dedup();
    match (&registries[..], &args.creds) {
        ([], _) | (_, None) => Ok(registries.first().map(|one| (*one).to_owned()).unwrap_or_default()),
        ([one], _) => Ok((*one).to_owned()),
        (several, Some(_)) => {
            let text = format!("--creds are for one registry, and the names are of {}", several.join(", "));
            Err(CommandError::Usage(text))
        }
    }
}

/// The registry that credentials of the command line are for.
pub(crate) fn host(location: &Location) -> &str {
    match location {
        Location::Registry(name) => name.registry(),
        _ => "",
    }
}

/// What is different for the two sides.
#[derive(Clone, Debug, Args)]
pub(crate) struct Sides {
    /// Credentials for the registry that is read
    #[arg(long, value_name = "USER[:PASSWORD]")]
    pub(crate) src_creds: Option<String>,
    /// Credentials for the registry that is written
    #[arg(long, value_name = "USER[:PASSWORD]")]
    pub(crate) dest_creds: Option<String>,
    /// Whether the registry that is read has to prove who it is
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, action = ArgAction::Set,
          default_missing_value = "true", value_parser = go_bool::parser(), hide_possible_values = true)]
    src_tls_verify: Option<bool>,
    /// Whether the registry that is written has to prove who it is
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, action = ArgAction::Set,
          default_missing_value = "true", value_parser = go_bool::parser(), hide_possible_values = true)]
    dest_tls_verify: Option<bool>,
    #[arg(long, hide = true, value_name = "FILE")]
    src_authfile: Option<PathBuf>,
    #[arg(long, hide = true, value_name = "FILE")]
    dest_authfile: Option<PathBuf>,
    #[arg(long, hide = true, value_name = "DIR")]
    src_cert_dir: Option<PathBuf>,
    #[arg(long, hide = true, value_name = "DIR")]
    dest_cert_dir: Option<PathBuf>,
}

impl Sides {
    /// How the registry that is read is spoken to.
    pub(crate) fn source(&self, both: &Registry) -> Registry {
        let mut own = both.clone();
        own.creds = self.src_creds.clone().or(own.creds);
        own.trust.tls_verify = self.src_tls_verify.unwrap_or(own.trust.tls_verify);
        own.trust.authfile = self.src_authfile.clone().or(own.trust.authfile);
        own.trust.cert_dir = self.src_cert_dir.clone().or(own.trust.cert_dir);
        own
    }

    /// How the registry that is written is spoken to.
    pub(crate) fn target(&self, both: &Registry) -> Registry {
        let mut own = both.clone();
        own.creds = self.dest_creds.clone().or(own.creds);
        own.trust.tls_verify = self.dest_tls_verify.unwrap_or(own.trust.tls_verify);
        own.trust.authfile = self.dest_authfile.clone().or(own.trust.authfile);
        own.trust.cert_dir = self.dest_cert_dir.clone().or(own.trust.cert_dir);
        own
    }
}

fn notice(reporter: &Arc<dyn Reporter>) -> Notice {
    let reporter = Arc::clone(reporter);
    Notice::new(move |text| reporter.event(&Event::Warning(text.to_owned())))
}

/// A duration as Go writes it, or a number of seconds.
fn pause(text: &str) -> Result<Duration, String> {
    match text.parse::<u32>() {
        Ok(seconds) => Ok(Duration::from_secs(seconds.into())),
        Err(_) => duration::parse(text).map_err(|error| format!("{error}; expected such as 2s or 500ms")),
    }
}

/// `20M`: a number and a unit of a thousand, or of 1024 with an `i`; a `B` and `/s` may follow.
fn rate(text: &str) -> Result<NonZeroU64, String> {
    let wrong = || "expected bytes a second, such as 500K, 20M or 1.5G".to_owned();
    let bare = text.trim_end_matches("/s").trim_end_matches(['B', 'b']);
    let at = bare.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(bare.len());
    let (number, unit) = bare.split_at(at);
    let number: f64 = number.parse().map_err(|_number| wrong())?;
    let factor = match unit.to_ascii_lowercase().as_str() {
        "" => 1.0,
        "k" => 1e3,
        "m" => 1e6,
        "g" => 1e9,
        "ki" => 1024.0,
        "mi" => 1024.0 * 1024.0,
        "gi" => 1024.0 * 1024.0 * 1024.0,
        _ => return Err(wrong()),
    };
    let bytes = number * factor;
    // The greatest number that a float holds exactly is far above any network.
    if !(1.0..=9e15).contains(&bytes) {
        return Err(wrong());
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range was checked")]
    NonZeroU64::new(bytes as u64).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_have_units_of_a_thousand_or_of_1024() {
        for (text, want) in [
            ("1", Some(1)),
            ("500K", Some(500_000)),
            ("20M", Some(20_000_000)),
            ("1.5G", Some(1_500_000_000)),
            ("1Mi", Some(1 << 20)),
            ("2MB/s", Some(2_000_000)),
            ("1KiB", Some(1024)),
            ("0", None),
            ("0.1", None),
            ("-1", None),
            ("M", None),
            ("1T5", None),
            ("inf", None),
            ("nan", None),
            ("", None),
        ] {
            assert_eq!(rate(text).ok().map(NonZeroU64::get), want, "{text}");
        }
    }

    #[test]
    fn pauses_are_seconds_or_have_a_unit() {
        for (text, want) in [("2", Some(2000)), ("500ms", Some(500)), ("1m", Some(60_000)), ("x", None), ("-1s", None)]
        {
            assert_eq!(pause(text).ok().map(|pause| pause.as_millis()), want, "{text}");
        }
    }
}
