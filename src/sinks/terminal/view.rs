//! The moving lines at the bottom of the live view: pulls with their bars, then jobs. Pure: a state in, lines out.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use super::super::sanitize::one_line;
use super::super::style::{Style, Tone, bytes, human};
use super::super::tracker::{JobTrack, Phase, Tracker};
use crate::event::{BuildEvent, JobId, LayerPhase, LayerProgress, PullEvent, Status};

/// The most lines that move.
const MOST_LINES: usize = 12;
/// The widest a name is made for the sake of alignment.
const WIDEST_NAME: usize = 24;

/// The pulls that go on, by image, each with its layers by id.
#[derive(Debug, Default)]
pub(super) struct Pulls(BTreeMap<String, BTreeMap<String, LayerProgress>>);

impl Pulls {
    pub(super) fn take(&mut self, image: &str, pull: &PullEvent) {
        match pull {
            PullEvent::Started => {
                self.0.insert(image.to_owned(), BTreeMap::new());
            }
            PullEvent::Layer(layer) => {
                let layers = self.0.entry(image.to_owned()).or_default();
                // The end of a layer comes without sizes: what was known of it stays known.
                let total = layer.total.or_else(|| layers.get(&layer.id).and_then(|known| known.total));
                layers.insert(layer.id.clone(), LayerProgress { total, ..layer.clone() });
            }
            PullEvent::Retrying { .. } => {}
            PullEvent::Finished { .. } | PullEvent::Failed { .. } => {
                self.0.remove(image);
            }
        }
    }
}

/// The builds that go on, by image: since when, and the instruction that they are at.
#[derive(Debug, Default)]
pub(super) struct Builds(BTreeMap<Arc<str>, (Timestamp, String)>);

impl Builds {
    pub(super) fn take(&mut self, image: &Arc<str>, build: &BuildEvent, now: Timestamp) {
        match build {
            BuildEvent::Started => {
                self.0.insert(image.clone(), (now, String::new()));
            }
            BuildEvent::Step { name, .. } => {
                self.0.entry(image.clone()).or_insert_with(|| (now, String::new())).1 = one_line(name);
            }
            BuildEvent::Log { .. } => {}
            BuildEvent::Finished { .. } | BuildEvent::Failed { .. } => {
                self.0.remove(image);
            }
        }
    }
}

/// What is shown.
pub(super) struct View<'a> {
    pub(super) tracker: &'a Tracker,
    pub(super) pulls: &'a Pulls,
    pub(super) builds: &'a Builds,
    pub(super) style: Style,
    pub(super) now: Timestamp,
    pub(super) frame: usize,
}

