//! Whole runs on the scripted engine: a pipeline in, an event list out.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use super::*;
use crate::engine::fake::Fake;
use crate::event::{Status, TimeoutScope};
use crate::pipeline::parse;
use crate::plan::{RunOptions, Secret, plan};
use crate::source::{SourceRequest, open};

struct Ran {
    result: RunResult,
    events: Vec<Event>,
    engine: Fake,
}

impl Ran {
    /// The events that matter to order and outcome, a line each.
    fn story(&self) -> Vec<String> {
        let cause =
            |cause: &Option<crate::event::Cause>| cause.as_ref().map(|cause| format!(" {cause:?}")).unwrap_or_default();
        self.events
            .iter()
            .filter_map(|event| match event {
                Event::JobStarted { job, .. } => Some(format!("{job} started")),
                Event::Log { job, bytes, .. } => {
                    Some(format!("{job} says {}", String::from_utf8_lossy(bytes).trim_end()))
                }
                Event::StepFinished { job, step, result } => {
                    Some(format!("{job}/{step} {}{}", result.status, cause(&result.cause)))
                }
                Event::JobFinished { job, result } => Some(format!("{job} {}{}", result.status, cause(&result.cause))),
                Event::Retrying { job, step, attempt, of, .. } => {
                    let step = step.map(|step| format!("/{step}")).unwrap_or_default();
                    Some(format!("{job}{step} again after try {attempt} of {of}"))
                }
                Event::ImageBuild { image, build } => Some(format!("{image} {build:?}")),
                Event::ImagePull { image, pull } => {
                    Some(format!("{image} {}", format!("{pull:?}").split([' ', '{']).next().unwrap()))
                }
                _ => None,
            })
            .collect()
    }
}

fn settings() -> Settings {
    Settings {
        run: RunId::generate(),
        parallel: 2,
        on_failure: OnFailure::FailFast,
        pull: PullPolicy::Missing,
        timeout: None,
        grace: Duration::from_millis(50),
        color: StepColor::Unsaid,
        network: Network::Bridge,
        bridges: None,
        bases: None,
        caches: None,
        trust: "own",
        artifacts: None,
        memo: None,
        reuse: Reuse::Unchanged,
    }
}

async fn play(jobs: &str, settings: Settings, during: impl FnOnce(Stopper)) -> Ran {
    let (pipeline, findings) = parse(&format!("version: 1.0\njobs:\n{jobs}"));
    let pipeline = pipeline.unwrap_or_else(|| panic!("{findings:?}"));
    let options = RunOptions { secrets: vec![Secret::new("TOKEN", "hunter2hunter2".into())], ..RunOptions::default() };
    let plan = plan(&pipeline, &options).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let workspace = Arc::new(workspace(folder.path()));
    let engine = Fake::default();
    let stopper = Stopper::default();
    let (events, mut feed) = mpsc::channel(EVENT_BUFFER);
    let run = tokio::spawn(run(Arc::new(engine.clone()), plan, workspace, settings, stopper.clone(), events));
    during(stopper);
    let mut seen = Vec::new();
    while let Some(event) = feed.recv().await {
        seen.push(event);
    }
    Ran { result: run.await.unwrap().unwrap(), events: seen, engine }
}

fn workspace(folder: &Path) -> Workspace {
    std::fs::write(folder.join("Dockerfile"), "FROM missing:1\nFROM box:1 AS broken\n").unwrap();
    open(&SourceRequest::WorkingTree { folder: folder.to_owned() }).unwrap()
}

fn job(name: &str, extra: &str, steps: &[&str]) -> String {
    let steps: String = steps
        .iter()
        .map(|script| format!("      - run: |\n          {}\n", script.replace('\n', "\n          ")))
        .collect();
    format!("  {name}:\n    image: box:1\n{extra}    steps:\n{steps}")
}

