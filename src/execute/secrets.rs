//! The secrets of a step that are kept elsewhere: asked for when it is about to run, once a run, and masked before it does.

use std::collections::BTreeMap;

use super::Context;
use super::job::JobRun;
use crate::engine::Engine;
use crate::event::{Cause, Event, Level};
use crate::plan::{ReadyStep, Secret, SecretValue};
use crate::secrets;

/// What was asked for so far.
#[derive(Debug, Default)]
pub(super) struct Asked(tokio::sync::Mutex<BTreeMap<String, SecretValue>>);

impl<E: Engine> JobRun<'_, E> {
    /// Gives a step the secrets that it asked for and that nobody gave.
    pub(super) async fn with_secrets(&self, mut step: ReadyStep) -> Result<ReadyStep, Cause> {
        if step.asked.is_empty() {
            return Ok(step);
        }
        // A step that runs after a stop, as it asked to, heeds one at once alone.
        let (mut stop, mut at_once) = (self.stop.clone(), self.context.stopper.watch());
        let is_after_stop = stop.now().reason().is_some();
        let stopped = async {
            match is_after_stop {
                true => at_once.at_once().await.cause(),
                false => stop.stopped().await.cause(),
            }
        };
        let asking = async {
            for wanted in std::mem::take(&mut step.asked) {
                let value = self.context.asked(&self.job.id, &wanted).await?;
                step.secrets.push(Secret { name: wanted.name, value });
            }
            Ok(step)
        };
        tokio::select! {
            step = asking => step,
            cause = stopped => Err(cause),
        }
    }
}

impl<E> JobRun<'_, E> {
    /// Refuses texts that hold a secret, for a key whose values are seen by others or lie on a disk. The validator keeps `needs`
    /// out of such keys, and cannot see what reaches them by way of a variable.
    pub(super) fn refuse_secrets<'t>(
        &self,
        key: &'static str,
        texts: impl IntoIterator<Item = &'t String>,
    ) -> Result<(), Cause> {
        let Some(text) = texts.into_iter().find(|text| self.context.mask.holds(text)) else { return Ok(()) };
        let shown = self.context.mask.text(text);
        let message = format!(
            "`{shown}` holds a secret, and would be kept or shown where secrets must not be: take it from a step that lists it \
             under `secrets`, or leave it out"
        );
        Err(Cause::Expression { key, message })
    }
}

impl<E> Context<E> {
    async fn asked(&self, job: &crate::event::JobId, wanted: &crate::plan::AskedSecret) -> Result<SecretValue, Cause> {
        let mut known = self.asked.0.lock().await;
        if let Some(value) = known.get(&wanted.name) {
            return Ok(value.clone());
        }
        let failed = |message: String| Cause::Secret { name: wanted.name.clone(), message };
        let value = secrets::ask(&wanted.name, &wanted.keeper).await;
        let value = value.map_err(|error| failed(self.mask.text(&error.to_string())))?;
        // Before anything can show it. A large one takes a moment.
        let (mask, secret) = (self.mask.clone(), Secret { name: wanted.name.clone(), value: value.clone() });
        let masking = tokio::task::spawn_blocking(move || mask.add(&secret));
        let masked = masking.await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
        masked.map_err(|error| failed(error.to_string()))?;
        known.insert(wanted.name.clone(), value.clone());
        let message = format!("secret {}: asked {}", wanted.name, wanted.keeper.word());
        self.emit(Event::Notice { level: Level::Debug, job: Some(job.clone()), message }).await;
        Ok(value)
    }
}