impl View<'_> {
    /// At most a screenful of lines, each shorter than a row.
    pub(super) fn lines(&self, rows: u16, columns: u16) -> Vec<String> {
        // A full row would wrap on some terminals; and the log keeps at least half of the screen.
        let width = usize::from(columns).saturating_sub(1).max(10);
        let most = MOST_LINES.min(usize::from(rows) / 2).max(1);
        let mut lines: Vec<String> = Vec::new();
        for (image, layers) in &self.pulls.0 {
            lines.extend(self.pull(image, layers, width));
        }
        lines.extend(self.builds.0.iter().map(|(image, (since, step))| self.build(image, *since, step, width)));
        let is_running = |job: &&(usize, &JobTrack)| matches!(job.1.phase, Phase::Running { .. });
        let jobs: Vec<(usize, &JobTrack)> = self.tracker.jobs.iter().enumerate().collect();
        lines.extend(jobs.iter().filter(is_running).map(|(position, job)| self.running(*position, job, width)));
        let waiting = jobs.iter().filter(|(_, job)| job.phase == Phase::Waiting);
        lines.extend(waiting.map(|(position, job)| self.waiting(*position, job)));
        if lines.len() > most {
            let more = lines.len() - (most - 1);
            lines.truncate(most - 1);
            lines.push(self.style.paint(Tone::Dim, &format!("{} {more} more", self.style.symbols.ellipsis())));
        }
        lines.iter().map(|line| self.fit(line, width)).collect()
    }

    fn fit(&self, line: &str, width: usize) -> String {
        console::truncate_str(line, width, self.style.symbols.ellipsis()).into_owned()
    }

    fn spinner(&self) -> String {
        let frames = self.style.symbols.spinner();
        self.style.paint(Tone::Good, frames[self.frame % frames.len()])
    }

    fn elapsed(&self, since: Timestamp) -> String {
        let elapsed = std::time::Duration::try_from(self.now.duration_since(since)).unwrap_or_default();
        // Tenths only: milliseconds would flicker.
        match elapsed.as_secs() {
            0 => format!("0.{}s", elapsed.subsec_millis() / 100),
            _ => human(elapsed),
        }
    }

    fn running(&self, position: usize, job: &JobTrack, width: usize) -> String {
        let Phase::Running { since, step } = &job.phase else {
            return String::new();
        };
        let doing = match step {
            Some((index, _)) => format!("{index}/{} {}", job.steps.len(), job.step_name(*index)),
            None if job.steps.iter().all(|step| step.result.is_none()) => "preparing".to_owned(),
            None => "finishing".to_owned(),
        };
        let name = self.style.paint(Tone::Job(position), &padded_name(self.tracker, position));
        self.timed(&format!("{} {name} {doing}", self.spinner()), *since, width)
    }

    fn build(&self, image: &str, since: Timestamp, step: &str, width: usize) -> String {
        self.timed(format!("{} {} {step}", self.spinner(), one_line(image)).trim_end(), since, width)
    }

    /// Words with the time since behind them, which is never cut.
    fn timed(&self, left: &str, since: Timestamp, width: usize) -> String {
        let time = self.elapsed(since);
        let room = width.saturating_sub(console::measure_text_width(&time) + 1);
        let left = console::truncate_str(left, room, self.style.symbols.ellipsis());
        format!("{left} {}", self.style.paint(Tone::Dim, &time))
    }

    fn waiting(&self, position: usize, job: &JobTrack) -> String {
        let is_open = |need: &&JobId| {
            self.tracker.job(need).and_then(JobTrack::result).is_none_or(|result| result.status != Status::Success)
        };
        let shown = |need| self.tracker.job(need).map(|job| job.info.id.as_str());
        let needs: Vec<&str> = job.info.needs.iter().filter(is_open).filter_map(shown).collect();
        let what = match needs.is_empty() {
            true if self.pulls.0.contains_key(&job.info.image) || self.builds.0.contains_key(&*job.info.image) => {
                "waiting for its image".to_owned()
            }
            true => "waiting".to_owned(),
            false => format!("waiting for {}", needs.join(", ")),
        };
        self.style.paint(Tone::Dim, &format!("  {} {what}", padded_name(self.tracker, position)))
    }

    /// A line for the image, with all its layers together, and one for each layer that moves.
    fn pull(&self, image: &str, layers: &BTreeMap<String, LayerProgress>, width: usize) -> Vec<String> {
        // A layer without a size is there already, or not begun.
        let known: u64 = layers.values().filter_map(|layer| layer.total).sum();
        let done: u64 = layers.values().map(received).sum();
        let there = layers.values().filter(|layer| layer.phase == LayerPhase::Done).count();
        let amount = match known {
            0 => String::new(),
            total => format!("{} of {}", bytes(done.min(total)), bytes(total)),
        };
        let image = one_line(image);
        let head = format!("{} pulling {image}", self.spinner());
        let bar = self.bar(done, Some(known), width);
        let count = if layers.is_empty() { String::new() } else { format!("{there}/{} layers", layers.len()) };
        let mut lines = vec![format!("{head} {bar} {count} {amount}").trim_end().to_owned()];
        let moving =
            layers.values().filter(|layer| matches!(layer.phase, LayerPhase::Downloading | LayerPhase::Extracting));
        lines.extend(moving.take(3).map(|layer| self.layer(layer, width)));
        lines
    }

    fn layer(&self, layer: &LayerProgress, width: usize) -> String {
        let doing = match layer.phase {
            LayerPhase::Downloading => "downloading",
            LayerPhase::Extracting => "extracting",
            LayerPhase::Waiting | LayerPhase::Done => "",
        };
        let bar = self.bar(layer.current, layer.total, width);
        format!("  {} {bar} {doing} {}", self.style.paint(Tone::Dim, &layer.id), bytes(layer.current))
    }

    fn bar(&self, done: u64, total: Option<u64>, width: usize) -> String {
        let length = if width < 60 { 8 } else { 20 };
        let (full, empty) = self.style.symbols.progress();
        let filled = match total.filter(|total| *total > 0) {
            Some(total) => {
                usize::try_from(u128::from(done.min(total)) * length as u128 / u128::from(total)).unwrap_or(0)
            }
            None => 0,
        };
        let rest = self.style.paint(Tone::Dim, &empty.repeat(length - filled));
        format!("{}{rest}", self.style.paint(Tone::Good, &full.repeat(filled)))
    }
}

/// How much of a layer has come in: all of it, once it is unpacked.
fn received(layer: &LayerProgress) -> u64 {
    match layer.phase {
        LayerPhase::Waiting => 0,
        LayerPhase::Downloading => layer.current,
        LayerPhase::Extracting | LayerPhase::Done => layer.total.unwrap_or(layer.current),
    }
}

/// A job's name, as wide as the widest.
pub(super) fn padded_name(tracker: &Tracker, position: usize) -> String {
    let widths = tracker.jobs.iter().map(|job| console::measure_text_width(job.info.id.as_str()));
    let width = widths.max().unwrap_or(0).min(WIDEST_NAME);
    let name = tracker.jobs.get(position).map_or("", |job| job.info.id.as_str());
    console::pad_str(name, width, console::Alignment::Left, Some("…")).into_owned()
}
