//! The pump: takes events from the run's channel, numbers and times them, and feeds every sink in order.

use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::mpsc::Receiver;
use tokio::sync::mpsc::error::TryRecvError;

use super::{Sink, SinkError};
use crate::event::{Envelope, Event, RunId};

/// Between two ticks.
const TICK: Duration = Duration::from_millis(100);

/// What became of the sinks.
#[derive(Debug, Default)]
pub struct PumpReport {
    /// Events taken: the last `seq`.
    pub events: u64,
    /// Why sinks were dropped before the end, in the order it happened. [`SinkError::ReaderGone`] is not among them.
    pub failures: Vec<SinkError>,
}

/// Feeds the sinks until every sender of `events` is gone.
///
/// A sink that errs is dropped; the others go on. `on_reader_gone` is called at once, and at most once, when one says
/// [`SinkError::ReaderGone`]: cancel the run there. Events are taken to the end in any case, so that nothing that sends
/// them hangs. Sinks run on a thread of their own, where they may block without stalling the runtime.
pub async fn pump(
    events: Receiver<Event>,
    run: RunId,
    sinks: Vec<Box<dyn Sink>>,
    on_reader_gone: impl FnOnce() + Send + 'static,
) -> PumpReport {
    let handle = Handle::current();
    let pump = Pump { sinks, on_reader_gone: Some(Box::new(on_reader_gone)), report: PumpReport::default() };
    match tokio::task::spawn_blocking(move || pump.run(&handle, events, &run)).await {
        Ok(report) => report,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is shutting down: nobody is left to read a report.
            Err(_) => PumpReport::default(),
        },
    }
}

struct Pump {
    sinks: Vec<Box<dyn Sink>>,
    on_reader_gone: Option<Box<dyn FnOnce() + Send>>,
    report: PumpReport,
}

impl Pump {
    fn run(mut self, handle: &Handle, mut events: Receiver<Event>, run: &RunId) -> PumpReport {
        let mut ticked = Instant::now();
        loop {
            match self.next(handle, &mut events, TICK.saturating_sub(ticked.elapsed())) {
                Next::Event(event) => {
                    self.report.events += 1;
                    let envelope =
                        Envelope { seq: self.report.events, time: jiff::Timestamp::now(), run: run.clone(), event };
                    self.each(|sink| sink.take(&envelope));
                }
                Next::Quiet => {}
                Next::End => break,
            }
            if ticked.elapsed() >= TICK {
                ticked = Instant::now();
                for sink in &mut self.sinks {
                    sink.tick();
                }
            }
        }
        self.each(|sink| sink.finish());
        self.report
    }

    /// The next event. Where none waits, sinks flush first.
    fn next(&mut self, handle: &Handle, events: &mut Receiver<Event>, wait: Duration) -> Next {
        match events.try_recv() {
            Ok(event) => return Next::Event(event),
            Err(TryRecvError::Disconnected) => return Next::End,
            Err(TryRecvError::Empty) => {}
        }
        self.each(|sink| sink.flush());
        match handle.block_on(async { tokio::time::timeout(wait, events.recv()).await }) {
            Ok(Some(event)) => Next::Event(event),
            Ok(None) => Next::End,
            Err(_) => Next::Quiet,
        }
    }

    fn each(&mut self, mut call: impl FnMut(&mut Box<dyn Sink>) -> Result<(), SinkError>) {
        let mut reader_gone = false;
        self.sinks.retain_mut(|sink| match call(sink) {
            Ok(()) => true,
            Err(SinkError::ReaderGone) => {
                reader_gone = true;
                false
            }
            Err(error) => {
                self.report.failures.push(error);
                false
            }
        });
        if reader_gone && let Some(tell) = self.on_reader_gone.take() {
            tell();
        }
    }
}

enum Next {
    Event(Event),
    Quiet,
    End,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::{Arc, Mutex};

    use tokio::sync::{mpsc, oneshot};

    use super::*;
    use crate::event::Level;

