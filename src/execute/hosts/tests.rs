//! What carrying out a plan on hosts promises: the two ends of a connection in one process.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufReader, Read, Write};
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use content::Memory;
use content::layer::{LayerOptions, LayerWriter};
use content::tar::{Entry, EntryKind, TarWriter};
use oci::{Digest, RuntimeConfig};
use tempfile::TempDir;

use super::*;
use crate::cluster::{Cluster, FileChange, Host, Layout, Role, Ssh, Strategy};
use crate::plan::hosts::{Again, Done, ImageFacts, plan, plan_leaving};
use crate::probe::{done as read_record, record_in};
use crate::transport::{Command, Connection, Conversation, End, ErrorLines, Output, Status};

/// A host in this process: what its program would do, a thread does, in a directory of the host's own.
struct Near {
    name: String,
    /// Bytes that come through before the connection breaks; none is all.
    breaks_after: Mutex<Option<usize>>,
}

/// The end of a thread that plays a program.
struct Thread(std::thread::JoinHandle<io::Result<bool>>);

impl End for Thread {
    fn wait(self: Box<Self>) -> Result<Status, TransportError> {
        match self.0.join().unwrap() {
            Ok(true) => Ok(Status::Exited(0)),
            _ => Ok(Status::Exited(1)),
        }
    }

    fn give_up(&self) {}
}

/// Input that ends early.
struct Broken(Box<dyn Write + Send>, Option<usize>);

