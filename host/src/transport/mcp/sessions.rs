//! Telling clients that something has changed. Those of the revisions before 2026-07-28 are told over their sessions without
//! having asked, but for resources; those of 2026-07-28 over streams that they open for it.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rmcp::{
    ErrorData, Peer, RoleServer, model::ResourceUpdatedNotificationParam, service::SubscriptionContext,
};
use skillhost_core::Catalog;
use tokio::sync::{
    broadcast::{self, error::RecvError},
    watch,
};

use super::link::Listening;

/// Changes after one that clients were told of are told together, after this long: each costs them a listing.
const WINDOW: Duration = Duration::from_millis(250);
/// Resources that one client may listen to at once.
const MAX_SUBSCRIPTIONS: usize = 1_000;
/// Bytes of a URI; no resource has a longer one.
const MAX_URI: usize = 2 << 10;

/// What a session of an older era has said of itself.
#[derive(Default)]
pub(super) struct Session {
    pub(super) listening: Listening,
    subscribed: Mutex<BTreeSet<String>>,
    /// Made before a stream is acknowledged, so that nothing falls between that and its first look.
    early: Mutex<VecDeque<News>>,
}

/// Streams that may be about to be acknowledged on one connection.
const EARLY: usize = 64;

impl Session {
    pub(super) fn subscribe(&self, uri: String) -> Result<(), ErrorData> {
        if uri.len() > MAX_URI {
            return Err(ErrorData::invalid_params(format!("a URI has at most {MAX_URI} bytes"), None));
        }
        let mut subscribed = self.subscribed.lock().unwrap_or_else(PoisonError::into_inner);
        if subscribed.len() >= MAX_SUBSCRIPTIONS && !subscribed.contains(&uri) {
            let text = format!("a session has at most {MAX_SUBSCRIPTIONS} subscriptions");
            return Err(ErrorData::invalid_params(text, None));
        }
        subscribed.insert(uri);
        Ok(())
    }

    pub(super) fn unsubscribe(&self, uri: &str) {
        self.subscribed.lock().unwrap_or_else(PoisonError::into_inner).remove(uri);
    }

    /// A stream is about to be acknowledged.
    pub(super) fn expect(&self, sources: &Sources) {
        let mut early = self.early.lock().unwrap_or_else(PoisonError::into_inner);
        // One that came to nothing is left over.
        early.truncate(EARLY - 1);
        early.push_back(News::new(sources));
    }

    /// Which of these it listens to.
    fn wants(&self, uris: &BTreeSet<Arc<str>>) -> Vec<String> {
        let subscribed = self.subscribed.lock().unwrap_or_else(PoisonError::into_inner);
        if subscribed.is_empty() {
            return vec![];
        }
        uris.iter().filter(|uri| subscribed.contains(&***uri)).map(|uri| (**uri).to_owned()).collect()
    }
}

/// Sessions of the older eras.
#[derive(Default)]
pub(super) struct Sessions(Mutex<Vec<(Peer<RoleServer>, Arc<Session>)>>);

impl Sessions {
    pub(super) fn add(&self, peer: Peer<RoleServer>, session: Arc<Session>) {
        let mut sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.retain(|(peer, _)| !peer.is_transport_closed());
        sessions.push((peer, session));
    }

    fn open(&self) -> Vec<(Peer<RoleServer>, Arc<Session>)> {
        let mut sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.retain(|(peer, _)| !peer.is_transport_closed());
        sessions.clone()
    }
}

/// What clients can be told of.
#[derive(Clone)]
pub(crate) struct Sources {
    pub(crate) catalog: watch::Receiver<Arc<Catalog>>,
    pub(crate) updates: broadcast::Sender<Arc<str>>,
}

/// What has changed since somebody was last told.
struct News {
    catalog: watch::Receiver<Arc<Catalog>>,
    updates: broadcast::Receiver<Arc<str>>,
    /// Revisions that were told: tools, prompts, resources.
    told: [u64; 3],
    /// Resources that have changed since.
    updated: BTreeSet<Arc<str>>,
    /// So many that some were missed: then all may have changed.
    missed: bool,
}

/// News to tell.
struct Item {
    tools: bool,
    prompts: bool,
    resources: bool,
    updated: BTreeSet<Arc<str>>,
    missed: bool,
}