#[tokio::test]
async fn a_failing_step_skips_the_rest_and_what_needs_its_job() {
    let jobs = [
        job("a", "", &["say hi", "exit 3", "say never"]),
        job("b", "    needs: a\n", &["say never"]),
        job("c", "    needs: b\n", &["say never"]),
    ];
    let ran = play(&jobs.concat(), settings(), |_| {}).await;
    assert_eq!(ran.result.status, Status::Failure);
    insta::assert_snapshot!(ran.story().join("\n"), @r#"
    a started
    a says hi
    a/1 success
    a/2 failure Exit { code: 3 }
    a/3 skipped EarlierStepFailed
    a failure StepFailed { step: StepIndex(1) }
    b skipped NeedFailed { need: JobId("a"), status: Failure }
    c skipped NeedFailed { need: JobId("b"), status: Skipped }
    "#);
    assert_eq!(ran.engine.containers(), 0);
}

#[tokio::test]
async fn fail_fast_stops_the_others_and_keep_going_does_not() {
    let jobs = [job("a", "", &["exit 1"]), job("b", "", &["hang"])].concat();
    let ran = play(&jobs, settings(), |_| {}).await;
    assert!(ran.story().contains(&r#"b cancelled FailFast { job: JobId("a") }"#.to_owned()), "{:#?}", ran.story());
    assert_eq!((ran.result.status, ran.engine.containers()), (Status::Failure, 0));

    let jobs = [job("a", "", &["exit 1"]), job("b", "", &["say on"]), job("c", "    needs: b\n", &["say on"])].concat();
    let ran = play(&jobs, Settings { on_failure: OnFailure::KeepGoing, parallel: 1, ..settings() }, |_| {}).await;
    assert!(ran.story().contains(&"c success".to_owned()), "{:#?}", ran.story());
}

#[tokio::test]
async fn forgiven_failures_fail_nothing() {
    let jobs =
        [job("a", "    continue-on-error: true\n", &["exit 1"]), job("b", "    needs: a\n", &["say on"])].concat();
    let ran = play(&jobs, settings(), |_| {}).await;
    assert_eq!(ran.result.status, Status::Success);
    assert!(ran.story().contains(&"b success".to_owned()));
}

#[tokio::test]
async fn a_container_that_vanishes_is_an_error_and_never_a_failure() {
    let ran = play(&job("a", "", &["say one\nvanish"]), settings(), |_| {}).await;
    assert_eq!(ran.result.status, Status::Error);
    assert!(ran.story().iter().any(|line| line.starts_with("a/1 error Infrastructure")), "{:#?}", ran.story());
}

#[tokio::test]
async fn a_step_that_ignores_term_is_killed_at_its_timeout_and_grace() {
    let jobs = "  a:\n    image: box:1\n    steps:\n      - run: ignore-term\n        timeout: 1s\n";
    let ran = play(jobs, settings(), |_| {}).await;
    let Some(Event::StepFinished { result, .. }) =
        ran.events.iter().find(|event| matches!(event, Event::StepFinished { .. }))
    else {
        panic!("no step finished");
    };
    assert_eq!(
        result.cause,
        Some(crate::event::Cause::TimedOut { scope: TimeoutScope::Step, limit: Duration::from_secs(1) })
    );
    assert_eq!((result.status, result.exit_code), (Status::Failure, Some(137)));
    assert!(result.duration < Duration::from_millis(1500), "{:?}", result.duration);
}

#[tokio::test]
async fn an_interrupt_cancels_what_runs_and_skips_what_waits() {
    let jobs = [job("a", "", &["hang"]), job("b", "    needs: a\n", &["say never"])].concat();
    let ran = play(&jobs, settings(), |stopper| {
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(100)).await;
            stopper.interrupt();
        });
    })
    .await;
    assert_eq!(ran.result.status, Status::Cancelled);
    assert_eq!(ran.story().last().unwrap(), r#"b skipped NeedFailed { need: JobId("a"), status: Cancelled }"#);
    assert_eq!(ran.engine.containers(), 0);
}

#[tokio::test]
async fn a_second_interrupt_does_not_wait_for_the_grace() {
    let slow = Settings { grace: Duration::from_secs(600), ..settings() };
    let ran = play(&job("a", "", &["ignore-term"]), slow, |stopper| {
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(100)).await;
            stopper.interrupt();
            stopper.interrupt();
        });
    })
    .await;
    assert_eq!(ran.result.status, Status::Cancelled);
    assert!(ran.result.duration < Duration::from_secs(5));
}

