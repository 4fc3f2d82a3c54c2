//! Each address of the dashboard, and the pages that it answers with.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::body::Body;
use axum::extract::{Extension, Path, Query, State};
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::middleware;
use axum::response::sse::{KeepAlive, Sse};
use axum::response::{Html, IntoResponse, Json, Response};
use axum::routing::{get, post};
use jiff::Timestamp;
use serde::Deserialize;
use tokio_util::io::ReaderStream;

use super::gate::{self, Token};
use super::graph::Graph;
use super::lines::Window;
use super::live::{self, Watched};
use super::sign_in::SignInError;
use super::view::{Bars, IgnoredView, JobView, RunView, StepView, WaitingView};
use super::{Board, actions, badge};
use crate::artifact::Artifact;
use crate::event::RunId;
use crate::listen::keeper::Unanswered;
use crate::listen::webhook::repository_name;
use crate::sinks::style::bytes;
use crate::store::StoreError;
use crate::store::history::{Filter, History, Job, Phase, Run, RunName, Step};
use crate::store::logs::{Log, LogId};
use crate::store::queue::Queue;
use crate::store::tries::tries;

/// How many runs stand on a page of the history.
const RUNS: usize = 50;

/// How much of logs a page's search reads, in bytes, before it ends with the run that it is at: half a second's worth.
const SEARCHED: u64 = 512 * 1024 * 1024;

/// How many of the latest runs the overview has.
const LATEST: usize = 15;

/// How many runs a trend is made of.
const TREND: u32 = 40;

/// How many lines of a log stand on a page.
const LINES: u64 = 1000;

/// How many of a failed step's last lines stand on top of its run's page.
const LAST: u64 = 20;

/// How many branches, and waiting runs, the overview has.
const OVERVIEW: u32 = 200;

/// How many deliveries that led to no run.
const IGNORED: u32 = 20;

const ICON: &str = include_str!("assets/icon.svg");
const STYLE: &str = include_str!("assets/style.css");
const SCRIPT: &str = include_str!("assets/app.js");

pub(super) fn routes(board: Arc<Board>) -> Router {
    Router::new()
        .route("/", get(overview))
        .route("/runs", get(runs))
        .route("/runs/{id}", get(run))
        .route("/runs/{id}/live", get(watch))
        .route("/runs/{id}/cancel", post(actions::cancel))
        .route("/runs/{id}/again", post(actions::again))
        .route("/runs/{id}/approve", post(actions::approve))
        .route("/runs/{id}/log/{job}/{step}", get(log))
        .route("/runs/{id}/log/{job}/{step}/lines", get(lines))
        .route("/runs/{id}/log/{job}/{step}/raw", get(raw))
        .route("/runs/{id}/artifacts/{artifact}", get(artifact))
        .route("/trends", get(trends))
        .route("/badge/{name}", get(picture))
        .route("/trigger", post(actions::trigger))
        .route("/pause", post(actions::pause))
        .route("/resume", post(actions::resume))
        .route("/logout", post(actions::sign_out))
        .route("/login/{token}", get(actions::sign_in_with))
        .route("/sign-in/to/{provider}", get(actions::leave))
        .route("/sign-in/back", get(actions::come_back))
        .route("/assets/icon.svg", get(|| async { asset("image/svg+xml", ICON) }))
        .route("/assets/style.css", get(|| async { asset("text/css; charset=utf-8", STYLE) }))
        .route("/assets/app.js", get(|| async { asset("text/javascript; charset=utf-8", SCRIPT) }))
        .route_layer(middleware::from_fn_with_state(board.clone(), gate::guard))
        .with_state(board)
}

/// Why there is no page.
#[derive(Debug)]
pub(super) enum Failed {
    /// A name that is none of ours.
    Host(String),
    /// A change that came from elsewhere.
    Origin,
    /// The link is used up, or none.
    Login,
    TooMany,
    /// An account elsewhere did not do.
    SignIn(SignInError),
    NotFound,
    /// It cannot be done here, for this reason.
    NotHere(&'static str),
    Store(String),
}

impl From<SignInError> for Failed {
    fn from(error: SignInError) -> Self {
        Self::SignIn(error)
    }
}

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Self {
        Self::Store(crate::causes::with_causes(&error))
    }
}

