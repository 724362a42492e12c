//! What the page asks for, as JSON. It is the page's own: other programs use `/v2/`.

use std::cmp::Ordering;

use serde::Serialize;
use serde_json::{Value, json};

use super::PageRoute;
use super::images::{Shelf, Summary};
use crate::backend::BackendError;
use crate::gate::{Action, Identity, Need, Proof, Verdict};
use crate::http::{Body, Head, Query, Response, Status};
use crate::names::{Name, Which};
use crate::seat;

/// Where all of it is.
pub(super) const PREFIX: &str = "/_sealos/v1/";
/// Repositories of a page.
const REPOSITORIES: usize = 200;
/// Tags of a page.
const TAGS: usize = 50;

/// Why there is no answer.
enum Refusal {
    Unknown,
    Question(&'static str),
    Backend(Box<BackendError>),
}

impl From<BackendError> for Refusal {
    fn from(error: BackendError) -> Self {
        Self::Backend(Box::new(error))
    }
}

/// A line of the list of tags.
#[derive(Serialize)]
struct TagLine<'a> {
    tag: &'a str,
    #[serde(flatten)]
    summary: Option<Summary>,
}

pub(super) fn serve(page: &PageRoute, head: &Head<'_>) -> Response {
    // Disks are read, and many small documents.
    seat::leave();
    let who = match page.access.authorize(head, &[]) {
        Verdict::Allow(who) => who,
        // The rights changed since this request was let in.
        _ => return failed(Status::FORBIDDEN, "not allowed any more"),
    };
    let asker = Asker { page, who, query: head.query };
    let result = match head.path.strip_prefix(PREFIX).unwrap_or_default() {
        "registry" => Ok(asker.registry()),
        "repositories" => asker.repositories(),
        "tags" => asker.tags(),
        "image" => asker.image(),
        "sharing" => asker.sharing(),
        _ => Err(Refusal::Unknown),
    };
    match result {
        Ok(value) => json_response(Status::OK, &value),
        Err(Refusal::Unknown) => failed(Status::NOT_FOUND, "there is nothing of that name"),
        Err(Refusal::Question(text)) => failed(Status::BAD_REQUEST, text),
        Err(Refusal::Backend(error)) => {
            // The details are for the operator.
            let text = match page.access.may(&asker.who, Need::Operate) && asker.who.proof != Proof::None {
                true => format!("the content cannot be read: {error}"),
                false => "the content cannot be read".to_owned(),
            };
            failed(Status::INTERNAL_SERVER_ERROR, &text)
        }
    }
}

struct Asker<'a> {
    page: &'a PageRoute,
    who: Identity,
    query: Query<'a>,
}

