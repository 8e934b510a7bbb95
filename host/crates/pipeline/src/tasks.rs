//! Calls that run as tasks: their client has a handle at once, and asks for the result, answers questions, or cancels with it.
//! A task is kept in the journal beside its call: what is told of it is what is written down, so that it survives a restart.

mod shown;

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use skillhost_core::{
    Access, CallId, Caller, ClientFeatures, Failure, FailureKind, NoClient, Question, Reply, TaskId,
    TaskSupport,
};
use skillhost_journal::{Delivery, Priority, State, Task, TaskChange, TaskState, Timestamp};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use crate::{
    Asked, Asking, Dispatcher, Given, Recovery, Request, Response, Standing, TaskSettings,
    agents::reaches,
    asking,
    recovery::{asks, unavailable},
};
pub use shown::{TaskShown, TaskShownState};
use shown::{ended, shown, told};

/// Attempts to change a task that others change as well.
const TRIES: usize = 8;

/// How often a task that runs here is looked at: another process may have been told to give it up.
const LOOK: Duration = Duration::from_secs(5);

/// Who asks, and what he may use.
pub type By<'a> = (&'a Caller, &'a Access);

/// Writes down how a call ended, as clients are told it.
type Ended = dyn Fn(Response) -> String + Send + Sync;

/// Tasks, for the transport that offers them.
#[derive(Clone)]
pub struct Tasks {
    inner: Arc<Inner>,
}

struct Inner {
    recovery: Arc<Recovery>,
    dispatcher: Arc<Dispatcher>,
    ended: Box<Ended>,
    /// Tasks whose calls run here.
    running: Mutex<HashMap<TaskId, CancellationToken>>,
}

/// What is needed to make the call again.
#[derive(Serialize, Deserialize)]
struct Kept {
    arguments: Option<Map<String, Value>>,
    meta: Option<String>,
    correlation_id: Option<String>,
    client: ClientFeatures,
    access: Access,
    key: Option<String>,
    durable: bool,
    priority: Option<Priority>,
    /// The answers that it goes on with.
    given: Option<Given>,
}

/// What a task asks, and the answers so far.
#[derive(Serialize, Deserialize)]
struct Open {
    questions: Vec<Question>,
    state: String,
    until: u64,
    answers: BTreeMap<String, Value>,
}

impl Tasks {
    /// Tasks of calls through `dispatcher`; `ended` writes down how they end.
    #[must_use]
    pub fn new(
        recovery: Arc<Recovery>,
        dispatcher: Arc<Dispatcher>,
        ended: impl Fn(Response) -> String + Send + Sync + 'static,
    ) -> Self {
        let ended = Box::new(ended);
        Self { inner: Arc::new(Inner { recovery, dispatcher, ended, running: Mutex::default() }) }
    }

    /// How calls of a tool may run: by its own word and its operator's.
    #[must_use]
    pub async fn support(&self, tool: &str, asked: &Asked) -> TaskSupport {
        self.inner.dispatcher.task_support(tool, asked).await
    }

    /// Begin a task. The answer comes when it is on disk; its call runs on by itself.
    ///
    /// # Errors
    /// `overloaded` when its caller has as many as he may, `journal-unavailable`.
    pub async fn begin(&self, request: Request) -> Result<TaskShown, Failure> {
        let inner = &self.inner;
        let (call, opened) = inner.dispatcher.enlist(&request).await?;
        let added = self.add(&request, call).await;
        let (Err(_), Some(opened)) = (&added, &opened) else {
            return added.inspect(|shown| self.drive(shown.id, call, request));
        };
        inner.recovery.unspend(opened).await;
        added
    }

    async fn add(&self, request: &Request, call: CallId) -> Result<TaskShown, Failure> {
        let inner = &self.inner;
        let now = inner.recovery.now();
        let TaskSettings { ttl, max_open: max } = inner.recovery.task_settings();
        let kept = Kept {
            arguments: request.arguments.clone(),
            meta: request.meta.clone(),
            correlation_id: request.correlation_id.clone(),
            client: request.client,
            access: request.access.clone(),
            key: request.asked.key.clone(),
            durable: request.asked.durable,
            priority: request.asked.priority,
            given: request.given.clone(),
        };
        let id = TaskId::random();
        let task = Task {
            id,
            caller: request.caller.clone(),
            call,
            tool: request.tool.clone(),
            request: inner.recovery.seal_task(id, &kept)?,
            state: TaskState::Working,
            epoch: 0,
            asking: None,
            end: None,
            created: now,
            updated: now,
            expires: now.plus(ttl),
            attended: true,
        };
        let shown = shown(&task, TaskShownState::Working(None));
        let added = inner.recovery.journal().add_task(task, max).await;
        if !added.map_err(|error| unavailable(&error))? {
            let text =
                format!("this caller has {max} tasks that have not ended; wait for some, or cancel them");
            return Err(Failure::new(FailureKind::Overloaded, text).retry_after(Duration::from_secs(5)));
        }
        Ok(shown)
    }

