//! Images that are built, in plain lines: each line of a build has the image's name before it.

use std::io::Write;
use std::sync::Arc;

use memchr::memrchr;

use super::super::SinkError;
use super::super::sanitize::one_line;
use super::super::style::Tone;
use super::super::tracker::short_build as short;
use super::{LONGEST_HELD, Plain, time};
use crate::event::{BuildEvent, Status};

impl<W: Write + Send> Plain<W> {
    pub(super) fn build(&mut self, image: &Arc<str>, build: &BuildEvent) -> Result<(), SinkError> {
        let style = self.options.style;
        let name = one_line(image);
        let short = short(&name);
        let bar = style.symbols.bar();
        match build {
            BuildEvent::Started => self.line(None, &format!("{} {name}", style.symbols.begin())),
            BuildEvent::Step { name: step, cached } => {
                let note = if *cached { " (cached)" } else { "" };
                self.line(None, &style.paint(Tone::Dim, &format!("{short} {bar} {}{note}", one_line(step))))
            }
            BuildEvent::Log { bytes } => {
                let mut held = self.built.remove(image).unwrap_or_default();
                held.extend_from_slice(bytes);
                let whole = memrchr(b'\n', &held).map_or(0, |at| at + 1);
                let rest = if held.len() - whole > LONGEST_HELD { Vec::new() } else { held.split_off(whole) };
                self.built_lines(short, &held)?;
                self.built.insert(image.clone(), rest);
                Ok(())
            }
            BuildEvent::Finished { duration } => {
                self.end_build(image, short)?;
                let time = time(&style, *duration);
                self.line(None, &format!("{} {name}  {time}", style.status(Status::Success)))
            }
            BuildEvent::Failed { message } => {
                self.end_build(image, short)?;
                self.line(None, &format!("{} {name}: {}", style.status(Status::Failure), one_line(message)))
            }
        }
    }

    fn end_build(&mut self, image: &Arc<str>, name: &str) -> Result<(), SinkError> {
        let held = self.built.remove(image).unwrap_or_default();
        self.built_lines(name, &held)
    }

    /// Whole lines of what a build prints, as they came, behind its name.
    fn built_lines(&mut self, name: &str, lines: &[u8]) -> Result<(), SinkError> {
        let style = self.options.style;
        let prefix = style.paint(Tone::Dim, &format!("{name} {}", style.symbols.bar()));
        for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            self.fresh_line()?;
            self.out.push(prefix.as_bytes())?;
            self.out.push(b" ")?;
            self.out.push(line)?;
            self.out.push(b"\n")?;
        }
        Ok(())
    }
}