#[tokio::test]
async fn an_image_is_pulled_once_for_all_its_jobs() {
    let jobs = [job("a", "", &["say a"]), job("b", "", &["say b"])].concat().replace("box:1", "missing:1");
    let ran = play(&jobs, settings(), |_| {}).await;
    assert_eq!((ran.result.status, ran.engine.pulls()), (Status::Success, 1));
}

#[tokio::test]
async fn an_image_that_cannot_be_had_is_an_error() {
    let ran = play(&job("a", "", &["say a"]).replace("box:1", "gone:1"), settings(), |_| {}).await;
    assert_eq!(ran.result.status, Status::Error);
    assert!(ran.story().contains(&"gone:1 Failed".to_owned()), "{:#?}", ran.story());
}

#[tokio::test]
async fn no_more_jobs_run_at_once_than_allowed() {
    let jobs: String = (0..6).map(|n| job(&format!("j{n}"), "", &["say x"])).collect();
    let ran = play(&jobs, Settings { parallel: 3, ..settings() }, |_| {}).await;
    assert_eq!(ran.result.status, Status::Success);
    assert!(ran.engine.most_at_once() <= 3);
}

#[tokio::test]
async fn secrets_leave_masked() {
    let ran = play(&job("a", "", &["say the token is hunter2hunter2"]), settings(), |_| {}).await;
    assert!(ran.story().contains(&"a says the token is ***".to_owned()), "{:#?}", ran.story());
}

#[tokio::test]
async fn the_run_s_timeout_is_the_run_s_cause() {
    let jobs = job("a", "", &["hang"]);
    let ran = play(&jobs, Settings { timeout: Some(Duration::from_millis(200)), ..settings() }, |_| {}).await;
    assert_eq!(ran.result.status, Status::Failure);
    assert!(matches!(ran.result.cause, Some(crate::event::Cause::TimedOut { scope: TimeoutScope::Run, .. })));
}

