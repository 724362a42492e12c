//! Brings a cluster to what is wanted, or says what that would take.
//!
//! ```text
//! stored file ─ wish ─▶ desired ─┐
//! probe all hosts ─ judge ───────┼▶ problems: all at once, nothing was changed
//!                  └ plan ◀──────┘─▶ tell | lock, ship the program, execute, store, replicate
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use content::side_by_side;
use oci::Platform;
use serde_json::json;

use super::flags::WorkFlags;
use super::images::{self, HostImage};
use super::problem;
use super::reach::{self, Hosts};
use super::showing::Showing;
use super::state::{State, seconds};
use crate::cli::error::CommandError;
use crate::cli::interrupts;
use crate::cli::registry::Registry;
use crate::cli::world::{Silence, World};
use crate::cluster::{Address, Cluster, ClusterName, Host, ImageKind, Layout, Problem, Role};
use crate::clusterfile::{Clusterfile, Installed, Note, Phase, Status};
use crate::execute::hosts::{AfterFailure, HostsError, HostsWorld, Lease, Trees, execute, ship};
use crate::plan::hosts::{Again, Done, HostPlan, Wanted, plan, plan_leaving};
use crate::probe::{Found, Needs, Places, ProbeError, judge, probe};
use crate::report::time::Moment;
use crate::report::{Event, Reporter, causes};
use crate::rootfs::hash;
use crate::transport::Transport;

/// How much more room unpacked files and their layers on the way take than the layers alone.
const ROOM: u64 = 3;

/// What a host that leaves and does not answer means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unreachable {
    /// Nothing is done.
    Refuse,
    /// It is forgotten as it is.
    Forget,
}

/// Whether it is done or only told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Aim {
    /// It is done.
    Do,
    /// It is told, for people.
    Tell,
    /// It is told as JSON.
    TellJson,
}

/// What is wanted, from what is stored.
pub(crate) type Wish<'a> = dyn Fn(Option<&Clusterfile>) -> Result<Clusterfile, CommandError> + 'a;

/// A change of a cluster.
pub(crate) struct Job<'a> {
    pub(crate) cluster: ClusterName,
    pub(crate) wish: &'a Wish<'a>,
    /// Images whose steps are done again.
    pub(crate) again: BTreeSet<String>,
    pub(crate) work: &'a WorkFlags,
    pub(crate) registry: &'a Registry,
    pub(crate) silence: Silence,
    pub(crate) unreachable: Unreachable,
    pub(crate) aim: Aim,
}

/// Where things are on all hosts.
pub(crate) fn places(cluster: &ClusterName) -> Result<(Layout, Places), CommandError> {
    // Whoever we are here, on the hosts it is root who acts.
    let layout = Layout::choose(0, |name| std::env::var_os(name))?;
    let places = Places { root: layout.root().to_owned(), cluster: layout.cluster(cluster) };
    Ok((layout, places))
}

/// The cluster as it is stored, for changes of one that there has to be.
pub(crate) fn stored(current: Option<&Clusterfile>, cluster: &ClusterName) -> Result<Clusterfile, CommandError> {
    current.cloned().ok_or_else(|| CommandError::NoCluster { cluster: cluster.clone() })
}

/// What was asked and heard.
struct Heard {
    current: Option<Clusterfile>,
    desired: Clusterfile,
    hosts: Hosts,
    found: BTreeMap<Address, Result<Found, ProbeError>>,
}

