//! Files into a container and out of it, as tar archives.

use std::io::Read;

use bollard::query_parameters::{DownloadFromContainerOptions, UploadToContainerOptions};
use bytes::Bytes;
use futures_util::StreamExt;
use tokio::sync::mpsc;
use tokio_util::io::{ReaderStream, StreamReader};

use super::Docker;
use super::error::of_path;
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

/// A path of a container as a tar. Its first bytes have come: an engine that has no such path says so in their stead.
pub(super) async fn download(docker: &Docker, id: &ContainerId, path: &str) -> Result<TarStream, EngineError> {
    let mut pieces = pieces(docker.client.clone(), id.0.clone(), path.to_owned());
    let first = pieces.recv().await.transpose()?;
    let rest = futures_util::stream::unfold(pieces, async |mut pieces| Some((pieces.recv().await?, pieces)));
    let all = futures_util::stream::iter(first.map(Ok)).chain(rest);
    Ok(Box::pin(StreamReader::new(all.map(|piece| piece.map_err(std::io::Error::other)))))
}

/// The pieces of an archive, from a task that has all that it needs, and ends when nobody wants more.
fn pieces(client: bollard::Docker, id: String, path: String) -> mpsc::Receiver<Result<Bytes, EngineError>> {
    let (send, receive) = mpsc::channel(4);
    tokio::spawn(async move {
        let options = DownloadFromContainerOptions { path: path.clone() };
        let mut pieces = std::pin::pin!(client.download_from_container(&id, Some(options)));
        loop {
            // The engine holds the container for as long as it is asked.
            let piece = tokio::select! {
                piece = pieces.next() => piece,
                () = send.closed() => return,
            };
            let Some(piece) = piece else { return };
            if send.send(piece.map_err(|error| of_path(error, &path))).await.is_err() {
                return;
            }
        }
    });
    receive
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
