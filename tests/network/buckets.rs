//! A registry in a bucket, as it is run: signed in to with the variables and files of AWS's tools, which are nowhere else.

use std::fs;
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::registry::free_port;
use crate::sandbox::{Said, Sandbox, run};
use crate::serving::Served;

const SECRET: &str = "nobody-elses-secret";

/// versitygw over a directory of the sandbox, with a bucket `images`; ended when dropped.
struct Store {
    child: Child,
    endpoint: String,
}

impl Store {
    fn start(sandbox: &Sandbox) -> Self {
        fs::create_dir_all(sandbox.path("objects/images")).unwrap();
        fs::create_dir_all(sandbox.path("side")).unwrap();
        (0..10).find_map(|_| Self::start_at(sandbox)).expect("versitygw finds a port")
    }

    /// None when somebody else took the port that was free.
    fn start_at(sandbox: &Sandbox) -> Option<Self> {
        let address = format!("127.0.0.1:{}", free_port());
        let args = ["--port", &address, "posix", "--sidecar", &sandbox.at("side"), &sandbox.at("objects")];
        let mut command = Command::new("versitygw");
        command.args(args).env("ROOT_ACCESS_KEY_ID", "the-key").env("ROOT_SECRET_ACCESS_KEY", SECRET);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().expect("`versitygw` is installed by tests/run");
        let mut store = Self { child, endpoint: format!("http://{address}") };
        let end = Instant::now() + Duration::from_secs(240);
        loop {
            if store.child.try_wait().unwrap().is_some() {
                return None;
            }
            if TcpStream::connect(&address).is_ok() {
                return Some(store);
            }
            assert!(Instant::now() < end, "versitygw does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// A command with the keys in a file.
    fn command(&self, sandbox: &Sandbox, args: &[&str]) -> Command {
        let mut command = sandbox.command(args);
        for variable in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_REGION"]
        {
            command.env_remove(variable);
        }
        command.env("AWS_ENDPOINT_URL", &self.endpoint).env("AWS_SHARED_CREDENTIALS_FILE", sandbox.path("keys"));
        command
    }

    fn sealos(&self, sandbox: &Sandbox, args: &[&str]) -> Said {
        Said::from(self.command(sandbox, args).output().unwrap())
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

#[test]
fn a_bucket_is_served_and_kept_and_its_keys_are_shown_to_nobody() {
    let sandbox = Sandbox::new();
    let archive = sandbox.archive("oci-archive");
    let store = Store::start(&sandbox);
    let keys = format!("[default]\naws_access_key_id = the-key\naws_secret_access_key = {SECRET}\n");
    fs::write(sandbox.path("keys"), keys).unwrap();
    let serve = ["registry", "serve", "s3://images/hub", "--port", "0", "--anonymous", "push"];
    let mut command = store.command(&sandbox, &serve);
    command.stderr(fs::File::create(sandbox.path("stderr")).unwrap());
    let served = Served::start(command);
    let to = format!("docker://{}/team/app:v1", served.host());
    run("skopeo", &["copy", "-q", "--dest-tls-verify=false", &format!("oci-archive:{archive}"), &to]);
    run("skopeo", &["inspect", "--tls-verify=false", &to]);
    let ready = served.curl(&[], "/readyz");
    assert!(ready.starts_with("HTTP/1.1 200 "), "{ready}");
    let listed = store.sealos(&sandbox, &["registry", "ls", "s3://images/hub"]).fine();
    assert!(listed.starts_with("team/app:v1 sha256:"), "{listed}");
    let scrubbed = store.sealos(&sandbox, &["registry", "scrub", "s3://images/hub"]).fine();
    assert!(scrubbed.starts_with("Read 3 blobs"), "{scrubbed}");
    let kept = store.sealos(&sandbox, &["registry", "gc", "--untagged", "--grace", "0s", "s3://images/hub"]).fine();
    assert!(kept.starts_with("Freed 0"), "{kept}");
    store.sealos(&sandbox, &["registry", "rm", "s3://images/hub", "team/app:v1"]).fine();
    assert_eq!(store.sealos(&sandbox, &["registry", "ls", "s3://images/hub"]).fine(), "");
    served.signal("TERM");
    assert_eq!(served.ended(), Some(0));
    let log = fs::read_to_string(sandbox.path("stderr")).unwrap();
    assert!(log.contains("team/app") && !log.contains(SECRET) && !log.contains("the-key"), "{log}");
}

#[test]
fn what_keeps_a_bucket_from_being_served_is_said() {
    let sandbox = Sandbox::new();
    let store = Store::start(&sandbox);
    let refused = |place: &str, parts: &[&str]| {
        let said = store.sealos(&sandbox, &["registry", "serve", place, "--port", "0"]).refused(parts);
        assert!(!said.contains(SECRET) && !said.contains("hunter2"), "{said}");
    };
    refused("s3://images", &["there are no keys for a bucket", "keys cannot be read", "help: set AWS_ACCESS_KEY_ID"]);
    fs::write(sandbox.path("keys"), "[other]\naws_access_key_id = a\n").unwrap();
    refused("s3://images", &["under [default]"]);
    fs::write(sandbox.path("keys"), "[default]\naws_access_key_id = the-key\naws_secret_access_key = hunter2\n")
        .unwrap();
    refused("s3://images", &["SignatureDoesNotMatch", "help: AWS_SECRET_ACCESS_KEY does not belong"]);
    let keys = format!("[default]\naws_access_key_id = the-key\naws_secret_access_key = {SECRET}\n");
    fs::write(sandbox.path("keys"), keys).unwrap();
    refused("s3://nothing", &["NoSuchBucket", "help: make the bucket first"]);
    refused("s3://", &["expected s3://BUCKET/PREFIX"]);
}