/// Carries a job out. Returns whether anything was left to do.
pub(crate) fn bring(job: &Job<'_>, world: &mut World<'_>) -> Result<(), CommandError> {
    let state = State::of(&job.cluster)?;
    let _alone = if job.aim == Aim::Do { Some(state.lock()?) } else { None };
    let (layout, places) = places(&job.cluster)?;
    let reporter: Arc<dyn Reporter> = Arc::from(world.reporter(job.silence));
    let mut heard = listen(job, &state, &places)?;
    for note in &heard.desired.notes {
        reporter.event(&Event::Warning(note.to_string()));
    }
    let disk = world.disk()?;
    let images = images::find(&heard.desired.cluster.images, &disk, job.registry, &reporter)?;
    let leaving = leaving(&heard);
    let problems = problems(job, &heard, &images, &leaving);
    if !problems.is_empty() {
        reporter.finish();
        return Err(CommandError::Hosts(problems));
    }
    let (wanted, mut plan) = planned(job, &heard, &images, &layout)?;
    if job.aim != Aim::Do {
        reporter.finish();
        return tell(job, &heard, &images, &plan, world);
    }
    warn_of_kubernetes(&images, &*reporter);
    for host in leaving.iter().filter(|host| !is_found(&heard, &host.address)) {
        reporter.event(&Event::Warning(format!("{} does not answer and is forgotten as it is", host.address)));
    }
    if plan.is_empty() {
        return settle(&state, &mut heard, &images, &layout, &places, &*reporter);
    }
    let program = Program::own()?;
    let keeper = first_master(&heard.desired.cluster)?.address.clone();
    program.ship_to(&[&keeper], &heard, &places, 1)?;
    let transport = transport(&heard.hosts, &keeper)?;
    let lease = Lease::take(transport, &keeper, &places.program(), &places.cluster, &owner())?;
    // Somebody may have been at work until now.
    heard.found = probe(&heard.hosts, &places, job.work.parallel);
    plan = planned(job, &heard, &images, &layout)?.1;
    let reached: Vec<&Address> = plan.hosts().into_iter().filter(|host| is_found(&heard, host)).collect();
    program.ship_to(&reached, &heard, &places, job.work.parallel)?;

    note_status(&mut heard.desired, heard.current.as_ref(), &images, &layout, Phase::InProcess)?;
    let done_hosts = heard.desired.cluster.hosts.clone();
    // A host that leaves is in the cluster until it has left.
    heard.desired.cluster.hosts.extend(leaving.iter().cloned());
    let text = state.save(&heard.desired)?;
    replicate(&text, &heard, &places, &*reporter);
    let (log, log_path) = state.log()?;
    let showing = Showing::new(&*reporter, log, plan.steps.len());
    let layers = images.iter().map(|image| image.layers.clone()).collect();
    let configs = heard.desired.cluster.configs.clone();
    let trees = Trees::new(&disk, layers, &configs, state.indexes());
    let stop = interrupts::stop();
    let hosts_world = HostsWorld {
        hosts: &heard.hosts,
        places: &places,
        trees: Some(&trees),
        observer: &showing,
        stop: &stop,
        lease: Some(&lease),
        parallel: job.work.parallel,
        timeout: job.work.limit(),
        after_failure: AfterFailure::Stop,
    };
    let done = execute(&plan, &wanted, !job.again.is_empty(), &hosts_world);
    let phase = if done.is_ok() { Phase::Success } else { Phase::Failed };
    if done.is_ok() {
        heard.desired.cluster.hosts = done_hosts;
    }
    note_status(&mut heard.desired, heard.current.as_ref(), &images, &layout, phase)?;
    let text = state.save(&heard.desired)?;
    replicate(&text, &heard, &places, &*reporter);
    drop(lease);
    reporter.finish();
    if let Err(error) = done {
        crate::cli::note(format_args!("the log is {}", log_path.display()));
        return Err(error.into());
    }
    for image in &images {
        // What is installed is kept from `prune --all`.
        disk.mark_used(&image.root.digest, &format!("cluster {}", job.cluster))?;
    }
    Ok(())
}

