//! Files into a container and out of it, as tar archives.

use std::io::Read;

use bollard::query_parameters::{DownloadFromContainerOptions, UploadToContainerOptions};
use futures_util::StreamExt;
use tokio_util::io::ReaderStream;

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
