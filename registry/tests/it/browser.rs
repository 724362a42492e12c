//! Chromium, driven over WebDriver by its own driver, with a profile of its own.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine;
use serde_json::{Value, json};

use crate::deadline::Killed;

/// The key under which WebDriver gives an element.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";
/// Keys by their WebDriver code points.
pub(crate) const TAB: &str = "\u{e004}";
pub(crate) const ENTER: &str = "\u{e007}";
pub(crate) const ESCAPE: &str = "\u{e00c}";
pub(crate) const SPACE: &str = " ";
pub(crate) const RIGHT: &str = "\u{e014}";

/// A browser, ended when dropped.
pub(crate) struct Browser {
    #[expect(dead_code, reason = "it is there to be dropped")]
    driver: Killed,
    port: u16,
    session: String,
    _profile: tempfile::TempDir,
}

impl Browser {
    /// With a window of that size, in pixels.
    pub(crate) fn start(width: u32, height: u32) -> Self {
        let profile = tempfile::tempdir().unwrap();
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver is installed (tests/run does it)");
        let lines = BufReader::new(driver.stdout.take().unwrap()).lines();
        // From here on it is ended, whatever happens.
        let driver = Killed::new(driver);
        let started = lines.map(Result::unwrap).find(|line| line.contains("started successfully on port"));
        let port = started.unwrap().trim_end_matches('.').rsplit(' ').next().unwrap().parse().unwrap();
        let mut browser = Self { driver, port, session: String::new(), _profile: profile };
        let args = [
            "--headless".to_owned(),
            "--no-sandbox".to_owned(),
            "--disable-gpu".to_owned(),
            "--disable-quic".to_owned(),
            "--no-first-run".to_owned(),
            "--disable-background-networking".to_owned(),
            "--disable-component-update".to_owned(),
            "--disable-sync".to_owned(),
            "--disable-dev-shm-usage".to_owned(),
            format!("--window-size={width},{height}"),
            format!("--user-data-dir={}", browser._profile.path().display()),
        ];
        // A window of Chromium is at least 500 pixels wide; a phone has to be emulated.
        let mut options = json!({ "args": args });
        if width < 500 {
            let metrics = json!({ "width": width, "height": height, "pixelRatio": 2.0, "touch": true });
            options["mobileEmulation"] = json!({ "deviceMetrics": metrics });
        }
        let capabilities = json!({ "capabilities": { "alwaysMatch": {
            "goog:chromeOptions": options,
            "goog:loggingPrefs": { "performance": "ALL", "browser": "ALL" },
            "acceptInsecureCerts": true,
        } } });
        let answer = browser.call("POST", "/session", &capabilities);
        answer["sessionId"].as_str().unwrap().clone_into(&mut browser.session);
        browser
    }