/// Asks all hosts of what is stored and of what is wanted. Where a master knows a later state than this machine, that one
/// counts.
fn listen(job: &Job<'_>, state: &State, places: &Places) -> Result<Heard, CommandError> {
    let mut current = state.load()?;
    let mut desired = (job.wish)(current.as_ref())?;
    let network = reach::network(job.work.host_keys.into())?;
    let all = |current: &Option<Clusterfile>, desired: &Clusterfile| {
        let mut hosts = reach::hosts(&desired.cluster, &desired.cluster.hosts, &network);
        if let Some(current) = current {
            let left = current.cluster.hosts.iter().filter(|host| !hosts.contains_key(&host.address));
            let left: Vec<&Host> = left.collect();
            hosts.extend(reach::hosts(&current.cluster, left, &network));
        }
        hosts
    };
    let mut hosts = all(&current, &desired);
    let mut found = probe(&hosts, places, job.work.parallel);
    let known = current.as_ref().map_or(0, |current| current.status.revision);
    let mut newest: Option<Clusterfile> = None;
    for (host, found) in &found {
        let Ok(Found { clusterfile: Some(text), .. }) = found else { continue };
        let there = state.parse(text, &format!("the Clusterfile on {host}"))?;
        let least = newest.as_ref().map_or(known, |newest| newest.status.revision);
        if there.cluster.name == job.cluster && there.status.revision > least {
            newest = Some(there);
        }
    }
    if newest.is_some() {
        current = newest;
        desired = (job.wish)(current.as_ref())?;
        let more: Hosts = all(&current, &desired).into_iter().filter(|(host, _)| !hosts.contains_key(host)).collect();
        found.extend(probe(&more, places, job.work.parallel));
        hosts.extend(more);
    }
    let lost = sealed_elsewhere(current.as_ref(), &desired);
    if !lost.is_empty() {
        return Err(CommandError::SealedElsewhere { names: lost });
    }
    Ok(Heard { current, desired, hosts, found })
}

/// Variables of images whose values another machine sealed, and that nobody gave again: without them, commands would run
/// with other values than before.
fn sealed_elsewhere(current: Option<&Clusterfile>, desired: &Clusterfile) -> Vec<String> {
    let notes = current.into_iter().flat_map(|current| &current.notes);
    let names = notes.filter_map(|note| match note {
        Note::Sealed { path, .. } => path.split_once(".env.").map(|(_, name)| name.to_owned()),
        _ => None,
    });
    let given = |name: &String| {
        let mut lines = desired.cluster.image_env.values().flatten();
        lines.any(|line| line.split('=').next() == Some(name))
    };
    names.filter(|name| !given(name)).collect()
}

fn is_found(heard: &Heard, host: &Address) -> bool {
    heard.found.get(host).is_some_and(Result::is_ok)
}

/// Hosts that are in the cluster and are no more wanted.
fn leaving(heard: &Heard) -> Vec<Host> {
    let wanted = |host: &&Host| heard.desired.cluster.hosts.iter().any(|known| known.address == host.address);
    let current = heard.current.iter().flat_map(|current| &current.cluster.hosts);
    current.filter(|host| !wanted(host)).cloned().collect()
}

/// All that is wrong, before anything was changed.
fn problems(job: &Job<'_>, heard: &Heard, images: &[HostImage], leaving: &[Host]) -> Vec<Problem> {
    let mut bytes = BTreeMap::new();
    for host in &heard.desired.cluster.hosts {
        let is_new =
            heard.found.get(&host.address).is_some_and(|found| matches!(found, Ok(found) if found.done.is_empty()));
        let sum: u64 = images.iter().map(|image| image.facts.bytes).sum();
        if is_new {
            bytes.insert(host.address.clone(), sum.saturating_mul(ROOM));
        }
    }
    let needs = Needs { arch: Platform::host().architecture, bytes };
    let leaves = |host: &Address| leaving.iter().any(|leaving| leaving.address == *host);
    let problems = judge(&heard.found, &needs);
    // Of a host that leaves it matters only whether it answers.
    let matters = |problem: &Problem| {
        !leaves(&problem.host) || (!is_found(heard, &problem.host) && job.unreachable == Unreachable::Refuse)
    };
    let help = |mut problem: Problem| {
        if leaves(&problem.host) {
            let more = "`--force` forgets it as it is".to_owned();
            problem.help = Some(problem.help.map_or(more.clone(), |help| format!("{help}; {more}")));
        }
        problem
    };
    problems.into_iter().filter(matters).map(help).collect()
}

