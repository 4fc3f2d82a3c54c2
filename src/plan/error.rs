//! Why a pipeline and the options of a run come to no plan.

use crate::pipeline::expr::EvalError;

/// Why there is no plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// A job was asked for that the file does not have.
    #[error("there is no job `{name}`")]
    UnknownJob {
        /// What was asked for.
        name: String,
        /// The job that it may have meant.
        near: Option<String>,
        /// All jobs.
        known: Vec<String>,
    },
    /// A step asks for a secret that the run was not given.
    #[error("step {step} of job `{job}` needs the secret `{name}`")]
    MissingSecret {
        /// The secret.
        name: String,
        /// The job.
        job: String,
        /// The step's name.
        step: String,
    },
    /// `--matrix K=V` leaves a job nothing to run.
    #[error("no combination of `{job}` has {wanted}")]
    NoCombination {
        /// The job.
        job: String,
        /// The pairs of the command line that it has no combination for.
        wanted: String,
        /// Its combinations.
        combinations: Vec<String>,
    },
    /// `--matrix K=V` names what no matrix of the run has.
    #[error("no matrix of this run has `{name}`")]
    UnknownMatrixKey {
        /// The name.
        name: String,
        /// The one that it may have meant.
        near: Option<String>,
        /// All that there are.
        known: Vec<String>,
    },
    /// A name or an image has an expression that has no value.
    #[error("`{key}` of job `{job}` has no value: {source}")]
    NoValue {
        /// The key.
        key: &'static str,
        /// The job.
        job: String,
        /// Why.
        source: EvalError,
    },
    /// What an expression made is no image.
    #[error("the image of job `{job}` comes to `{image}`, which is not an image reference: {why}")]
    BadImage {
        /// The job.
        job: String,
        /// The text.
        image: String,
        /// What is wrong with it.
        why: String,
    },
    /// The job asks for more than the sandbox gives, and the user did not allow it.
    #[error("the job `{job}` asks for `{what}`, which is more than the sandbox gives")]
    NotAllowed {
        /// The job.
        job: String,
        /// `privileged`, or a capability.
        what: String,
    },
    /// `--image FROM=TO` names an image that no job uses.
    #[error("no job of this run uses the image `{from}`")]
    UnusedImage {
        /// The image.
        from: String,
        /// The images that are used.
        used: Vec<String>,
    },
}

impl PlanError {
    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::UnknownJob { near: Some(near), .. } => format!("did you mean `{near}`?"),
            Self::UnknownJob { known, .. } => format!("the jobs are: {}", known.join(", ")),
            Self::MissingSecret { name, .. } => {
                format!(
                    "give it: `argon secret set {name}` keeps it, `-s {name}` takes it from the environment, `--secret-file FILE` from a file of NAME=VALUE lines"
                )
            }
            Self::NoCombination { combinations, .. } => format!("its combinations are: {}", combinations.join("; ")),
            Self::UnknownMatrixKey { near: Some(near), .. } => format!("did you mean `{near}`?"),
            Self::UnknownMatrixKey { known, .. } if known.is_empty() => "no job of this run has a matrix".to_owned(),
            Self::UnknownMatrixKey { known, .. } => format!("there are: {}", known.join(", ")),
            Self::NoValue { .. } => "write a value that is known before the first job runs".to_owned(),
            Self::BadImage { .. } => "look at the values that its expression takes".to_owned(),
            Self::NotAllowed { what, .. } => {
                format!(
                    "if you trust this pipeline, allow it: `argon run --allow {what}` (docs/security.md says what that means)"
                )
            }
            Self::UnusedImage { used, .. } => format!("the images are: {}", used.join(", ")),
        }
    }
}
