//! What a job's container is made of.

use std::fmt;

use super::PlanError;
use crate::pipeline::expr::Template;
use crate::pipeline::{self, Build, Job, JobImage};

/// What a job's container is made of. Its text is what people see of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum PlannedImage {
    /// An image that is somewhere: on the engine, or in a registry.
    Named(String),
    /// One that is built from the source.
    Built(PlannedBuild),
}

/// How an image is built.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PlannedBuild {
    /// The folder that is sent to the build, by its path in the source; `.` for all of it.
    pub context: String,
    /// The Dockerfile, by its path in the source.
    pub dockerfile: String,
    /// The stage; the last one where not said.
    pub target: Option<String>,
    /// `args`.
    pub args: Vec<(String, String)>,
}

impl fmt::Display for PlannedImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(name) => f.write_str(name),
            Self::Built(build) => build.fmt(f),
        }
    }
}

/// The folder, and what else sets one build apart from another: `build ci (test, PYTHON=3.12)`.
impl fmt::Display for PlannedBuild {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "build {}", self.context)?;
        let file = (self.dockerfile != beside(&self.context)).then(|| self.dockerfile.clone());
        let args = self.args.iter().map(|(name, value)| format!("{name}={value}"));
        let rest: Vec<String> = file.into_iter().chain(self.target.clone()).chain(args).collect();
        if rest.is_empty() { Ok(()) } else { write!(f, " ({})", rest.join(", ")) }
    }
}

/// Decides it.
pub(super) fn plan(
    job: &Job,
    text: &dyn Fn(&'static str, &Template) -> Result<String, PlanError>,
) -> Result<PlannedImage, PlanError> {
    match &job.image {
        JobImage::Reference(image) => named(job, text("image", &image.value)?).map(PlannedImage::Named),
        JobImage::Build(build) => built(build, text).map(PlannedImage::Built),
    }
}

/// Refuses a text that is no reference: an expression may have made anything of it.
pub(super) fn named(job: &Job, image: String) -> Result<String, PlanError> {
    match pipeline::check_image(&image) {
        Ok(()) => Ok(image),
        Err(why) => Err(PlanError::BadImage { job: job.key.value.clone(), image, why }),
    }
}

fn built(
    build: &Build,
    text: &dyn Fn(&'static str, &Template) -> Result<String, PlanError>,
) -> Result<PlannedBuild, PlanError> {
    let args = build.args.iter().map(|(name, value)| Ok((name.value.clone(), text("args", value)?)));
    Ok(PlannedBuild {
        context: build.context.clone(),
        dockerfile: build.dockerfile.clone().unwrap_or_else(|| beside(&build.context)),
        target: build.target.clone(),
        args: args.collect::<Result<_, _>>()?,
    })
}

/// The Dockerfile of a folder.
fn beside(folder: &str) -> String {
    match folder {
        "." => "Dockerfile".to_owned(),
        folder => format!("{folder}/Dockerfile"),
    }
}
