//! Brings the workspace into a job's container: a tar stream, through the supervisor or through the engine.

use std::sync::Arc;

use tokio::io::DuplexStream;
use tokio::task::JoinHandle;
use tokio_util::io::SyncIoBridge;

use super::conversation::Conversation;
use crate::engine::{ContainerId, Engine, EngineError};
use crate::plan::WORKSPACE;
use crate::source::{Owner, SourceError, TarOptions, TarSummary, Top, Workspace};

/// How much of the archive waits between the reading of files and the sending of them.
const PIPE: usize = 512 * 1024;

/// Why the workspace did not come in.
#[derive(Debug, thiserror::Error)]
pub(super) enum UploadError {
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error("the archive could not be sent to the container: {0}")]
    Pipe(std::io::Error),
}

/// Through the supervisor: fast, and owned by who runs the steps. Whether it went well is told by its report.
pub(super) async fn by_supervisor(
    workspace: &Arc<Workspace>,
    talk: &mut Conversation,
    hidden: &[String],
) -> Result<TarSummary, UploadError> {
    let options = TarOptions { prefix: String::new(), owner: Owner::default(), include_top: Top::Omit };
    let (mut reader, writer) = archive(workspace, options, hidden);
    let sent = talk.unpack(WORKSPACE, &mut reader).await;
    drop(reader);
    // The reader of files knows best why a stream broke off.
    let summary = joined(writer).await;
    sent.map_err(UploadError::Pipe).and(summary)
}

/// Through the engine: for images without tar, and for users whose workspace must be made theirs.
pub(super) async fn by_engine<E: Engine>(
    engine: &E,
    container: &ContainerId,
    workspace: &Arc<Workspace>,
    owner: Owner,
    hidden: &[String],
) -> Result<TarSummary, UploadError> {
    let options = TarOptions { prefix: WORKSPACE.trim_start_matches('/').to_owned(), owner, include_top: Top::Include };
    let (reader, writer) = archive(workspace, options, hidden);
    let sent = engine.upload(container, "/", Box::pin(reader)).await;
    let summary = joined(writer).await;
    sent.map_err(UploadError::Engine).and(summary)
}

type Writer = JoinHandle<Result<TarSummary, SourceError>>;

fn archive(workspace: &Arc<Workspace>, options: TarOptions, hidden: &[String]) -> (DuplexStream, Writer) {
    let (reader, writer) = tokio::io::duplex(PIPE);
    let (workspace, hidden) = (workspace.clone(), hidden.to_vec());
    let write = move || workspace.write_tar_without(SyncIoBridge::new(writer), &options, &hidden);
    let writer = tokio::task::spawn_blocking(write);
    (reader, writer)
}

async fn joined(writer: Writer) -> Result<TarSummary, UploadError> {
    match writer.await {
        Ok(result) => Ok(result?),
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
