//! The services of one try of a job: a network of their own, a container each, readiness, their words, their end.
//!
//! A service's container ends as a job's does, with its standard input: its program is started by a shell that leaves a
//! watcher behind, and when argon dies, the watcher kills the container from within. No reaper runs anywhere. An image
//! without `sh` has no watcher; what a crash leaves of it, the next sweep takes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::{join_all, try_join_all};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::job::container::limits;
use super::job::{Broken, JobRun, no_value};
use crate::engine::{
    self, ContainerId, ContainerSpec, Engine, EngineError, ExecEnd, Health, Image, NetworkSpec, Privileges, Reach,
    Session,
};
use crate::event::{Event, Level, ServiceState};
use crate::pipeline::expr::{Contexts, Scope, Standing, Template};
use crate::pipeline::{NetworkAccess, Probe};
use crate::plan::{PlannedService, env_context};

/// How long a service may take to be ready where it does not say.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// Between two looks at whether a service is ready, at first and at most.
const LOOK: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(250));

/// How often the removal of a network is tried while the engine still takes the containers off it.
const NETWORK_TRIES: u32 = 20;

/// The longest name of a network interface in Linux (IFNAMSIZ, the end counted) is 16.
const BRIDGE_NAME: usize = 15;

/// Starts a program, with a watcher beside it that kills all processes of the container when standard input ends. The
/// watcher is nobody's child: a program that waits for its children must not meet one that it did not start.
const WATCHED: &str = "exec 3<&0; \
    ( ( while read -r argon_line; do :; done; kill -s KILL -- -1 ) <&3 >/dev/null 2>&1 & ); \
    exec 3<&-; exec \"$@\" </dev/null";

/// Prints those of its arguments, ports in four hex digits, on which a process of the container listens, other than for itself
/// alone (proc(5), `/proc/net/tcp`); ends with 0 where that is all of them. An IPv6 socket has 127.0.0.1 as `::ffff:127.0.0.1`. All
/// of it is done by the shell itself.
const LISTENS: &str = "argon_end=0; for argon_port; do argon_found=; \
    for argon_file in /proc/net/tcp /proc/net/tcp6; do \
    while read -r argon_n argon_local argon_far argon_state argon_rest; do \
    [ \"$argon_state\" = 0A ] || continue; \
    case $argon_local in ??????7F:*|00000000000000000000000001000000:*|0000000000000000FFFF0000??????7F:*) continue ;; esac; \
    case $argon_local in *:\"$argon_port\") argon_found=1 ;; esac; \
    done 2>/dev/null <\"$argon_file\"; done; \
    if [ \"$argon_found\" ]; then echo \"$argon_port\"; else argon_end=1; fi; done; exit \"$argon_end\"";

/// How long one question may take; then it is asked anew. The image's HEALTHCHECK may say another.
const ANSWERS_WITHIN: Duration = Duration::from_secs(5);

/// An image may expose ports that nothing ever listens on. Where no further one was opened for this long, the job goes on.
const SETTLED: Duration = Duration::from_secs(10);

/// The services of one try of a job.
pub(super) struct Services<'a, E> {
    run: &'a JobRun<'a, E>,
    /// The network that job and services are on; none where there are no services.
    network: Option<String>,
    members: Mutex<Vec<Member>>,
}

/// A service's container.
struct Member {
    id: ContainerId,
    /// Whether its end would be news: it is ready, and nobody ends it.
    serves: Arc<AtomicBool>,
    reader: JoinHandle<()>,
}

/// How far a service's container is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Life {
    Runs,
    Ended(Option<i64>),
    /// Its image has no shell.
    NoShell,
}

/// How a service's program is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Start {
    Watched,
    Bare,
}

/// A service, decided.
struct Ready<'s> {
    plan: &'s PlannedService,
    words: Vec<String>,
    env: Vec<(String, String)>,
    question: Option<Question>,
    /// How long it may take to be ready.
    limit: Duration,
}

