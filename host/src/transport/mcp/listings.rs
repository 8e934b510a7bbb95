//! What clients list, one page at a time.

use std::sync::{Arc, Mutex, PoisonError};

use rmcp::{
    ErrorData,
    model::{
        CacheScope, ListPromptsResult, ListResourceTemplatesResult, ListResourcesResult, ListToolsResult,
        PaginatedRequestParams, Prompt, Resource, ResourceTemplate, Tool,
    },
};
use skillhost_core::{Access, Catalog};
use skillhost_pipeline::is_own;

use crate::transport::wording;

/// Entries of one page.
const PAGE: usize = 500;
/// How long clients may keep a listing that they cannot be told to drop.
const TTL_MS: u64 = 60_000;

/// A listing of one revision of the catalog.
struct Kept<T>(Mutex<(u64, Arc<Vec<T>>)>);

impl<T> Default for Kept<T> {
    fn default() -> Self {
        // No catalog has this revision.
        Self(Mutex::new((u64::MAX, Arc::default())))
    }
}

impl<T> Kept<T> {
    fn get(&self, revision: u64, list: impl FnOnce() -> Vec<T>) -> Arc<Vec<T>> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.0 != revision {
            *kept = (revision, Arc::new(list()));
        }
        Arc::clone(&kept.1)
    }
}

/// All listings, made anew when something of them has changed.
#[derive(Default)]
pub(super) struct Listings {
    tools: Kept<Tool>,
    prompts: Kept<Prompt>,
    resources: Kept<Resource>,
    templates: Kept<ResourceTemplate>,
}

type Asked = Option<PaginatedRequestParams>;

impl Listings {
    fn all_tools(&self, catalog: &Catalog) -> Arc<Vec<Tool>> {
        self.tools.get(catalog.revision, || wording::tools(catalog))
    }

    /// A tool by its full name.
    pub(super) fn tool(&self, catalog: &Catalog, name: &str) -> Option<Tool> {
        let all = self.all_tools(catalog);
        let at = all.binary_search_by(|tool| (*tool.name).cmp(name)).ok()?;
        Some(all[at].clone())
    }

    pub(super) fn tools(
        &self,
        catalog: &Catalog,
        access: &Access,
        asked: Asked,
    ) -> Result<ListToolsResult, ErrorData> {
        let (tools, next_cursor) = page(&self.all_tools(catalog), access, asked, |tool| &tool.name)?;
        let result = ListToolsResult { tools, next_cursor, ..Default::default() };
        Ok(result.with_ttl_ms(TTL_MS).with_cache_scope(scope(access)))
    }

    pub(super) fn prompts(
        &self,
        catalog: &Catalog,
        access: &Access,
        asked: Asked,
    ) -> Result<ListPromptsResult, ErrorData> {
        let all = self.prompts.get(catalog.prompts_revision, || wording::prompts(catalog));
        let (prompts, next_cursor) = page(&all, access, asked, |prompt| &prompt.name)?;
        let result = ListPromptsResult { prompts, next_cursor, ..Default::default() };
        Ok(result.with_ttl_ms(TTL_MS).with_cache_scope(scope(access)))
    }

    pub(super) fn resources(
        &self,
        catalog: &Catalog,
        access: &Access,
        asked: Asked,
    ) -> Result<ListResourcesResult, ErrorData> {
        let all = self.resources.get(catalog.resources_revision, || wording::resources(catalog));
        let (resources, next_cursor) = page(&all, access, asked, |resource| &resource.uri)?;
        let result = ListResourcesResult { resources, next_cursor, ..Default::default() };
        Ok(result.with_ttl_ms(TTL_MS).with_cache_scope(scope(access)))
    }

    pub(super) fn templates(
        &self,
        catalog: &Catalog,
        access: &Access,
        asked: Asked,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        let all = self.templates.get(catalog.resources_revision, || wording::templates(catalog));
        let (resource_templates, next_cursor) = page(&all, access, asked, |template| &template.uri_template)?;
        let result = ListResourceTemplatesResult { resource_templates, next_cursor, ..Default::default() };
        Ok(result.with_ttl_ms(TTL_MS).with_cache_scope(scope(access)))
    }
}

/// Who may keep a listing: it is the same for everybody where nobody is asked who he is.
fn scope(access: &Access) -> CacheScope {
    if access.is_full() { CacheScope::Public } else { CacheScope::Private }
}

/// One page of what of `all`, which is in the order of its names, a caller may use, and the cursor of the next. The cursor is
/// the last name of the page before: it stays good when entries come and go.
fn page<T: Clone>(
    all: &[T],
    access: &Access,
    asked: Asked,
    name: impl Fn(&T) -> &str,
) -> Result<(Vec<T>, Option<String>), ErrorData> {
    let after = asked.and_then(|asked| asked.cursor);
    if after.as_deref().is_some_and(|after| after.is_empty() || after.len() > 4 << 10) {
        return Err(ErrorData::invalid_params("`cursor` is not one of this host", None));
    }
    let start = after.as_deref().map_or(0, |after| all.partition_point(|entry| name(entry) <= after));
    let mut rest = all[start..].iter().filter(|entry| access.allows(name(entry)) || is_own(name(entry)));
    let page: Vec<T> = rest.by_ref().take(PAGE).cloned().collect();
    let next = page.last().filter(|_| rest.next().is_some()).map(|entry| name(entry).to_owned());
    Ok((page, next))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(all: &[String], cursor: Option<String>) -> (Vec<String>, Option<String>) {
        let mut asked = PaginatedRequestParams::default();
        asked.cursor = cursor;
        page(all, &Access::default(), Some(asked), |name| name).unwrap()
    }

    #[test]
    fn pages_miss_nothing_and_repeat_nothing_while_entries_come_and_go() {
        let all: Vec<String> = (0..1_200).map(|n| format!("t{n:04}")).collect();
        let (first, cursor) = after(&all, None);
        assert_eq!((first.len(), cursor.as_deref()), (PAGE, Some("t0499")));
        // The last one of the page is gone, another has come before it.
        let mut changed = all.clone();
        changed.retain(|name| name != "t0499");
        changed.insert(0, "a".into());
        let (second, cursor) = after(&changed, cursor);
        assert_eq!((second[0].as_str(), second.len()), ("t0500", PAGE));
        let (third, cursor) = after(&changed, cursor);
        assert_eq!((third.len(), cursor), (200, None));
        let few = Access::to(vec!["t000*".into(), "t119*".into()]);
        let (seen, cursor) = page(&all, &few, None, |name| name).unwrap();
        assert_eq!((seen.len(), cursor), (20, None), "what may not be used is not there");
        let mut strange = PaginatedRequestParams::default();
        strange.cursor = Some(String::new());
        assert!(page(&all, &Access::default(), Some(strange), |name| name).is_err());
    }
}
