//! The script that a host is asked with, and how its answer is read.

use std::collections::{BTreeMap, BTreeSet};

use crate::cluster::HostFacts;
use crate::plan::hosts::{Done, HostStep, Reach};
use crate::probe::Found;

/// `$1` is the directory of all clusters, `$2` that of this one. Prints `NAME=VALUE` lines, then files behind markers.
pub(super) const TEXT: &str = r#"
echo begin
root=$1 cluster=$2
echo "time=$(date +%s)"
echo "hostname=$(uname -n)"
echo "arch=$(uname -m)"
echo "kernel=$(uname -s) $(uname -r)"
if [ -r /etc/os-release ]; then (. /etc/os-release; echo "os=$PRETTY_NAME"); fi
there=$cluster
while [ ! -d "$there" ]; do there=$(dirname "$there"); done
df -Pk "$there" | { read -r head; read -r device blocks used free rest; echo "free=$free"; }
echo "addresses=$(hostname -I 2>/dev/null || ip -o addr show 2>/dev/null | while read -r n d f a r; do printf '%s ' "${a%%/*}"; done)"
cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | while read -r n local remote state rest; do
    if [ "$state" = 0A ]; then echo "listening=${local##*:}"; fi
done
if [ -f "$cluster/bin/sealos" ]; then echo "program=$(sha256sum "$cluster/bin/sealos")"; fi
for other in "$root"/*/steps.jsonl; do
    if [ -s "$other" ] && [ "$other" != "$cluster/steps.jsonl" ]; then echo "other=$(basename "$(dirname "$other")")"; fi
done
if [ -f "$cluster/steps.jsonl" ]; then echo '=steps'; cat "$cluster/steps.jsonl"; echo; fi
if [ -f "$cluster/Clusterfile" ]; then echo '=clusterfile'; cat "$cluster/Clusterfile"; echo; fi
echo '=end'
"#;

/// Reads an answer that began and ended at these times of ours, in milliseconds.
pub(super) fn read(out: &[u8], begin: i64, end: i64) -> Result<Found, String> {
    let text = String::from_utf8_lossy(out);
    if !text.trim_end().ends_with("=end") {
        return Err("its answer is cut off".to_owned());
    }
    let mut found = Found::default();
    let mut values: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut section = "";
    let (mut steps, mut file) = (Vec::new(), String::new());
    for line in text.lines() {
        match (section, line) {
            (_, "=steps" | "=clusterfile" | "=end") => section = line,
            ("=steps", line) => steps.push(line),
            ("=clusterfile", line) => {
                file.push_str(line);
                file.push('\n');
            }
            (_, line) => {
                if let Some((name, value)) = line.split_once('=') {
                    values.entry(name).or_default().push(value.trim());
                }
            }
        }
    }
    let one = |name: &str| values.get(name).and_then(|list| list.first()).copied().unwrap_or_default();
    let time: i64 = one("time").parse().map_err(|_error| "it does not tell the time".to_owned())?;
    // Whole seconds are told: the middle of the second is the best guess.
    let ahead = time * 1000 + 500 - i64::midpoint(begin, end);
    let free: u64 = one("free").parse().map_err(|_error| "it does not tell how much disk is free".to_owned())?;
    let port = |text: &&str| u16::from_str_radix(text, 16).ok();
    found.facts = HostFacts {
        hostname: one("hostname").to_owned(),
        arch: arch(one("arch")).to_owned(),
        os: one("os").to_owned(),
        kernel: one("kernel").to_owned(),
        clock_ahead: ahead,
        clock_uncertainty: (end - begin) / 2 + 500,
        free_bytes: free.saturating_mul(1024),
        addresses: one("addresses").split_whitespace().filter_map(|text| text.parse().ok()).collect(),
        listening: values.get("listening").into_iter().flatten().filter_map(port).collect::<BTreeSet<_>>(),
        program: one("program").split_whitespace().next().map(str::to_owned),
        other_clusters: values.get("other").into_iter().flatten().map(|name| (*name).to_owned()).collect(),
    };
    found.done = done(&steps);
    found.clusterfile = (!file.trim().is_empty()).then_some(file);
    Ok(found)
}

/// A machine's architecture as images name it.
fn arch(machine: &str) -> &str {
    match machine {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "armv7l" | "armv8l" => "arm",
        "i386" | "i686" => "386",
        other => other,
    }
}

/// The steps that a record says are done and still hold. A line that cannot be read, torn by a crash, tells nothing.
pub(crate) fn done(lines: &[&str]) -> Vec<Done> {
    let mut all: Vec<Done> = Vec::new();
    for line in lines {
        let Ok(entry) = serde_json::from_str::<Entry>(line) else { continue };
        let after = |done: &Done, step: &HostStep| done.step.chain == step.chain && done.step.ordinal >= step.ordinal;
        match entry.state {
            State::Started | State::Done => {
                let reach = if entry.state == State::Done { Reach::Done } else { Reach::Begun };
                all.retain(|done| !after(done, &entry.step));
                all.push(Done { step: entry.step, reach, time: entry.time });
            }
            State::Undone => {
                let one = (&entry.step.chain, entry.step.ordinal);
                all.retain(|done| (&done.step.chain, done.step.ordinal) != one);
            }
            State::Forgotten => all.retain(|done| done.step.chain != entry.step.chain),
        }
    }
    all
}

/// How far a step came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    /// It began: what came after it in its chain holds no more.
    Started,
    /// It is done.
    Done,
    /// It was taken away again.
    Undone,
    /// All of its chain is forgotten.
    Forgotten,
}

/// A line of a host's record.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Entry {
    /// How far it came.
    pub(crate) state: State,
    /// When, in milliseconds since 1970.
    pub(crate) time: u64,
    /// The step.
    pub(crate) step: HostStep,
}
