//! A program beside a container's first one: how services are asked whether they are ready.

use bollard::exec::{CreateExecOptions, StartExecResults};
use futures_util::StreamExt;

use super::Docker;
use crate::engine::{ContainerId, EngineError, ExecEnd};

/// How much of the end of its output is kept.
const TAIL: usize = 4096;

/// Runs a program to its end.
pub(super) async fn exec(docker: &Docker, id: &ContainerId, command: &[String]) -> Result<ExecEnd, EngineError> {
    let options = CreateExecOptions {
        cmd: Some(command.to_vec()),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        ..CreateExecOptions::default()
    };
    let made = docker.client.create_exec(&id.0, options).await?;
    let mut output: Vec<u8> = Vec::new();
    if let StartExecResults::Attached { output: mut pieces, .. } = docker.client.start_exec(&made.id, None).await? {
        while let Some(piece) = pieces.next().await {
            output.extend_from_slice(&piece?.into_bytes());
            let surplus = output.len().saturating_sub(TAIL);
            output.drain(..surplus);
        }
    }
    let ended = docker.client.inspect_exec(&made.id).await?;
    Ok(ExecEnd { code: ended.exit_code.unwrap_or(-1), output })
}