    /// A task of this caller; none when there is none.
    ///
    /// # Errors
    /// `journal-unavailable`.
    pub async fn get(&self, id: TaskId, by: By<'_>) -> Result<Option<TaskShown>, Failure> {
        match self.mine(id, by).await? {
            Some(task) => self.look(task).await.map(Some),
            None => Ok(None),
        }
    }

    /// Answer what a task asks, or some of it. What it does not ask, and what does not fit, is left out. False when there is
    /// no such task.
    ///
    /// # Errors
    /// `journal-unavailable`.
    pub async fn answer(
        &self,
        id: TaskId,
        by: By<'_>,
        given: BTreeMap<String, Value>,
    ) -> Result<bool, Failure> {
        let inner = &self.inner;
        for _ in 0..TRIES {
            let Some(task) = self.mine(id, by).await? else { return Ok(false) };
            let Some(mut open) = self.open(&task)? else { return Ok(true) };
            let before = open.answers.len();
            for question in &open.questions {
                let one = std::slice::from_ref(question);
                if !open.answers.contains_key(&question.key) && asking::all_answered(one, &given) {
                    open.answers.insert(question.key.clone(), given[&question.key].clone());
                }
            }
            if open.answers.len() == before {
                return Ok(true);
            }
            let all = open.answers.len() == open.questions.len();
            if !all {
                let change = TaskChange::Answer(inner.recovery.seal_task(id, &open)?);
                if self.change(&task, change).await? {
                    return Ok(true);
                }
                continue;
            }
            let mut kept: Kept = inner.recovery.open_task(id, &task.request)?;
            // What counts is what he may do now.
            kept.access = by.1.clone();
            kept.given = Some(Given { state: Some(open.state), answers: open.answers });
            if self.go_on(&task, kept).await? {
                return Ok(true);
            }
        }
        Err(busy())
    }

    /// Give a task up. A durable call that runs already is let run. False when there is no such task.
    ///
    /// # Errors
    /// `journal-unavailable`.
    pub async fn cancel(&self, id: TaskId, by: By<'_>) -> Result<bool, Failure> {
        let inner = &self.inner;
        for _ in 0..TRIES {
            let Some(task) = self.mine(id, by).await? else { return Ok(false) };
            if task.state.is_end() {
                return Ok(true);
            }
            let record = inner.recovery.record(task.call).await.map_err(|error| unavailable(&error))?;
            let durable = record.filter(|record| record.delivery == Delivery::Durable || record.is_letter());
            match durable.map(|record| record.state) {
                Some(State::Running | State::RollingBack) => return Ok(true),
                Some(State::Waiting | State::Parked) => {
                    let by = format!("task of {}", by.0.as_str());
                    let discarded =
                        inner.recovery.journal().discard(task.call, by, inner.recovery.now()).await;
                    discarded.map_err(|error| unavailable(&error))?;
                }
                _ => {}
            }
            if self.change(&task, TaskChange::Cancel).await? {
                if let Some(cancel) = inner.running().remove(&id) {
                    cancel.cancel();
                }
                return Ok(true);
            }
        }
        Err(busy())
    }

    /// Take a task into this process, and run its call. False when others have changed it.
    async fn go_on(&self, task: &Task, kept: Kept) -> Result<bool, Failure> {
        let change = TaskChange::GoOn(self.inner.recovery.seal_task(task.id, &kept)?);
        let mine = self.change(task, change).await?;
        if mine {
            self.drive(task.id, task.call, kept.request(task));
        }
        Ok(mine)
    }