fn done(heard: &Heard) -> BTreeMap<Address, Vec<Done>> {
    let known = heard.found.iter().filter_map(|(host, found)| Some((host.clone(), found.as_ref().ok()?.done.clone())));
    known.collect()
}

fn planned(
    job: &Job<'_>,
    heard: &Heard,
    images: &[HostImage],
    layout: &Layout,
) -> Result<(Wanted, HostPlan), CommandError> {
    let facts: Vec<_> = images.iter().map(|image| image.facts.clone()).collect();
    let address = |(host, found): (&Address, &Result<Found, ProbeError>)| {
        let addresses = &found.as_ref().ok()?.facts.addresses;
        let ip: IpAddr = addresses.iter().copied().find(|ip| !ip.is_loopback())?;
        Some((host.clone(), ip))
    };
    let addresses = heard.found.iter().filter_map(address).collect();
    let wanted = Wanted::new(&heard.desired.cluster, &facts, layout, &addresses)?;
    let again = if job.again.is_empty() { Again::Nothing } else { Again::Images(job.again.clone()) };
    let plan = plan(&wanted, &done(heard), &again);
    Ok((wanted, plan))
}

/// Says what would be done; the exit code says whether there is anything.
fn tell(
    job: &Job<'_>,
    heard: &Heard,
    images: &[HostImage],
    plan: &HostPlan,
    world: &mut World<'_>,
) -> Result<(), CommandError> {
    let program = Program::own()?;
    let ships: Vec<String> =
        plan.hosts().into_iter().filter(|host| program.is_missing(heard, host)).map(ToString::to_string).collect();
    let bytes: u64 = images.iter().map(|image| image.facts.bytes).sum();
    if job.aim == Aim::TellJson {
        let free: BTreeMap<String, u64> = heard
            .found
            .iter()
            .filter_map(|(host, found)| Some((host.to_string(), found.as_ref().ok()?.facts.free_bytes)))
            .collect();
        let document = json!({
            "cluster": job.cluster, "changes": !plan.is_empty(), "steps": plan.steps, "done": plan.skipped.len(),
            "programGoesTo": ships, "bytesOfImages": bytes, "bytesFree": free,
        });
        world.say(serde_json::to_string_pretty(&document)?)?;
    } else {
        if !ships.is_empty() {
            world.say(format!("sealos itself goes to {}", ships.join(", ")))?;
        }
        write!(world.out, "{plan}").map_err(CommandError::Output)?;
    }
    if plan.is_empty() { Ok(()) } else { Err(CommandError::Changes) }
}

/// Nothing is left to do on hosts; what is stored may still be another cluster than the one that is wanted now.
fn settle(
    state: &State,
    heard: &mut Heard,
    images: &[HostImage],
    layout: &Layout,
    places: &Places,
    reporter: &dyn Reporter,
) -> Result<(), CommandError> {
    let same = heard.current.as_ref().is_some_and(|current| {
        current.cluster == heard.desired.cluster && current.status.phase == Some(Phase::Success)
    });
    if !same {
        note_status(&mut heard.desired, heard.current.as_ref(), images, layout, Phase::Success)?;
        let text = state.save(&heard.desired)?;
        replicate(&text, heard, places, reporter);
    }
    reporter.event(&Event::Task("nothing is left to do".to_owned()));
    reporter.finish();
    Ok(())
}

/// Says in the file how the cluster stands.
fn note_status(
    file: &mut Clusterfile,
    before: Option<&Clusterfile>,
    images: &[HostImage],
    layout: &Layout,
    phase: Phase,
) -> Result<(), CommandError> {
    let mut mounts = Vec::new();
    for image in images {
        let name = &image.facts.name;
        let kind = ImageKind::of(&image.facts.config.labels)?;
        let mount = crate::cluster::mount_name(&file.cluster.name, &crate::plan::hosts::lineage(name));
        mounts.push(Installed {
            kind: kind.to_string(),
            image_name: name.clone(),
            image_digest: Some(image.facts.digest.to_string()),
            mount_point: layout.work_directory(&file.cluster.name, kind, &mount).display().to_string(),
            env: file.cluster.image_env.get(name).cloned().unwrap_or_default(),
            commands: file.cluster.image_cmd.get(name).cloned().unwrap_or_default(),
            name: mount,
        });
    }
    let created = before.and_then(|before| before.status.created.clone()).or_else(|| file.status.created.clone());
    let revision = before.map_or(0, |before| before.status.revision).max(file.status.revision) + 1;
    let created = Some(created.unwrap_or_else(|| now().to_string()));
    file.status = Status { phase: Some(phase), created, mounts, revision };
    Ok(())
}

