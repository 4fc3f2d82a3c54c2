//! The one thread that holds the queue: everyone else asks it. Deliveries that wait at once share one transaction.

use std::thread;

use tokio::sync::{mpsc, oneshot};

use crate::causes::with_causes;
use crate::store::StoreError;
use crate::store::queue::{Accepted, Offer, Queue};

/// How many may wait for an answer before newcomers are sent away.
const WAITING: usize = 4096;

/// After how many batches the queue is counted again.
const COUNTED: u32 = 100;

/// How many deliveries one transaction takes.
const BATCH: usize = 512;

/// Asks the queue. Any number of hands may hold one; the thread ends with the last.
#[derive(Debug, Clone)]
pub struct Keeper {
    asks: mpsc::Sender<Ask>,
}

/// Why the queue has no answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Unanswered {
    /// Too many wait already.
    #[error("too many deliveries wait to be stored")]
    Busy,
    /// As many runs wait as may.
    #[error("{queued} runs wait already")]
    Full {
        /// How many.
        queued: u64,
    },
    /// The database refuses.
    #[error("{0}")]
    Store(String),
    /// The listener ends.
    #[error("the listener is ending")]
    Ending,
}

impl From<StoreError> for Unanswered {
    fn from(error: StoreError) -> Self {
        Self::Store(with_causes(&error))
    }
}

type Work = Box<dyn FnOnce(&mut Queue) + Send>;

enum Ask {
    Accept { offer: Box<Offer>, answer: oneshot::Sender<Result<Accepted, Unanswered>> },
    Do(Work),
}

impl Keeper {
    /// Starts the thread. No more than `capacity` runs may wait.
    #[must_use]
    pub fn start(queue: Queue, capacity: u64) -> Self {
        let (asks, asked) = mpsc::channel(WAITING);
        thread::spawn(move || keep(queue, asked, capacity));
        Self { asks }
    }

    /// Stores a delivery. It is on the disk when this returns.
    ///
    /// # Errors
    /// Where it cannot be stored now. Then it must not be acknowledged.
    pub async fn accept(&self, offer: Offer) -> Result<Accepted, Unanswered> {
        let (answer, answered) = oneshot::channel();
        // Never waits: who cannot be served in a moment shall come again.
        let sent = self.asks.try_send(Ask::Accept { offer: Box::new(offer), answer });
        sent.map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Unanswered::Busy,
            mpsc::error::TrySendError::Closed(_) => Unanswered::Ending,
        })?;
        answered.await.unwrap_or(Err(Unanswered::Ending))
    }

    /// Resolves when the thread is gone. It ends with the last hand, so while one is held that was a panic: nothing is answered any
    /// more.
    pub async fn gone(&self) {
        self.asks.closed().await;
    }

    /// Does something with the queue.
    ///
    /// # Errors
    /// Where the database refuses.
    pub async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Queue) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Unanswered> {
        let (answer, answered) = oneshot::channel();
        let work: Work = Box::new(move |queue| {
            let _ = answer.send(work(queue).map_err(Unanswered::from));
        });
        self.asks.send(Ask::Do(work)).await.map_err(|_| Unanswered::Ending)?;
        answered.await.unwrap_or(Err(Unanswered::Ending))
    }
}

/// How much room the queue has. Counted only now and then, as counting takes longer the fuller it is.
struct Room {
    capacity: u64,
    /// How many wait, at most: those that were leased since are still in it.
    queued: u64,
    /// Batches until it is counted again.
    trusted: u32,
}

impl Room {
    fn check(&mut self, queue: &Queue) -> Result<(), Unanswered> {
        if self.trusted == 0 || self.queued >= self.capacity {
            self.queued = queue.depth()?.queued;
            self.trusted = COUNTED;
        }
        self.trusted -= 1;
        if self.queued >= self.capacity { Err(Unanswered::Full { queued: self.queued }) } else { Ok(()) }
    }
}

fn keep(mut queue: Queue, mut asked: mpsc::Receiver<Ask>, capacity: u64) {
    let mut room = Room { capacity, queued: 0, trusted: 0 };
    let mut next = asked.blocking_recv();
    while let Some(ask) = next.take() {
        match ask {
            Ask::Do(work) => work(&mut queue),
            Ask::Accept { offer, answer } => {
                let mut offers = vec![*offer];
                let mut answers = vec![answer];
                while offers.len() < BATCH {
                    match asked.try_recv() {
                        Ok(Ask::Accept { offer, answer }) => {
                            offers.push(*offer);
                            answers.push(answer);
                        }
                        Ok(other) => {
                            next = Some(other);
                            break;
                        }
                        Err(_) => break,
                    }
                }
                accept_all(&mut queue, &offers, answers, &mut room);
            }
        }
        if next.is_none() {
            next = asked.blocking_recv();
        }
    }
}

fn accept_all(
    queue: &mut Queue,
    offers: &[Offer],
    answers: Vec<oneshot::Sender<Result<Accepted, Unanswered>>>,
    room: &mut Room,
) {
    let accepted = room.check(queue).and_then(|()| queue.accept(offers).map_err(Unanswered::from));
    match accepted {
        Ok(accepted) => {
            room.queued += accepted.len() as u64;
            for (answer, accepted) in answers.into_iter().zip(accepted) {
                // Whoever asked may have gone away; the delivery is stored all the same.
                let _ = answer.send(Ok(accepted));
            }
        }
        Err(error) => {
            for answer in answers {
                let _ = answer.send(Err(error.clone()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::store::StateDir;

    #[tokio::test]
    async fn a_keeper_whose_thread_panicked_is_known_to_be_gone() {
        let folder = tempfile::tempdir().unwrap();
        let keeper = Keeper::start(Queue::open(&StateDir::new(folder.path())).unwrap().0, 9);
        let waited = tokio::time::timeout(std::time::Duration::from_millis(50), keeper.gone());
        assert!(waited.await.is_err());
        let lost = keeper.with(|_| -> Result<(), StoreError> { panic!("a bug") }).await;
        assert!(matches!(lost, Err(Unanswered::Ending)));
        keeper.gone().await;
    }
}