    /// Run the call of a task, and write down what comes of it.
    fn drive(&self, id: TaskId, call: CallId, request: Request) {
        let cancel = CancellationToken::new();
        self.inner.running().insert(id, cancel.clone());
        let gives_up = cancel.clone();
        let request = Request {
            id: Some(call),
            asked: Asked { task: true, ..request.asked },
            // Nobody listens: the client has its answer.
            link: Arc::new(NoClient),
            client: ClientFeatures { progress: false, ..request.client },
            cancel: gives_up,
            ..request
        };
        let this = self.clone();
        let work = async move {
            let call = this.inner.dispatcher.call(request);
            tokio::pin!(call);
            let response = loop {
                tokio::select! {
                    response = &mut call => break response,
                    // The journal is all that processes share.
                    () = tokio::time::sleep(LOOK), if !cancel.is_cancelled() => {
                        if this.given_up(id).await {
                            cancel.cancel();
                        }
                    }
                }
            };
            this.settle(id, response).await;
            this.inner.running().remove(&id);
        };
        drop(self.inner.dispatcher.track(work.instrument(tracing::info_span!("task"))));
    }

    /// Whether a client has given the task up, through whichever process.
    async fn given_up(&self, id: TaskId) -> bool {
        let found = self.inner.recovery.journal().task(id).await;
        found.ok().flatten().is_some_and(|task| task.state == TaskState::Cancelled)
    }

