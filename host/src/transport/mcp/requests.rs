//! How a request becomes a call of the pipeline, whatever it came by, and how what comes of it is worded.

use std::sync::Arc;

use rmcp::{
    ErrorData, RoleServer,
    model::{CallToolRequestParams, CallToolResponse, MetaObject},
    service::RequestContext,
};
use skillhost_pipeline::{FeatureRequest, FeatureResponse, Given, Request, Response, Wanted};

use super::{
    McpServer, ask,
    link::{self, Back, Link, Origin, PROTOCOL_PREFIX},
    tasks::{self, Way},
};
use crate::transport::{auth::Identity, reply};

impl McpServer {
    /// Answer a call. `make` takes it through the pipeline.
    pub(super) async fn answered(
        &self,
        params: CallToolRequestParams,
        origin: Origin<'_>,
        link: Arc<Link>,
        make: impl AsyncFnOnce(Request) -> Result<Response, ErrorData>,
    ) -> Result<CallToolResponse, ErrorData> {
        let Origin { meta, identity: Identity { caller, access }, client, stateless, has_tasks, cancel } =
            origin;
        let request = Request {
            id: None,
            tool: params.name.into_owned(),
            arguments: params.arguments,
            meta: link::own_meta(meta),
            correlation_id: link::correlation_id(meta),
            caller,
            access,
            client,
            link,
            cancel,
            parent: None,
            asked: link::asked(meta)?,
            given: ask::given(params.input_responses, params.request_state),
            resume: None,
        };
        let support = self.inner.tasks.support(&request.tool, &request.asked).await;
        let again = request.given.as_ref().is_some_and(|given| given.state.is_some());
        let mut response = match tasks::way(support, has_tasks, again)? {
            Way::Wait => make(request).await?,
            Way::Task => match Box::pin(self.inner.tasks.begin(request)).await {
                Ok(shown) => return Ok(tasks::created(&shown).into()),
                // As any other call that is turned away.
                Err(failure) => Response::refused(failure),
            },
        };
        if let Some(asking) = response.asked.take() {
            return Ok(ask::required(asking, (response.id, &response.correlation_id))?.into());
        }
        let mut result = reply::to_mcp(response)?;
        if stateless && let Some(MetaObject(meta)) = &mut result.meta {
            // There was no handshake that could have said who answers.
            meta.insert([PROTOCOL_PREFIX, "serverInfo"].concat(), self.inner.told_info.clone());
        }
        Ok(result.into())
    }

    /// Make a call, and ask its client on the way where it must be asked there and then.
    pub(super) async fn called(
        &self,
        (request, back): (Request, Back),
        cx: &RequestContext<RoleServer>,
    ) -> Result<Response, ErrorData> {
        let dispatcher = &self.inner.dispatcher;
        // Boxed: it is some kilobytes, which every wrapper up to the transport would copy.
        if link::is_stateless(cx) || !can_ask(&request.client) {
            return Ok(back.beside(Box::pin(dispatcher.call(request))).await);
        }
        back.beside(Box::pin(async move {
            let again = request.clone();
            let mut response = dispatcher.call(request).await;
            while let Some(asking) = response.asked.take() {
                let given = Some(ask::ask(cx, asking).await?);
                response = dispatcher.call(Request { given, ..again.clone() }).await;
            }
            Ok(response)
        }))
        .await
    }

    /// The same for something that is no tool.
    pub(super) async fn served(
        &self,
        wanted: Wanted,
        given: Option<Given>,
        cx: &RequestContext<RoleServer>,
    ) -> Result<FeatureResponse, ErrorData> {
        let meta = &cx.meta.0.0;
        let (link, back) = link::link(cx, &self.session.listening);
        let Identity { caller, access } = link::identity(&cx.extensions);
        let request = FeatureRequest {
            wanted,
            meta: link::own_meta(meta),
            correlation_id: link::correlation_id(meta),
            caller,
            access,
            client: link::features(cx),
            link,
            cancel: cx.ct.clone(),
            given,
        };
        let dispatcher = &self.inner.dispatcher;
        let stateless = link::is_stateless(cx);
        back.beside(Box::pin(async move {
            let again = request.clone();
            let mut response = dispatcher.serve(request).await;
            while let Some(asking) = response.asked.take_if(|_| !stateless) {
                let given = Some(ask::ask(cx, asking).await?);
                response = dispatcher.serve(FeatureRequest { given, ..again.clone() }).await;
            }
            Ok(response)
        }))
        .await
    }
}

fn can_ask(client: &skillhost_core::ClientFeatures) -> bool {
    client.elicitation_form || client.elicitation_url || client.sampling || client.roots
}