impl From<Unanswered> for Failed {
    fn from(error: Unanswered) -> Self {
        Self::Store(error.to_string())
    }
}

impl From<std::io::Error> for Failed {
    fn from(error: std::io::Error) -> Self {
        Self::Store(error.to_string())
    }
}

#[derive(Template)]
#[template(path = "message.html")]
struct MessagePage {
    title: String,
    message: String,
    again: Option<String>,
    /// What one may sign in with.
    providers: Vec<String>,
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        let (status, title, message) = match self {
            Self::Host(host) => (
                StatusCode::MISDIRECTED_REQUEST,
                "Not here",
                format!("“{host}” is no name of this dashboard. Where it is one, set it as the listener's `url`."),
            ),
            Self::Origin => {
                (StatusCode::FORBIDDEN, "Not from there", "This change did not come from this dashboard.".to_owned())
            }
            Self::Login => (
                StatusCode::FORBIDDEN,
                "This link is used up",
                "A link to sign in is good for once, and for an hour. For another one: argon ui --link".to_owned(),
            ),
            Self::SignIn(error) => {
                tracing::warn!(%error, "somebody was not signed in");
                (StatusCode::FORBIDDEN, "Not signed in", format!("It did not work: {error}."))
            }
            Self::TooMany => (StatusCode::TOO_MANY_REQUESTS, "Too many tries", "Try again in a minute.".to_owned()),
            Self::NotFound => (
                StatusCode::NOT_FOUND,
                "Nothing here",
                "There is no such page or run. Old runs are forgotten after a while.".to_owned(),
            ),
            Self::NotHere(why) => (StatusCode::CONFLICT, "That cannot be done", why.to_owned()),
            Self::Store(why) => {
                tracing::error!(why, "a page could not be made");
                (StatusCode::INTERNAL_SERVER_ERROR, "The history cannot be read", why)
            }
        };
        (status, page(&MessagePage { title: title.to_owned(), message, again: None, providers: Vec::new() }))
            .into_response()
    }
}

/// The page of somebody who has not signed in.
pub(super) fn sign_in(again: Option<String>, providers: Vec<String>) -> Response {
    let message = "Open the link that argon printed when it started. For another one: argon ui --link".to_owned();
    let status = if again.is_some() { StatusCode::OK } else { StatusCode::UNAUTHORIZED };
    (status, page(&MessagePage { title: "Sign in".to_owned(), message, again, providers })).into_response()
}

