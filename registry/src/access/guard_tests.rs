//! What the guard answers, to everybody and for everything.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::guard::{Guard, GuardError};
use super::options::{AccessOptions, ExternalTokens, OwnTokens};
use super::scope::Actions;
use super::token_route::TokenRoute;
use super::watched::When;
use crate::counters::Counters;
use crate::gate::{Access, Action, Identity, Need, Proof, Verdict};
use crate::http::{Body, Head, Headers, Method, Peer, Query, Request, Response, Status};
use crate::route::Route;

/// A request as it comes.
struct Ask<'a> {
    method: Method,
    path: &'a str,
    query: &'a str,
    authorization: Vec<&'a str>,
    body: &'a str,
}

const GET: Ask<'_> = Ask { method: Method::Get, path: "/v2/", query: "", authorization: Vec::new(), body: "" };

impl<'a> Ask<'a> {
    fn with(&self, authorization: &'a str) -> Self {
        Self { authorization: vec![authorization], ..*self }
    }

    fn head<T>(&self, then: impl FnOnce(Head<'_>) -> T) -> T {
        let mut fields: Vec<httparse::Header<'_>> = Vec::new();
        fields.push(httparse::Header { name: "Host", value: b"hub.example:5000" });
        for value in &self.authorization {
            fields.push(httparse::Header { name: "authorization", value: value.as_bytes() });
        }
        then(Head {
            method: self.method,
            target: self.path,
            path: self.path,
            query: Query::new(self.query),
            headers: Headers::new(&fields),
            peer: Peer::Net(([10, 0, 0, 1], 4000).into()),
            certificates: &[],
            is_secure: true,
            length: Some(self.body.len() as u64),
        })
    }

    fn of(&self, guard: &Guard, needs: &[Need<'_>]) -> Verdict {
        self.head(|head| guard.authorize(&head, needs))
    }

    fn token(&self, route: &TokenRoute) -> (Status, Value) {
        let response = self.head(|head| {
            assert_eq!(route.needs(&head), Some(Vec::new()), "nobody is asked");
            route.serve(&mut Request { head, body: &mut io::Cursor::new(self.body) })
        });
        (response.status, json(&response))
    }
}

fn json(response: &Response) -> Value {
    let Body::Bytes(bytes) = &response.body else { panic!("it is in memory") };
    serde_json::from_slice(bytes).unwrap()
}

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

fn need(name: &str, action: Action) -> Need<'_> {
    Need::Repository { name, action }
}

fn users(dir: &Path, users: &[(&str, &str)]) -> PathBuf {
    let path = dir.join("htpasswd");
    let line = |(user, password): &(&str, &str)| {
        let scheme = super::password::Scheme::Bcrypt(4);
        format!("{user}:{}\n", super::password::PasswordHash::create(scheme, &(*password).into()).unwrap().as_str())
    };
    fs::write(&path, users.iter().map(line).collect::<String>()).unwrap();
    path
}

fn open(options: AccessOptions) -> Guard {
    Guard::open(options, Arc::new(Counters::new())).unwrap()
}

fn reload(guard: &Guard) {
    for one in guard.watched() {
        one.refresh(When::Changed);
    }
}

#[track_caller]
fn allowed(verdict: Verdict) -> Identity {
    match verdict {
        Verdict::Allow(who) => who,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn denied(verdict: Verdict) -> String {
    match verdict {
        Verdict::Deny { text, .. } => text,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn challenged(verdict: Verdict) -> (String, String) {
    match verdict {
        Verdict::Challenge { offers, text } => (offers.join(" | "), text),
        other => panic!("{other:?}"),
    }
}

#[test]
fn by_default_everybody_may_read_and_nobody_may_write() {
    let guard = open(AccessOptions::default());
    for needs in [&[Need::Base][..], &[Need::Catalog], &[Need::Operate], &[need("a/b", Action::Pull)]] {
        assert_eq!(allowed(GET.of(&guard, needs)), Identity::anonymous(), "{needs:?}");
    }
    for (action, text) in [(Action::Push, "nobody may push to `a/b`"), (Action::Delete, "nobody may delete from `a/b`")]
    {
        assert_eq!(denied(GET.of(&guard, &[need("a/b", action)])), text);
        // Credentials that a client has saved mean nothing here.
        assert_eq!(denied(GET.with("Basic bWU6aHVudGVyMg==").of(&guard, &[need("a/b", action)])), text);
    }
    let open = open(AccessOptions { anonymous: Actions::ALL, ..AccessOptions::default() });
    allowed(GET.of(&open, &[need("a/b", Action::Delete), need("c", Action::Push)]));
    assert!(GET.head(|head| open.offers(&head, &Identity::anonymous())).is_empty());
}

#[test]
fn passwords_let_in_those_who_know_them_until_they_change() {
    let dir = tempfile::tempdir().unwrap();
    let htpasswd = users(dir.path(), &[("anna", "one"), ("ben", "two")]);
    let guard = open(AccessOptions { htpasswd: Some(htpasswd), anonymous: Actions::NONE, ..AccessOptions::default() });
    let (offers, text) = challenged(GET.of(&guard, &[Need::Base]));
    assert_eq!(
        (offers.as_str(), text.as_str()),
        ("Basic realm=\"sealos registry\", charset=\"UTF-8\"", "authentication is required")
    );
    let anna = basic("anna", "one");
    for _ in 0..3 {
        let who = allowed(GET.with(&anna).of(&guard, &[need("a", Action::Push), Need::Operate, Need::Catalog]));
        assert_eq!((&*who.name, who.proof), ("anna", Proof::Password));
    }
    for wrong in [basic("anna", "two"), basic("anna", ""), basic("carl", "one"), basic("", "one")] {
        let (_, text) = challenged(GET.with(&wrong).of(&guard, &[Need::Base]));
        assert!(text == "the user name or the password is wrong" || text.contains("malformed"), "{text}");
    }
    challenged(GET.with("Bearer abc").of(&guard, &[Need::Base]));
    challenged(GET.with("Digest abc").of(&guard, &[Need::Base]));
    challenged(Ask { authorization: vec![&anna, &anna], ..GET }.of(&guard, &[Need::Base]));
    assert_eq!(guard.counters.rejected.get(), 7);
    users(dir.path(), &[("anna", "new")]);
    reload(&guard);
    challenged(GET.with(&anna).of(&guard, &[Need::Base]));
    challenged(GET.with(&basic("ben", "two")).of(&guard, &[Need::Base]));
    allowed(GET.with(&basic("anna", "new")).of(&guard, &[Need::Base]));
    fs::write(dir.path().join("htpasswd"), "broken\n").unwrap();
    reload(&guard);
    allowed(GET.with(&basic("anna", "new")).of(&guard, &[Need::Base]));
}

#[test]
fn who_guesses_waits_but_who_works_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let htpasswd = users(dir.path(), &[("anna", "one")]);
    let guard = open(AccessOptions { htpasswd: Some(htpasswd), ..AccessOptions::default() });
    let right = basic("anna", "one");
    allowed(GET.with(&right).of(&guard, &[Need::Base]));
    let waits = |at: usize| {
        matches!(GET.with(&basic("anna", &format!("guess{at}"))).of(&guard, &[Need::Base]), Verdict::Later(_))
    };
    assert_eq!((0..20).position(waits), Some(6));
    allowed(GET.with(&right).of(&guard, &[Need::Base]));
    // The same person with a header that is written differently is somebody new, and waits.
    assert!(matches!(GET.with(&right.replace("Basic ", "Basic  ")).of(&guard, &[Need::Base]), Verdict::Later(_)));
    assert!(matches!(GET.with(&basic("anna", "x")).of(&guard, &[Need::Base]), Verdict::Later(_)));
}

#[test]
fn readers_without_credentials_are_told_how_to_log_in() {
    let dir = tempfile::tempdir().unwrap();
    let htpasswd = users(dir.path(), &[("anna", "one")]);
    let options = AccessOptions { htpasswd: Some(htpasswd), anonymous: Actions::PULL, ..AccessOptions::default() };
    let guard = open(options.clone());
    let who = allowed(GET.of(&guard, &[Need::Base]));
    assert_eq!(GET.head(|head| guard.offers(&head, &who)), ["Basic realm=\"sealos registry\", charset=\"UTF-8\""]);
    challenged(GET.of(&guard, &[need("a", Action::Push)]));
    challenged(GET.with(&basic("anna", "wrong")).of(&guard, &[Need::Base]));
    let guard = open(AccessOptions { tokens: Some(OwnTokens::default()), ..options });
    let (offers, _) = challenged(GET.of(&guard, &[need("a", Action::Push), need("b", Action::Pull)]));
    assert_eq!(
        offers,
        "Bearer realm=\"https://hub.example:5000/token\",service=\"sealos-registry\",scope=\"repository:a:pull,push repository:b:pull\""
    );
    let page = Ask { path: "/", ..GET };
    assert!(challenged(page.of(&guard, &[need("a", Action::Push)])).0.starts_with("Basic "), "a browser takes this");
}

#[test]
fn rules_say_who_may_do_what() {
    let dir = tempfile::tempdir().unwrap();
    let htpasswd = users(dir.path(), &[("anna", "one"), ("ben", "two")]);
    let policy = dir.path().join("policy");
    fs::write(&policy, "rules:\n- {who: [anna], may: [pull, push, metrics], in: [team/]}\n- {who: [anonymous], may: [pull], in: [open/]}\n").unwrap();
    let guard =
        open(AccessOptions { htpasswd: Some(htpasswd), policy: Some(policy.clone()), ..AccessOptions::default() });
    let (anna, ben) = (basic("anna", "one"), basic("ben", "two"));
    let who = allowed(
        GET.with(&anna).of(&guard, &[need("team/a", Action::Push), need("open/x", Action::Pull), Need::Operate]),
    );
    assert!(guard.may(&who, Need::Listed { name: "team/a" }) && !guard.may(&who, Need::Listed { name: "other" }));
    for (authorization, needs, text) in [
        (&anna, &[need("team/a", Action::Delete)][..], "`anna` may not delete from `team/a`"),
        (&anna, &[need("team/a", Action::Pull), need("other", Action::Pull)], "`anna` may not pull from `other`"),
        (&ben, &[need("open/x", Action::Push)], "`ben` may not push to `open/x`"),
        (&ben, &[Need::Operate], "`ben` may not see the operator's figures"),
    ] {
        assert_eq!(denied(GET.with(authorization).of(&guard, needs)), text);
    }
    allowed(GET.of(&guard, &[Need::Base, Need::Catalog, need("open/x", Action::Pull)]));
    challenged(GET.of(&guard, &[need("team/a", Action::Pull)]));
    fs::write(&policy, "rules:\n- {who: ['*'], may: [pull], in: ['*']}\n").unwrap();
    reload(&guard);
    assert!(matches!(GET.with(&anna).of(&guard, &[need("team/a", Action::Push)]), Verdict::Deny { .. }));
    challenged(GET.of(&guard, &[Need::Base]));
}

#[test]
fn a_token_grants_what_was_asked_for_and_is_allowed() {
    let dir = tempfile::tempdir().unwrap();
    let htpasswd = users(dir.path(), &[("anna", "one")]);
    let policy = dir.path().join("policy");
    fs::write(
        &policy,
        "rules:\n- {who: [anna], may: [pull, push], in: [team/]}\n- {who: [anonymous], may: [pull], in: [open/]}\n",
    )
    .unwrap();
    let options = AccessOptions {
        htpasswd: Some(htpasswd.clone()),
        policy: Some(policy),
        tokens: Some(OwnTokens::default()),
        ..AccessOptions::default()
    };
    let route = TokenRoute(Arc::new(open(options)));
    let guard = &*route.0;
    let anna = basic("anna", "one");
    let asked = "service=sealos-registry&scope=repository:team/a:pull,push,delete&scope=repository:other:pull+registry:catalog:*&offline_token=true";
    let get = |query| Ask { path: "/token", query, ..GET };
    let bearer = |answer: &Value| format!("Bearer {}", answer["token"].as_str().unwrap());

    let (status, answer) = get(asked).with(&anna).token(&route);
    assert_eq!((status, &answer["expires_in"], &answer["token"]), (Status::OK, &300.into(), &answer["access_token"]));
    let token = bearer(&answer);
    for _ in 0..2 {
        let who = allowed(GET.with(&token).of(guard, &[Need::Base, Need::Catalog, need("team/a", Action::Push)]));
        assert!(
            &*who.name == "anna"
                && guard.may(&who, Need::Listed { name: "team/z" })
                && !guard.may(&who, Need::Listed { name: "other" })
        );
    }
    // Under another of its names it may be read where the rules allow that, whatever the token was issued for.
    let who = allowed(GET.with(&token).of(guard, &[Need::Base]));
    assert!(
        guard.may(&who, Need::Alias { name: "team/other" }) && !guard.may(&who, Need::Alias { name: "hub/team/a" })
    );
    let (offers, text) = challenged(GET.with(&token).of(guard, &[need("team/b", Action::Pull)]));
    assert!(offers.ends_with(",scope=\"repository:team/b:pull\",error=\"insufficient_scope\""), "{offers}");
    assert_eq!(text, "the token does not grant what is asked for");
    assert!(
        matches!(GET.with(&token).of(guard, &[need("team/a", Action::Delete)]), Verdict::Deny { .. }),
        "nor may she"
    );
    // A token is not turned into a wider one, and a refresh token is no token for access.
    assert_eq!(get("scope=repository:team/b:pull").with(&token).token(&route).0, Status::UNAUTHORIZED);
    let refresh = answer["refresh_token"].as_str().unwrap();
    let (offers, _) = challenged(GET.with(&format!("Bearer {refresh}")).of(guard, &[Need::Base]));
    assert!(offers.ends_with(",error=\"invalid_token\""), "{offers}");

    let form = format!(
        "grant_type=refresh_token&refresh_token={refresh}&service=sealos-registry&scope=repository:team/b:pull"
    );
    let post = |body| Ask { method: Method::Post, path: "/token", body, ..GET };
    let (status, answer) = post(&form).token(&route);
    assert_eq!((status, answer.get("refresh_token")), (Status::OK, None));
    allowed(GET.with(&bearer(&answer)).of(guard, &[need("team/b", Action::Pull)]));
    let (_, answer) =
        post("grant_type=password&username=anna&password=one&access_type=offline&scope=repository:team/a:pull")
            .token(&route);
    assert!(answer["refresh_token"].is_string());
    allowed(GET.with(&bearer(&answer)).of(guard, &[need("team/a", Action::Pull)]));

    let (_, nobody) = get("scope=repository:open/x:pull,push&scope=repository:team/a:pull").token(&route);
    let nobody = bearer(&nobody);
    assert_eq!(&*allowed(GET.with(&nobody).of(guard, &[need("open/x", Action::Pull)])).name, "anonymous");
    challenged(GET.with(&nobody).of(guard, &[need("open/x", Action::Push)]));
    challenged(GET.with(&nobody).of(guard, &[need("team/a", Action::Pull)]));

    let long = "a".repeat(40_000);
    for (ask, status, part) in [
        (get("service=other"), Status::BAD_REQUEST, "not the token service"),
        (get("").with("Basic bWU6aHVudGVyMg=="), Status::UNAUTHORIZED, "wrong"),
        (post("grant_type=password&username=anna&password=two"), Status::UNAUTHORIZED, "wrong"),
        (post("grant_type=password&username=%0a&password=two"), Status::UNAUTHORIZED, "wrong"),
        (post("grant_type=password&username=anna"), Status::BAD_REQUEST, "no password"),
        (post("grant_type=magic"), Status::BAD_REQUEST, "grant_type"),
        (post("grant_type=refresh_token&refresh_token=a.b.c"), Status::UNAUTHORIZED, "not valid"),
        (post(&long), Status::BAD_REQUEST, "too large"),
        (Ask { method: Method::Delete, ..get("") }, Status::METHOD_NOT_ALLOWED, "GET and POST"),
    ] {
        let (got, answer) = ask.token(&route);
        assert_eq!(got, status, "{answer}");
        assert!(answer["errors"][0]["message"].as_str().unwrap().contains(part), "{answer}");
    }

    users(dir.path(), &[("anna", "new")]);
    reload(guard);
    let (_, text) = challenged(GET.with(&token).of(guard, &[Need::Base]));
    assert!(text.contains("new password"), "{text}");
    assert_eq!(post(&form).token(&route).0, Status::UNAUTHORIZED);
}

#[test]
fn tokens_of_another_registry_are_taken_with_its_published_key() {
    let (theirs, ours) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let issuing = TokenRoute(Arc::new(open(AccessOptions {
        htpasswd: Some(users(theirs.path(), &[("anna", "one")])),
        tokens: Some(OwnTokens { key: Some(theirs.path().join("key")), ..OwnTokens::default() }),
        anonymous: Actions::PULL,
        ..AccessOptions::default()
    })));
    let anna = basic("anna", "one");
    let ask = |query| Ask { path: "/token", query, ..GET };
    let (_, answer) = ask("scope=repository:a:pull,push").with(&anna).token(&issuing);
    let token = format!("Bearer {}", answer["token"].as_str().unwrap());
    let (_, jwks) = Ask { path: "/_sealos/jwks.json", ..GET }.token(&issuing);
    let keys = ours.path().join("jwks.json");
    fs::write(&keys, jwks.to_string()).unwrap();
    let external = ExternalTokens {
        keys: keys.clone(),
        issuer: "sealos-registry".to_owned(),
        service: "sealos-registry".to_owned(),
        realm: Some("https://auth.example/token".to_owned()),
        leeway: 60,
    };
    let options = AccessOptions { external: Some(external), anonymous: Actions::NONE, ..AccessOptions::default() };
    let guard = open(options.clone());
    let (offers, _) = challenged(GET.of(&guard, &[need("a", Action::Pull)]));
    assert_eq!(
        offers,
        "Bearer realm=\"https://auth.example/token\",service=\"sealos-registry\",scope=\"repository:a:pull\""
    );
    let who = allowed(GET.with(&token).of(&guard, &[need("a", Action::Push)]));
    assert_eq!(&*who.name, "anna");
    assert!(guard.may(&who, Need::Alias { name: "a" }) && !guard.may(&who, Need::Alias { name: "quay.io/a" }));
    challenged(GET.with(&token).of(&guard, &[need("a", Action::Delete)]));
    challenged(GET.with(&token).of(&guard, &[need("b", Action::Pull)]));
    challenged(GET.with(&basic("anna", "one")).of(&guard, &[Need::Base]));
    // Without rules the issuer has decided, also about those without a name.
    let (_, nobody) = ask("scope=repository:a:pull").token(&issuing);
    let nobody = format!("Bearer {}", nobody["token"].as_str().unwrap());
    allowed(GET.with(&nobody).of(&guard, &[need("a", Action::Pull)]));
    // With rules, both have to allow it.
    let policy = ours.path().join("policy");
    fs::write(&policy, "rules: [{who: [anna], may: [pull], in: ['*']}]").unwrap();
    let ruled = open(AccessOptions { policy: Some(policy), ..options });
    allowed(GET.with(&token).of(&ruled, &[need("a", Action::Pull)]));
    assert!(matches!(GET.with(&token).of(&ruled, &[need("a", Action::Push)]), Verdict::Deny { .. }));
    challenged(GET.with(&nobody).of(&ruled, &[need("a", Action::Pull)]));
    // Another key: what was verified before is not taken any more.
    fs::write(
        &keys,
        open(AccessOptions {
            htpasswd: Some(users(ours.path(), &[])),
            tokens: Some(OwnTokens::default()),
            ..AccessOptions::default()
        })
        .issuer
        .as_ref()
        .unwrap()
        .get()
        .jwks()
        .to_string(),
    )
    .unwrap();
    reload(&guard);
    let (offers, _) = challenged(GET.with(&token).of(&guard, &[need("a", Action::Push)]));
    assert!(offers.ends_with(",error=\"invalid_token\""), "{offers}");
}

#[test]
fn options_that_do_not_fit_together_are_refused() {
    let counters = || Arc::new(Counters::new());
    let tokens = AccessOptions { tokens: Some(OwnTokens::default()), ..AccessOptions::default() };
    assert!(matches!(Guard::open(tokens, counters()), Err(GuardError::TokensWithoutUsers)));
    let missing = AccessOptions { htpasswd: Some("/nonexistent/htpasswd".into()), ..AccessOptions::default() };
    let error = Guard::open(missing, counters()).unwrap_err().to_string();
    assert!(error.starts_with("cannot read `/nonexistent/htpasswd`: "), "{error}");
}