/// What a service is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Question {
    /// This command ends with 0, within this time.
    Command(Vec<String>, Duration),
    /// This port takes connections, as the pipeline says.
    Listens(u16),
    /// These do, which the image exposes: all of them, or as many as there come.
    Exposed(Vec<u16>),
}

impl Question {
    fn command(&self) -> Vec<String> {
        match self {
            Self::Command(words, _) => words.clone(),
            Self::Listens(port) => listens(&[*port]),
            Self::Exposed(ports) => listens(ports),
        }
    }

    fn limit(&self) -> Duration {
        match self {
            Self::Command(_, limit) => *limit,
            Self::Listens(_) | Self::Exposed(_) => ANSWERS_WITHIN,
        }
    }

    /// What it waits for, for people.
    fn waits_for(&self) -> String {
        match self {
            Self::Command(words, _) => format!("`{}` ends with 0", words.last().map_or("", String::as_str)),
            Self::Listens(port) => format!("port {port} takes connections"),
            Self::Exposed(ports) => match ports.as_slice() {
                [port] => format!("port {port} takes connections"),
                ports => format!("the ports {} take connections, which its image exposes", list(ports)),
            },
        }
    }
}

fn listens(ports: &[u16]) -> Vec<String> {
    let ports = ports.iter().map(|port| format!("{port:04X}"));
    ["sh", "-c", LISTENS, "argon"].map(str::to_owned).into_iter().chain(ports).collect()
}

/// What the answer to [`listens`] says: those that listen.
fn listening(answer: &[u8]) -> Vec<u16> {
    String::from_utf8_lossy(answer).lines().filter_map(|line| u16::from_str_radix(line, 16).ok()).collect()
}

fn list(ports: &[u16]) -> String {
    let ports: Vec<String> = ports.iter().map(u16::to_string).collect();
    ports.join(", ")
}

/// The ports that listen, and since when no further one came.
struct Opened {
    ports: Vec<u16>,
    since: Instant,
}

impl Opened {
    /// Whether some listen, and the others most likely never will.
    fn has_settled(&mut self, now: Vec<u16>) -> bool {
        if now != self.ports {
            *self = Self { ports: now, since: Instant::now() };
        }
        !self.ports.is_empty() && self.since.elapsed() >= SETTLED
    }
}

impl<'a, E: Engine> Services<'a, E> {
    /// Those of a job, none of them begun.
    pub(super) fn new(run: &'a JobRun<'a, E>) -> Self {
        let id = uuid::Uuid::new_v4().simple().to_string();
        let network = (!run.job.services.is_empty()).then(|| format!("argon-{}", &id[..16]));
        Self { run, network, members: Mutex::default() }
    }
}

impl<E> Services<'_, E> {
    /// The network that the job's container is to be on.
    pub(super) fn network(&self) -> Option<&str> {
        self.network.as_deref()
    }
}

