//! The MCP server: rmcp's handler on top of the dispatcher. Knows nothing of skills.
#![allow(deprecated, reason = "the protocol has deprecated log lines, sampling and roots; clients use them")]

mod ask;
mod direct;
mod link;
mod listings;
mod malformed;
mod requests;
mod sessions;
mod tasks;
mod watch;

use std::{collections::BTreeMap, sync::Arc};

use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{
        CallToolRequestParams, CallToolResponse, CancelTaskParams, CompleteRequestParams, CompleteResult,
        CustomRequest, CustomResult, GetPromptRequestParams, GetPromptResponse, GetTaskParams, GetTaskResult,
        Implementation, ListPromptsResult, ListResourceTemplatesResult, ListResourcesResult, ListToolsResult,
        PaginatedRequestParams, ReadResourceRequestParams, ReadResourceResponse, Reference,
        ServerCapabilities, ServerConfig, SetLevelRequestParams, SubscribeRequestParams, SubscriptionFilter,
        Tool, UnsubscribeRequestParams, UpdateTaskParams,
    },
    service::{NotificationContext, RequestContext, SubscriptionContext},
};
use serde_json::{Map, Value, json};
use skillhost_core::{Completing, Subject};
use skillhost_pipeline::{Dispatcher, Tasks, Wanted};

use super::{auth::Identity, reply};
use crate::app::App;
pub(crate) use direct::Direct;
use link::Origin;
use listings::Listings;
pub(crate) use sessions::Sources;
use sessions::{Session, Sessions};
pub(crate) use tasks::ended;
use watch::{Asked, Watch};

/// In the server's capabilities: what calls can be taken back with.
const UNDO_EXTENSION: &str = "skillhost/undo";

/// Cheap to clone. Every session and request shares the same state, but for what a session has said of itself.
pub(crate) struct McpServer {
    inner: Arc<Inner>,
    session: Arc<Session>,
}

struct Inner {
    dispatcher: Arc<Dispatcher>,
    watch: Watch,
    tasks: Tasks,
    info: ServerConfig,
    /// What each answer without a session says of the server.
    told_info: Value,
    listings: Listings,
    sources: Sources,
    /// Clients of the revisions before 2026-07-28, which are told of changes without having asked.
    sessions: Sessions,
}

impl McpServer {
    /// A server, and the task that tells clients of changes.
    pub(crate) fn start(app: &App) -> Self {
        let (dispatcher, sources, tasks) = (Arc::clone(&app.dispatcher), app.sources(), app.tasks());
        let inner = Arc::new(Inner {
            // The host's own tools are there from the start.
            info: info(dispatcher.catalog().tools.contains_key("saga_begin")),
            told_info: serde_json::to_value(implementation()).unwrap_or_default(),
            watch: Watch::new(app),
            dispatcher,
            tasks,
            listings: Listings::default(),
            sources: sources.clone(),
            sessions: Sessions::default(),
        });
        tokio::spawn(sessions::tell(Arc::clone(&inner), sources));
        Self { inner, session: Arc::default() }
    }

    /// For another session, or another request that belongs to none.
    pub(crate) fn another(&self) -> Self {
        Self { inner: Arc::clone(&self.inner), session: Arc::default() }
    }
}

/// What the server says of itself.
fn info(sagas: bool) -> ServerConfig {
    // Of all kinds, since skills that offer them may come while clients are connected.
    let mut capabilities = ServerCapabilities::builder()
        .enable_tools()
        .enable_tool_list_changed()
        .enable_prompts()
        .enable_prompts_list_changed()
        .enable_resources()
        .enable_resources_list_changed()
        .enable_resources_subscribe()
        .enable_completions()
        .enable_logging()
        .enable_tasks()
        .build();
    let mut instructions = String::from(
        "Tools of sandboxed skills. A failed call says in its text whether to mend the arguments, to try again and when, or not \
         to retry. A call that was accepted goes on by itself: do not repeat it, ask `call_status` with its id.",
    );
    if sagas {
        // A client can see that calls can be rolled back, before it makes one.
        let undo = json!({"undo": "undo_call", "sagas": ["saga_begin", "saga_call", "saga_commit", "saga_rollback"]});
        let undo = undo.as_object().cloned().unwrap_or_default();
        capabilities.extensions.get_or_insert_default().insert(UNDO_EXTENSION.to_owned(), undo);
        instructions.push_str(
            " Tools whose `_meta` has `skillhost/undoable` can be undone with `undo_call`. For a task of several steps that must \
             not stay half done, use `saga_begin`, `saga_call`, and `saga_commit` or `saga_rollback`.",
        );
    }
    ServerConfig::new(capabilities).with_server_info(implementation()).with_instructions(instructions)
}

