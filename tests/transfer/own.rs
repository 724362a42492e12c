//! Our own registry on loopback: `sealos registry serve` of an empty directory.

use std::fs;
use std::process::Stdio;

use crate::sandbox::Sandbox;
use crate::sandbox::bounded::{Killed, first_line};

/// The registry, ended when dropped.
pub(crate) struct Own {
    #[expect(dead_code, reason = "it is there to be dropped")]
    child: Killed,
    host: String,
    #[expect(dead_code, reason = "it is there to be dropped")]
    sandbox: Sandbox,
}

impl Own {
    /// An empty one, open to everybody for everything.
    pub(crate) fn new() -> Self {
        let sandbox = Sandbox::new();
        fs::create_dir(sandbox.path("registry")).unwrap();
        let mut command =
            sandbox.command(&["registry", "serve", "filesystem", "registry", "--anonymous", "all", "--port", "0"]);
        let mut child = Killed(command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap());
        let line = first_line(child.0.stdout.take().unwrap());
        let host = line.trim().strip_prefix("listening on http://").unwrap().to_owned();
        Self { child, host, sandbox }
    }

    /// `HOST:PORT`.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// A name in it.
    pub(crate) fn name(&self, rest: &str) -> String {
        format!("{}/{rest}", self.host)
    }
}
