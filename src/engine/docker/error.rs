//! From bollard's errors and the daemon's sentences to [`EngineError`].

use std::error::Error as _;
use std::io;

use bollard::errors::Error;

use super::endpoint::WireError;
use crate::causes::with_causes;
use crate::engine::EngineError;

impl From<Error> for EngineError {
    fn from(error: Error) -> Self {
        match error {
            Error::DockerResponseServerError { status_code, message } => refused(status_code, message),
            Error::DockerStreamError { error } => refused(500, error),
            Error::DockerContainerWaitError { error, .. } => refused(500, error),
            error if is_io(&error) => Self::Connection(with_causes(&error)),
            error => Self::Refused {
                status: 0,
                message: format!("an answer that argon does not understand: {}", with_causes(&error)),
            },
        }
    }
}

impl From<WireError> for EngineError {
    fn from(error: WireError) -> Self {
        Self::Connection(error.to_string())
    }
}

fn is_io(error: &Error) -> bool {
    match error {
        Error::HyperLegacyError { .. }
        | Error::HyperResponseError { .. }
        | Error::IOError { .. }
        | Error::RequestTimeoutError
        | Error::SocketNotFoundError(_) => true,
        other => other.source().is_some_and(|source| source.is::<io::Error>()),
    }
}

/// What an engine means when it answers with this status and sentence, about no image or program in particular.
pub(super) fn refused(status: u16, message: String) -> EngineError {
    let words = message.to_ascii_lowercase();
    match status {
        _ if words.contains("no space left on device") || words.contains("disk quota exceeded") => {
            EngineError::DiskFull { detail: message }
        }
        404 if words.contains("no such container") || words.contains("no container with") => EngineError::Gone,
        409 if is_being_removed(&words) => EngineError::Gone,
        _ if refuses_layers(&message) => EngineError::LayersRefused { message },
        _ => EngineError::Refused { status, message },
    }
}

/// Whether a refusal (in lower case) says that someone else is removing the container just now.
fn is_being_removed(words: &str) -> bool {
    words.contains("removal of container") || words.contains("marked for removal") || words.contains("is being removed")
}

/// What a refusal to hand a path of a container out means.
pub(super) fn of_path(error: Error, path: &str) -> EngineError {
    let is_not_found = is_not_found(&error);
    match error.into() {
        EngineError::Refused { .. } if is_not_found => EngineError::PathMissing { path: path.to_owned() },
        other => other,
    }
}

/// Whether the engine lost the container, or never had it.
pub(super) fn is_not_found(error: &Error) -> bool {
    matches!(error, Error::DockerResponseServerError { status_code: 404, .. })
}

/// What a failed creation of a container from `image` means.
pub(super) fn of_create(error: Error, image: &str) -> EngineError {
    match error {
        Error::DockerResponseServerError { status_code: 404, message } if names_image(&message) => {
            EngineError::ImageMissing { image: image.to_owned() }
        }
        Error::DockerResponseServerError { message, .. } if no_init(&message) => EngineError::InitMissing,
        error => error.into(),
    }
}

/// What a failed start of `program` in a container from `image` means.
pub(super) fn of_start(error: Error, program: &str, image: &str) -> EngineError {
    match error {
        Error::DockerResponseServerError { message, .. } if no_init(&message) => EngineError::InitMissing,
        Error::DockerResponseServerError { message, .. } if refuses_layers(&message) => {
            EngineError::LayersRefused { message }
        }
        Error::DockerResponseServerError { message, .. } if finds_no_folder(&message) => {
            EngineError::NoFolder { message }
        }
        Error::DockerResponseServerError { message, .. } if names_program(&message) => {
            EngineError::ProgramMissing { program: program.to_owned(), image: image.to_owned() }
        }
        error => error.into(),
    }
}

/// Docker: `No such image: x:latest`. Podman: `x: image not known`.
fn names_image(message: &str) -> bool {
    let words = message.to_ascii_lowercase();
    words.contains("no such image") || words.contains("image not known")
}

/// The runtimes' words for a program that is not there, or cannot be run: runc's, then crun's.
fn names_program(message: &str) -> bool {
    let words = message.to_ascii_lowercase();
    words.contains("executable file not found")
        || words.contains("executable file `") && words.contains("not found")
        || words.contains("no such file or directory: unknown")
        || words.contains("permission denied: unknown") && words.contains("exec:")
}

