//! `argon validate --print`: the pipeline as it will be run, as one YAML file: includes merged, aliases and defaults applied.

use std::time::Duration;

use argon::pipeline::{
    Artifact, ArtifactWhen, Build, Cache, CacheMode, CacheSave, EnvTemplates, InProgress, Job, JobImage, Matrix,
    MatrixValue, NetworkAccess, On, OnError, OutputMode, Pipeline, Probe, Resources, Retry, RetryWhen, Service, Shell,
    Spanned, Step,
};
use serde_yaml::{Mapping, Value};

/// The pipeline as YAML.
///
/// # Errors
/// Where it cannot be written as YAML, which no pipeline is known to bring about.
pub(crate) fn yaml(pipeline: &Pipeline) -> Result<String, serde_yaml::Error> {
    serde_yaml::to_string(&file(pipeline))
}

/// A mapping in the making: what says nothing is left out.
#[derive(Default)]
struct Map(Mapping);

impl Map {
    fn put(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.0.insert(Value::from(key), value.into());
        self
    }

    fn maybe<T>(self, key: &str, value: Option<T>, show: impl FnOnce(T) -> Value) -> Self {
        match value {
            Some(value) => self.put(key, show(value)),
            None => self,
        }
    }

    fn some<T>(self, key: &str, values: &[T], show: impl Fn(&T) -> Value) -> Self {
        if values.is_empty() { self } else { self.put(key, values.iter().map(show).collect::<Vec<_>>()) }
    }

    fn named(self, key: &str, values: &EnvTemplates) -> Self {
        if values.is_empty() {
            return self;
        }
        let pairs =
            values.iter().map(|(name, value)| (Value::from(name.value.as_str()), Value::from(value.to_string())));
        self.put(key, Value::Mapping(pairs.collect()))
    }

    fn end(self) -> Value {
        Value::Mapping(self.0)
    }
}

fn text<T: ToString + ?Sized>(value: &T) -> Value {
    Value::from(value.to_string())
}

fn spanned(value: &Spanned<String>) -> Value {
    Value::from(value.value.as_str())
}

fn file(pipeline: &Pipeline) -> Value {
    let jobs: Mapping = pipeline.jobs.iter().map(|one| (spanned(&one.key), job(one))).collect();
    Map::default()
        .put("version", "1.0")
        .maybe("name", pipeline.name.as_ref(), text)
        .maybe("on", pipeline.on.as_ref(), on)
        .maybe("concurrency", pipeline.concurrency.as_ref(), |concurrency| {
            let map = Map::default().put("group", concurrency.group.to_string());
            map.maybe(
                "cancel-in-progress",
                (concurrency.in_progress == InProgress::Cancel).then_some(true),
                Value::from,
            )
            .end()
        })
        .named("env", &pipeline.env)
        .some("secrets", &pipeline.secrets, text)
        .put("jobs", Value::Mapping(jobs))
        .end()
}

fn on(on: &On) -> Value {
    let push = on.push.as_ref().map(|push| {
        let map = Map::default().some("branches", &push.branches, spanned).some("tags", &push.tags, spanned);
        map.some("paths", &push.paths, spanned).end()
    });
    let pull_request = on
        .pull_request
        .as_ref()
        .map(|pull| Map::default().some("branches", &pull.branches, spanned).some("paths", &pull.paths, spanned).end());
    Map::default()
        .maybe("push", push, Value::from)
        .maybe("pull-request", pull_request, Value::from)
        .some("schedule", &on.schedule, |schedule| {
            let map = Map::default().put("cron", schedule.cron.value.as_str());
            map.maybe("time-zone", schedule.time_zone.as_ref(), text).end()
        })
        .maybe("manual", on.manual.then_some(true), Value::from)
        .end()
}

fn job(job: &Job) -> Value {
    let image = match &job.image {
        JobImage::Reference(image) => text(&image.value),
        JobImage::Build(build) => built(build),
    };
    let services: Mapping = job.services.iter().map(|one| (spanned(&one.name), service(one))).collect();
    let network = match job.network {
        NetworkAccess::Default => None,
        NetworkAccess::None => Some("none"),
    };
    let output = match job.output {
        OutputMode::Merged => None,
        OutputMode::Split => Some("split"),
    };
    Map::default()
        .maybe("name", job.name.as_ref(), text)
        .put("image", image)
        .some("needs", &job.needs, spanned)
        .maybe("if", job.condition.as_ref(), text)
        .maybe("matrix", job.matrix.as_ref(), matrix)
        .named("env", &job.env)
        .maybe("services", (!services.is_empty()).then_some(services), Value::Mapping)
        .maybe("resources", resources(&job.resources), Value::from)
        .maybe("network", network, Value::from)
        .maybe("user", job.user.as_ref(), text)
        .maybe("shell", job.shell.as_ref(), shell)
        .maybe("working-directory", job.working_directory.as_ref(), text)
        .maybe("timeout", job.timeout, duration)
        .maybe("retry", job.retry.as_ref(), retry)
        .maybe("continue-on-error", (job.on_error == OnError::Continue).then_some(true), Value::from)
        .some("cache", &job.cache, cache)
        .some("artifacts", &job.artifacts, artifact)
        .some("inputs", &job.inputs, spanned)
        .named("outputs", &job.outputs)
        .maybe("output", output, Value::from)
        .maybe("security", job.security.as_ref(), |security| {
            let map = Map::default().maybe("privileged", security.privileged.then_some(true), Value::from);
            map.some("capabilities", &security.capabilities, text).end()
        })
        .some("steps", &job.steps, step)
        .end()
}

