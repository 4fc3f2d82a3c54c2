//! Which jobs of a pipeline a run takes: by name, with what they need, and by the values of their matrix.

use std::collections::{BTreeMap, BTreeSet};

use super::{PlanError, RunOptions, Selection};
use crate::event::JobId;
use crate::pipeline::{Combination, Job, Pipeline, near};

/// A job of the file, or one combination of its matrix.
pub(super) struct Chosen<'a> {
    pub(super) job: &'a Job,
    pub(super) combination: Option<&'a Combination>,
    pub(super) id: JobId,
}

pub(super) fn select<'a>(pipeline: &'a Pipeline, options: &RunOptions) -> Result<Vec<Chosen<'a>>, PlanError> {
    let all: Vec<Chosen<'a>> = pipeline.jobs.iter().flat_map(expand).collect();
    let wanted = match &options.selection {
        Selection::All => all,
        Selection::Only(names) => {
            let asked = ask(pipeline, &all, names)?;
            all.into_iter().filter(|one| asked.contains(one.id.as_str())).collect()
        }
        Selection::WithNeeds(names) => {
            let asked = ask(pipeline, &all, names)?;
            let needed = needed(pipeline, all.iter().filter(|one| asked.contains(one.id.as_str())));
            all.into_iter()
                .filter(|one| asked.contains(one.id.as_str()) || needed.contains(one.job.key.value.as_str()))
                .collect()
        }
    };
    filter(wanted, &options.matrix)
}

/// A job, or all that its matrix makes.
fn expand(job: &Job) -> Vec<Chosen<'_>> {
    let key = &job.key.value;
    let Some(matrix) = &job.matrix else {
        return vec![Chosen { job, combination: None, id: JobId::new(key) }];
    };
    let labels = matrix.labels();
    let one = |(combination, label): (_, String)| Chosen {
        job,
        combination: Some(combination),
        id: JobId::new(&format!("{key} ({label})")),
    };
    matrix.combinations.iter().zip(labels).map(one).collect()
}

/// The ids of the jobs that names stand for.
fn ask(pipeline: &Pipeline, all: &[Chosen<'_>], names: &[String]) -> Result<BTreeSet<String>, PlanError> {
    let mut asked = BTreeSet::new();
    for name in names {
        let found: Vec<&str> = all
            .iter()
            .filter(|one| one.id.as_str() == name || one.job.key.value == *name)
            .map(|one| one.id.as_str())
            .collect();
        if found.is_empty() {
            let keys = || pipeline.jobs.iter().map(|job| job.key.value.as_str());
            let ids = all.iter().map(|one| one.id.as_str());
            return Err(PlanError::UnknownJob {
                name: name.clone(),
                near: near(name, keys().chain(ids)).map(str::to_owned),
                known: keys().map(str::to_owned).collect(),
            });
        }
        asked.extend(found.into_iter().map(str::to_owned));
    }
    Ok(asked)
}

/// The keys of all jobs that these need, directly or not.
fn needed<'a, 'b: 'a>(pipeline: &'b Pipeline, of: impl Iterator<Item = &'a Chosen<'b>>) -> BTreeSet<&'b str> {
    let by_key: BTreeMap<&str, &Job> = pipeline.jobs.iter().map(|job| (job.key.value.as_str(), job)).collect();
    let mut open: Vec<&Job> = of.map(|one| one.job).collect();
    let mut taken = BTreeSet::new();
    while let Some(job) = open.pop() {
        for need in job.needs.iter().filter_map(|need| by_key.get(need.value.as_str())) {
            if taken.insert(need.key.value.as_str()) {
                open.push(need);
            }
        }
    }
    taken
}

/// Leaves out the combinations that `--matrix` does not want.
fn filter<'a>(jobs: Vec<Chosen<'a>>, wanted: &[(String, String)]) -> Result<Vec<Chosen<'a>>, PlanError> {
    let known: BTreeSet<&str> = jobs
        .iter()
        .filter_map(|one| one.job.matrix.as_ref())
        .flat_map(|matrix| matrix.keys.iter().map(|key| key.value.as_str()))
        .collect();
    if let Some((name, _)) = wanted.iter().find(|(name, _)| !known.contains(name.as_str())) {
        return Err(PlanError::UnknownMatrixKey {
            name: name.clone(),
            near: near(name, known.iter().copied()).map(str::to_owned),
            known: known.into_iter().map(str::to_owned).collect(),
        });
    }
    let fits = |one: &Chosen<'_>| {
        one.combination.is_none_or(|combination| {
            wanted.iter().map(|(name, _)| name).collect::<BTreeSet<_>>().into_iter().all(|name| {
                // A name that is given twice takes either value.
                combination
                    .get(name)
                    .is_none_or(|value| wanted.iter().any(|(other, text)| other == name && *text == value.to_string()))
            })
        })
    };
    if let Some(lost) = jobs.iter().find(|one| !jobs.iter().any(|other| other.job.key == one.job.key && fits(other))) {
        return Err(PlanError::NoCombination {
            job: lost.job.key.value.clone(),
            wanted: wanted.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" and "),
            combinations: lost.job.matrix.iter().flat_map(|matrix| matrix.labels()).collect(),
        });
    }
    Ok(jobs.into_iter().filter(fits).collect())
}
