//! `/metrics`: the figures in the text format of Prometheus (version 0.0.4).
//!
//! What other parts of the program count (certificates, lines of the log that were left out, what a place holds) is
//! added with [`MetricsRoute::with`].

use std::fmt::{self, Display, Write};
use std::fs;
use std::sync::Arc;
use std::time::SystemTime;

use crate::counters::{Counters, SECONDS};
use crate::gate::Need;
use crate::http::{Head, Method, Request, Response, Status};
use crate::record::Kind;
use crate::route::Route;

const PATH: &str = "/metrics";
/// Ticks in a second in `/proc` (USER_HZ): 100 on every architecture that this is built for.
const TICKS: f64 = 100.0;

/// Figures in the making.
#[derive(Debug, Default)]
pub struct Exposition(String);

/// What kind of figure it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// It only grows.
    Counter,
    /// It goes up and down.
    Gauge,
    /// Classes, their sum and their count.
    Histogram,
}

impl Exposition {
    /// Begins the samples of a name. Names are Prometheus's: words and underscores, the unit at the end.
    pub fn family(&mut self, name: &str, family: Family, help: &str) -> &mut Self {
        let kind = match family {
            Family::Counter => "counter",
            Family::Gauge => "gauge",
            Family::Histogram => "histogram",
        };
        self.line(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}"))
    }

    /// One sample.
    pub fn sample(&mut self, name: &str, labels: &[(&str, &dyn Display)], value: impl Display) -> &mut Self {
        self.0.push_str(name);
        for (at, (label, text)) in labels.iter().enumerate() {
            let text = text.to_string().replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            self.0.push_str(if at == 0 { "{" } else { "," });
            self.0.push_str(&format!("{label}=\"{text}\""));
        }
        self.0.push_str(if labels.is_empty() { "" } else { "}" });
        self.line(format_args!(" {value}"))
    }

    /// A name with one sample.
    pub fn single(&mut self, name: &str, family: Family, help: &str, value: impl Display) -> &mut Self {
        self.family(name, family, help).sample(name, &[], value)
    }

    fn line(&mut self, text: fmt::Arguments<'_>) -> &mut Self {
        // Writing to a string cannot fail.
        self.0.write_fmt(text).unwrap_or_default();
        self.0.push('\n');
        self
    }
}

type More = Box<dyn Fn(&mut Exposition) + Send + Sync>;

/// The route.
pub struct MetricsRoute {
    counters: Arc<Counters>,
    started: SystemTime,
    more: Vec<More>,
}

impl MetricsRoute {
    /// Shows these figures and those of the process.
    #[must_use]
    pub fn new(counters: Arc<Counters>) -> Self {
        Self { counters, started: SystemTime::now(), more: Vec::new() }
    }

    /// The same with more figures, asked for whenever they are shown.
    #[must_use]
    pub fn with(mut self, more: impl Fn(&mut Exposition) + Send + Sync + 'static) -> Self {
        self.more.push(Box::new(more));
        self
    }

    fn text(&self) -> String {
        let mut out = Exposition::default();
        requests(&mut out, &self.counters);
        figures(&mut out, &self.counters);
        self.more.iter().for_each(|more| more(&mut out));
        out.family("sealos_registry_build_info", Family::Gauge, "The version of the registry.");
        out.sample("sealos_registry_build_info", &[("version", &env!("CARGO_PKG_VERSION"))], 1);
        process(&mut out, self.started);
        out.0
    }
}

impl Route for MetricsRoute {
    fn needs(&self, head: &Head<'_>) -> Option<Vec<Need<'static>>> {
        (head.path == PATH).then(|| vec![Need::Operate])
    }

    fn serve(&self, request: &mut Request<'_>) -> Response {
        match request.head.method {
            Method::Get | Method::Head => {
                let media_type = "text/plain; version=0.0.4; charset=utf-8";
                Response::text(Status::OK, media_type, self.text().into_bytes()).with("Cache-Control", "no-store")
            }
            _ => Response::new(Status::METHOD_NOT_ALLOWED).with("Allow", "GET, HEAD"),
        }
    }
}

impl fmt::Debug for MetricsRoute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MetricsRoute")
    }
}