impl News {
    fn new(sources: &Sources) -> Self {
        let mut catalog = sources.catalog.clone();
        let told = revisions(&catalog.borrow_and_update());
        let updates = sources.updates.subscribe();
        Self { catalog, updates, told, updated: BTreeSet::new(), missed: false }
    }

    /// The next item; none when the host ends.
    async fn next(&mut self) -> Option<Item> {
        loop {
            tokio::select! {
                changed = self.catalog.changed() => changed.ok()?,
                updated = self.updates.recv() => match updated {
                    Ok(uri) => { self.updated.insert(uri); }
                    Err(RecvError::Lagged(_)) => self.missed = true,
                    Err(RecvError::Closed) => return None,
                },
            }
            self.gather();
            let now = revisions(&self.catalog.borrow_and_update());
            let before = std::mem::replace(&mut self.told, now);
            let [tools, prompts, resources] = std::array::from_fn(|n| now[n] != before[n]);
            let (updated, missed) = (std::mem::take(&mut self.updated), std::mem::take(&mut self.missed));
            if tools || prompts || resources || missed || !updated.is_empty() {
                return Some(Item { tools, prompts, resources, updated, missed });
            }
        }
    }

    /// Take all updates that wait.
    fn gather(&mut self) {
        loop {
            match self.updates.try_recv() {
                Ok(uri) => {
                    self.updated.insert(uri);
                }
                Err(broadcast::error::TryRecvError::Lagged(_)) => self.missed = true,
                Err(_) => return,
            }
        }
    }
}

fn revisions(catalog: &Catalog) -> [u64; 3] {
    [catalog.revision, catalog.prompts_revision, catalog.resources_revision]
}

/// Tell sessions of the older eras, until the host ends.
pub(super) async fn tell(sessions: Arc<super::Inner>, sources: Sources) {
    let mut news = News::new(&sources);
    drop(sources);
    while let Some(Item { tools, prompts, resources, updated, missed }) = news.next().await {
        for (peer, session) in sessions.sessions.open() {
            let uris = if missed { session.all() } else { session.wants(&updated) };
            // Each on its own: one that does not read must not keep the others from hearing.
            tokio::spawn(async move {
                if tools {
                    peer.notify_tool_list_changed().await?;
                }
                if prompts {
                    peer.notify_prompt_list_changed().await?;
                }
                if resources {
                    peer.notify_resource_list_changed().await?;
                }
                for uri in uris {
                    peer.notify_resource_updated(ResourceUpdatedNotificationParam::new(uri)).await?;
                }
                Ok::<_, rmcp::service::ServiceError>(())
            });
        }
        tokio::time::sleep(WINDOW).await;
    }
}

impl Session {
    fn all(&self) -> Vec<String> {
        self.subscribed.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

/// Serve one stream of a client of 2026-07-28.
pub(super) async fn listen(
    cx: &SubscriptionContext,
    session: &Session,
    sources: &Sources,
) -> Result<(), ErrorData> {
    let early = session.early.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    let mut news = early.unwrap_or_else(|| News::new(sources));
    let accepted = cx.accepted().clone();
    let access = super::link::identity(&cx.request_context().extensions).access;
    let wanted = accepted.resource_subscriptions.into_iter().flatten();
    let wanted: BTreeSet<String> = wanted.filter(|uri| access.allows(uri)).collect();
    loop {
        let item = tokio::select! {
            () = cx.cancelled() => return Ok(()),
            item = news.next() => item,
        };
        let Some(item) = item else { return Ok(()) };
        let sink = cx.sink();
        // What was not asked for the sink leaves out; a stream that cannot be written is cancelled by rmcp.
        if item.tools && accepted.tools_list_changed == Some(true) {
            let _ = sink.notify_tool_list_changed().await;
        }
        if item.prompts && accepted.prompts_list_changed == Some(true) {
            let _ = sink.notify_prompt_list_changed().await;
        }
        if item.resources && accepted.resources_list_changed == Some(true) {
            let _ = sink.notify_resource_list_changed().await;
        }
        for uri in wanted.iter().filter(|uri| item.missed || item.updated.contains(uri.as_str())) {
            let _ = sink.notify_resource_updated(uri.clone()).await;
        }
        tokio::select! {
            () = cx.cancelled() => return Ok(()),
            () = tokio::time::sleep(WINDOW) => {}
        }
    }
}