impl<E: Engine> Services<'_, E> {
    /// Makes the network.
    pub(super) async fn open(&self) -> Result<(), Broken> {
        let Some(name) = &self.network else { return Ok(()) };
        let settings = &self.run.context.settings;
        let bridge = settings.bridges.as_ref().map(|prefix| {
            let own = name.trim_start_matches("argon-");
            format!("{prefix}{own}").chars().take(BRIDGE_NAME).collect()
        });
        let reach = match (self.run.job.network, &settings.network) {
            (NetworkAccess::None, _) | (_, engine::Network::None) => Reach::Inside,
            (NetworkAccess::Default, _) => Reach::Outside,
        };
        let spec = NetworkSpec { name: name.clone(), reach, bridge, labels: self.run.labels() };
        let context = self.run.context;
        Ok(context.making.network(&context.engine, spec).await?)
    }

    /// Starts the services, and waits until each is ready.
    pub(super) async fn ready(&self) -> Result<(), Broken> {
        let services = self.run.job.services.iter().zip(&self.run.service_images);
        try_join_all(services.map(|(service, image)| self.serve(service, image))).await.map(|_| ())
    }

    async fn serve(&self, service: &PlannedService, image: &Image) -> Result<(), Broken> {
        let ready = self.decide(service, image).await?;
        match self.begin(&ready, Start::Watched).await? {
            Life::NoShell => self.begin(&ready, Start::Bare).await.map(|_| ()),
            Life::Runs | Life::Ended(_) => Ok(()),
        }
    }

    async fn begin(&self, ready: &Ready<'_>, start: Start) -> Result<Life, Broken> {
        let began = Instant::now();
        let context = self.run.context;
        let session = context.making.create(&context.engine, self.spec(ready, start)).await?;
        let id = session.id.clone();
        let (mut life, serves) = self.take_in(ready.plan, session);
        match self.run.context.engine.start(&id).await {
            Err(EngineError::ProgramMissing { .. }) if start == Start::Watched => return Ok(Life::NoShell),
            started => started?,
        }
        self.say(ready.plan, ServiceState::Started { image: ready.plan.image.clone() }).await;
        let limit = ready.limit;
        let asked = tokio::select! {
            asked = self.until_ready(ready, start, &id) => asked,
            ended = ended(&mut life) => match ended {
                Life::NoShell if start == Start::Watched => return Ok(Life::NoShell),
                Life::Ended(code) => {
                    let code = code.map(|code| format!(" with exit code {code}")).unwrap_or_default();
                    Err(self.not_ready(ready, &format!("ended{code} before it was ready")))
                }
                Life::NoShell | Life::Runs => Err(self.not_ready(ready, "could not be started: its program is not in the image")),
            },
            () = tokio::time::sleep(limit) => {
                let waited = format!("{} s", limit.as_secs());
                let what = ready.question.as_ref().map_or_else(|| "it runs".to_owned(), Question::waits_for);
                Err(self.not_ready(ready, &format!("was not ready within {waited}: waited until {what}")))
            }
        };
        asked?;
        serves.store(true, Ordering::Relaxed);
        self.say(ready.plan, ServiceState::Ready { after: began.elapsed() }).await;
        Ok(Life::Runs)
    }

    fn not_ready(&self, ready: &Ready<'_>, message: &str) -> Broken {
        Broken::Service { service: ready.plan.name.clone(), message: self.run.context.mask.text(message) }
    }

    async fn until_ready(&self, ready: &Ready<'_>, start: Start, id: &ContainerId) -> Result<(), Broken> {
        let question = match (&ready.question, start) {
            (Some(question), _) => question,
            // Whether it runs at all: an image without a shell, or a program that ends at once, is seen so.
            (None, Start::Watched) => &Question::Command(["sh", "-c", ":"].map(str::to_owned).to_vec(), ANSWERS_WITHIN),
            (None, Start::Bare) => return Ok(()),
        };
        let command = question.command();
        let mut opened = Opened { ports: Vec::new(), since: Instant::now() };
        let mut wait = LOOK.0;
        loop {
            match tokio::time::timeout(question.limit(), self.run.context.engine.exec(id, &command)).await {
                Ok(Ok(end)) if end.code == 0 => return Ok(()),
                Ok(Ok(end)) if !matches!(question, Question::Command(..)) && is_program_missing(&end) => {
                    let message = format!(
                        "service {}: its image has no `sh` to look at its ports with, so the job does not wait for it",
                        ready.plan.name
                    );
                    self.warn(message).await;
                    return Ok(());
                }
                Ok(Ok(end)) => {
                    if let Question::Exposed(all) = question
                        && opened.has_settled(listening(&end.output))
                    {
                        self.warn(some_listen(&ready.plan.name, all, &opened.ports)).await;
                        return Ok(());
                    }
                }
                // A container that goes down meanwhile is told by its own end.
                Ok(Err(EngineError::Refused { .. } | EngineError::Gone)) => {}
                Ok(Err(error)) => return Err(error.into()),
                // It hangs. What hangs once, as a database does that is just beginning, may answer the next time.
                Err(_) => {}
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(LOOK.1);
        }
    }

    /// Reads what it writes, and keeps it for its end.
    fn take_in(&self, service: &PlannedService, session: Session) -> (watch::Receiver<Life>, Arc<AtomicBool>) {
        let (tell, life) = watch::channel(Life::Runs);
        let serves = Arc::new(AtomicBool::new(false));
        let id = session.id.clone();
        let mouth = Mouth {
            engine: self.run.context.engine.clone(),
            events: self.run.context.events.clone(),
            mask: self.run.context.mask.stream(),
            job: self.run.job.id.clone(),
            service: service.name.as_str().into(),
            serves: serves.clone(),
        };
        let reader = tokio::spawn(mouth.listen(session, tell));
        let member = Member { id, serves: serves.clone(), reader };
        self.members.lock().unwrap_or_else(PoisonError::into_inner).push(member);
        (life, serves)
    }

    async fn say(&self, service: &PlannedService, state: ServiceState) {
        let job = self.run.job.id.clone();
        self.run.context.emit(Event::Service { job, service: service.name.as_str().into(), state }).await;
    }

    /// Renders what rests on expressions.
    async fn decide<'s>(&self, service: &'s PlannedService, image: &Image) -> Result<Ready<'s>, Broken> {
        let env = self.run.job.env.iter().chain(&service.env).map(|(_, value)| value);
        let words = service.entrypoint.iter().chain(&service.command).flatten();
        let probe = match &service.ready.probe {
            Some(Probe::Command(line)) => Some(line),
            Some(Probe::Port(_)) | None => None,
        };
        let uses_files = env.chain(words).chain(probe).any(Template::uses_files);
        let (job, own, mut contexts): (_, _, Contexts) =
            (self.run.job.clone(), service.clone(), self.run.contexts.clone());
        let rendered = self
            .run
            .context
            .evaluate(uses_files, move |files| {
                let of_job =
                    job.base_env(&Scope { contexts: &contexts.clone(), standing: Standing::Success, files })?;
                contexts.env = env_context(&of_job, &job.overrides);
                let scope = Scope { contexts: &contexts, standing: Standing::Success, files };
                let all = |templates: &Option<Vec<Template>>| {
                    templates.as_ref().map(|words| words.iter().map(|word| word.render(&scope)).collect()).transpose()
                };
                let entrypoint: Option<Vec<String>> = all(&own.entrypoint)?;
                let command: Option<Vec<String>> = all(&own.command)?;
                let env = own.env.iter().map(|(name, value)| Ok((name.clone(), value.render(&scope)?)));
                let env = env.collect::<Result<Vec<_>, _>>()?;
                let line = match &own.ready.probe {
                    Some(Probe::Command(line)) => Some(line.render(&scope)?),
                    Some(Probe::Port(_)) | None => None,
                };
                Ok((entrypoint, command, env, line))
            })
            .await;
        if let Ok((entrypoint, command, env, line)) = &rendered {
            // The engine would show it to whoever may look.
            let words =
                entrypoint.iter().chain(command).flatten().chain(env.iter().map(|(_, value)| value)).chain(line);
            self.run.refuse_secrets("services", words).map_err(Broken::NoValue)?;
        }
        let failed = |message| Broken::Service { service: service.name.clone(), message };
        let (entrypoint, command, env, line) = match rendered {
            Ok(rendered) => rendered,
            Err(error) => return Err(Broken::NoValue(no_value(self.run.context, "services", &error))),
        };
        // As the engine has it: an entrypoint of one's own leaves the image's command out.
        let command = command.unwrap_or_else(|| if entrypoint.is_some() { Vec::new() } else { image.command.clone() });
        let words: Vec<String> =
            entrypoint.unwrap_or_else(|| image.entrypoint.clone()).into_iter().chain(command).collect();
        if words.is_empty() {
            return Err(failed("has nothing to run: neither its image nor the pipeline names a command".to_owned()));
        }
        let (question, limit) = (question(service, image, line), limit(service, image));
        Ok(Ready { plan: service, words, env, question, limit })
    }

    fn spec(&self, ready: &Ready<'_>, start: Start) -> ContainerSpec {
        let shell = ["sh", "-c", WATCHED, "argon"].map(str::to_owned);
        ContainerSpec {
            image: ready.plan.image.clone(),
            user: ready.plan.user.clone(),
            command: match start {
                Start::Watched => shell.into_iter().chain(ready.words.iter().cloned()).collect(),
                Start::Bare => ready.words.clone(),
            },
            env: ready.env.clone(),
            working_directory: None,
            scratch: None,
            tmpfs: ready.plan.tmpfs.clone(),
            mounts: Vec::new(),
            limits: limits(&ready.plan.resources),
            network: self.network.clone().map_or(engine::Network::None, engine::Network::Named),
            privileges: Privileges::Sandbox,
            labels: self.run.labels(),
            hostname: ready.plan.name.clone(),
            aliases: vec![ready.plan.name.clone()],
        }
    }

    /// Ends the services. They may be started again after it.
    pub(super) async fn stop(&self) {
        let members = std::mem::take(&mut *self.members.lock().unwrap_or_else(PoisonError::into_inner));
        for member in &members {
            member.serves.store(false, Ordering::Relaxed);
        }
        let engine = &*self.run.context.engine;
        let removed = join_all(members.iter().map(|member| engine.remove(&member.id))).await;
        for member in members {
            let _ = member.reader.await;
        }
        for error in removed.into_iter().filter_map(Result::err) {
            self.may_be_left(&error.to_string()).await;
        }
    }

    /// Ends the services, and takes the network away. The job's container is gone by now.
    pub(super) async fn end(self) {
        self.stop().await;
        if let Some(network) = &self.network
            && let Err(error) = remove_network(&*self.run.context.engine, network).await
        {
            self.may_be_left(&format!("network {network}: {error}")).await;
        }
    }

    async fn may_be_left(&self, error: &str) {
        let message =
            format!("a service may be left on the engine: {error}; the next run, or `argon clean`, removes it");
        self.warn(message).await;
    }

    async fn warn(&self, message: String) {
        let job = Some(self.run.job.id.clone());
        self.run.context.emit(Event::Notice { level: Level::Warn, job, message }).await;
    }
}

