//! A real browser: Debian's Chromium, told what to do over a pipe (<https://chromedevtools.github.io/devtools-protocol/>).

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;

/// Nothing on a page takes longer.
const LATE: Duration = Duration::from_secs(20);

/// A browser with one page.
pub(crate) struct Browser {
    child: Child,
    told: ChildStdin,
    says: BufReader<ChildStdout>,
    session: Option<String>,
    next: u64,
    /// What the page complained of: errors of its script, refused resources.
    pub(crate) complaints: Vec<String>,
    _profile: TempDir,
}

impl Browser {
    pub(crate) fn start() -> Self {
        let profile = tempfile::tempdir().unwrap();
        // The pipe's ends are the descriptors 3 and 4.
        let script = "exec chromium --headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --hide-scrollbars \
                      --no-first-run --disable-background-networking --remote-debugging-pipe --user-data-dir=\"$0\" \
                      about:blank 3<&0 4>&1 0</dev/null 1>/dev/null 2>/dev/null";
        let mut child = Command::new("sh")
            .args(["-c", script])
            .arg(profile.path())
            .env("HOME", profile.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (told, says) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        let mut this = Self { child, told, says, session: None, next: 0, complaints: Vec::new(), _profile: profile };
        let page = this.call("Target.createTarget", json!({"url": "about:blank"}))["targetId"].clone();
        let session = this.call("Target.attachToTarget", json!({"targetId": page, "flatten": true}));
        this.session = session["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Runtime", "Log", "Network"] {
            this.call(&format!("{domain}.enable"), json!({}));
        }
        this.size(1200, 900);
        this
    }

    fn call(&mut self, method: &str, params: Value) -> Value {
        self.next += 1;
        let mut message = json!({"id": self.next, "method": method, "params": params});
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        let sent = self.told.write_all(format!("{message}\0").as_bytes());
        sent.expect("Chromium is not there: `dev/browser` installs it");
        loop {
            let answer = self.hear();
            if answer["id"] == json!(self.next) {
                // The page went elsewhere while it was asked: who waits asks again.
                if method == "Runtime.evaluate" && answer["error"]["code"] == json!(-32000) {
                    return Value::Null;
                }
                assert!(answer.get("error").is_none(), "{method}: {answer}");
                return answer["result"].clone();
            }
        }
    }

    fn hear(&mut self) -> Value {
        let mut bytes = Vec::new();
        self.says.read_until(0, &mut bytes).unwrap();
        bytes.pop().expect("Chromium is not there: `dev/browser` installs it");
        let said: Value = serde_json::from_slice(&bytes).unwrap();
        match said["method"].as_str() {
            Some("Runtime.exceptionThrown") => self.complaints.push(said["params"].to_string()),
            Some("Log.entryAdded") if said["params"]["entry"]["level"] == "error" => {
                self.complaints.push(said["params"]["entry"]["text"].to_string());
            }
            _ => {}
        }
        said
    }

    /// Goes to an address, and waits until the page is there.
    pub(crate) fn open(&mut self, address: &str) {
        self.call("Page.navigate", json!({"url": address}));
        self.wait("document.readyState === 'complete'");
    }

    /// What a script on the page gives.
    pub(crate) fn ask(&mut self, script: &str) -> Value {
        let params = json!({"expression": script, "returnByValue": true, "awaitPromise": true});
        self.call("Runtime.evaluate", params)["result"]["value"].clone()
    }

    /// Waits until a script on the page gives true.
    pub(crate) fn wait(&mut self, script: &str) {
        let began = Instant::now();
        while self.ask(script) != json!(true) {
            if began.elapsed() > LATE {
                let page = self.ask("location.href + '\\n' + document.body.innerText");
                panic!("never came: {script}\n{}\n{:?}", page.as_str().unwrap_or_default(), self.complaints);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The text of the page.
    pub(crate) fn text(&mut self) -> String {
        self.ask("document.body.innerText").as_str().unwrap_or_default().to_owned()
    }

    /// Clicks the first element that a selector finds, as a person does.
    pub(crate) fn click(&mut self, selector: &str) {
        let selector = json!(selector);
        self.wait(&format!("!!document.querySelector({selector})"));
        self.ask(&format!("document.querySelector({selector}).click()"));
    }

    pub(crate) fn size(&mut self, width: u32, height: u32) {
        let metrics = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600});
        self.call("Emulation.setDeviceMetricsOverride", metrics);
    }

    pub(crate) fn dark(&mut self, on: bool) {
        let value = if on { "dark" } else { "light" };
        let features = json!([{"name": "prefers-color-scheme", "value": value}]);
        self.call("Emulation.setEmulatedMedia", json!({"features": features}));
    }

    pub(crate) fn key(&mut self, key: &str) {
        for kind in ["keyDown", "keyUp"] {
            self.call("Input.dispatchKeyEvent", json!({"type": kind, "key": key, "text": key}));
        }
    }

    /// A picture, in `$ARGON_SCREENSHOTS` where that is set.
    pub(crate) fn picture(&mut self, name: &str) {
        let Some(folder) = std::env::var_os("ARGON_SCREENSHOTS") else { return };
        let picture = self.call("Page.captureScreenshot", json!({"format": "png"}));
        let bytes = BASE64_STANDARD.decode(picture["data"].as_str().unwrap()).unwrap();
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(Path::new(&folder).join(format!("{name}.png")), bytes).unwrap();
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