    /// One command of the driver; its value.
    fn call(&self, method: &str, path: &str, body: &Value) -> Value {
        self.try_call(method, path, body).unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    fn try_call(&self, method: &str, path: &str, body: &Value) -> Result<Value, String> {
        let mut socket = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        socket.set_read_timeout(Some(crate::deadline::LONG)).unwrap();
        let body = if method == "POST" { body.to_string() } else { String::new() };
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            body.len()
        );
        socket.write_all((head + &body).as_bytes()).unwrap();
        // The driver does not close connections.
        let mut reader = BufReader::new(socket);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(reader.read_line(&mut head).unwrap() > 0, "the driver is gone");
        }
        let length = head
            .lines()
            .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse().ok());
        let mut body = vec![0; length.unwrap()];
        reader.read_exact(&mut body).unwrap();
        let body = String::from_utf8_lossy(&body);
        let value: Value = serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error}: {body}"));
        match head.contains(" 200 ") {
            true => Ok(value["value"].clone()),
            false => Err(value["value"]["message"].to_string()),
        }
    }

    fn command(&self, path: &str, body: &Value) -> Value {
        self.call("POST", &format!("/session/{}/{path}", self.session), body)
    }

    pub(crate) fn go(&self, url: &str) {
        self.command("url", &json!({ "url": url }));
    }

    /// What a function body of JavaScript returns.
    pub(crate) fn run(&self, script: &str) -> Value {
        self.command("execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// Waits until a JavaScript expression is true.
    #[track_caller]
    pub(crate) fn wait(&self, expression: &str) {
        let end = Instant::now() + crate::deadline::LONG;
        while self.run(&format!("return Boolean({expression})")) != Value::Bool(true) {
            let page = || self.run("return document.body.innerText");
            assert!(Instant::now() < end, "it never came: {expression}\n{}", page());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until a view with that heading is there, whole.
    #[track_caller]
    pub(crate) fn view(&self, heading: &str) {
        let heading = json!(heading);
        self.wait(&format!(
            "document.querySelector('main').getAttribute('aria-busy') === 'false' && \
             (document.querySelector('h1') || {{innerText: ''}}).innerText.startsWith({heading})"
        ));
    }

    fn element(&self, css: &str) -> String {
        let found = self.command("element", &json!({ "using": "css selector", "value": css }));
        found[ELEMENT].as_str().unwrap().to_owned()
    }

    /// Clicks the first element that matches, as a user would: it has to be visible.
    pub(crate) fn click(&self, css: &str) {
        let element = self.element(css);
        self.command(&format!("element/{element}/click"), &json!({}));
    }

    /// Clicks the link with that text.
    pub(crate) fn follow(&self, text: &str) {
        let found = self.command("element", &json!({ "using": "link text", "value": text }));
        let element = found[ELEMENT].as_str().unwrap().to_owned();
        self.command(&format!("element/{element}/click"), &json!({}));
    }

    /// Types into whatever has the focus.
    pub(crate) fn keys(&self, text: &str) {
        let actions: Vec<Value> = text
            .chars()
            .flat_map(|c| [json!({ "type": "keyDown", "value": c }), json!({ "type": "keyUp", "value": c })])
            .collect();
        self.command("actions", &json!({ "actions": [{ "type": "key", "id": "keys", "actions": actions }] }));
    }

    pub(crate) fn text(&self, css: &str) -> String {
        let css = json!(css);
        let text = self.run(&format!("return (document.querySelector({css}) || {{innerText: ''}}).innerText"));
        text.as_str().unwrap_or_default().to_owned()
    }

    /// The accessible role and name of every element that can be operated.
    pub(crate) fn operable(&self) -> Vec<(String, String)> {
        let found = self.run(
            "return [...document.querySelectorAll('a, button, input, summary, select, [tabindex=\"0\"]')] \
             .filter((element) => element.checkVisibility())",
        );
        let elements = found.as_array().unwrap().iter().map(|element| element[ELEMENT].as_str().unwrap().to_owned());
        let ask = |element: &str, what: &str| {
            let path = format!("/session/{}/element/{element}/{what}", self.session);
            self.call("GET", &path, &Value::Null).as_str().unwrap_or_default().to_owned()
        };
        elements.map(|element| (ask(&element, "computedrole"), ask(&element, "computedlabel"))).collect()
    }

    /// The addresses of all requests since this was last asked, and what the page complained about.
    pub(crate) fn traffic(&self) -> (Vec<String>, Vec<String>) {
        let log = |kind: &str| self.command("se/log", &json!({ "type": kind }));
        let performance = log("performance");
        let events = performance.as_array().unwrap().iter();
        let events = events.map(|entry| serde_json::from_str::<Value>(entry["message"].as_str().unwrap()).unwrap());
        let requests = events.filter(|event| event["message"]["method"] == "Network.requestWillBeSent");
        let urls = requests.map(|event| event["message"]["params"]["request"]["url"].as_str().unwrap().to_owned());
        let complaints = log("browser");
        let complaints = complaints.as_array().unwrap().iter().map(|entry| entry["message"].to_string());
        // What the browser shows before it is told what to show.
        (urls.filter(|url: &String| !url.starts_with("chrome://")).collect(), complaints.collect())
    }

    /// Keeps a picture where `SEALOS_SCREENSHOTS` says, if it says anything.
    pub(crate) fn picture(&self, name: &str) {
        let Some(directory) = std::env::var_os("SEALOS_SCREENSHOTS") else { return };
        // The whole page, not only what fits into the window.
        let shot = self.command(
            "goog/cdp/execute",
            &json!({ "cmd": "Page.captureScreenshot", "params": { "format": "png", "captureBeyondViewport": true } }),
        );
        let png = base64::engine::general_purpose::STANDARD.decode(shot["data"].as_str().unwrap()).unwrap();
        fs::create_dir_all(&directory).unwrap();
        fs::write(Path::new(&directory).join(format!("{name}.png")), png).unwrap();
    }

    /// Has pages believe that the system is dark or light.
    pub(crate) fn prefer(&self, scheme: &str) {
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.command("goog/cdp/execute", &json!({ "cmd": "Emulation.setEmulatedMedia", "params": features }));
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The session first: it ends the browser's own processes.
        let ended = self.try_call("DELETE", &format!("/session/{}", self.session), &Value::Null);
        if !std::thread::panicking() {
            ended.unwrap();
        }
    }
}