#[tokio::test]
async fn a_reader_that_stalls_does_not_keep_a_timeout_from_the_step() {
    let (pipeline, _) =
        parse("version: 1\njobs: {a: {image: 'box:1', steps: [{run: \"flood 1000\\nhang\", timeout: 1s}]}}");
    let plan = plan(&pipeline.unwrap(), &RunOptions::default()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let engine = Fake::default();
    let (events, mut feed) = mpsc::channel(EVENT_BUFFER);
    let workspace = Arc::new(workspace(folder.path()));
    let run = tokio::spawn(run(Arc::new(engine.clone()), plan, workspace, settings(), Stopper::default(), events));
    // Nobody reads until long after the timeout, its grace and the time to be killed.
    tokio::time::sleep(Duration::from_millis(7500)).await;
    assert_eq!(engine.containers(), 0, "the step was ended although its output went nowhere");
    let mut lines = 0;
    while let Some(event) = feed.recv().await {
        lines += usize::from(matches!(event, Event::Log { .. }));
    }
    assert_eq!(run.await.unwrap().unwrap().status, Status::Failure);
    assert!(lines > 0);
}

/// The story of a run without what its jobs start with.
async fn told(jobs: &str, settings: Settings, during: impl FnOnce(Stopper)) -> (Status, Vec<String>) {
    let ran = play(jobs, settings, during).await;
    assert_eq!(ran.engine.containers(), 0);
    (ran.result.status, ran.story().into_iter().filter(|line| !line.ends_with(" started")).collect())
}

fn soon(stops: usize) -> impl FnOnce(Stopper) {
    move |stopper| {
        tokio::spawn(async move {
            for _ in 0..stops {
                tokio::time::sleep(Duration::from_millis(100)).await;
                stopper.interrupt();
            }
        });
    }
}

const CLEAN_UP: &str = "
      - if: failure()
        run: say after failure
      - if: cancelled()
        run: say after stop
      - run: say never
      - if: always()
        run: say at the end
";

#[tokio::test]
async fn steps_run_after_a_failure_where_they_ask_for_it() {
    let jobs = format!("  a:\n    image: box:1\n    steps:\n      - run: exit 3{CLEAN_UP}");
    let (status, story) = told(&jobs, settings(), |_| {}).await;
    assert_eq!(status, Status::Failure);
    insta::assert_snapshot!(story.join("\n"));
}

#[tokio::test]
async fn steps_run_after_a_stop_where_they_ask_for_it() {
    let jobs = format!("  a:\n    image: box:1\n    steps:\n      - run: hang{CLEAN_UP}");
    let (status, story) = told(&jobs, Settings { grace: Duration::from_secs(5), ..settings() }, soon(1)).await;
    assert_eq!(status, Status::Cancelled);
    insta::assert_snapshot!(story.join("\n"));
}

#[tokio::test]
async fn what_cleans_up_has_one_grace_and_a_second_stop_ends_it() {
    let jobs = "  a:\n    image: box:1\n    steps:\n      - run: hang\n      - {if: always(), run: ignore-term}\n      - {if: always(), run: say never}\n";
    let ran = play(jobs, settings(), soon(1)).await;
    assert_eq!((ran.result.status, ran.engine.containers()), (Status::Cancelled, 0));
    assert!(ran.result.duration < Duration::from_secs(5), "{:?}", ran.result.duration);
    let slow = Settings { grace: Duration::from_secs(600), ..settings() };
    let ran = play(jobs, slow, soon(2)).await;
    assert_eq!((ran.result.status, ran.engine.containers()), (Status::Cancelled, 0));
    assert!(ran.result.duration < Duration::from_secs(5), "{:?}", ran.result.duration);
    assert!(!ran.story().contains(&"a says never".to_owned()));
}

#[tokio::test]
async fn steps_run_after_the_job_s_timeout_where_they_ask_for_it() {
    let jobs = format!("  a:\n    image: box:1\n    timeout: 1s\n    steps:\n      - run: hang{CLEAN_UP}");
    let (status, story) = told(&jobs, Settings { grace: Duration::from_secs(5), ..settings() }, |_| {}).await;
    assert_eq!(status, Status::Failure);
    insta::assert_snapshot!(story.join("\n"));
}

#[tokio::test]
async fn jobs_run_by_what_became_of_their_needs() {
    let jobs = [
        job("good", "", &["say x"]),
        job("bad", "    continue-on-error: false\n", &["exit 1"]),
        job("after", "    needs: [good, bad]\n", &["say never"]),
        job("further", "    needs: after\n", &["say never"]),
        job("rescue", "    needs: [good, bad]\n    if: failure()\n", &["say rescue"]),
        job("far-rescue", "    needs: further\n    if: failure()\n", &["say far"]),
        job("always", "    needs: [after]\n    if: always()\n", &["say always"]),
        job("report", "    needs: bad\n    if: needs.bad.status == 'failure' && always()\n", &["say report"]),
        job("unwanted", "    needs: good\n    if: branch == 'other'\n", &["say never"]),
        job("of-unwanted", "    needs: unwanted\n", &["say never"]),
        job("of-unwanted-always", "    needs: unwanted\n    if: \"!failure()\"\n", &["say on"]),
    ];
    let keep_going = Settings { on_failure: OnFailure::KeepGoing, parallel: 1, ..settings() };
    let (status, mut story) = told(&jobs.concat(), keep_going, |_| {}).await;
    assert_eq!(status, Status::Failure);
    story.retain(|line| !line.contains('/'));
    story.sort();
    insta::assert_snapshot!(story.join("\n"));
    // The first failure stops what runs, and not what is to run after a failure.
    let (_, story) = told(&jobs.concat(), Settings { parallel: 1, ..settings() }, |_| {}).await;
    for said in ["rescue says rescue", "far-rescue says far", "always says always", "report says report"] {
        assert!(story.contains(&said.to_owned()), "{said}: {story:#?}");
    }
}

#[tokio::test]
async fn a_run_whose_jobs_were_not_wanted_is_green() {
    let jobs = [job("a", "    if: branch == 'other'\n", &["say never"]), job("b", "    needs: a\n", &["say never"])];
    let (status, story) = told(&jobs.concat(), settings(), |_| {}).await;
    assert_eq!(status, Status::Success);
    insta::assert_snapshot!(story.join("\n"));
}

#[tokio::test]
async fn outputs_go_from_step_to_step_and_from_job_to_job() {
    let jobs = "
  make:
    image: box:1
    outputs:
      version: v${{ steps.v.outputs.version }}
      secret: ${{ steps.v.outputs.secret }}
      nothing: ${{ steps.v.outputs.nothing }}
    steps:
      - id: v
        run: |
          hand output version=1
          hand output version=2
          hand output secret=hunter2hunter2
          hand env MODE=fast
          hand env KEPT=step
          hand path /opt/bin
          hand summary # Made hunter2hunter2
      - if: env.MODE == 'fast' && steps.v.outputs.version == 2
        run: |
          show MODE
          show KEPT
          show PATH
        env:
          KEPT: own
      - run: show MODE
  use:
    needs: make
    image: box:1
    if: needs.make.outputs.version == 'v2'
    env:
      VERSION: ${{ needs.make.outputs.version }}
    steps:
      - run: |
          show VERSION
          show MODE
          show LENGTH
        env:
          LENGTH: <${{ needs.make.outputs.secret }}>
";
    let ran = play(jobs, settings(), |_| {}).await;
    assert_eq!(ran.result.status, Status::Success, "{:#?}", ran.story());
    let said: Vec<String> = ran.story().into_iter().filter(|line| line.contains(" says ")).collect();
    insta::assert_snapshot!(said.join("\n"));
    let Some(Event::JobFinished { result, .. }) =
        ran.events.iter().find(|event| matches!(event, Event::JobFinished { .. }))
    else {
        panic!("no job finished");
    };
    let outputs: Vec<String> = result.outputs.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(outputs, ["version=v2", "secret=***", "nothing="]);
    assert!(
        ran.events.iter().any(|event| matches!(event, Event::Summary { markdown, .. } if markdown == "# Made ***\n"))
    );
}

#[tokio::test]
async fn a_file_that_cannot_be_read_fails_its_step_and_hides_its_secrets() {
    let jobs = job("a", "", &["hand output hunter2hunter2", "say never"]);
    let (status, story) = told(&jobs, settings(), |_| {}).await;
    assert_eq!(status, Status::Failure);
    insta::assert_snapshot!(story.join("\n"));
}

#[tokio::test]
async fn an_expression_without_a_value_fails_its_step() {
    let jobs = "  a:\n    image: box:1\n    steps:\n      - {id: s, run: hand output json=hunter2hunter2}\n      - {run: say never, env: {A: \"${{ fromJSON(steps.s.outputs.json).x }}\"}}\n      - {if: failure(), run: say so}\n";
    let (status, story) = told(jobs, settings(), |_| {}).await;
    assert_eq!(status, Status::Failure);
    insta::assert_snapshot!(story.join("\n"));
}

#[tokio::test]
async fn a_matrix_is_needed_as_a_whole_and_keeps_to_its_bound() {
    let jobs = "
  test:
    image: box:1
    matrix:
      n: [1, 2, 3, 4, 5, 6]
      max-parallel: 2
    outputs:
      last: ${{ steps.s.outputs.n }}
    steps:
      - id: s
        run: hand output n=${{ matrix.n }}
  after:
    needs: test
    image: box:1
    steps:
      - run: show LAST
        env: {LAST: \"${{ needs.test.outputs.last }} ${{ needs.test.status }}\"}
"
    .replace('\\', "");
    let ran = play(&jobs, Settings { parallel: 6, ..settings() }, |_| {}).await;
    assert_eq!(ran.result.status, Status::Success);
    assert!(ran.engine.most_at_once() <= 2, "{}", ran.engine.most_at_once());
    assert!(ran.story().contains(&"after says LAST=6 success".to_owned()), "{:#?}", ran.story());
    let failing = jobs.replace("run: hand output n=${{ matrix.n }}", "run: exit ${{ matrix.n == 4 && 1 || 0 }}");
    let ran = play(&failing, Settings { on_failure: OnFailure::KeepGoing, ..settings() }, |_| {}).await;
    assert_eq!(
        ran.story().last().unwrap(),
        r#"after skipped NeedFailed { need: JobId("test (n 4)"), status: Failure }"#
    );
}

#[tokio::test]
async fn the_image_of_a_job_that_is_not_wanted_is_not_pulled() {
    let jobs = [
        job("a", "", &["say x"]),
        job("b", "    needs: a\n    if: branch == 'other'\n", &["say never"]).replace("box:1", "missing:1"),
        job("c", "    needs: a\n    if: needs.a.status == 'failure'\n", &["say never"]).replace("box:1", "missing:2"),
        job("d", "    needs: a\n    if: needs.a.status == 'success'\n", &["say x"]).replace("box:1", "missing:3"),
    ];
    let ran = play(&jobs.concat(), settings(), |_| {}).await;
    assert_eq!((ran.result.status, ran.engine.pulls()), (Status::Success, 1));
    assert!(ran.story().contains(&"d success".to_owned()));
}

#[tokio::test]
async fn a_step_is_tried_as_often_as_it_says_and_keeps_its_container() {
    let jobs = "  a:\n    image: box:1\n    steps:\n      - run: |\n          say go\n          fail-first 2\n        retry: 2\n      - run: |\n          fail-first 9\n          say no\n        retry: {max: 1, when: timeout}\n";
    let ran = play(jobs, settings(), |_| {}).await;
    insta::assert_snapshot!(ran.story().join("\n"), @r#"
    a started
    a says go
    a/1 again after try 1 of 3
    a says go
    a/1 again after try 2 of 3
    a says go
    a/1 success
    a says no
    a/2 failure Exit { code: 1 }
    a failure StepFailed { step: StepIndex(1) }
    "#);
    assert_eq!(ran.engine.made(), 1);
}

#[tokio::test]
async fn a_job_is_tried_again_in_a_container_of_its_own_and_a_fault_of_the_machinery_is_told_from_a_failure() {
    let jobs = "  a:\n    image: box:1\n    retry: {max: 3, when: error}\n    steps:\n      - run: say one\n      - run: vanish-first 1\n      - run: fail-first 1\n";
    let ran = play(jobs, settings(), |_| {}).await;
    let story: Vec<String> = ran.story().iter().map(|line| line.split(" Infra").next().unwrap().to_owned()).collect();
    insta::assert_snapshot!(story.join("\n"), @r#"
    a started
    a says one
    a/1 success
    a/2 error
    a/3 skipped EarlierStepFailed
    a again after try 1 of 4
    a says one
    a/1 success
    a/2 success
    a/3 failure Exit { code: 1 }
    a failure StepFailed { step: StepIndex(2) }
    "#);
    assert_eq!((ran.engine.made(), ran.engine.containers()), (2, 0));
}

#[tokio::test]
async fn a_stop_ends_the_wait_for_another_try() {
    let jobs = "  a:\n    image: box:1\n    retry: {max: 1, backoff: 1h}\n    steps:\n      - run: exit 1\n";
    let began = Instant::now();
    let ran = play(jobs, settings(), |stopper| {
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(300)).await;
            stopper.interrupt();
        });
    })
    .await;
    assert!(began.elapsed() < Duration::from_secs(5));
    assert_eq!((ran.result.status, ran.engine.made()), (Status::Cancelled, 1));
}

#[tokio::test]
async fn an_image_is_built_once_whatever_jobs_use_it_behind_the_pull_of_its_base() {
    let build = |name: &str, target: &str| {
        job(name, "", &["say hi"]).replace("image: box:1", &format!("image: {{build: ., target: {target}}}"))
    };
    let ran = play(&[build("a", "0"), build("b", "0")].concat(), settings(), |_| {}).await;
    assert_eq!(ran.result.status, Status::Success);
    assert_eq!((ran.engine.builds(), ran.engine.pulls(), ran.engine.made()), (1, 1, 2));
    let story = ran.story().join("\n");
    let built = "missing:1 Started\nmissing:1 Finished\nbuild . (0) Started\nbuild . (0) Step";
    assert!(story.starts_with(built), "{story}");

    let ran = play(&build("a", "broken"), settings(), |_| {}).await;
    assert_eq!((ran.result.status, ran.engine.builds(), ran.engine.made()), (Status::Failure, 0, 0));
    let story = ran.story();
    let cause = r#"a failure ImageBuild { message: "`[1/1] RUN false` failed: exit code: 1", output: "built" }"#;
    assert_eq!(story.last().unwrap(), cause);
}

#[tokio::test]
async fn a_job_that_is_begun_again_has_each_service_once() {
    let jobs = "  a:\n    image: initless:1\n    services:\n      db:\n        image: box:2\n        command: [serve]\n    steps:\n      - run: say hi\n";
    let ran = play(jobs, settings(), |_| {}).await;
    assert_eq!(ran.result.status, Status::Success, "{:#?}", ran.story());
    // The job's container twice, and the service's.
    assert_eq!((ran.engine.made(), ran.engine.most_of_a_name(), ran.engine.containers()), (4, 1, 0));
}

#[tokio::test]
async fn what_cannot_be_removed_keeps_nothing_else_and_is_named() {
    let engine = Fake::default();
    for name in ["stuck", "loose", "gone"] {
        engine.leave_volume(name, "m/1/earlier/1/1");
    }
    let swept = sweep(&engine, Whose::Everyones, None).await.unwrap();
    assert_eq!((swept.volumes, swept.words().as_deref()), (2, Some("2 volumes")));
    let [left] = &swept.left.0[..] else { panic!("{:?}", swept.left) };
    assert!(left.contains("the volume stuck: the engine said: volume is in use"), "{left}");
    assert_eq!(engine.owned_volumes().await.unwrap().len(), 1);
}

/// An image that is not to be had was once outside of what a job's `retry` covers.
#[tokio::test]
async fn a_job_that_is_tried_again_after_errors_looks_for_its_image_once_more() {
    let retry = |when: &str| {
        let jobs = job("a", &format!("    retry: {{max: 2, when: {when}}}\n"), &["say hi"]);
        jobs.replace("box:1", "late:1")
    };
    let ran = play(&retry("error"), settings(), |_| {}).await;
    assert_eq!((ran.result.status, ran.engine.pulls()), (Status::Success, 2));
    insta::assert_snapshot!(ran.story().join("\n"), @r"
    late:1 Started
    late:1 Failed
    a again after try 1 of 3
    late:1 Started
    late:1 Finished
    a started
    a says hi
    a/1 success
    a success
    ");
    let ran = play(&retry("failure"), settings(), |_| {}).await;
    assert_eq!((ran.result.status, ran.engine.pulls()), (Status::Error, 1));
}