fn step(step: &Step) -> Value {
    Map::default()
        .maybe("name", step.name.as_ref(), text)
        .maybe("id", step.id.as_ref(), spanned)
        .maybe("if", step.condition.as_ref(), text)
        .put("run", step.run.value.to_string())
        .named("env", &step.env)
        .some("secrets", &step.secrets, spanned)
        .maybe("shell", step.shell.as_ref(), shell)
        .maybe("working-directory", step.working_directory.as_ref(), text)
        .maybe("timeout", step.timeout, duration)
        .maybe("retry", step.retry.as_ref(), retry)
        .maybe("continue-on-error", (step.on_error == OnError::Continue).then_some(true), Value::from)
        .end()
}

/// Its combinations one by one: that is what `include` and `exclude` come to.
fn matrix(matrix: &Matrix) -> Value {
    let value = |value: &MatrixValue| match value {
        MatrixValue::Text(text) => Value::from(text.as_str()),
        MatrixValue::Bool(value) => Value::from(*value),
    };
    let combinations = |map: Map| {
        map.some("include", &matrix.combinations, |combination| {
            let pairs = combination.0.iter().map(|(name, of)| (Value::from(name.as_str()), value(of)));
            Value::Mapping(pairs.collect())
        })
    };
    combinations(Map::default()).maybe("max-parallel", matrix.max_parallel, |most| Value::from(most.get())).end()
}

fn built(build: &Build) -> Value {
    Map::default()
        .put("build", build.context.as_str())
        .maybe("dockerfile", build.dockerfile.as_ref(), text)
        .maybe("target", build.target.as_ref(), text)
        .named("args", &build.args)
        .end()
}

fn service(service: &Service) -> Value {
    let words = |words: &Vec<_>| Value::from(words.iter().map(text).collect::<Vec<_>>());
    let ready = Map::default();
    let ready = match &service.ready.probe {
        Some(Probe::Command(command)) => ready.put("command", command.to_string()),
        Some(Probe::Port(port)) => ready.put("port", port.get()),
        None => ready,
    };
    let ready = ready.maybe("timeout", service.ready.timeout, duration);
    Map::default()
        .put("image", service.image.value.to_string())
        .named("env", &service.env)
        .maybe("command", service.command.as_ref(), words)
        .maybe("entrypoint", service.entrypoint.as_ref(), words)
        .maybe("user", service.user.as_ref(), text)
        .some("tmpfs", &service.tmpfs, text)
        .maybe("resources", resources(&service.resources), Value::from)
        .maybe("ready", (!ready.0.is_empty()).then_some(ready), Map::end)
        .end()
}

fn resources(resources: &Resources) -> Option<Value> {
    let map = Map::default()
        .maybe("cpus", resources.milli_cpus, |milli| {
            Value::from(format!("{}.{:03}", milli.get() / 1000, milli.get() % 1000))
        })
        .maybe("memory", resources.memory, |bytes| Value::from(format!("{bytes}B")))
        .maybe("pids", resources.pids, |pids| Value::from(pids.get()));
    (!map.0.is_empty()).then(|| map.end())
}

fn retry(retry: &Retry) -> Value {
    Map::default()
        .put("max", retry.max)
        .some("when", &retry.when, |when| {
            Value::from(match when {
                RetryWhen::Failure => "failure",
                RetryWhen::Timeout => "timeout",
                RetryWhen::Error => "error",
            })
        })
        .maybe("backoff", retry.backoff, duration)
        .end()
}

fn cache(cache: &Cache) -> Value {
    let mode = match cache.mode {
        CacheMode::Private => None,
        CacheMode::Shared => Some("shared"),
        CacheMode::Locked => Some("locked"),
    };
    let save = match cache.save {
        CacheSave::Success => None,
        CacheSave::Always => Some("always"),
    };
    Map::default()
        .put("key", cache.key.value.to_string())
        .some("restore-keys", &cache.restore_keys, text)
        .some("paths", &cache.paths, spanned)
        .maybe("mode", mode, Value::from)
        .maybe("save", save, Value::from)
        .end()
}

fn artifact(artifact: &Artifact) -> Value {
    let when = match artifact.when {
        ArtifactWhen::Success => None,
        ArtifactWhen::Failure => Some("failure"),
        ArtifactWhen::Always => Some("always"),
    };
    Map::default()
        .maybe("name", artifact.name.as_ref(), |name| text(&name.value))
        .some("paths", &artifact.paths, spanned)
        .maybe("when", when, Value::from)
        .maybe("expire", artifact.expire, duration)
        .end()
}

fn shell(shell: &Shell) -> Value {
    match shell {
        Shell::Sh => Value::from("sh"),
        Shell::Bash => Value::from("bash"),
        Shell::Python => Value::from("python"),
        Shell::Custom(words) => Value::from(words.join(" ")),
    }
}

/// As the file would have it: `1h30m`.
fn duration(duration: Duration) -> Value {
    let seconds = duration.as_secs();
    let parts = [(seconds / 3600, "h"), (seconds / 60 % 60, "m"), (seconds % 60, "s")];
    let words: String =
        parts.iter().filter(|(count, _)| *count > 0).map(|(count, unit)| format!("{count}{unit}")).collect();
    Value::from(words)
}