impl Asker<'_> {
    fn registry(&self) -> Value {
        let user = (self.who.proof != Proof::None).then_some(&*self.who.name);
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "user": user,
            "writable": self.page.backend.writer().is_some(),
        })
    }

    fn repositories(&self) -> Result<Value, Refusal> {
        let wanted = self.query.get("q").unwrap_or_default().to_lowercase();
        let last = self.query.get("last").unwrap_or_default();
        let all = self.page.backend.repositories()?;
        let matching = all.iter().filter(|name| name.as_str().contains(&*wanted) && self.may_see(name));
        let (mut lines, mut total, mut next) = (Vec::new(), 0, None);
        for name in matching {
            total += 1;
            match name.as_str() > &*last || last.is_empty() {
                true if lines.len() < REPOSITORIES => {
                    let tags = self.page.backend.tags(name)?.map_or(0, |tags| tags.len());
                    lines.push(json!({ "name": name.as_str(), "tags": tags }));
                }
                true => next = lines.last().map(|line| line["name"].clone()),
                false => {}
            }
        }
        Ok(json!({ "repositories": lines, "total": total, "next": next }))
    }

    fn tags(&self) -> Result<Value, Refusal> {
        let name = self.repository()?;
        let wanted = self.query.get("q").unwrap_or_default().to_lowercase();
        let all = self.page.backend.tags(&name)?.ok_or(Refusal::Unknown)?;
        let mut matching: Vec<_> = all.iter().filter(|tag| tag.as_str().to_lowercase().contains(&*wanted)).collect();
        // Versions grow: the newest are likely to be the last.
        matching.sort_by(|a, b| natural(b.as_str(), a.as_str()));
        let last = self.query.get("last");
        let from = last.and_then(|last| matching.iter().position(|tag| tag.as_str() == last)).map_or(0, |at| at + 1);
        let shown = &matching[from..matching.len().min(from + TAGS)];
        let shelf = Shelf { backend: &*self.page.backend, name: &name };
        let lines = shown.iter().map(|tag| {
            let summary = shelf.summary(&Which::Tag((*tag).clone()))?;
            Ok(TagLine { tag: tag.as_str(), summary })
        });
        let lines = lines.collect::<Result<Vec<_>, BackendError>>()?;
        let next = shown.last().filter(|_| from + TAGS < matching.len()).map(|tag| tag.as_str());
        Ok(json!({ "repository": name.as_str(), "tags": lines, "total": matching.len(), "next": next }))
    }

    fn image(&self) -> Result<Value, Refusal> {
        let (name, which) = (self.repository()?, self.which()?);
        let shelf = Shelf { backend: &*self.page.backend, name: &name };
        let image = shelf.image(&which)?.ok_or(Refusal::Unknown)?;
        let mut value = json!(image);
        value["repository"] = name.as_str().into();
        value["reference"] = which.to_string().into();
        Ok(value)
    }

    fn sharing(&self) -> Result<Value, Refusal> {
        let (name, which) = (self.repository()?, self.which()?);
        let shelf = Shelf { backend: &*self.page.backend, name: &name };
        let users = self.page.sharing.users(&*self.page.backend)?;
        let own = which.to_string();
        let blobs = shelf.blobs(&which)?.into_iter().filter_map(|blob| {
            let shared = users.besides(&blob, (&name, &own), |name| self.may_see(name));
            (shared.count > 0).then(|| (blob.to_string(), json!(shared)))
        });
        Ok(json!({ "blobs": blobs.collect::<serde_json::Map<_, _>>() }))
    }

    /// The repository that is asked about. One that may not be seen is one that there is not.
    fn repository(&self) -> Result<Name, Refusal> {
        let text = self.query.get("repository").ok_or(Refusal::Question("the repository is missing"))?;
        let name: Name = text.parse().map_err(|_error| Refusal::Unknown)?;
        if self.may_see(&name) { Ok(name) } else { Err(Refusal::Unknown) }
    }

    fn which(&self) -> Result<Which, Refusal> {
        let text = self.query.get("reference").ok_or(Refusal::Question("the reference is missing"))?;
        match text.contains(':') {
            true => text.parse().map(Which::Digest).map_err(|_error| Refusal::Unknown),
            false => text.parse().map(Which::Tag).map_err(|_error| Refusal::Unknown),
        }
    }

    fn may_see(&self, name: &Name) -> bool {
        let need = match self.who.proof {
            // What a token says it grants is what it grants.
            Proof::Token(_) => Need::Repository { name: name.as_str(), action: Action::Pull },
            _ => Need::Listed { name: name.as_str() },
        };
        self.page.access.may(&self.who, need)
    }
}

/// Compares as people do: `v1.10` comes after `v1.9`.
fn natural(a: &str, b: &str) -> Ordering {
    let digits = |text: &str| text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (mut left, mut right) = (a, b);
    while let (Some(one), Some(other)) = (left.chars().next(), right.chars().next()) {
        let (length, other_length) = (digits(left), digits(right));
        if length == 0 || other_length == 0 {
            if one != other {
                return one.cmp(&other);
            }
            (left, right) = (&left[one.len_utf8()..], &right[other.len_utf8()..]);
            continue;
        }
        let (number, other_number) =
            (left[..length].trim_start_matches('0'), right[..other_length].trim_start_matches('0'));
        match number.len().cmp(&other_number.len()).then_with(|| number.cmp(other_number)) {
            Ordering::Equal => (left, right) = (&left[length..], &right[other_length..]),
            unequal => return unequal,
        }
    }
    // What differs in zeros only is still different.
    left.len().cmp(&right.len()).then_with(|| a.cmp(b))
}

fn failed(status: Status, text: &str) -> Response {
    json_response(status, &json!({ "error": text }))
}

fn json_response(status: Status, value: &Value) -> Response {
    Response::new(status)
        .with("Content-Type", "application/json")
        .with("Cache-Control", "no-store")
        .with("X-Content-Type-Options", "nosniff")
        .body(Body::Bytes(value.to_string().into_bytes().into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn versions_come_in_the_order_that_people_count_in() {
        let mut tags = ["v1.10", "v1.9", "latest", "v1.9-rc1", "v01.9", "2024", "1", "v1.9.1", "", "v"];
        tags.sort_by(|a, b| natural(a, b));
        assert_eq!(tags, ["", "1", "2024", "latest", "v", "v01.9", "v1.9", "v1.9-rc1", "v1.9.1", "v1.10"]);
    }

    proptest! {
        #[test]
        fn the_order_is_one(a in "[a1090._-]{0,8}", b in "[a1090._-]{0,8}", c in "[a1090._-]{0,8}") {
            prop_assert_eq!(natural(&a, &b), natural(&b, &a).reverse());
            prop_assert_eq!(natural(&a, &b) == Ordering::Equal, a == b);
            if natural(&a, &b).is_lt() && natural(&b, &c).is_lt() {
                prop_assert!(natural(&a, &c).is_lt());
            }
        }
    }
}