fn page(template: &impl Template) -> Response {
    match template.render() {
        Ok(html) => Html(html).into_response(),
        Err(error) => {
            tracing::error!(%error, "a page could not be made");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

fn asset(kind: &'static str, text: &'static str) -> impl IntoResponse {
    ([(CONTENT_TYPE, kind), (CACHE_CONTROL, "no-cache")], text)
}

/// What stands on every page of those who signed in.
struct Frame {
    /// For forms.
    token: String,
    /// The repositories that runs can be started of.
    repositories: Vec<String>,
    is_listener: bool,
}

impl Frame {
    fn of(board: &Board, session: &Token) -> Self {
        let shop = board.shop.as_ref();
        let repositories = shop.iter().flat_map(|shop| &shop.config.repositories).map(|it| it.url.clone()).collect();
        Self { token: session.form(), repositories, is_listener: shop.is_some() }
    }
}

#[derive(Template)]
#[template(path = "overview.html")]
struct OverviewPage {
    frame: Frame,
    repositories: Vec<RepositoryView>,
    latest: Vec<RunView>,
    waiting: Vec<WaitingView>,
    ignored: Vec<IgnoredView>,
    paused: bool,
}

struct RepositoryView {
    repository: String,
    name: String,
    branches: Vec<RunView>,
    bars: Bars,
}

async fn overview(State(board): State<Arc<Board>>, Extension(session): Extension<Token>) -> Result<Response, Failed> {
    let now = Timestamp::now();
    let (waiting, ignored, paused) = match &board.shop {
        Some(shop) => {
            let ask = |queue: &mut Queue| Ok((queue.waiting(OVERVIEW)?, queue.ignored(IGNORED)?, queue.is_paused()?));
            let told = shop.keeper.with(ask).await?;
            let ignored = told.1.into_iter().map(|ignored| IgnoredView::of(ignored, now)).collect();
            (told.0.iter().map(|waiting| WaitingView::of(waiting, now)).collect(), ignored, told.2)
        }
        None => (Vec::new(), Vec::new(), false),
    };
    let looked = board
        .look(move |history| {
            let mut repositories: Vec<RepositoryView> = Vec::new();
            for head in history.heads(OVERVIEW)? {
                let run = RunView::listed(history, &head, None, now)?;
                match repositories.iter_mut().find(|known| known.repository == head.repository) {
                    Some(known) => known.branches.push(run),
                    None => repositories.push(RepositoryView {
                        name: run.name.clone(),
                        bars: Bars::of(&history.times(&head.repository, None, TREND)?),
                        repository: head.repository,
                        branches: vec![run],
                    }),
                }
            }
            let latest = history.runs(&Filter::default(), LATEST)?;
            let latest = latest.iter().map(|found| RunView::listed(history, &found.run, None, now));
            Ok((repositories, latest.collect::<Result<Vec<_>, _>>()?))
        })
        .await?;
    let (repositories, latest) = looked.unwrap_or_default();
    Ok(page(&OverviewPage { frame: Frame::of(&board, &session), repositories, latest, waiting, ignored, paused }))
}

/// What a list of runs is asked for. Empty is not said.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Asked {
    repository: String,
    branch: String,
    status: String,
    text: String,
    before: Option<i64>,
}

pub(super) fn said(text: &str) -> Option<String> {
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

#[derive(Template)]
#[template(path = "runs.html")]
struct RunsPage {
    frame: Frame,
    asked: Asked,
    repositories: Vec<String>,
    statuses: Vec<&'static str>,
    runs: Vec<RunView>,
    /// Where the older ones are.
    older: Option<String>,
}

async fn runs(
    State(board): State<Arc<Board>>,
    Extension(session): Extension<Token>,
    Query(asked): Query<Asked>,
) -> Result<Response, Failed> {
    let filter = Filter {
        repository: said(&asked.repository),
        branch: said(&asked.branch),
        phases: Phase::from_word(&asked.status).into_iter().collect(),
        before: asked.before,
        text: said(&asked.text),
    };
    let looked = board
        .look(move |history| {
            let mut repositories: Vec<String> =
                history.heads(OVERVIEW)?.into_iter().map(|run| run.repository).collect();
            repositories.sort();
            repositories.dedup();
            let (searched, now) = (history.search(&filter, RUNS + 1, SEARCHED)?, Timestamp::now());
            let runs =
                searched.found.iter().map(|found| RunView::listed(history, &found.run, found.line.as_ref(), now));
            Ok((repositories, runs.collect::<Result<Vec<_>, _>>()?, searched.ended_at))
        })
        .await?;
    let (repositories, mut runs, ended_at) = looked.unwrap_or_default();
    let has_more = runs.len() > RUNS;
    runs.truncate(RUNS);
    let last = runs.last().filter(|_| has_more).map(|last| last.number);
    let older = last.or(ended_at).map(|last| {
        let parts = [
            ("repository", asked.repository.as_str()),
            ("branch", &asked.branch),
            ("status", &asked.status),
            ("text", &asked.text),
            ("before", &last.to_string()),
        ];
        let mut url = reqwest::Url::parse("http://x/runs").ok();
        if let Some(url) = &mut url {
            url.query_pairs_mut().extend_pairs(parts.iter().filter(|(_, value)| !value.is_empty()));
        }
        url.map_or_else(String::new, |url| format!("/runs?{}", url.query().unwrap_or_default()))
    });
    let statuses = vec!["success", "failure", "error", "cancelled", "skipped", "running", "interrupted"];
    Ok(page(&RunsPage { frame: Frame::of(&board, &session), asked, repositories, statuses, runs, older }))
}

#[derive(Template)]
#[template(path = "run.html")]
struct RunPage {
    frame: Frame,
    run: RunView,
    jobs: Vec<JobView>,
    graph: Graph,
    failed: Option<FailedStep>,
    artifacts: Vec<ArtifactView>,
    is_running: bool,
    can_cancel: bool,
    can_run_again: bool,
}

/// An artifact of a run.
struct ArtifactView {
    id: String,
    name: String,
    job: String,
    size: String,
}

/// The step that decided that a run is bad, with its last lines.
struct FailedStep {
    job: String,
    step: String,
    message: String,
    href: String,
    window: Window,
}

async fn run(
    State(board): State<Arc<Board>>,
    Extension(session): Extension<Token>,
    Path(id): Path<String>,
) -> Result<Response, Failed> {
    let Some((run, jobs)) = found(&board, &id).await? else {
        return waits(&board, &session, &id).await;
    };
    let failed = match first_failed(&jobs) {
        Some((job, step)) => {
            let id = LogId { run: run.id.clone(), job: job.position, step: step.position };
            Some(FailedStep {
                job: job.name.clone(),
                step: step.name.clone(),
                message: step.message.clone().unwrap_or_default(),
                href: format!("/runs/{}/log/{}/{}", run.id, job.position, step.position),
                window: last_lines(&board, id).await?,
            })
        }
        None => None,
    };
    let (state, id) = (board.state.clone(), run.id.clone());
    let reading = tokio::task::spawn_blocking(move || tries(&state, &id));
    let tries = reading.await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))?;
    let views: Vec<JobView> = jobs.iter().map(|job| JobView::of(job, &tries)).collect();
    let is_running = run.phase == Phase::Running;
    let is_ours = board.shop.as_ref().is_some_and(|shop| shop.config.repository(&run.repository).is_some());
    // The button stands where the same question lets it through.
    let can_run_again = match &board.shop {
        Some(shop) => actions::Repeat::of(shop, &run).await.is_ok(),
        None => false,
    };
    Ok(page(&RunPage {
        frame: Frame::of(&board, &session),
        graph: Graph::of(&views),
        jobs: views,
        failed,
        artifacts: artifacts(&board, &run.id).await,
        is_running,
        can_cancel: is_ours && is_running,
        can_run_again,
        run: RunView::of(&run, Timestamp::now()),
    }))
}

fn first_failed(jobs: &[Job]) -> Option<(&Job, &Step)> {
    let job = jobs.iter().find(|job| job.phase.is_bad() && !job.forgiven)?;
    let step = job.steps.iter().find(|step| step.phase.is_bad() && !step.forgiven)?;
    Some((job, step))
}

pub(super) async fn found(board: &Arc<Board>, id: &str) -> Result<Option<(Run, Vec<Job>)>, Failed> {
    let Some(name) = RunName::parse(id) else { return Err(Failed::NotFound) };
    let look = move |history: &History| match history.run(&name)? {
        Some(run) => history.jobs(&run).map(|jobs| Some((run, jobs))),
        None => Ok(None),
    };
    Ok(board.look(look).await?.flatten())
}

#[derive(Template)]
#[template(path = "waits.html")]
struct WaitsPage {
    frame: Frame,
    id: String,
    state: String,
    message: Option<String>,
}

/// A run that has no record yet.
async fn waits(board: &Board, session: &Token, id: &str) -> Result<Response, Failed> {
    let shop = board.shop.as_ref().ok_or(Failed::NotFound)?;
    let run = RunId::from_text(id);
    let entry = shop.keeper.with(move |queue| queue.entry(&run)).await?.ok_or(Failed::NotFound)?;
    let state = entry.outcome.unwrap_or(entry.state);
    Ok(page(&WaitsPage { frame: Frame::of(board, session), id: id.to_owned(), state, message: entry.reason }))
}

async fn last_lines(board: &Arc<Board>, id: LogId) -> Result<Window, Failed> {
    let board = board.clone();
    let reading = tokio::task::spawn_blocking(move || {
        let (total, _) = board.lines.extent(&board.state, &id)?;
        board.lines.window(&board.state, &id, total.saturating_sub(LAST), LAST)
    });
    Ok(reading.await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))?)
}