/// Leaves the cluster's file on all masters, so that another machine can go on.
fn replicate(text: &str, heard: &Heard, places: &Places, reporter: &dyn Reporter) {
    let masters = heard.desired.cluster.hosts.iter().filter(|host| host.is(&Role::Master));
    for host in masters.filter(|host| is_found(heard, &host.address)) {
        let Some(transport) = heard.hosts.get(&host.address) else { continue };
        if let Err(error) = transport.upload(&mut text.as_bytes(), &places.clusterfile(), 0o600) {
            reporter.event(&Event::Warning(format!(
                "the state of the cluster was not copied to {}: {error}",
                host.address
            )));
        }
    }
}

fn warn_of_kubernetes(images: &[HostImage], reporter: &dyn Reporter) {
    for image in images {
        let labels = &image.facts.config.labels;
        if labels.contains_key("version") && ImageKind::of(labels).is_ok_and(|kind| kind == ImageKind::Rootfs) {
            let text = "its files, scripts and commands are run on the hosts; Kubernetes itself (kubeadm, certificates, joins) \
                        is not set up by this version";
            reporter.event(&Event::Warning(format!("{}: {text}", image.facts.name)));
        }
    }
}

/// The first master, which there has to be.
pub(crate) fn first_master(cluster: &Cluster) -> Result<&Host, CommandError> {
    cluster.first_master().ok_or(CommandError::NoMaster)
}

fn transport<'a>(hosts: &'a Hosts, host: &Address) -> Result<&'a dyn Transport, CommandError> {
    hosts.get(host).map(AsRef::as_ref).ok_or_else(|| HostsError::NoHost(host.clone()).into())
}

/// This moment, to the second.
fn now() -> Moment {
    Moment::at(i64::try_from(seconds()).unwrap_or(i64::MAX))
}

/// Who we are, for others who want to work on the cluster.
fn owner() -> String {
    let user =
        std::env::var("USER").or_else(|_unset| std::env::var("LOGNAME")).unwrap_or_else(|_unset| "root".to_owned());
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    format!("{user}@{name}, process {}, since {}", std::process::id(), now())
}

/// Our own program, which acts for us on the hosts.
struct Program {
    path: PathBuf,
    digest: String,
}

impl Program {
    fn own() -> Result<Self, CommandError> {
        let path = PathBuf::from("/proc/self/exe");
        let digest = File::open(&path).and_then(|mut file| hash(&mut file, &mut vec![0; 1 << 20]));
        let digest = digest.map_err(CommandError::io("read our own program"))?.hex();
        Ok(Self { path, digest })
    }

    fn is_missing(&self, heard: &Heard, host: &Address) -> bool {
        let found = heard.found.get(host).and_then(|found| found.as_ref().ok());
        found.is_some_and(|found| found.facts.program.as_deref() != Some(&self.digest))
    }

    /// Puts it on the hosts that have it not.
    fn ship_to(&self, to: &[&Address], heard: &Heard, places: &Places, parallel: usize) -> Result<(), CommandError> {
        let missing: Vec<_> = to.iter().filter(|host| self.is_missing(heard, host)).collect();
        let shipped = side_by_side(parallel, &missing, |host| {
            let transport = heard.hosts.get(*host)?;
            ship(&self.path, transport.as_ref(), places).err().map(|error| problem(host, &error.into()))
        });
        let problems: Vec<Problem> = shipped.into_iter().flatten().collect();
        if problems.is_empty() { Ok(()) } else { Err(CommandError::Hosts(problems)) }
    }
}