impl Write for Broken {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let most = self.1.unwrap_or(usize::MAX).min(bytes.len());
        if most == 0 && !bytes.is_empty() {
            self.0 = Box::new(io::sink());
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let count = self.0.write(&bytes[..most])?;
        self.1 = self.1.map(|left| left - count);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

fn pipe() -> (fs::File, fs::File) {
    let (read, write): (OwnedFd, OwnedFd) = rustix::pipe::pipe().unwrap();
    (read.into(), write.into())
}

impl Transport for Near {
    fn run(&self, _: &Command, _: &mut Output<'_>) -> Result<Status, TransportError> {
        Ok(Status::Exited(0))
    }

    fn upload(&self, _: &mut dyn Read, _: &Path, _: u32) -> Result<u64, TransportError> {
        Ok(0)
    }

    fn download(&self, _: &Path, _: &mut dyn Write) -> Result<u64, TransportError> {
        Ok(0)
    }

    fn forward(&self, address: &str) -> Result<Box<dyn Connection>, TransportError> {
        let source = io::ErrorKind::ConnectionRefused.into();
        Err(TransportError::Forward { host: self.host(), address: address.to_owned(), source })
    }

    fn converse(&self, _: &Command, _: ErrorLines) -> Result<Conversation, TransportError> {
        let ((to_read, to_write), (from_read, mut from_write)) = (pipe(), pipe());
        let thread = std::thread::spawn(move || serve(&mut BufReader::new(to_read), &mut from_write));
        let breaks = lock(&self.breaks_after).take();
        Ok(Conversation {
            input: Box::new(Broken(Box::new(to_write), breaks)),
            output: Box::new(from_read),
            end: Box::new(Thread(thread)),
        })
    }

    fn host(&self) -> String {
        self.name.clone()
    }
}

#[derive(Default)]
struct Lines(Mutex<Vec<String>>);

impl HostObserver for Lines {
    fn event(&self, event: &HostEvent<'_>) {
        let line = match event {
            HostEvent::Output { step, line, .. } => format!("{}: {line}", step.host),
            HostEvent::Finished { step, note, .. } => format!("finished {}: {note}", step.action),
            HostEvent::Failed { error, .. } => format!("failed {error}"),
            _ => return,
        };
        lock(&self.0).push(line);
    }
}

/// A directory in which every host has its own, and a store.
struct Lab {
    directory: TempDir,
    store: Memory,
    images: Vec<(ImageFacts, ImageLayers)>,
    cluster: Cluster,
}

impl Lab {
    fn new(hosts: usize) -> Self {
        let address = |number: usize| format!("10.0.0.{}:22", number + 1).parse().unwrap();
        let role = |number| if number == 0 { Role::Master } else { Role::Node };
        let host = |number| Host {
            address: address(number),
            roles: [role(number)].into(),
            env: vec![format!("WHO=host{number}")],
            ssh: Ssh::default(),
        };
        let cluster = Cluster { hosts: (0..hosts).map(host).collect(), ..Cluster::default() };
        Self { directory: TempDir::new().unwrap(), store: Memory::default(), images: Vec::new(), cluster }
    }

    fn layer(&self, files: &[(&str, &str)]) -> (oci::Descriptor, oci::DiffId) {
        let mut tar = TarWriter::new(LayerWriter::begin(&self.store, &LayerOptions::default()).unwrap());
        for (path, text) in files {
            let kind = EntryKind::File { size: text.len() as u64 };
            let (path, xattrs) = (path.as_bytes().to_vec(), BTreeMap::new());
            let (uid, gid) = (rustix::process::getuid().as_raw().into(), rustix::process::getgid().as_raw().into());
            let entry = Entry { path, kind, mode: 0o644, uid, gid, mtime: 1_700_000_000, xattrs };
            tar.append(&entry, &mut text.as_bytes()).unwrap();
        }
        let layer = tar.finish().unwrap().finish().unwrap();
        (layer.descriptor, layer.diff_id)
    }

    fn image(&mut self, name: &str, layers: &[&[(&str, &str)]], cmd: &[&str]) {
        let layers: Vec<_> = layers.iter().map(|files| self.layer(files)).collect();
        let digest = Digest::of(format!("{name} {layers:?}").as_bytes());
        let cmd = Some(cmd.iter().map(|text| (*text).to_owned()).collect());
        let config = RuntimeConfig { cmd, env: vec!["A=1".into()], ..RuntimeConfig::default() };
        let facts = ImageFacts { name: name.to_owned(), digest, config, bytes: 1 };
        self.images.retain(|(known, _)| known.name != name);
        self.images.push((facts, ImageLayers { digest, layers }));
        self.cluster.images = self.images.iter().map(|(facts, _)| facts.name.clone()).collect();
    }

    /// Where a host has its clusters. All hosts are in one process, so the master alone gets files here.
    fn root(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    fn places(&self) -> Places {
        Places { root: self.root(), cluster: self.root().join("default") }
    }

    fn observed(&self) -> BTreeMap<Address, Vec<Done>> {
        let text = fs::read_to_string(record_in(&self.places().cluster)).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let mut all: BTreeMap<Address, Vec<Done>> = BTreeMap::new();
        for done in read_record(&lines) {
            all.entry(done.step.host.clone()).or_default().push(done);
        }
        all
    }

    fn run(&self, breaks_after: Option<usize>) -> (HostPlan, Result<(), HostsError>, Vec<String>) {
        self.carry_out(&self.wanted(), |wanted| plan(wanted, &self.observed(), &Again::Nothing), breaks_after)
    }

    fn wanted(&self) -> Wanted {
        let facts: Vec<_> = self.images.iter().map(|(facts, _)| facts.clone()).collect();
        Wanted::new(&self.cluster, &facts, &Layout::at(self.root()), &BTreeMap::new()).unwrap()
    }

    fn carry_out(
        &self,
        wanted: &Wanted,
        plan: impl Fn(&Wanted) -> HostPlan,
        breaks_after: Option<usize>,
    ) -> (HostPlan, Result<(), HostsError>, Vec<String>) {
        let plan = plan(wanted);
        let near = |host: &Host| -> (Address, Box<dyn Transport>) {
            let near = Near { name: host.address.to_string(), breaks_after: Mutex::new(breaks_after) };
            (host.address.clone(), Box::new(near))
        };
        let hosts = self.cluster.hosts.iter().map(near).collect();
        let layers = self.images.iter().map(|(_, layers)| layers.clone()).collect();
        let trees = Trees::new(&self.store, layers, &self.cluster.configs, self.directory.path().join("indexes"));
        let lines = Lines::default();
        let done = execute(
            &plan,
            wanted,
            false,
            &HostsWorld {
                hosts: &hosts,
                places: &self.places(),
                trees: Some(&trees),
                observer: &lines,
                stop: &Arc::default(),
                lease: None,
                parallel: 4,
                timeout: Some(Duration::from_secs(120)),
                after_failure: AfterFailure::Stop,
            },
        );
        let lines = lock(&lines.0).clone();
        (plan, done, lines)
    }

    fn workdir(&self) -> PathBuf {
        let applications = self.places().cluster.join("applications");
        fs::read_dir(applications).unwrap().next().unwrap().unwrap().path().join("workdir")
    }

    fn names(&self) -> BTreeSet<String> {
        let entries = fs::read_dir(self.workdir()).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

#[test]
fn files_come_by_their_differences_and_a_second_run_does_nothing() {
    let mut lab = Lab::new(1);
    let base: &[(&str, &str)] = &[("a", "one"), ("b", "two"), ("etc/x.tmpl", "{{ .WHO }}")];
    lab.image("app:v1", &[base, &[("c", "three")]], &["cat a c etc/x; echo $WHO"]);
    let (plan, done, lines) = lab.run(None);
    done.unwrap();
    assert_eq!(plan.steps.len(), 4, "{plan}");
    assert!(lines.contains(&"10.0.0.1:22: onethreehost0host0".to_owned()), "{lines:?}");
    let (plan, done, lines) = lab.run(None);
    done.unwrap();
    assert!(plan.is_empty() && lines.is_empty(), "{plan} {lines:?}");

    // One layer is another one: only that one travels.
    lab.image("app:v1", &[base, &[("d", "four")]], &["echo again"]);
    let (_, done, lines) = lab.run(None);
    done.unwrap();
    let fetched = lines.iter().find(|line| line.contains("bytes fetched")).unwrap();
    assert!(fetched.contains("1 files written, 1 removed"), "{fetched}");
    assert_eq!(lab.names(), ["a", "b", "d", "etc"].map(str::to_owned).into());

    // Nothing that was fetched stays but what it made.
    assert_eq!(fs::read_dir(lab.places().cluster.join("transfer")).unwrap().count(), 0);
    let leaving = lab.carry_out(&lab.wanted(), |_| plan_leaving(&lab.observed()), None);
    leaving.1.unwrap();
    assert!(!lab.places().cluster.exists());
}

#[test]
fn what_a_user_changes_meets_the_file_of_the_image_once() {
    let mut lab = Lab::new(1);
    lab.image("app:v1", &[&[("etc/a.conf", "base"), ("etc/m.yaml", "a: {b: 1}\n")]], &[]);
    let change = |name: &str, path: &str, data: &str, strategy| FileChange {
        name: name.into(),
        image: None,
        path: path.into(),
        data: data.into(),
        strategy,
    };
    lab.cluster.configs = vec![
        change("one", "etc/a.conf", "more", Strategy::Append),
        change("two", "etc/m.yaml", "a: {c: 2}", Strategy::Merge),
        change("three", "etc/new", "new", Strategy::Override),
    ];
    let read = |lab: &Lab, name: &str| fs::read_to_string(lab.workdir().join(name)).unwrap();
    lab.run(None).1.unwrap();
    assert_eq!(read(&lab, "etc/a.conf"), "base\nmore");
    assert_eq!(read(&lab, "etc/m.yaml"), "a:\n  b: 1\n  c: 2\n");
    assert_eq!(read(&lab, "etc/new"), "new");
    lab.cluster.configs[0].data = "other".into();
    lab.run(None).1.unwrap();
    assert_eq!(read(&lab, "etc/a.conf"), "base\nother");
    lab.cluster.configs.clear();
    lab.run(None).1.unwrap();
    assert_eq!(read(&lab, "etc/a.conf"), "base");
    assert!(!lab.workdir().join("etc/new").exists());
}

#[test]
fn a_connection_that_breaks_in_a_layer_goes_on_where_it_broke() {
    let mut lab = Lab::new(1);
    // Bytes that do not compress.
    let mut state = 7_u64;
    let text: String = (0..400_000)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            char::from(b'!' + u8::try_from(state >> 40 & 63).unwrap())
        })
        .collect();
    lab.image("app:v1", &[&[("big", &text)]], &[]);
    let (_, done, _) = lab.run(Some(150_000));
    assert!(matches!(done, Err(HostsError::Failed { .. })), "{done:?}");
    let kept: u64 = fs::read_dir(lab.places().cluster.join("transfer"))
        .unwrap()
        .map(|entry| entry.unwrap().metadata().unwrap().len())
        .sum();
    assert!(kept > 100_000, "{kept}");
    let (_, done, lines) = lab.run(None);
    done.unwrap();
    let layer = lab.images[0].1.layers[0].0.size;
    let fetched: u64 = lines
        .iter()
        .find_map(|line| line.split_once(" kept, ")?.1.split_once(" bytes")?.0.parse().ok())
        .expect("a line says how much was fetched");
    assert!(fetched < layer && fetched + kept >= layer, "{fetched} of {layer}, {kept} were there");
    assert_eq!(fs::read_to_string(lab.workdir().join("big")).unwrap(), text);
}

#[test]
fn the_first_command_that_fails_ends_it_and_the_next_run_begins_there() {
    let mut lab = Lab::new(1);
    lab.image("app:v1", &[&[("a", "x")]], &["echo first", "echo why >&2; [ -e ok ] || exit 7", "echo third"]);
    let (_, done, lines) = lab.run(None);
    let error = done.unwrap_err();
    assert_eq!(error.exit_code(), 7);
    let text = error.to_string();
    for part in ["on 10.0.0.1:22: app:v1: run command 2 of 3", "| why", "3 steps were done, 3 are left"] {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
    assert!(!lines.iter().any(|line| line.contains("third")));
    fs::write(lab.workdir().join("ok"), "").unwrap();
    let (plan, done, lines) = lab.run(None);
    done.unwrap();
    assert_eq!(plan.steps.len(), 3, "{plan}");
    assert!(!lines.iter().any(|line| line.contains("first")) && lines.iter().any(|line| line.contains("third")));
}

#[test]
fn an_odd_value_is_no_code_and_a_command_has_its_time() {
    let mut lab = Lab::new(1);
    lab.image("app:v1", &[&[("a", "x")]], &["printf '%s|' \"$(V)\""]);
    let odd = "a'b\"c `id` $(id) ; $HOME, d";
    lab.cluster.env = vec![format!("V={odd}")];
    let (_, done, lines) = lab.run(None);
    done.unwrap();
    assert!(lines.contains(&format!("10.0.0.1:22: {odd}|")), "{lines:?}");
}
