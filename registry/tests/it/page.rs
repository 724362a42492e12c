//! The web page in Chromium: with a mouse, on a phone, by keyboard alone, with a password.

use std::fs;
use std::process::Command;
use std::sync::Arc;

use registry::access::{AccessOptions, Guard, TokenRoute};
use registry::options::ServeOptions;
use registry::page::PageRoute;
use registry::service::Registry;
use serde_json::Value;

use crate::browser::{Browser, ENTER, ESCAPE, RIGHT, SPACE, TAB};
use crate::deadline::Bounded;
use crate::server::Server;
use crate::shelf::{Shelf, furnished};

fn serve(shelf: &Shelf, options: AccessOptions) -> Server {
    let mut registry = Registry::new(Arc::clone(&shelf.0) as _, ServeOptions::default());
    let guard = Arc::new(Guard::open(options, Arc::clone(&registry.counters)).unwrap());
    registry.access = Arc::clone(&guard) as _;
    let page = PageRoute::new(Arc::clone(&shelf.0) as _, Arc::clone(&guard) as _);
    registry.routes = vec![Arc::new(TokenRoute(guard)), Arc::new(page)];
    Server::with(registry)
}

/// That the page asked nobody else, and complained about nothing.
#[track_caller]
fn is_well_behaved(browser: &Browser, origin: &str) {
    let (requests, complaints) = browser.traffic();
    assert!(!requests.is_empty());
    for url in &requests {
        assert!(url.starts_with(origin) || url.starts_with("data:"), "{url} was asked for");
    }
    assert_eq!(complaints, Vec::<String>::new());
}