/// What taking a cluster away needs.
pub(crate) struct Leaving<'a> {
    pub(crate) cluster: ClusterName,
    pub(crate) file: Clusterfile,
    pub(crate) work: &'a WorkFlags,
    pub(crate) silence: Silence,
}

/// Takes a cluster away from all its hosts: what was done is undone, in reverse. Hosts that cannot be cleaned stay in the
/// stored file and are told.
pub(crate) fn take_away(leaving: Leaving<'_>, world: &World<'_>) -> Result<(), CommandError> {
    let Leaving { cluster, file, work, silence } = leaving;
    let state = State::of(&cluster)?;
    let _alone = state.lock()?;
    let (_, places) = places(&cluster)?;
    let reporter = world.reporter(silence);
    let hosts = reach::ways(&file.cluster, &file.cluster.hosts, work)?;
    let found = probe(&hosts, &places, work.parallel);
    let mut heard = Heard { current: None, desired: file, hosts, found };
    let program = Program::own()?;
    let reached: Vec<&Address> = heard.hosts.keys().filter(|host| is_found(&heard, host)).collect();
    let with_record = |host: &&&Address| matches!(heard.found.get(**host), Some(Ok(found)) if !found.done.is_empty());
    let dirty: Vec<&Address> = reached.iter().filter(with_record).copied().collect();
    program.ship_to(&dirty, &heard, &places, work.parallel)?;
    let keeper =
        heard.desired.cluster.hosts.iter().find(|host| host.is(&Role::Master) && dirty.contains(&&host.address));
    let lease = match keeper {
        Some(keeper) => {
            let transport = transport(&heard.hosts, &keeper.address)?;
            Some(Lease::take(transport, &keeper.address, &places.program(), &places.cluster, &owner())?)
        }
        None => None,
    };
    let plan = plan_leaving(&done(&heard));
    let wanted = Wanted { cluster: cluster.clone(), hosts: Vec::new() };
    let (log, log_path) = state.log()?;
    let showing = Showing::new(&*reporter, log, plan.steps.len());
    let stop = interrupts::stop();
    let result = execute(
        &plan,
        &wanted,
        false,
        &HostsWorld {
            hosts: &heard.hosts,
            places: &places,
            trees: None,
            observer: &showing,
            stop: &stop,
            lease: lease.as_ref(),
            parallel: work.parallel,
            timeout: work.limit(),
            after_failure: AfterFailure::GoOn,
        },
    );
    drop(lease);
    reporter.finish();
    // What is left there, as the hosts themselves say.
    heard.found = probe(&heard.hosts, &places, work.parallel);
    let mut problems = judge_left(&heard);
    if let Err(error) = &result {
        crate::cli::note(format_args!("the log is {}", log_path.display()));
        if let HostsError::Failed { failures, .. } = error {
            for failure in failures {
                let what = format!("{}: {}", failure.step, causes(&failure.error));
                match problems.iter_mut().find(|problem| problem.host == failure.host) {
                    Some(problem) => problem.what = what,
                    None => problems.push(Problem { host: failure.host.clone(), what, help: None }),
                }
            }
        }
    }
    if problems.is_empty() && result.is_ok() {
        return state.retire();
    }
    heard.desired.cluster.hosts.retain(|host| problems.iter().any(|problem| problem.host == host.address));
    heard.desired.status.phase = Some(Phase::Failed);
    heard.desired.status.revision += 1;
    state.save(&heard.desired)?;
    match result {
        Err(error @ HostsError::Interrupted { .. }) => Err(error.into()),
        _ => Err(CommandError::NotTakenAway { cluster, problems }),
    }
}

fn judge_left(heard: &Heard) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (host, found) in &heard.found {
        match found {
            Err(error) => problems.push(problem(host, error)),
            Ok(found) if !found.done.is_empty() => {
                let what = format!("{} steps are not undone", found.done.len());
                problems.push(Problem { host: host.clone(), what, help: None });
            }
            Ok(_) => {}
        }
    }
    problems
}
