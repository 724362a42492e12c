//! `/healthz`: the process answers. `/readyz`: it can do its work, and if not, why not.
//!
//! Both are open to everybody and say nothing about content.

use std::fmt;

use serde_json::{Map, Value, json};

use crate::gate::Need;
use crate::http::{Body, Head, Method, Request, Response, Status};
use crate::route::Route;
use crate::stop::Stop;

/// What a part of the program says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// It works.
    Ready,
    /// It works, but somebody should know this.
    Warning(String),
    /// It does not work (yet).
    NotReady(String),
}

type Check = Box<dyn Fn() -> Condition + Send + Sync>;

/// The route.
pub struct HealthRoute {
    stop: Stop,
    checks: Vec<(&'static str, Check)>,
}

impl HealthRoute {
    /// Not ready once the end is asked for.
    #[must_use]
    pub fn new(stop: Stop) -> Self {
        Self { stop, checks: Vec::new() }
    }

    /// The same with one more part that is asked. The answer must come quickly, and hold nothing that not everybody may
    /// know.
    #[must_use]
    pub fn with(mut self, name: &'static str, check: impl Fn() -> Condition + Send + Sync + 'static) -> Self {
        self.checks.push((name, Box::new(check)));
        self
    }

    fn readiness(&self) -> (bool, Value) {
        let stopping = self.stop.is_set().then(|| ("server", Condition::NotReady("stopping".to_owned())));
        let asked = self.checks.iter().map(|(name, check)| (*name, check()));
        let mut checks = Map::new();
        let mut is_ready = true;
        for (name, condition) in stopping.into_iter().chain(asked) {
            is_ready &= !matches!(condition, Condition::NotReady(_));
            let said = match condition {
                Condition::Ready => json!({ "status": "ready" }),
                Condition::Warning(text) => json!({ "status": "warning", "message": text }),
                Condition::NotReady(text) => json!({ "status": "not ready", "message": text }),
            };
            checks.insert(name.to_owned(), said);
        }
        (is_ready, json!({ "ready": is_ready, "version": env!("CARGO_PKG_VERSION"), "checks": checks }))
    }
}

impl Route for HealthRoute {
    fn needs(&self, head: &Head<'_>) -> Option<Vec<Need<'static>>> {
        matches!(head.path, "/healthz" | "/readyz").then(Vec::new)
    }

    fn serve(&self, request: &mut Request<'_>) -> Response {
        if !matches!(request.head.method, Method::Get | Method::Head) {
            return Response::new(Status::METHOD_NOT_ALLOWED).with("Allow", "GET, HEAD");
        }
        if request.head.path == "/healthz" {
            return Response::text(Status::OK, "text/plain; charset=utf-8", &b"ok\n"[..])
                .with("Cache-Control", "no-store");
        }
        let (is_ready, said) = self.readiness();
        let status = if is_ready { Status::OK } else { Status::SERVICE_UNAVAILABLE };
        Response::new(status)
            .with("Content-Type", "application/json")
            .with("Cache-Control", "no-store")
            .body(Body::Bytes(format!("{said}\n").into_bytes().into()))
    }
}

impl fmt::Debug for HealthRoute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.checks.iter().map(|(name, _)| *name).collect();
        write!(f, "HealthRoute({names:?})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_ready_when_all_its_parts_are() {
        let stop = Stop::new().unwrap();
        let storage =
            std::sync::Arc::new(std::sync::Mutex::new(Condition::NotReady("index is being built".to_owned())));
        let asked = std::sync::Arc::clone(&storage);
        let route = HealthRoute::new(stop.clone())
            .with("storage", move || asked.lock().unwrap().clone())
            .with("tls", || Condition::Warning("expires in 3 days".to_owned()));
        let (is_ready, said) = route.readiness();
        assert!(!is_ready && said["ready"] == false);
        assert_eq!(said["checks"]["storage"], json!({ "status": "not ready", "message": "index is being built" }));
        *storage.lock().unwrap() = Condition::Ready;
        let (is_ready, said) = route.readiness();
        assert!(is_ready && said["checks"]["tls"]["message"] == "expires in 3 days");
        stop.set();
        let (is_ready, said) = route.readiness();
        assert!(!is_ready && said["checks"]["server"]["message"] == "stopping", "{said}");
    }
}