#[test]
fn everything_about_an_image_is_found_by_clicking() {
    let shelf = furnished();
    let server = serve(&shelf, AccessOptions::default());
    let origin = format!("http://{}/", server.address);
    let browser = Browser::start(1200, 900);
    browser.prefer("light");
    browser.go(&origin);
    browser.view("Repositories");
    browser.picture("repositories");
    assert!(browser.text("main").contains("docker.io/library/nginx"));

    // Search goes through all names, and tags within a repository.
    browser.click("#query");
    browser.keys("shop");
    browser.view("Repositories found");
    browser.wait("document.querySelectorAll('ul.rows li').length === 1");
    browser.follow("team/shop\n1 tag");
    browser.view("team/shop");
    browser.follow("v3");
    browser.view("team/shop:v3");
    let text = browser.text("main");
    for part in [
        "cluster image",
        "carries 3 images",
        "docker.io/library/nginx:1.27",
        "written nginx:1.27",
        "charts/shop/templates/proxy.yaml:14",
        "Deployment web, container main · pod template",
        "and 2 more places",
        "it came with the base image",
        "linux/arm64",
        "COPY charts charts",
        "created 2026-11-20",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    browser.click("section[aria-label='Carried images'] summary");
    assert!(browser.text("main").contains("charts/shop/templates/web.yaml:7"));
    browser.picture("cluster-image");
    // A carried image is an image of the same repository.
    browser.click("section[aria-label='Carried images'] tbody tr:nth-child(2) a");
    browser.view("team/shop");
    browser.wait("document.querySelector('main').innerText.includes('RUN build quay.io/team/debian:12 # linux/amd64')");

    browser.go(&format!("{origin}#/docker.io/library/nginx:1.27"));
    browser.view("docker.io/library/nginx:1.27");
    let command = || browser.text("#command");
    assert_eq!(command(), format!("docker pull {}/docker.io/library/nginx:1.27", server.address));
    browser.click("input[value='skopeo'] + span");
    let skopeo = format!(
        "skopeo copy --all --src-tls-verify=false docker://{}/docker.io/library/nginx:1.27 oci-archive:image.tar",
        server.address
    );
    assert_eq!(command(), skopeo);
    browser.click(".command button");
    browser.wait("document.getElementById('said').innerText === 'Copied'");
    assert!(browser.text("main").contains("# linux/amd64"));
    browser.click("fieldset .choices label:nth-child(2) input[name='platform'] + span");
    browser.wait("document.querySelector('main').innerText.includes('# linux/arm64')");
    browser.picture("image");
    // Where a layer is shared.
    browser.go(&format!("{origin}#/quay.io/team/debian:12"));
    browser.view("quay.io/team/debian:12");
    browser.wait("document.querySelector('td[data-shared] summary')");
    assert_eq!(browser.text("td[data-shared] summary"), "101 images");
    browser.click("td[data-shared] summary");
    browser.picture("shared");
    browser.follow("docker.io/library/nginx:1.26");
    browser.view("docker.io/library/nginx:1.26");
    let text = browser.text("main");
    assert!(text.contains("application/vnd.dev.cosign.simplesigning.v1") && text.contains("/entry.sh"), "{text}");
    // What an image says is text, whatever it looks like.
    assert!(text.contains("The <b>team</b>"));
    browser.run("document.querySelectorAll('details').forEach((one) => { one.open = true; })");
    assert!(browser.text("main").contains("<script>alert(1)</script>"));
    browser.picture("details");

    browser.go(&format!("{origin}#/team/web"));
    browser.view("team/web");
    assert_eq!(browser.run("return document.querySelectorAll('tbody tr').length"), 50);
    assert!(browser.text("tbody tr").starts_with("v1.60"), "the newest first");
    browser.picture("tags");
    browser.click("button.more");
    browser.wait("document.querySelectorAll('tbody tr').length === 60");
    browser.go(&format!("{origin}#/team/notes:latest"));
    browser.view("team/notes:latest");
    assert!(browser.text("main").contains("notes.txt"));
    browser.go(&format!("{origin}#/no/such:thing"));
    browser.view("no/such");
    assert!(browser.text("[role=alert]").contains("There is no such image here"));
    // Colours follow the system unless somebody says otherwise.
    let ground = || browser.run("return getComputedStyle(document.body).backgroundColor");
    let light = ground();
    browser.prefer("dark");
    assert_ne!(ground(), light);
    browser.click("#theme");
    assert_eq!(ground(), light);
    browser.click("#theme");
    browser.prefer("light");
    assert_ne!(ground(), light);
    browser.go(&format!("{origin}#/team/shop:v3"));
    browser.view("team/shop:v3");
    browser.picture("dark");
    // Two answers of 404 are the ones about what there is not.
    let (requests, complaints) = browser.traffic();
    assert!(requests.iter().all(|url| url.starts_with(&origin) || url.starts_with("data:")), "{requests:?}");
    let others = complaints.iter().filter(|text| !text.contains("404"));
    assert_eq!(others.collect::<Vec<_>>(), Vec::<&String>::new());
}

#[test]
fn everything_fits_on_a_phone() {
    let shelf = furnished();
    let server = serve(&shelf, AccessOptions::default());
    let origin = format!("http://{}/", server.address);
    let browser = Browser::start(360, 740);
    for (hash, heading, picture) in [
        ("", "Repositories", "phone-repositories"),
        ("#/team/web", "team/web", "phone-tags"),
        ("#/docker.io/library/nginx:1.27", "docker.io/library/nginx:1.27", "phone-image"),
        ("#/team/shop:v3", "team/shop:v3", "phone-cluster-image"),
    ] {
        browser.go(&format!("{origin}{hash}"));
        browser.view(heading);
        let size = browser.run("return [document.documentElement.scrollWidth, window.innerWidth]");
        assert!(size[0].as_u64() <= size[1].as_u64(), "{hash} is wider than the window: {size}");
        assert_eq!(size[1], 360);
        browser.picture(picture);
    }
    is_well_behaved(&browser, &origin);
}

#[test]
fn everything_works_by_keyboard_and_has_a_name() {
    let shelf = furnished();
    let server = serve(&shelf, AccessOptions::default());
    let origin = format!("http://{}/", server.address);
    let browser = Browser::start(1200, 900);
    let focus = || {
        browser.run(
            "return document.activeElement.innerText || document.activeElement.id || document.activeElement.tagName",
        )
    };
    browser.go(&origin);
    browser.view("Repositories");
    browser.keys(TAB);
    assert_eq!(focus(), "Skip to the content");
    browser.keys(ENTER);
    assert_eq!(browser.run("return document.activeElement.id"), "main");
    browser.keys("/");
    assert_eq!(focus(), "query");
    browser.keys("team/web");
    browser.view("Repositories found");
    browser.keys(ESCAPE);
    browser.view("Repositories");
    browser.wait("document.querySelectorAll('ul.rows li').length === 45");
    browser.keys("/team/sh");
    browser.wait("document.querySelectorAll('ul.rows li').length === 1");
    // The colours, the first repository.
    browser.keys(TAB);
    browser.keys(TAB);
    browser.keys(ENTER);
    browser.view("team/shop");
    // Back to all repositories, the tag.
    browser.keys(TAB);
    browser.keys(TAB);
    assert_eq!(focus(), "v3");
    browser.keys(ENTER);
    browser.view("team/shop:v3");
    // All repositories, the repository, the digest's copy button, the choice of a client.
    for _ in 0..4 {
        browser.keys(TAB);
    }
    assert_eq!(browser.run("return document.activeElement.name"), "client");
    browser.keys(RIGHT);
    assert!(browser.text("#command").starts_with("sealos run "), "{}", browser.text("#command"));
    browser.keys(TAB);
    browser.keys(TAB);
    browser.keys(SPACE);
    browser.wait("document.getElementById('said').innerText === 'Copied'");
    let mut reached = Vec::new();
    for _ in 0..80 {
        browser.keys(TAB);
        let outline = browser.run("return getComputedStyle(document.activeElement.matches('input[type=radio]') ? document.activeElement.nextElementSibling : document.activeElement).outlineStyle");
        reached.push(focus().as_str().unwrap().to_owned());
        assert!(
            outline != "none"
                || reached.last().is_some_and(|last| last.contains("Skip") || last == "BODY" || last == "main"),
            "the focus is not seen on {reached:?}"
        );
    }
    for part in ["linux/arm64", "and 2 more places"] {
        assert!(reached.iter().any(|text| text.contains(part)), "{part} cannot be reached: {reached:?}");
    }
    let operable = browser.operable();
    assert!(operable.len() > 30);
    for (role, name) in operable {
        assert!(!name.trim().is_empty(), "a {role} has no name");
        assert!(!matches!(role.as_str(), "" | "generic" | "none"), "{name} is a {role}");
    }
    is_well_behaved(&browser, &origin);
}

#[test]
fn who_logs_in_sees_what_they_may_see() {
    let shelf = furnished();
    let dir = tempfile::tempdir().unwrap();
    let (htpasswd, policy) = (dir.path().join("htpasswd"), dir.path().join("policy"));
    let made = Command::new("htpasswd").args(["-cbB"]).arg(&htpasswd).args(["anna", "one"]).bounded().unwrap();
    assert!(made.status.success());
    fs::write(&policy, "rules: [{who: [anna], may: [pull], in: [team/], except: [team/web]}]").unwrap();
    let options = AccessOptions { htpasswd: Some(htpasswd), policy: Some(policy), ..AccessOptions::default() };
    let server = serve(&shelf, options);
    let browser = Browser::start(1200, 900);
    browser.go(&format!("http://{}/", server.address));
    assert_eq!(
        browser.run("return document.querySelectorAll('main').length"),
        0,
        "there is no page without a password"
    );
    browser.go(&format!("http://anna:one@{}/", server.address));
    browser.view("Repositories");
    browser.wait("document.getElementById('who').innerText === 'anna'");
    let names = browser.run("return [...document.querySelectorAll('.name')].map((one) => one.innerText)");
    assert_eq!(names, serde_json::json!(["team/notes", "team/shop"]));
    browser.picture("logged-in");
    browser.go(&format!("http://{}/#/team/web:v1.01", server.address));
    browser.view("team/web");
    assert!(browser.text("[role=alert]").contains("you may not see it"));
    // Others who need a layer are not named to who may not see them.
    browser.go(&format!("http://{}/#/team/shop:v3", server.address));
    browser.view("team/shop:v3");
    browser.wait("document.querySelector('td[data-shared]').innerText === 'only here'");
}

#[test]
fn only_browsers_get_the_page() {
    let shelf = furnished();
    let server = serve(&shelf, AccessOptions::default());
    let curl = |args: &[&str]| {
        let output = Command::new("curl").args(["-si", "--max-time", "20"]).args(args).bounded().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let url = format!("http://{}/", server.address);
    let page = curl(&["-H", "Accept: text/html,application/xhtml+xml;q=0.9", &url]);
    assert!(
        page.contains("Content-Type: text/html") && page.contains("Content-Security-Policy: default-src 'none'"),
        "{page}"
    );
    let tag = page.lines().find_map(|line| line.strip_prefix("ETag: ")).unwrap().trim();
    let again = curl(&["-H", "Accept: text/html", "-H", &format!("If-None-Match: {tag}"), &url]);
    assert!(again.starts_with("HTTP/1.1 304 "), "{again}");
    assert!(curl(&[&url]).contains("{\"registry\":\"sealos\",\"api\":\"/v2/\"}"));
    assert!(curl(&["-X", "POST", &url]).starts_with("HTTP/1.1 405 "));
    for (path, status) in [
        ("tags", 400),
        ("image?repository=team/shop", 400),
        ("tags?repository=..", 404),
        ("nothing", 404),
        ("image?repository=team/shop&reference=sha256:x", 404),
    ] {
        let answer = curl(&[&format!("{url}_sealos/v1/{path}")]);
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        assert!(serde_json::from_str::<Value>(body).unwrap()["error"].is_string());
    }
}