#[derive(Debug, Deserialize)]
struct WatchedStep {
    job: Option<usize>,
    step: Option<usize>,
}

async fn watch(
    State(board): State<Arc<Board>>,
    Path(id): Path<String>,
    Query(step): Query<WatchedStep>,
) -> Result<Response, Failed> {
    let (run, _) = found(&board, &id).await?.ok_or(Failed::NotFound)?;
    let what = Watched { run: run.id.to_string(), step: step.job.zip(step.step) };
    Ok(Sse::new(live::events(&board, what)).keep_alive(KeepAlive::default()).into_response())
}

/// A window of a log.
#[derive(Debug, Deserialize)]
struct AskedLines {
    from: Option<u64>,
    count: Option<u64>,
}

async fn window(board: &Arc<Board>, id: LogId, from: Option<u64>, count: u64) -> Result<Window, Failed> {
    let board = board.clone();
    let reading = tokio::task::spawn_blocking(move || {
        let from = match from {
            Some(from) => from,
            None => board.lines.extent(&board.state, &id)?.0.saturating_sub(count),
        };
        board.lines.window(&board.state, &id, from, count)
    });
    Ok(reading.await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))?)
}

/// The step of an address, where there is one.
async fn step_at(board: &Arc<Board>, path: &(String, usize, usize)) -> Result<(Run, Job, usize, LogId), Failed> {
    let (run, mut jobs) = found(board, &path.0).await?.ok_or(Failed::NotFound)?;
    if path.1 >= jobs.len() || path.2 >= jobs[path.1].steps.len() {
        return Err(Failed::NotFound);
    }
    let id = LogId { run: run.id.clone(), job: path.1, step: path.2 };
    Ok((run, jobs.swap_remove(path.1), path.2, id))
}