/// The engine itself mounts what a volume shows, before a runtime does anything: `failed to mount local volume` (Docker),
/// `mounting volume NAME for container` (Podman).
fn refuses_layers(message: &str) -> bool {
    let words = message.to_ascii_lowercase();
    words.contains("failed to mount local volume") || words.contains("mounting volume ")
}

/// The runtime then puts the volume at its place: `error mounting "…" to rootfs at "…": … not a directory` (runc),
/// ``mount `…` to `…`: Not a directory`` (crun).
fn finds_no_folder(message: &str) -> bool {
    let words = message.to_ascii_lowercase();
    words.contains("mount") && words.contains(": not a directory")
}

/// `exec: "docker-init": executable file not found in $PATH` (Docker),
/// `container-init binary not found on the host` (Podman).
fn no_init(message: &str) -> bool {
    message.contains("docker-init") && message.contains("not found")
        || message.contains("container-init binary not found")
        || message.contains("finding init binary")
        || message.contains("catatonit") && message.contains("not found")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(status_code: u16, message: &str) -> Error {
        Error::DockerResponseServerError { status_code, message: message.to_owned() }
    }

    #[test]
    fn a_refusal_means_what_it_says() {
        for (status, message, kind) in [
            (404, "No such container: abc", "Gone"),
            (409, "removal of container abc is already in progress", "Gone"),
            (409, "Conflict. The container name is in use", "Refused"),
            (500, "mkdir /var/lib/docker/x: no space left on device", "DiskFull"),
            (400, "Range of CPUs is from 0.01 to 2.00", "Refused"),
        ] {
            let name = format!("{:?}", EngineError::from(of(status, message)));
            assert!(name.starts_with(kind), "{message}: {name}");
        }
    }

    #[test]
    fn a_path_that_is_not_there_is_told_from_a_container_that_is_not() {
        for (message, expected) in [
            (
                "Could not find the file /workspace/x in container abc",
                EngineError::PathMissing { path: "/x".to_owned() },
            ),
            ("No such container: abc", EngineError::Gone),
        ] {
            assert_eq!(of_path(of(404, message), "/x"), expected);
        }
        assert!(matches!(of_path(of(500, "a file named 404"), "/x"), EngineError::Refused { status: 500, .. }));
    }

    #[test]
    fn creations_and_starts_name_what_is_missing() {
        let image = EngineError::ImageMissing { image: "i".to_owned() };
        assert_eq!(of_create(of(404, "No such image: i:latest"), "i"), image);
        assert_eq!(of_create(of(404, "i: image not known"), "i"), image);
        assert_eq!(
            of_create(of(500, "container-init binary not found on the host: stat"), "i"),
            EngineError::InitMissing
        );
        let program = EngineError::ProgramMissing { program: "p".to_owned(), image: "i".to_owned() };
        for message in [
            "OCI runtime create failed: exec: \"p\": executable file not found in $PATH: unknown",
            "OCI runtime create failed: exec: \"/p\": stat /p: no such file or directory: unknown",
            "OCI runtime create failed: exec: \"/etc\": permission denied: unknown",
            "crun: executable file `p` not found in $PATH: No such file or directory: OCI runtime attempted to invoke a command that was not found",
        ] {
            assert_eq!(of_start(of(400, message), "p", "i"), program, "{message}");
        }
        assert_eq!(
            of_start(of(500, "exec: \"docker-init\": executable file not found in $PATH"), "p", "i"),
            EngineError::InitMissing
        );
        assert_eq!(of_start(of(404, "No such container: c"), "p", "i"), EngineError::Gone);
    }

    #[test]
    fn a_volume_that_cannot_be_laid_is_told_from_one_whose_place_is_a_file() {
        for (message, kind) in [
            (
                "error while mounting volume '/var/lib/docker/volumes/v/_data': failed to mount local volume: mount \
                 overlay:/v, data: lowerdir=/a:/b,upperdir=/c,workdir=/d,redirect_dir=on: invalid argument",
                "LayersRefused",
            ),
            ("mounting volume v for container c: mount: wrong fs type", "LayersRefused"),
            (
                "OCI runtime create failed: runc create failed: error mounting \"/var/lib/docker/volumes/v/_data\" to rootfs at \
                 \"/workspace/file\": mount /var/lib/docker/volumes/v/_data:/workspace/file, flags: 0x5000: not a directory: unknown",
                "NoFolder",
            ),
            ("crun: mount `/volumes/v` to `workspace/file`: Not a directory: OCI runtime error", "NoFolder"),
        ] {
            let name = format!("{:?}", of_start(of(500, message), "p", "i"));
            assert!(name.starts_with(kind), "{message}: {name}");
        }
    }
}
