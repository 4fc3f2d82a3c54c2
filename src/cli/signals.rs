//! Signals: Ctrl-C, SIGTERM and SIGHUP stop a run; a second one stops it at once.

use argon::event::{Event, Level};
use argon::execute::{Stop, Stopper};
use tokio::sync::mpsc::WeakSender;
use tokio::task::JoinHandle;

/// Stops the run at signals until the task is aborted. Holds no sender alive: the end of the events is the run's to say.
#[cfg(unix)]
pub(crate) fn watch(stopper: Stopper, events: WeakSender<Event>) -> std::io::Result<JoinHandle<()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    Ok(tokio::spawn(async move {
        loop {
            let name = tokio::select! {
                _ = interrupt.recv() => "Ctrl-C",
                _ = terminate.recv() => "SIGTERM",
                _ = hangup.recv() => "SIGHUP",
            };
            stopper.interrupt();
            tell(&stopper, &events, name);
        }
    }))
}

/// Stops the run at Ctrl-C until the task is aborted.
#[cfg(not(unix))]
pub(crate) fn watch(stopper: Stopper, events: WeakSender<Event>) -> std::io::Result<JoinHandle<()>> {
    Ok(tokio::spawn(async move {
        while tokio::signal::ctrl_c().await.is_ok() {
            stopper.interrupt();
            tell(&stopper, &events, "Ctrl-C");
        }
    }))
}

/// Never waits: a full channel (a stalled terminal) must not delay the stop itself.
fn tell(stopper: &Stopper, events: &WeakSender<Event>, name: &str) {
    let message = match stopper.watch().now() {
        Stop::AtOnce(_) => format!("{name} again: killing everything"),
        Stop::No | Stop::Gracefully(_) => {
            format!("{name}: stopping the steps; once more kills them at once")
        }
    };
    if let Some(events) = events.upgrade() {
        let _ = events.try_send(Event::Notice { level: Level::Warn, job: None, message });
    }
}