/// What the runtimes say of a program that is not in the image: runc, then crun.
fn is_program_missing(end: &ExecEnd) -> bool {
    let words = String::from_utf8_lossy(&end.output).to_ascii_lowercase();
    matches!(end.code, 126 | 127)
        && words.contains("exec")
        && (words.contains("not found") || words.contains("no such file"))
}

/// The engine takes a container that was removed off its network a moment later.
async fn remove_network<E: Engine>(engine: &E, name: &str) -> Result<(), EngineError> {
    let mut tries = 0;
    loop {
        match engine.remove_network(name).await {
            Err(EngineError::Refused { .. }) if tries < NETWORK_TRIES => tries += 1,
            ended => return ended,
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn question(service: &PlannedService, image: &Image, line: Option<String>) -> Option<Question> {
    let shell = |line: String| vec!["sh".to_owned(), "-c".to_owned(), line];
    match (&service.ready.probe, &image.health) {
        (Some(Probe::Command(_)), _) => line.map(|line| Question::Command(shell(line), ANSWERS_WITHIN)),
        (Some(Probe::Port(port)), _) => Some(Question::Listens(port.get())),
        (None, Some(check)) => {
            let words = match &check.asks {
                Health::Shell(line) => shell(line.clone()),
                Health::Program(words) => words.clone(),
            };
            Some(Question::Command(words, check.timeout.unwrap_or(ANSWERS_WITHIN)))
        }
        (None, None) if image.ports.is_empty() => None,
        (None, None) => Some(Question::Exposed(image.ports.clone())),
    }
}

/// How long a service may take. An image that says how long it may be unwell after its start has that on top.
fn limit(service: &PlannedService, image: &Image) -> Duration {
    let unwell = image.health.as_ref().and_then(|check| check.start_period).filter(|_| service.ready.probe.is_none());
    service.ready.timeout.unwrap_or(READY_WITHIN + unwell.unwrap_or_default())
}

/// What is to be known where a job goes on though not all that its service's image exposes listens.
fn some_listen(service: &str, all: &[u16], opened: &[u16]) -> String {
    let silent: Vec<u16> = all.iter().copied().filter(|port| !opened.contains(port)).collect();
    let example = opened.last().copied().unwrap_or_default();
    format!(
        "service {service}: its image exposes the ports {}, and nothing listens on {}; the job does not wait for them any longer. \
         Say what it is to wait for: `ready: {{port: {example}}}`",
        list(all),
        list(&silent)
    )
}

async fn ended(life: &mut watch::Receiver<Life>) -> Life {
    match life.wait_for(|life| *life != Life::Runs).await {
        Ok(life) => life.clone(),
        // Its reader ended without a word.
        Err(_) => Life::Ended(None),
    }
}

/// What listens to a service.
struct Mouth<E> {
    engine: Arc<E>,
    events: tokio::sync::mpsc::Sender<Event>,
    mask: super::Redactor,
    job: crate::event::JobId,
    service: Arc<str>,
    serves: Arc<AtomicBool>,
}

impl<E: Engine> Mouth<E> {
    /// Tells what the service writes, until it ends. Its standard input is open until then.
    async fn listen(mut self, session: Session, tell: watch::Sender<Life>) {
        let Session { id, stdin, mut output } = session;
        // Asked from the beginning: of a container that is gone, nobody knows how it ended.
        let (engine, of) = (self.engine.clone(), id.clone());
        let gone = tokio::spawn(async move { engine.removed(&of).await.ok().and_then(|end| end.exit_code) });
        let mut life = None;
        while let Some(piece) = output.next().await {
            match piece {
                Ok(chunk) => {
                    let bytes = self.mask.feed(chunk.bytes);
                    self.log(bytes).await;
                }
                Err(EngineError::ProgramMissing { .. } | EngineError::InitMissing) => life = Some(Life::NoShell),
                Err(_) => break,
            }
        }
        let rest = self.mask.flush();
        self.log(rest).await;
        let code = tokio::time::timeout(Duration::from_secs(5), gone).await.ok().and_then(Result::ok).flatten();
        let life = life.unwrap_or(Life::Ended(code));
        if self.serves.load(Ordering::Relaxed) && matches!(life, Life::Ended(_)) {
            let (job, service) = (self.job.clone(), self.service.clone());
            let _ =
                self.events.send(Event::Service { job, service, state: ServiceState::Ended { exit_code: code } }).await;
        }
        let _ = tell.send(life);
        drop(stdin);
    }

    async fn log(&self, bytes: Bytes) {
        if !bytes.is_empty() {
            let (job, service) = (self.job.clone(), self.service.clone());
            let _ = self.events.send(Event::ServiceLog { job, service, bytes }).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_of_the_exposed_ports_do_when_no_further_one_opens() {
        let mut opened = Opened { ports: Vec::new(), since: Instant::now() };
        let long = SETTLED + Duration::from_secs(1);
        assert_eq!(listening(b"1111\n1628\nnoise\n"), [0x1111, 0x1628]);
        assert!(!opened.has_settled(vec![4369]));
        opened.since -= long;
        assert!(!opened.has_settled(vec![4369, 5672]), "one just opened");
        opened.since -= long;
        assert!(opened.has_settled(vec![4369, 5672]));
        let mut silent = Opened { ports: Vec::new(), since: Instant::now() - long };
        assert!(!silent.has_settled(Vec::new()), "nothing listens at all");
        let said = some_listen("queue", &[4369, 5671, 5672], &[4369, 5672]);
        assert!(said.contains("nothing listens on 5671") && said.contains("`ready: {port: 5672}`"), "{said}");
    }
}