fn implementation() -> Implementation {
    Implementation::new("skillhost", env!("CARGO_PKG_VERSION"))
}

impl ServerHandler for McpServer {
    fn get_info(&self) -> ServerConfig {
        self.inner.info.clone()
    }

    async fn list_tools(
        &self,
        request: Option<PaginatedRequestParams>,
        cx: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        self.inner
            .watch
            .told(
                Asked { method: "tools/list", tool: None },
                &cx,
                Box::pin(async {
                    let access = link::identity(&cx.extensions).access;
                    self.inner.listings.tools(&*self.inner.dispatcher.settled().await, &access, request)
                }),
            )
            .await
    }

    async fn list_prompts(
        &self,
        request: Option<PaginatedRequestParams>,
        cx: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        self.inner
            .watch
            .told(
                Asked { method: "prompts/list", tool: None },
                &cx,
                Box::pin(async {
                    let access = link::identity(&cx.extensions).access;
                    self.inner.listings.prompts(&*self.inner.dispatcher.settled().await, &access, request)
                }),
            )
            .await
    }

    async fn list_resources(
        &self,
        request: Option<PaginatedRequestParams>,
        cx: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        self.inner
            .watch
            .told(
                Asked { method: "resources/list", tool: None },
                &cx,
                Box::pin(async {
                    let access = link::identity(&cx.extensions).access;
                    self.inner.listings.resources(&*self.inner.dispatcher.settled().await, &access, request)
                }),
            )
            .await
    }

    async fn list_resource_templates(
        &self,
        request: Option<PaginatedRequestParams>,
        cx: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        self.inner
            .watch
            .told(
                Asked { method: "resources/templates/list", tool: None },
                &cx,
                Box::pin(async {
                    let access = link::identity(&cx.extensions).access;
                    self.inner.listings.templates(&*self.inner.dispatcher.settled().await, &access, request)
                }),
            )
            .await
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        self.inner.listings.tool(&self.inner.dispatcher.catalog(), name)
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        cx: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let tool = request.name.clone().into_owned();
        self.inner
            .watch
            .told(
                Asked { method: "tools/call", tool: Some(&tool) },
                &cx,
                Box::pin(async {
                    let (link, back) = link::link(&cx, &self.session.listening);
                    let made = async |request| self.called((request, back), &cx).await;
                    self.answered(request, Origin::of(&cx), link, made).await
                }),
            )
            .await
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        cx: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        self.inner
            .watch
            .told(
                Asked { method: "prompts/get", tool: None },
                &cx,
                Box::pin(async {
                    let arguments: Map<String, Value> = request.arguments.unwrap_or_default();
                    let given = ask::given(request.input_responses, request.request_state);
                    let wanted = Wanted::Prompt { name: request.name, arguments };
                    let mut response = self.served(wanted, given, &cx).await?;
                    match response.asked.take() {
                        Some(asking) => {
                            Ok(ask::required(asking, (response.id, &response.correlation_id))?.into())
                        }
                        None => Ok(reply::prompt(response)?.into()),
                    }
                }),
            )
            .await
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        cx: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        self.inner
            .watch
            .told(
                Asked { method: "resources/read", tool: None },
                &cx,
                Box::pin(async {
                    let given = ask::given(request.input_responses, request.request_state);
                    let uri = request.uri;
                    let mut response = self.served(Wanted::Resource(uri.clone()), given, &cx).await?;
                    match response.asked.take() {
                        Some(asking) => {
                            Ok(ask::required(asking, (response.id, &response.correlation_id))?.into())
                        }
                        None => Ok(reply::resource(&uri, response)?.into()),
                    }
                }),
            )
            .await
    }