    #[derive(Default, Clone)]
    struct Seen(Arc<Mutex<Vec<String>>>);

    impl Seen {
        fn say(&self, text: impl Into<String>) {
            self.0.lock().unwrap().push(text.into());
        }

        fn all(&self) -> Vec<String> {
            self.0.lock().unwrap().clone()
        }
    }

    struct Scripted {
        name: &'static str,
        seen: Seen,
        fails_at: Option<(u64, SinkError)>,
    }

    impl Sink for Scripted {
        fn take(&mut self, envelope: &Envelope) -> Result<(), SinkError> {
            if self.fails_at.as_ref().is_some_and(|(at, _)| *at == envelope.seq) {
                return Err(self.fails_at.take().unwrap().1);
            }
            self.seen.say(format!("{}{}", self.name, envelope.seq));
            Ok(())
        }

        fn finish(&mut self) -> Result<(), SinkError> {
            self.seen.say(format!("{} end", self.name));
            Ok(())
        }
    }

    fn notice() -> Event {
        Event::Notice { level: Level::Info, job: None, message: String::new() }
    }

    #[tokio::test]
    async fn sinks_see_one_order_and_a_broken_one_leaves_alone() {
        let seen = Seen::default();
        let broken = SinkError::Write { what: "b".into(), source: std::io::ErrorKind::StorageFull.into() };
        let sinks: Vec<Box<dyn Sink>> = vec![
            Box::new(Scripted { name: "a", seen: seen.clone(), fails_at: None }),
            Box::new(Scripted { name: "b", seen: seen.clone(), fails_at: Some((2, broken)) }),
        ];
        let (sender, receiver) = mpsc::channel(1);
        let pump = tokio::spawn(pump(receiver, RunId::from_text("r"), sinks, || panic!("nobody left")));
        for _ in 0..3 {
            sender.send(notice()).await.unwrap();
        }
        drop(sender);
        let report = pump.await.unwrap();
        assert_eq!(seen.all(), ["a1", "b1", "a2", "a3", "a end"]);
        assert_eq!(report.events, 3);
        assert_eq!(report.failures.len(), 1);
    }

    #[tokio::test]
    async fn a_reader_that_left_is_told_at_once_and_events_are_still_taken() {
        let sinks: Vec<Box<dyn Sink>> =
            vec![Box::new(Scripted { name: "a", seen: Seen::default(), fails_at: Some((1, SinkError::ReaderGone)) })];
        let (sender, receiver) = mpsc::channel(1);
        let (told, gone) = oneshot::channel();
        let pump = tokio::spawn(pump(receiver, RunId::from_text("r"), sinks, || {
            told.send(()).unwrap();
        }));
        sender.send(notice()).await.unwrap();
        gone.await.unwrap();
        for _ in 0..100 {
            sender.send(notice()).await.unwrap();
        }
        drop(sender);
        let report = pump.await.unwrap();
        assert_eq!(report.events, 101);
        assert!(report.failures.is_empty());
    }

    #[tokio::test]
    async fn it_ticks_and_flushes_while_nothing_happens() {
        struct Ticks(Seen);
        impl Sink for Ticks {
            fn take(&mut self, _: &Envelope) -> Result<(), SinkError> {
                Ok(())
            }
            fn flush(&mut self) -> Result<(), SinkError> {
                self.0.say("flush");
                Ok(())
            }
            fn tick(&mut self) {
                self.0.say("tick");
            }
        }
        let seen = Seen::default();
        let (sender, receiver) = mpsc::channel(1);
        let pump = tokio::spawn(pump(receiver, RunId::from_text("r"), vec![Box::new(Ticks(seen.clone()))], || ()));
        tokio::time::sleep(Duration::from_millis(350)).await;
        drop(sender);
        pump.await.unwrap();
        let ticks = seen.all().iter().filter(|said| *said == "tick").count();
        assert!((1..=4).contains(&ticks), "{ticks} ticks in 350 ms");
        assert!(seen.all().contains(&"flush".to_owned()));
    }
}