#[derive(Template)]
#[template(path = "log.html")]
struct LogPage {
    frame: Frame,
    run: RunView,
    job: JobView,
    step: StepView,
    window: Window,
    /// Where the lines before and behind begin.
    before: Option<u64>,
    behind: Option<u64>,
}

async fn log(
    State(board): State<Arc<Board>>,
    Extension(session): Extension<Token>,
    Path(path): Path<(String, usize, usize)>,
    Query(asked): Query<AskedLines>,
) -> Result<Response, Failed> {
    let (run, job, step, id) = step_at(&board, &path).await?;
    let window = window(&board, id, asked.from, LINES).await?;
    let end = window.from + window.lines.len() as u64;
    Ok(page(&LogPage {
        frame: Frame::of(&board, &session),
        run: RunView::of(&run, Timestamp::now()),
        step: StepView::of(&job.steps[step]),
        job: JobView::of(&job, &[]),
        before: (window.from > 0).then(|| window.from.saturating_sub(LINES)),
        behind: (end < window.total).then_some(end),
        window,
    }))
}

async fn lines(
    State(board): State<Arc<Board>>,
    Path(path): Path<(String, usize, usize)>,
    Query(asked): Query<AskedLines>,
) -> Result<Json<Window>, Failed> {
    let (_, _, _, id) = step_at(&board, &path).await?;
    Ok(Json(window(&board, id, asked.from, asked.count.unwrap_or(LINES)).await?))
}

/// The bytes as the step wrote them. A browser keeps them as a file, and shows nothing of them.
async fn raw(
    State(board): State<Arc<Board>>,
    Path(path): Path<(String, usize, usize)>,
) -> Result<impl IntoResponse, Failed> {
    let (run, job, step, id) = step_at(&board, &path).await?;
    let state = board.state.clone();
    let opening = tokio::task::spawn_blocking(move || Log::open(&state, &id, 0));
    let log = opening.await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))?;
    let body = match log.into_file() {
        Some(file) => Body::from_stream(ReaderStream::new(tokio::fs::File::from_std(file))),
        None => Body::empty(),
    };
    let name = format!("attachment; filename=\"run-{}-{}-{}.log\"", run.number, job.position + 1, step + 1);
    Ok(([(CONTENT_TYPE, "text/plain; charset=utf-8".to_owned()), (CONTENT_DISPOSITION, name)], body))
}

