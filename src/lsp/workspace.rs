//! The documents that are open, and the pipelines that they are parts of.
//!
//! A document is looked at as part of a pipeline: its own where it is named `.runnerci.yml`, that of its repository where
//! that one includes it, or else alone. What is open wins over what is on disk.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use lsp_types::{TextDocumentContentChangeEvent, TextDocumentItem, Uri};

use super::analysis::{self, Pipeline};
use super::disk;
use super::text::{Encoding, Text};
use crate::pipeline::Includes;

/// A document that is open.
#[derive(Debug)]
pub(super) struct Document {
    /// As the client names it.
    pub(super) uri: Uri,
    pub(super) path: Option<PathBuf>,
    pub(super) version: i32,
    pub(super) text: Rc<Text>,
}

/// All that the server knows.
pub(super) struct Workspace {
    encoding: Encoding,
    open: BTreeMap<String, Document>,
    pipelines: Vec<Pipeline>,
    remote: Box<dyn Includes>,
    stale: Stale,
    /// How often it was looked at.
    looks: u64,
}

/// What a change calls for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stale {
    No,
    /// Texts of open documents are others.
    Texts,
    /// Other documents are open, or files on disk may be others.
    All,
}

/// A document as features see it: a text of a pipeline.
#[derive(Debug, Clone)]
pub(super) struct View {
    pub(super) uri: Uri,
    pub(super) text: Rc<Text>,
}

impl Workspace {
    pub(super) fn new(encoding: Encoding, remote: Box<dyn Includes>) -> Self {
        Self { encoding, open: BTreeMap::new(), pipelines: Vec::new(), remote, stale: Stale::No, looks: 0 }
    }

    pub(super) fn open(&mut self, item: TextDocumentItem) {
        let path = disk::path_of(&item.uri);
        let text = Rc::new(Text::new(item.text, self.encoding));
        let id = disk::identity(&item.uri);
        self.open.insert(id, Document { uri: item.uri, path, version: item.version, text });
        self.stale = Stale::All;
    }

    pub(super) fn change(&mut self, uri: &Uri, version: i32, changes: Vec<TextDocumentContentChangeEvent>) {
        if let Some(document) = self.open.get_mut(&disk::identity(uri)) {
            document.text = Rc::new(document.text.changed(changes));
            document.version = version;
            self.stale = self.stale.max(Stale::Texts);
        }
    }

    pub(super) fn close(&mut self, uri: &Uri) {
        self.open.remove(&disk::identity(uri));
        self.stale = Stale::All;
    }

    /// Files on disk may be others.
    pub(super) fn look_again(&mut self) {
        self.stale = Stale::All;
    }

    /// How often it was looked at: where that is another number than before, findings may be others.
    pub(super) fn looks(&self) -> u64 {
        self.looks
    }

    /// Whether a document is open.
    pub(super) fn document(&self, uri: &Uri) -> Option<&Document> {
        self.open.get(&disk::identity(uri))
    }

    /// All pipelines, as of the last [`refresh`](Self::refresh).
    pub(super) fn pipelines(&self) -> &[Pipeline] {
        &self.pipelines
    }

    /// An open document, as features see it.
    pub(super) fn view(&self, uri: &Uri) -> Option<View> {
        let document = self.document(uri)?;
        Some(View { uri: document.uri.clone(), text: Rc::clone(&document.text) })
    }

    /// The pipeline that a document is part of.
    pub(super) fn pipeline(&self, uri: &Uri) -> Option<&Pipeline> {
        let id = disk::identity(uri);
        self.pipelines.iter().find(|pipeline| pipeline.files.iter().any(|file| disk::identity(&file.uri) == id))
    }

    /// All texts of the pipeline that a document is part of, itself first.
    pub(super) fn around(&self, uri: &Uri) -> Vec<View> {
        let id = disk::identity(uri);
        let own = self.view(uri);
        let files = self.pipeline(uri).map(|pipeline| pipeline.files.as_slice()).unwrap_or_default();
        let others = files.iter().filter(|file| disk::identity(&file.uri) != id);
        // Since the last look, a text may have changed.
        own.into_iter().chain(others.map(|file| self.view(&file.uri).unwrap_or_else(|| file.clone()))).collect()
    }

