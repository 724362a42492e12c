//! From a request to its answer: who may ask it, and who answers it.

use std::sync::Arc;

use crate::gate::{Identity, Need, Verdict};
use crate::http::{Head, Request, Response, Status};
use crate::names::Name;
use crate::protocol::{self, Code, Context, Endpoint, Fault};
use crate::record::Kind;
use crate::service::Registry;

/// An answer, and what is to be said about it.
pub(crate) struct Answered {
    pub(crate) response: Response,
    pub(crate) kind: Kind,
    pub(crate) repository: Option<Name>,
    pub(crate) identity: Option<Arc<str>>,
    pub(crate) code: Option<&'static str>,
    pub(crate) reason: Option<String>,
}

/// Answers a request.
pub(crate) fn answer(registry: &Registry, request: &mut Request<'_>) -> Answered {
    match request.head.path.strip_prefix("/v2").filter(|rest| rest.is_empty() || rest.starts_with('/')) {
        Some(rest) => distribution(registry, rest.trim_start_matches('/'), request),
        None => beside(registry, request),
    }
}

/// Answers what could not be read as a request.
pub(crate) fn refuse(status: Status) -> Answered {
    let fault = Fault::new(status, Code::Unsupported, status.reason());
    Answered::fault(&fault, Kind::Unknown)
}

fn distribution(registry: &Registry, path: &str, request: &mut Request<'_>) -> Answered {
    let endpoint = match Endpoint::parse(path) {
        Ok(endpoint) => endpoint,
        // Who may not ask is not told what is wrong with the question.
        Err(fault) => return Answered::refusable(registry, &request.head, &[Need::Base], Kind::Unknown, &fault),
    };
    let kind = endpoint.kind();
    let needs = [protocol::needs(&endpoint, request.head.method)];
    let mut answered = match allow(registry, &request.head, &needs) {
        Err(refused) => Answered::refused(refused, kind),
        Ok(identity) => {
            let context = Context { registry, identity: &identity };
            let mut answered = match protocol::serve(&context, &endpoint, request) {
                Ok(response) => Answered::of(response, kind),
                Err(fault) => Answered::fault(&fault, kind),
            };
            answered.identity = Some(identity.name);
            answered
        }
    };
    answered.response.add("Docker-Distribution-API-Version", "registry/2.0");
    answered.repository = endpoint.repository().cloned();
    answered
}

fn beside(registry: &Registry, request: &mut Request<'_>) -> Answered {
    for route in &registry.routes {
        let Some(needs) = route.needs(&request.head) else { continue };
        let identity = match needs.is_empty() {
            true => Ok(None),
            false => allow(registry, &request.head, &needs).map(|identity| Some(identity.name)),
        };
        return match identity {
            Ok(identity) => Answered { identity, ..Answered::of(route.serve(request), Kind::Route) },
            Err(refused) => Answered::refused(refused, Kind::Route),
        };
    }
    Answered::fault(&Fault::new(Status::NOT_FOUND, Code::Unsupported, "there is nothing at this path"), Kind::Unknown)
}

/// Why somebody may not do something, and who it is where that is known.
struct Refused {
    fault: Fault,
    identity: Option<Arc<str>>,
}

/// Asks whether somebody may do something.
fn allow(registry: &Registry, head: &Head<'_>, needs: &[Need<'_>]) -> Result<Identity, Refused> {
    let (fault, identity) = match registry.access.authorize(head, needs) {
        Verdict::Allow(identity) => return Ok(identity),
        Verdict::Challenge { offers, text } => {
            let fault = Fault::new(Status::UNAUTHORIZED, Code::Unauthorized, text);
            (offers.into_iter().fold(fault, |fault, value| fault.with("WWW-Authenticate", value)), None)
        }
        Verdict::Deny { who, text } => (Fault::new(Status::FORBIDDEN, Code::Denied, text), Some(who.name)),
        Verdict::Later(wait) => {
            let fault = Fault::new(Status::TOO_MANY_REQUESTS, Code::TooManyRequests, "too many attempts");
            // Rounded up: who comes back earlier waits again.
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            (fault.with("Retry-After", seconds.to_string()), None)
        }
    };
    Err(Refused { fault, identity })
}

impl Answered {
    fn of(response: Response, kind: Kind) -> Self {
        Self { response, kind, repository: None, identity: None, code: None, reason: None }
    }

    fn fault(fault: &Fault, kind: Kind) -> Self {
        let (code, reason) = (Some(fault.code.name()), fault.reason.clone());
        Self { code, reason, ..Self::of(fault.response(), kind) }
    }

    fn refused(refused: Refused, kind: Kind) -> Self {
        Self { identity: refused.identity, ..Self::fault(&refused.fault, kind) }
    }

    fn refusable(registry: &Registry, head: &Head<'_>, needs: &[Need<'_>], kind: Kind, fault: &Fault) -> Self {
        match allow(registry, head, needs) {
            Ok(identity) => Self { identity: Some(identity.name), ..Self::fault(fault, kind) },
            Err(refused) => Self::refused(refused, kind),
        }
    }
}
