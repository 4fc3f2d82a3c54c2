//! A small editor: it starts the server, keeps documents, and applies edits as an editor does.

use std::collections::BTreeMap;
use std::io::{BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use lsp_server::{Message, Notification, Request, RequestId};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Nothing takes longer. A server that is silent fails its test instead of hanging it.
const PATIENCE: Duration = Duration::from_secs(20);

/// The method under which an answer without an id is handed on.
const COMPLAINT: &str = "complaint";

/// An editor in a repository of its own.
pub(super) struct Editor {
    folder: TempDir,
    child: Child,
    stdin: Option<ChildStdin>,
    messages: Receiver<Message>,
    next_id: i32,
    versions: BTreeMap<String, i32>,
    texts: BTreeMap<String, String>,
    /// The newest findings of each document.
    findings: BTreeMap<String, Value>,
}

/// What an editor can, as most do.
pub(super) fn usual() -> Value {
    json!({
        "textDocument": { "completion": { "completionItem": {
            "snippetSupport": true, "insertTextModeSupport": { "valueSet": [1, 2] },
        } } },
        "workspace": { "workspaceEdit": { "documentChanges": false } },
    })
}

impl Editor {
    /// One that has said hello.
    pub(super) fn start(files: &[(&str, &str)]) -> Self {
        Self::start_with(files, usual())
    }

    pub(super) fn start_with(files: &[(&str, &str)], capabilities: Value) -> Self {
        let mut editor = Self::silent(files);
        let answer =
            editor.ask("initialize", json!({ "processId": null, "rootUri": null, "capabilities": capabilities }));
        assert!(answer.is_ok(), "{answer:?}");
        editor.tell("initialized", json!({}));
        editor
    }

    /// One that has said nothing.
    pub(super) fn silent(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::Builder::new().prefix("argon-lsp-").tempdir().unwrap();
        std::fs::create_dir(folder.path().join(".git")).unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let mut child = Command::new(env!("CARGO_BIN_EXE_argon"))
            .arg("lsp")
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stdin = child.stdin.take();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let (sender, messages) = mpsc::channel();
        std::thread::spawn(move || {
            loop {
                let message = match Message::read(&mut stdout) {
                    Ok(Some(message)) => message,
                    Ok(None) => break,
                    // An answer without an id, which lsp-server has no type for.
                    Err(error) => Notification::new(COMPLAINT.to_owned(), error.to_string()).into(),
                };
                if sender.send(message).is_err() {
                    break;
                }
            }
        });
        Self {
            folder,
            child,
            stdin,
            messages,
            next_id: 0,
            versions: BTreeMap::new(),
            texts: BTreeMap::new(),
            findings: BTreeMap::new(),
        }
    }

    pub(super) fn root(&self) -> &Path {
        self.folder.path()
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.root().join(name)
    }

    pub(super) fn uri(&self, name: &str) -> String {
        format!("file://{}", self.path(name).display())
    }

    pub(super) fn text(&self, name: &str) -> &str {
        &self.texts[name]
    }

    // --- Messages ---------------------------------------------------------------------------------------------------

    /// Writes bytes that may be anything.
    pub(super) fn write(&mut self, bytes: &[u8]) {
        let stdin = self.stdin.as_mut().unwrap();
        stdin.write_all(bytes).unwrap();
        stdin.flush().unwrap();
    }

    pub(super) fn send(&mut self, message: Message) {
        message.write(self.stdin.as_mut().unwrap()).unwrap();
    }

    pub(super) fn tell(&mut self, method: &str, params: Value) {
        self.send(Notification::new(method.to_owned(), params).into());
    }

    /// Sends a request, without waiting for its answer.
    pub(super) fn request(&mut self, method: &str, params: Value) -> RequestId {
        self.next_id += 1;
        let id = RequestId::from(self.next_id);
        self.send(Request::new(id.clone(), method.to_owned(), params).into());
        id
    }

    /// The answer to a request, or its error's code and message.
    pub(super) fn answer(&mut self, id: &RequestId) -> Result<Value, (i32, String)> {
        loop {
            match self.receive() {
                Message::Response(response) if response.id == *id => {
                    return response.response_result.map_err(|error| (error.code, error.message));
                }
                other => self.note(&other),
            }
        }
    }

    pub(super) fn ask(&mut self, method: &str, params: Value) -> Result<Value, (i32, String)> {
        let id = self.request(method, params);
        self.answer(&id)
    }

    /// What the server says of a message that is none.
    pub(super) fn complaint(&mut self) -> String {
        loop {
            match self.receive() {
                Message::Notification(notification) if notification.method == COMPLAINT => {
                    return notification.params.to_string();
                }
                other => self.note(&other),
            }
        }
    }

    fn receive(&mut self) -> Message {
        self.messages.recv_timeout(PATIENCE).expect("the server says nothing more")
    }

    fn note(&mut self, message: &Message) {
        let Message::Notification(notification) = message else { return };
        if notification.method == "textDocument/publishDiagnostics" {
            let uri = notification.params["uri"].as_str().unwrap().to_owned();
            self.findings.insert(uri, notification.params.clone());
        }
    }

    // --- Documents --------------------------------------------------------------------------------------------------

    pub(super) fn open(&mut self, name: &str, text: &str) {
        let uri = self.uri(name);
        self.versions.insert(name.to_owned(), 1);
        self.texts.insert(name.to_owned(), text.to_owned());
        let document = json!({ "uri": uri, "languageId": "yaml", "version": 1, "text": text });
        self.tell("textDocument/didOpen", json!({ "textDocument": document }));
    }

    /// Opens a text with a `^` where the cursor is; gives the cursor's position.
    pub(super) fn open_at(&mut self, name: &str, text: &str) -> Value {
        let at = text.find('^').expect("a cursor");
        let plain = format!("{}{}", &text[..at], &text[at + 1..]);
        self.open(name, &plain);
        self.position(name, at)
    }

    /// Replaces the first occurrence of a text, as typing does: with a range.
    pub(super) fn edit(&mut self, name: &str, from: &str, to: &str) {
        let at = self.texts[name].find(from).unwrap();
        let range = json!({ "start": self.position(name, at), "end": self.position(name, at + from.len()) });
        self.texts.get_mut(name).unwrap().replace_range(at..at + from.len(), to);
        let version = self.versions.get_mut(name).unwrap();
        *version += 1;
        let document =
            json!({ "uri": format!("file://{}", self.folder.path().join(name).display()), "version": *version });
        let change = json!({ "range": range, "text": to });
        self.tell("textDocument/didChange", json!({ "textDocument": document, "contentChanges": [change] }));
    }

    /// Waits for the findings of the newest version of a document, each as `line:column-line:column severity code message`.
    pub(super) fn findings(&mut self, name: &str) -> Vec<String> {
        let uri = self.uri(name);
        let version = self.versions.get(name).copied();
        loop {
            let newest = self.findings.get(&uri);
            let is_newest = |params: &&Value| params["version"].as_i64() == version.map(i64::from);
            if let Some(params) = newest.filter(is_newest) {
                return params["diagnostics"].as_array().unwrap().iter().map(shown).collect();
            }
            let message = self.receive();
            self.note(&message);
        }
    }

    /// The findings of a document as they came.
    pub(super) fn raw_findings(&mut self, name: &str) -> Vec<Value> {
        self.findings(name);
        self.findings[&self.uri(name)]["diagnostics"].as_array().unwrap().clone()
    }

    /// The findings of a file that is not open, once there are some, or none.
    pub(super) fn findings_of_closed(&mut self, name: &str) -> Vec<String> {
        self.findings.remove(&self.uri(name));
        self.findings(name)
    }

    /// What the client sends with most requests.
    pub(super) fn at(&self, name: &str, position: &Value) -> Value {
        json!({ "textDocument": { "uri": self.uri(name) }, "position": position })
    }

    /// The position of the nth occurrence of a text (from 0), one character in.
    pub(super) fn find(&self, name: &str, text: &str, nth: usize) -> Value {
        let (at, _) = self.texts[name].match_indices(text).nth(nth).unwrap();
        self.position(name, at)
    }

    fn position(&self, name: &str, offset: usize) -> Value {
        let before = &self.texts[name][..offset];
        let line = before.matches('\n').count();
        let start = before.rfind('\n').map_or(0, |at| at + 1);
        json!({ "line": line, "character": before[start..].encode_utf16().count() })
    }

    /// The text at a range of a document.
    pub(super) fn slice(&self, name: &str, range: &Value) -> &str {
        let text = &self.texts[name];
        &text[offset(text, &range["start"])..offset(text, &range["end"])]
    }

    /// Applies edits, from behind, and tells the server.
    pub(super) fn apply(&mut self, name: &str, edits: &Value) {
        let mut text = self.texts[name].clone();
        let mut edits: Vec<(usize, usize, String)> = edits
            .as_array()
            .unwrap()
            .iter()
            .map(|edit| {
                let range = &edit["range"];
                let new = edit["newText"].as_str().unwrap().to_owned();
                (offset(&text, &range["start"]), offset(&text, &range["end"]), new)
            })
            .collect();
        edits.sort();
        for (start, end, new) in edits.into_iter().rev() {
            text.replace_range(start..end, &new);
        }
        let version = self.versions.get_mut(name).unwrap();
        *version += 1;
        let document =
            json!({ "uri": format!("file://{}", self.folder.path().join(name).display()), "version": *version });
        self.texts.insert(name.to_owned(), text.clone());
        let change = json!({ "text": text });
        self.tell("textDocument/didChange", json!({ "textDocument": document, "contentChanges": [change] }));
    }

    // --- The end ----------------------------------------------------------------------------------------------------

    pub(super) fn close_input(&mut self) {
        self.stdin = None;
    }

    /// Waits for the end of the server: how it ended, and what it said on standard error.
    pub(super) fn ended(mut self) -> (ExitStatus, String) {
        let began = std::time::Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                let mut said = String::new();
                std::io::Read::read_to_string(&mut self.child.stderr.take().unwrap(), &mut said).unwrap();
                return (status, said);
            }
            assert!(began.elapsed() < PATIENCE, "the server does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Editor {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn offset(text: &str, position: &Value) -> usize {
    let line = usize::try_from(position["line"].as_u64().unwrap()).unwrap();
    let wanted = usize::try_from(position["character"].as_u64().unwrap()).unwrap();
    let start: usize = text.split_inclusive('\n').take(line).map(str::len).sum();
    let mut units = 0;
    let behind = text[start..].char_indices().find(|(_, c)| {
        let is_there = units >= wanted;
        units += c.len_utf16();
        is_there
    });
    behind.map_or(text.len(), |(at, _)| start + at)
}

fn shown(diagnostic: &Value) -> String {
    let place = |at: &Value| format!("{}:{}", at["line"], at["character"]);
    let severity = ["", "error", "warning", "information", "hint"];
    let severity = severity[usize::try_from(diagnostic["severity"].as_u64().unwrap()).unwrap()];
    let message = diagnostic["message"].as_str().unwrap().replace('\n', " / ");
    let range = &diagnostic["range"];
    format!(
        "{}-{} {severity} {} {message}",
        place(&range["start"]),
        place(&range["end"]),
        diagnostic["code"].as_str().unwrap()
    )
}