fn requests(out: &mut Exposition, counters: &Counters) {
    let name = "sealos_registry_requests_total";
    out.family(name, Family::Counter, "Requests that were answered.");
    for (kind, method, status, count) in counters.requests() {
        out.sample(name, &[("kind", &kind.name()), ("method", &method), ("status", &status)], count);
    }
    let name = "sealos_registry_request_seconds";
    out.family(name, Family::Histogram, "From the head of a request to the last byte of its answer.");
    for kind in Kind::ALL {
        let durations = counters.durations(kind);
        let classes: Vec<u64> = durations.classes().collect();
        let total: u64 = classes.iter().sum();
        if total == 0 {
            continue;
        }
        let mut below = 0;
        for (end, count) in SECONDS.iter().zip(&classes) {
            below += count;
            out.sample(&format!("{name}_bucket"), &[("kind", &kind.name()), ("le", end)], below);
        }
        out.sample(&format!("{name}_bucket"), &[("kind", &kind.name()), ("le", &"+Inf")], total);
        out.sample(&format!("{name}_sum"), &[("kind", &kind.name())], durations.seconds());
        out.sample(&format!("{name}_count"), &[("kind", &kind.name())], total);
    }
}

fn figures(out: &mut Exposition, counters: &Counters) {
    use Family::{Counter, Gauge};
    let c = counters;
    for (name, help, value) in [
        ("received_bytes_total", "Bytes of requests' bodies.", &c.received),
        ("sent_bytes_total", "Bytes of responses' bodies.", &c.sent),
        ("connections_total", "Connections that were accepted.", &c.accepted),
        ("connections_refused_total", "Connections that were refused or cut at a limit.", &c.refused),
        ("authentication_failures_total", "Credentials that were wrong.", &c.rejected),
        ("blobs_stored_total", "Blobs that were stored.", &c.blobs_stored),
        ("manifests_stored_total", "Manifests that were stored.", &c.manifests_stored),
        ("upstream_hits_total", "Requests answered from here that an upstream could have answered.", &c.upstream_hits),
        ("upstream_misses_total", "Requests for what only an upstream had.", &c.upstream_misses),
        ("upstream_stale_total", "Requests answered from here because an upstream did not answer.", &c.upstream_stale),
        ("upstream_failures_total", "Requests to upstreams that failed.", &c.upstream_failures),
        ("upstream_unkept_total", "What upstreams gave and could not be kept here.", &c.upstream_unkept),
        ("upstream_bytes_total", "Bytes fetched from upstreams.", &c.upstream_bytes),
        ("gc_blobs_total", "Blobs that garbage collection removed.", &c.collected),
        ("gc_bytes_total", "Bytes that garbage collection freed.", &c.freed),
        ("corrupt_blobs_total", "Blobs found not to be what their digest says.", &c.corrupt),
    ] {
        out.single(&format!("sealos_registry_{name}"), Counter, help, value.get());
    }
    for (name, help, value) in [
        ("connections_open", "Connections that are open.", &c.connections),
        ("requests_in_flight", "Requests being answered.", &c.active),
        ("uploads_open", "Upload sessions that are open.", &c.uploads),
    ] {
        out.single(&format!("sealos_registry_{name}"), Gauge, help, value.get());
    }
}

/// The figures that every program shows by these names. What cannot be read is left out.
fn process(out: &mut Exposition, started: SystemTime) {
    use Family::{Counter, Gauge};
    let since = started.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    out.single(
        "process_start_time_seconds",
        Gauge,
        "When it began, in seconds of the Unix epoch.",
        since.as_secs_f64(),
    );
    if let Some(seconds) = cpu_seconds() {
        out.single("process_cpu_seconds_total", Counter, "Seconds of processors that were used.", seconds);
    }
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        line.split_whitespace().next()?.parse::<u64>().ok()
    };
    for (name, help, value) in [
        ("process_resident_memory_bytes", "Memory in use.", field("VmRSS").map(|kib| kib * 1024)),
        ("process_virtual_memory_bytes", "Address space in use.", field("VmSize").map(|kib| kib * 1024)),
        ("process_threads", "Threads.", field("Threads")),
        ("process_open_fds", "Descriptors that are open.", open_descriptors()),
        ("process_max_fds", "Descriptors that may be open.", descriptor_limit()),
    ] {
        if let Some(value) = value {
            out.single(name, Gauge, help, value);
        }
    }
}