    async fn settle(&self, id: TaskId, response: Response) {
        let mut response = response;
        let change = match response.asked.take() {
            Some(asked) => self.asks(id, asked),
            // It was turned away before it began; the next process runs it.
            None if response
                .result
                .as_ref()
                .is_err_and(|failure| failure.kind == FailureKind::ShuttingDown) =>
            {
                return;
            }
            // The queue has it now.
            None if response.standing.as_ref().is_some_and(Standing::goes_on) => return,
            None => Ok(TaskChange::End((self.inner.ended)(response))),
        };
        let change = match change {
            Ok(change) => change,
            Err(failure) => {
                tracing::error!(reason = failure.message, "what a task asks cannot be kept");
                let task = self.inner.recovery.journal().task(id).await;
                let Ok(Some(task)) = task else { return };
                TaskChange::End((self.inner.ended)(told(&task, Err(failure), None)))
            }
        };
        // A full disk, say, may have room again: until then the task counts as one that runs here.
        let mut pause = Duration::from_millis(100);
        while let Err(failure) = self.write(id, change.clone()).await {
            tracing::warn!(reason = failure.message, "how a task went on cannot be written down now");
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(15));
        }
    }

    async fn write(&self, id: TaskId, change: TaskChange) -> Result<(), Failure> {
        for _ in 0..TRIES {
            let found = self.inner.recovery.journal().task(id).await.map_err(|error| unavailable(&error))?;
            let Some(task) = found.filter(|task| !task.state.is_end()) else { return Ok(()) };
            if self.change(&task, change.clone()).await? {
                return Ok(());
            }
        }
        Err(busy())
    }

    fn asks(&self, id: TaskId, asked: Asking) -> Result<TaskChange, Failure> {
        let until = self.inner.recovery.now().plus(asked.within).0;
        let open = Open { questions: asked.questions, state: asked.state, until, answers: BTreeMap::new() };
        Ok(TaskChange::Ask(self.inner.recovery.seal_task(id, &open)?))
    }

    /// What a task is now. What nobody wrote down is found out by its call.
    async fn look(&self, task: Task) -> Result<TaskShown, Failure> {
        let inner = &self.inner;
        match task.state {
            TaskState::Ended => {
                let end = task.end.clone().unwrap_or_default();
                return Ok(shown(&task, TaskShownState::Ended(end)));
            }
            TaskState::Cancelled => return Ok(shown(&task, TaskShownState::Cancelled)),
            TaskState::Asking => {
                if let Some(open) = self.open(&task)? {
                    let left = open.questions.into_iter().filter(|q| !open.answers.contains_key(&q.key));
                    return Ok(shown(&task, TaskShownState::Asking(left.collect())));
                }
                let failure =
                    Failure::new(FailureKind::InputRequired, "nobody answered in time what the tool asks");
                return self.ends(task, Err(failure), None).await;
            }
            TaskState::Working => {}
        }
        let record = inner.recovery.record(task.call).await.map_err(|error| unavailable(&error))?;
        let goes_on = record.as_ref().is_some_and(|record| {
            matches!(record.state, State::Running | State::Waiting | State::RollingBack)
        });
        let here = inner.running().contains_key(&task.id);
        // Not begun yet, in this round or at all: the process that is to do it lives.
        let begins = record
            .as_ref()
            .is_none_or(|record| record.state == State::Failed && asks(record.problem.as_ref()));
        if here || goes_on || (task.attended && begins) {
            let problem = record.as_ref().and_then(|record| record.problem.as_ref());
            let word =
                problem.filter(|_| goes_on).map(|problem| format!("{}: {}", problem.kind, problem.message));
            return Ok(shown(&task, TaskShownState::Working(word)));
        }
        if begins {
            // Its process died before it had begun: nothing took effect, and nothing is in the way of doing it now.
            let kept: Kept = inner.recovery.open_task(task.id, &task.request)?;
            tracing::info!(call_id = %task.call, "a task whose process died before its call began is run");
            self.go_on(&task, kept).await?;
            return Ok(shown(&task, TaskShownState::Working(None)));
        }
        let (result, standing) = ended(record.as_ref(), inner.recovery.now());
        self.ends(task, result, standing).await
    }

    /// Write down an end that was found out.
    async fn ends(
        &self,
        task: Task,
        result: Result<Reply, Failure>,
        standing: Option<Standing>,
    ) -> Result<TaskShown, Failure> {
        let end = (self.inner.ended)(told(&task, result, standing));
        self.change(&task, TaskChange::End(end)).await?;
        // Somebody else may have been first.
        let found = self.inner.recovery.journal().task(task.id).await.map_err(|error| unavailable(&error))?;
        let state = match found.as_ref().map(|task| (task.state, task.end.clone())) {
            Some((TaskState::Ended, Some(end))) => TaskShownState::Ended(end),
            Some((TaskState::Cancelled, _)) => TaskShownState::Cancelled,
            _ => TaskShownState::Working(None),
        };
        Ok(shown(found.as_ref().unwrap_or(&task), state))
    }

    /// A task is its caller's, as long as his scopes reach its tool.
    async fn mine(&self, id: TaskId, (caller, access): By<'_>) -> Result<Option<Task>, Failure> {
        let found = self.inner.recovery.journal().task(id).await.map_err(|error| unavailable(&error))?;
        Ok(found.filter(|task| task.caller == *caller && reaches(access, &task.tool).is_ok()))
    }

    /// What a task asks; none when it asks nothing, or its time is over.
    fn open(&self, task: &Task) -> Result<Option<Open>, Failure> {
        let Some(sealed) = task.asking.as_deref().filter(|_| task.state == TaskState::Asking) else {
            return Ok(None);
        };
        let open: Open = self.inner.recovery.open_task(task.id, sealed)?;
        Ok((self.inner.recovery.now() < Timestamp(open.until)).then_some(open))
    }

    async fn change(&self, task: &Task, change: TaskChange) -> Result<bool, Failure> {
        let recovery = &self.inner.recovery;
        let changed = recovery.journal().change_task(task.id, task.epoch, change, recovery.now()).await;
        changed.map_err(|error| unavailable(&error))
    }
}

impl Inner {
    fn running(&self) -> std::sync::MutexGuard<'_, HashMap<TaskId, CancellationToken>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What of a task's request is kept nowhere else: what its client can do, and its answers.
pub(crate) fn client(recovery: &Recovery, task: &Task) -> Result<(ClientFeatures, Option<Given>), Failure> {
    let kept: Kept = recovery.open_task(task.id, &task.request)?;
    Ok((ClientFeatures { progress: false, ..kept.client }, kept.given))
}

impl Kept {
    fn request(self, task: &Task) -> Request {
        Request {
            id: Some(task.call),
            tool: task.tool.clone(),
            arguments: self.arguments,
            meta: self.meta,
            correlation_id: self.correlation_id,
            caller: task.caller.clone(),
            access: self.access,
            client: self.client,
            link: Arc::new(NoClient),
            cancel: CancellationToken::new(),
            parent: None,
            asked: Asked {
                key: self.key,
                durable: self.durable,
                priority: self.priority,
                ..Asked::default()
            },
            given: self.given,
            resume: None,
        }
    }
}

fn busy() -> Failure {
    let text = "the task is being changed by others; try again";
    Failure::new(FailureKind::Overloaded, text).retry_after(Duration::from_millis(100))
}
