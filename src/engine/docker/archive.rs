//! Files into a container and out of it, as tar archives.

use std::io::Read;

use bollard::query_parameters::{DownloadFromContainerOptions, UploadToContainerOptions};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use tokio::sync::mpsc;
use tokio_util::io::{ReaderStream, StreamReader};

use super::Docker;
use crate::engine::{ContainerId, EngineError, TarStream};

/// What is read of the archive at a time.
const PIECE: usize = 128 * 1024;
/// The largest file that is read out of a container.
const FILE_LIMIT: usize = 1024 * 1024;
/// Headers, a long name, padding and the archive's end around it.
const ARCHIVE_LIMIT: usize = FILE_LIMIT + 64 * 1024;

/// Unpacks the archive below `directory`.
pub(super) async fn upload(
    docker: &Docker,
    id: &ContainerId,
    directory: &str,
    tar: TarStream,
) -> Result<(), EngineError> {
    let options = UploadToContainerOptions { path: directory.to_owned(), ..UploadToContainerOptions::default() };
    let body = bollard::body_try_stream(ReaderStream::with_capacity(tar, PIECE));
    Ok(docker.client.upload_to_container(&id.0, Some(options), body).await?)
}

/// A path of a container as a tar.
pub(super) async fn download(docker: &Docker, id: &ContainerId, path: &str) -> Result<TarStream, EngineError> {
    let options = DownloadFromContainerOptions { path: path.to_owned() };
    let (client, id) = (docker.client.clone(), id.0.clone());
    let pieces = async_stream(client, id, options);
    Ok(Box::pin(StreamReader::new(pieces)))
}

/// The pieces of an archive, as a stream that has all that it needs.
fn async_stream(
    client: bollard::Docker,
    id: String,
    options: DownloadFromContainerOptions,
) -> impl Stream<Item = std::io::Result<Bytes>> + Send {
    let (send, receive) = mpsc::channel(4);
    tokio::spawn(async move {
        let mut pieces = std::pin::pin!(client.download_from_container(&id, Some(options)));
        while let Some(piece) = pieces.next().await {
            // Who reads it may have had enough.
            if send.send(piece.map_err(std::io::Error::other)).await.is_err() {
                return;
            }
        }
    });
    futures_util::stream::unfold(receive, async |mut receive| Some((receive.recv().await?, receive)))
}

/// Reads one regular file. What a container keeps in memory (its scratch directory) is not seen by every engine.
pub(super) async fn read_file(docker: &Docker, id: &ContainerId, path: &str) -> Result<Vec<u8>, EngineError> {
    let options = DownloadFromContainerOptions { path: path.to_owned() };
    let mut pieces = std::pin::pin!(docker.client.download_from_container(&id.0, Some(options)));
    let mut archive = Vec::new();
    while let Some(piece) = pieces.next().await {
        archive.extend_from_slice(&piece?);
        if archive.len() > ARCHIVE_LIMIT {
            break;
        }
    }
    only_file(&archive).map_err(|reason| EngineError::Refused { status: 400, message: format!("`{path}` {reason}") })
}

/// The file that an archive (or its beginning) holds, where it holds nothing else first.
fn only_file(archive: &[u8]) -> Result<Vec<u8>, String> {
    let broken = |e: std::io::Error| format!("came in an archive that cannot be read: {e}");
    let mut archive = tar::Archive::new(archive);
    let entry = archive.entries().map_err(broken)?.next().ok_or("came in an empty archive")?;
    let mut entry = entry.map_err(broken)?;
    match entry.header().entry_type() {
        tar::EntryType::Regular | tar::EntryType::Continuous => {}
        other => return Err(format!("is no regular file but {}", kind(other))),
    }
    if entry.size() > FILE_LIMIT as u64 {
        return Err(format!("is larger than 1 MiB ({} bytes)", entry.size()));
    }
    let mut content = Vec::new();
    entry.read_to_end(&mut content).map_err(broken)?;
    Ok(content)
}

fn kind(entry: tar::EntryType) -> &'static str {
    match entry {
        tar::EntryType::Directory => "a directory",
        tar::EntryType::Symlink => "a symbolic link",
        tar::EntryType::Link => "a hard link",
        tar::EntryType::Fifo => "a pipe",
        tar::EntryType::Char | tar::EntryType::Block => "a device",
        _ => "something else",
    }
}