fn cpu_seconds() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The name of the program can hold spaces; the fields are counted from behind it, state first.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let (user, system): (u32, u32) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some((f64::from(user) + f64::from(system)) / TICKS)
}

fn open_descriptors() -> Option<u64> {
    // One of them is that of the directory itself.
    Some((fs::read_dir("/proc/self/fd").ok()?.count() as u64).saturating_sub(1))
}

fn descriptor_limit() -> Option<u64> {
    rustix::process::getrlimit(rustix::process::Resource::Nofile).current
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::process::{Command, Stdio};
    use std::time::Duration;

    use super::*;
    use crate::http::Peer;
    use crate::record::Record;

    fn counters() -> Counters {
        let counters = Counters::new();
        for (kind, method, status, milliseconds) in [
            (Kind::Blob, Method::Get, 200, 3),
            (Kind::Blob, Method::Get, 200, 200_000),
            (Kind::Blob, Method::Head, 404, 0),
            (Kind::Manifest, Method::Put, 201, 7),
        ] {
            counters.count(&Record {
                begun: SystemTime::now(),
                took: Duration::from_millis(milliseconds),
                peer: Peer::Local,
                identity: None,
                method,
                target: "/",
                kind,
                repository: None,
                agent: None,
                status: Status(status),
                code: None,
                reason: None,
                received: 5,
                sent: 10,
                is_complete: true,
            });
        }
        counters
    }

    #[test]
    fn the_figures_are_what_was_counted() {
        let text = MetricsRoute::new(Arc::new(counters()))
            .with(|out| {
                out.family("x_total", Family::Counter, "Labels.").sample("x_total", &[("a", &"q\"b\\s\nn")], 1.5);
            })
            .text();
        for line in [
            "sealos_registry_requests_total{kind=\"blob\",method=\"GET\",status=\"200\"} 2",
            "sealos_registry_requests_total{kind=\"blob\",method=\"HEAD\",status=\"404\"} 1",
            "sealos_registry_request_seconds_bucket{kind=\"blob\",le=\"0.0005\"} 1",
            "sealos_registry_request_seconds_bucket{kind=\"blob\",le=\"0.005\"} 2",
            "sealos_registry_request_seconds_bucket{kind=\"blob\",le=\"120\"} 2",
            "sealos_registry_request_seconds_bucket{kind=\"blob\",le=\"+Inf\"} 3",
            "sealos_registry_request_seconds_sum{kind=\"blob\"} 200.003",
            "sealos_registry_request_seconds_count{kind=\"blob\"} 3",
            "# TYPE sealos_registry_request_seconds histogram",
            "sealos_registry_received_bytes_total 20",
            "sealos_registry_sent_bytes_total 40",
            "sealos_registry_uploads_open 0",
            "x_total{a=\"q\\\"b\\\\s\\nn\"} 1.5",
        ] {
            assert!(text.lines().any(|other| other == line), "{line}\n{text}");
        }
        assert!(!text.contains("kind=\"tags\""), "what there was not is not shown");
    }

    #[test]
    fn the_client_library_of_prometheus_reads_them() {
        let script = "
import sys
from prometheus_client.parser import text_string_to_metric_families as parse
found = {s.name: s.value for family in parse(sys.stdin.read()) for s in family.samples}
for name in ('sealos_registry_request_seconds_count', 'process_resident_memory_bytes', 'process_open_fds',
             'process_max_fds', 'process_cpu_seconds_total', 'sealos_registry_build_info', 'process_threads'):
    assert name in found, name
assert 1e6 < found['process_resident_memory_bytes'] < 1e10
print(len(found))
";
        // Debian's own, which has the library.
        let mut child = Command::new("/usr/bin/python3")
            .args(["-c", script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("python3 is installed");
        let text = MetricsRoute::new(Arc::new(counters())).text();
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}