/// An artifact as a tar. Whoever gets it unpacks it: nothing of it is shown here, whatever it has.
async fn artifact(
    State(board): State<Arc<Board>>,
    Path((id, asked)): Path<(String, String)>,
) -> Result<impl IntoResponse, Failed> {
    let (run, _) = found(&board, &id).await?.ok_or(Failed::NotFound)?;
    let depot = board.state.artifacts_of(&run.id);
    let opening = tokio::task::spawn_blocking(move || -> std::io::Result<Option<(Artifact, std::fs::File)>> {
        let Some(artifact) = depot.list()?.into_iter().find(|artifact| artifact.id() == asked) else { return Ok(None) };
        let file = std::fs::File::open(depot.tar(&artifact))?;
        Ok(Some((artifact, file)))
    });
    let opened = opening.await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))?;
    let (artifact, file) = opened.ok_or(Failed::NotFound)?;
    let name: String = artifact.name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let name = format!("attachment; filename=\"run-{}-{name}.tar\"", run.number);
    let body = Body::from_stream(ReaderStream::new(tokio::fs::File::from_std(file)));
    Ok(([(CONTENT_TYPE, "application/x-tar".to_owned()), (CONTENT_DISPOSITION, name)], body))
}

/// What a run kept.
async fn artifacts(board: &Board, run: &RunId) -> Vec<ArtifactView> {
    let depot = board.state.artifacts_of(run);
    let listing = tokio::task::spawn_blocking(move || depot.list());
    let found = listing.await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
    // A folder that cannot be read is told by whoever asks for what is in it.
    let view = |artifact: Artifact| ArtifactView {
        id: artifact.id().to_owned(),
        size: format!("{}, {}", crate::sinks::style::files(artifact.files), bytes(artifact.bytes)),
        name: artifact.name,
        job: artifact.job,
    };
    found.unwrap_or_default().into_iter().map(view).collect()
}

#[derive(Template)]
#[template(path = "trends.html")]
struct TrendsPage {
    frame: Frame,
    repository: String,
    name: String,
    branch: String,
    all: Bars,
    trends: Vec<(String, Option<String>, Bars)>,
}

async fn trends(
    State(board): State<Arc<Board>>,
    Extension(session): Extension<Token>,
    Query(asked): Query<Asked>,
) -> Result<Response, Failed> {
    let (repository, branch) = (asked.repository.clone(), said(&asked.branch));
    let looked = board
        .look(move |history| {
            let times = history.times(&repository, branch.as_deref(), TREND)?;
            Ok((times, history.trends(&repository, branch.as_deref(), TREND)?))
        })
        .await?;
    let (times, trends) = looked.unwrap_or_default();
    let trends = trends.into_iter().map(|trend| (trend.job, trend.step, Bars::of(&trend.times))).collect();
    Ok(page(&TrendsPage {
        frame: Frame::of(&board, &session),
        name: repository_name(&asked.repository).to_owned(),
        repository: asked.repository,
        branch: asked.branch,
        all: Bars::of(&times),
        trends,
    }))
}

/// `/badge/NAME.svg?branch=main`: of the repository whose address ends with that name.
async fn picture(
    State(board): State<Arc<Board>>,
    Path(file): Path<String>,
    Query(asked): Query<Asked>,
) -> Result<impl IntoResponse, Failed> {
    let name = file.strip_suffix(".svg").ok_or(Failed::NotFound)?.to_owned();
    let (label, branch) = (name.clone(), said(&asked.branch));
    let phase = board
        .look(move |history| {
            let heads = history.heads(OVERVIEW)?;
            let mut of_it = heads.iter().filter(|run| repository_name(&run.repository) == name);
            Ok(of_it
                .find(|run| if branch.is_none() { !run.is_of_fork() } else { run.branch == branch })
                .map(|run| run.phase))
        })
        .await?;
    Ok(([(CONTENT_TYPE, "image/svg+xml"), (CACHE_CONTROL, "no-cache")], badge::svg(&label, phase.flatten())))
}
