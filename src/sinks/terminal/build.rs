//! Images that are built, at a terminal: what a build prints goes above, the instruction it is at stands below.

use std::sync::Arc;

use super::super::sanitize::Sanitizer;
use super::super::style::{Tone, human};
use super::super::tracker::short_build;
use super::{Terminal, add};
use crate::event::{BuildEvent, Status};

impl Terminal {
    pub(super) fn build(&mut self, image: &Arc<str>, build: &BuildEvent, now: jiff::Timestamp) {
        self.builds.take(image, build, now);
        let style = self.options.style;
        match build {
            BuildEvent::Started | BuildEvent::Step { .. } => {}
            BuildEvent::Log { bytes } => {
                let prefix = self.build_prefix(image);
                let pending = &mut self.pending;
                let sanitizer = self.built.entry(image.clone()).or_insert_with(|| Sanitizer::new(style.color));
                sanitizer.push(bytes, |line| add(pending, &prefix, line));
            }
            BuildEvent::Finished { duration } => {
                self.end_build(image);
                let time = style.paint(Tone::Dim, &human(*duration));
                self.line(None, &format!("{} {image}  {time}", style.status(Status::Success)));
            }
            BuildEvent::Failed { message } => {
                self.end_build(image);
                self.line(None, &format!("{} {image}: {message}", style.status(Status::Failure)));
            }
        }
    }

    fn build_prefix(&self, image: &str) -> String {
        let style = self.options.style;
        style.paint(Tone::Dim, &format!("{} {} ", short_build(image), style.symbols.bar()))
    }

    fn end_build(&mut self, image: &Arc<str>) {
        let prefix = self.build_prefix(image);
        if let Some(mut sanitizer) = self.built.remove(image) {
            let pending = &mut self.pending;
            sanitizer.finish(|line| add(pending, &prefix, line));
        }
    }
}