    async fn complete(
        &self,
        request: CompleteRequestParams,
        cx: RequestContext<RoleServer>,
    ) -> Result<CompleteResult, ErrorData> {
        self.inner
            .watch
            .told(
                Asked { method: "completion/complete", tool: None },
                &cx,
                Box::pin(async {
                    let subject = match request.r#ref {
                        Reference::Prompt(prompt) => Subject::Prompt(prompt.name),
                        Reference::Resource(resource) => Subject::Template(resource.uri),
                        // There is no other kind by the specification; rmcp only keeps the right to more.
                        _ => {
                            return Err(ErrorData::invalid_params(
                                "only prompts and resources have arguments",
                                None,
                            ));
                        }
                    };
                    let known: BTreeMap<_, _> =
                        request.context.and_then(|context| context.arguments).into_iter().flatten().collect();
                    let completing = Completing {
                        subject,
                        argument: request.argument.name,
                        value: request.argument.value,
                        known: known.into_iter().collect(),
                    };
                    reply::completion(self.served(Wanted::Completion(completing), None, &cx).await?)
                }),
            )
            .await
    }

    async fn set_level(
        &self,
        request: SetLevelRequestParams,
        cx: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        if link::is_stateless(&cx) {
            // Requests of this era say it for themselves.
            return Err(ErrorData::method_not_found::<rmcp::model::SetLevelRequestMethod>());
        }
        self.session.listening.from(request.level);
        Ok(())
    }

    async fn subscribe(
        &self,
        request: SubscribeRequestParams,
        cx: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        if !link::identity(&cx.extensions).access.allows(&request.uri) {
            return Err(ErrorData::invalid_params("the caller's scopes do not reach this resource", None));
        }
        self.session.subscribe(request.uri)
    }

    async fn unsubscribe(
        &self,
        request: UnsubscribeRequestParams,
        _cx: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.session.unsubscribe(&request.uri);
        Ok(())
    }

    async fn get_task(
        &self,
        request: GetTaskParams,
        cx: RequestContext<RoleServer>,
    ) -> Result<GetTaskResult, ErrorData> {
        let Identity { caller, access } = link::identity(&cx.extensions);
        self.inner
            .watch
            .told(
                Asked { method: "tasks/get", tool: None },
                &cx,
                Box::pin(tasks::get(&self.inner.tasks, &request.task_id, (&caller, &access))),
            )
            .await
    }

    async fn update_task(
        &self,
        request: UpdateTaskParams,
        cx: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        let Identity { caller, access } = link::identity(&cx.extensions);
        let (id, answers) = (request.task_id, request.input_responses);
        self.inner
            .watch
            .told(
                Asked { method: "tasks/update", tool: None },
                &cx,
                Box::pin(tasks::answer(&self.inner.tasks, &id, (&caller, &access), answers)),
            )
            .await
    }

    async fn cancel_task(
        &self,
        request: CancelTaskParams,
        cx: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        let Identity { caller, access } = link::identity(&cx.extensions);
        self.inner
            .watch
            .told(
                Asked { method: "tasks/cancel", tool: None },
                &cx,
                Box::pin(tasks::cancel(&self.inner.tasks, &request.task_id, (&caller, &access))),
            )
            .await
    }

    /// What rmcp could not read as a request it knows: another method, or one of ours with wrong parameters.
    async fn on_custom_request(
        &self,
        request: CustomRequest,
        cx: RequestContext<RoleServer>,
    ) -> Result<CustomResult, ErrorData> {
        Err(malformed::refused(request, link::is_stateless(&cx)))
    }

    async fn on_initialized(&self, cx: NotificationContext<RoleServer>) {
        self.inner.sessions.add(cx.peer, Arc::clone(&self.session));
    }

    fn accepted_subscription_filter(&self, requested: &SubscriptionFilter) -> Option<SubscriptionFilter> {
        self.session.expect(&self.inner.sources);
        Some(requested.supported_by(&self.inner.info.capabilities))
    }

    async fn listen(&self, cx: SubscriptionContext) -> Result<(), ErrorData> {
        sessions::listen(&cx, &self.session, &self.inner.sources).await
    }
}
