//! `sealos search TERM`

use std::io::Read;
use std::sync::Arc;

use clap::Args;
use oci::Reference;
use registry_client::Client;
use serde::{Deserialize, Serialize};
use url::Url;

use super::error::CommandError;
use super::registry::{Registry, client};
use super::show;
use super::world::{Silence, World};
use crate::report::table::Table;
use crate::report::{Event, Reporter};
use crate::transfer::TransferError;

/// Where Docker Hub is searched: it has no catalog, but an interface of its own from before there were catalogs.
const HUB: &str = "https://index.docker.io/v1/search";
/// The answer is no larger, in bytes.
const ANSWER: u64 = 4 << 20;
/// Characters of a description that are shown.
const DESCRIPTION: usize = 60;

/// Search registries for repositories
///
/// HOST/TERM searches the catalog of a registry, HOST alone lists it. TERM without a registry is searched in Docker Hub, or
/// in the registries that registries.conf has for names without one.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sealos search kubernetes
  sealos search hub.example:5000
  sealos search --json hub.example:5000/team/")]
pub(crate) struct Search {
    /// What the names of repositories hold, with or without a registry in front
    term: String,
    /// At most so many
    #[arg(long, default_value_t = 100, value_name = "N")]
    limit: usize,
    /// Descriptions in full
    #[arg(long)]
    no_trunc: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    registry: Registry,
}

/// A repository that was found.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Found {
    name: String,
    description: String,
    stars: u64,
    official: bool,
}

impl Search {
    pub(crate) fn run(self, world: &mut World<'_>) -> Result<(), CommandError> {
        let registry = self.registry.clone().complete()?;
        let reporter: Arc<dyn Reporter> = Arc::from(world.reporter(Silence::Unasked));
        let (mut found, mut there, mut errors) = (Vec::new(), 0, Vec::new());
        for (host, term) in self.places(&registry)? {
            let client = client(&registry, &host, Some(&reporter));
            let result = if host == "docker.io" { self.hub(&client, &term) } else { catalog(&client, &host, &term) };
            match result {
                Ok((more, all)) => {
                    there += all.max(more.len());
                    found.extend(more);
                }
                Err(source) => errors.push(CommandError::Move { verb: "search", name: host, source }),
            }
        }
        found.truncate(self.limit);
        if found.len() < there {
            let text = format!("these are {} of {there} that match; `--limit` shows more", found.len());
            reporter.event(&Event::Warning(text));
        }
        reporter.finish();
        if found.is_empty() && !errors.is_empty() {
            return CommandError::all(errors);
        }
        if self.json {
            show::json(world, &found)?;
        } else {
            self.table(&found).write(world.out).map_err(CommandError::Output)?;
        }
        CommandError::all(errors)
    }

    /// Registries, and what is searched for in them.
    fn places(&self, registry: &Registry) -> Result<Vec<(String, String)>, CommandError> {
        let text = self.term.trim_start_matches("docker://");
        let (host, rest) = text.split_once('/').unwrap_or((text, ""));
        let is_host = host == "localhost" || host.contains(['.', ':']);
        if is_host && format!("{host}/x").parse::<Reference>().is_ok_and(|name| name.registry() == host) {
            return Ok(vec![(host.to_owned(), rest.to_owned())]);
        }
        let candidates = client(registry, "", None).candidates("x").map_err(TransferError::from)?;
        Ok(candidates.iter().map(|name| (name.registry().to_owned(), text.to_owned())).collect())
    }

    fn hub(&self, client: &Client, term: &str) -> Result<(Vec<Found>, usize), TransferError> {
        let wrong = |reason: String| TransferError::Refused { place: "docker.io".to_owned(), reason };
        if term.is_empty() {
            return Err(wrong("it does not list all of its repositories; say what to search for".to_owned()));
        }
        let mut url = Url::parse(HUB).map_err(|error| wrong(error.to_string()))?;
        url.query_pairs_mut().append_pair("q", term).append_pair("n", &self.limit.min(100).to_string());
        let mut text = Vec::new();
        let read = client.download(url.as_str())?.body.take(ANSWER).read_to_end(&mut text);
        read.map_err(|source| TransferError::Io { doing: "read the answer of docker.io".to_owned(), source })?;
        hub_answer(&text).map_err(|_json| wrong("its answer is not what was expected".to_owned()))
    }

    fn table(&self, found: &[Found]) -> Table {
        let mut table = Table::new();
        // Catalogs tell names only.
        if found.iter().all(|one| one.description.is_empty() && one.stars == 0) {
            table.row(["NAME".to_owned()]);
            found.iter().for_each(|one| table.row([one.name.clone()]));
            return table;
        }
        table.row(["NAME", "DESCRIPTION", "STARS", "OFFICIAL"].map(str::to_owned));
        for one in found {
            let description: String = match self.no_trunc {
                true => one.description.clone(),
                false => one.description.chars().take(DESCRIPTION).collect(),
            };
            let stars = if one.stars > 0 { one.stars.to_string() } else { String::new() };
            let official = if one.official { "yes".to_owned() } else { String::new() };
            table.row([one.name.clone(), description, stars, official]);
        }
        table
    }
}

/// The repositories that match, and how many there are.
fn catalog(client: &Client, host: &str, term: &str) -> Result<(Vec<Found>, usize), TransferError> {
    let all = client.catalog(host)?.into_iter().filter(|path| path.contains(term));
    let found = |path| Found { name: format!("{host}/{path}"), description: String::new(), stars: 0, official: false };
    let found: Vec<Found> = all.map(found).collect();
    let there = found.len();
    Ok((found, there))
}

/// What Docker Hub has told of, and how many it says that there are.
fn hub_answer(text: &[u8]) -> Result<(Vec<Found>, usize), serde_json::Error> {
    #[derive(Deserialize)]
    struct Page {
        #[serde(default)]
        num_results: usize,
        results: Vec<Row>,
    }
    #[derive(Deserialize)]
    struct Row {
        name: String,
        #[serde(default)]
        description: Option<String>,
        #[serde(default)]
        star_count: u64,
        #[serde(default)]
        is_official: bool,
    }
    let page: Page = serde_json::from_slice(text)?;
    let found = page.results.into_iter().map(|row| Found {
        name: format!("docker.io/{}", row.name),
        description: one_line(&row.description.unwrap_or_default()),
        stars: row.star_count,
        official: row.is_official,
    });
    Ok((found.collect(), page.num_results))
}

/// A stranger's text, fit for a terminal.
fn one_line(text: &str) -> String {
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_of_docker_hub_is_read() {
        let text = br#"{"num_results":7,"query":"nginx","results":[
            {"name":"nginx","description":"Official\nbuild of Nginx.","star_count":19,"is_official":true,"is_automated":false},
            {"name":"a/b","description":null,"star_count":0}]}"#;
        let (found, there) = hub_answer(text).unwrap();
        assert_eq!(there, 7);
        let want = Found {
            name: "docker.io/nginx".to_owned(),
            description: "Official build of Nginx.".to_owned(),
            stars: 19,
            official: true,
        };
        assert_eq!((found.len(), &found[0], found[1].name.as_str()), (2, &want, "docker.io/a/b"));
        assert!(hub_answer(b"<html>").is_err());
    }
}