    /// Reads anew what changed.
    pub(super) fn refresh(&mut self) {
        if self.stale == Stale::No {
            return;
        }
        let before = std::mem::take(&mut self.pipelines);
        let mut reader = Reader {
            encoding: self.encoding,
            open: &self.open,
            remote: &mut *self.remote,
            before: if self.stale == Stale::Texts { before } else { Vec::new() },
            found: Vec::new(),
            covered: BTreeSet::new(),
        };
        let is_named = |document: &&Document| document.path.as_deref().is_some_and(disk::is_pipeline);
        for document in self.open.values().filter(is_named) {
            reader.read(&document.uri);
        }
        reader.repositories();
        for (id, document) in &self.open {
            if !reader.covered.contains(id) {
                reader.read(&document.uri);
            }
        }
        self.pipelines = reader.found;
        self.stale = Stale::No;
        self.looks += 1;
    }
}

/// One look at all pipelines.
struct Reader<'a> {
    encoding: Encoding,
    open: &'a BTreeMap<String, Document>,
    remote: &'a mut dyn Includes,
    before: Vec<Pipeline>,
    found: Vec<Pipeline>,
    /// The documents that are part of a pipeline that was found.
    covered: BTreeSet<String>,
}

impl Reader<'_> {
    /// Reads the pipeline whose main file is open.
    fn read(&mut self, uri: &Uri) {
        let id = disk::identity(uri);
        let Some(document) = self.open.get(&id) else { return };
        let known = self.before.iter().position(|pipeline| disk::identity(pipeline.main()) == id);
        let pipeline = match known.map(|at| self.before.swap_remove(at)).filter(|old| self.is_current(old)) {
            Some(pipeline) => pipeline,
            None => {
                let root = document.path.as_deref().map(disk::repository_root);
                let main = View { uri: document.uri.clone(), text: Rc::clone(&document.text) };
                self.analyse(main, None, root)
            }
        };
        self.keep(pipeline);
    }

    /// Reads the pipelines of the repositories that open documents lie in, where these are included by them.
    fn repositories(&mut self) {
        let paths = self.open.iter().filter(|(id, _)| !self.covered.contains(*id));
        let roots: BTreeSet<PathBuf> =
            paths.filter_map(|(_, document)| Some(disk::repository_root(document.path.as_deref()?))).collect();
        for root in roots {
            let known = self.before.iter().position(|pipeline| pipeline.root.as_ref() == Some(&root));
            let old = known.map(|at| self.before.swap_remove(at)).filter(|old| self.is_current(old));
            let pipeline = old.or_else(|| self.on_disk(&root));
            if let Some(pipeline) =
                pipeline.filter(|pipeline| pipeline.files.iter().any(|file| self.is_open(&file.uri)))
            {
                self.keep(pipeline);
            }
        }
    }

    fn on_disk(&mut self, root: &Path) -> Option<Pipeline> {
        let path = disk::PIPELINE_NAMES.iter().map(|name| root.join(name)).find(|path| path.is_file())?;
        let uri = disk::uri_of(&path)?;
        if self.is_open(&uri) {
            return None;
        }
        let bytes = disk::read(&path, root).ok()?;
        let text = Rc::new(Text::new(String::from_utf8_lossy(&bytes).into_owned(), self.encoding));
        Some(self.analyse(View { uri, text }, Some(&bytes), Some(root.to_owned())))
    }

    fn analyse(&mut self, main: View, bytes: Option<&[u8]>, root: Option<PathBuf>) -> Pipeline {
        let (open, encoding) = (self.open, self.encoding);
        let find = |uri: &Uri| {
            let document = open.get(&disk::identity(uri))?;
            Some(View { uri: document.uri.clone(), text: Rc::clone(&document.text) })
        };
        analysis::read(main, bytes, root, &find, self.remote, encoding)
    }

    fn keep(&mut self, pipeline: Pipeline) {
        self.covered.extend(pipeline.files.iter().map(|file| disk::identity(&file.uri)));
        self.found.push(pipeline);
    }

    fn is_open(&self, uri: &Uri) -> bool {
        self.open.contains_key(&disk::identity(uri))
    }

    /// Whether no text of a pipeline is another one than when it was read.
    fn is_current(&self, pipeline: &Pipeline) -> bool {
        pipeline.files.iter().all(|file| {
            self.open.get(&disk::identity(&file.uri)).is_none_or(|document| Rc::ptr_eq(&document.text, &file.text))
        })
    }
}
