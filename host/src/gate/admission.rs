//! From an allow to what an adapter does with it. This is the one place where an admission is made.

use std::{net::IpAddr, sync::Arc};

use http::{HeaderMap, HeaderName, HeaderValue, header};
use scopegate_policy::{ClusterSource, Clusters, RouteInfo};
use uuid::Uuid;

use super::question::Question;
use crate::{
    Admission, Principal,
    authenticate::Authenticated,
    engine::Policy,
    headers::{
        self, CLUSTERS, CREDENTIAL, ORGANIZATION, REQUEST_ID, ROLES, SCOPES, SUBJECT, X_API_KEY,
    },
    limit::Taken,
    path,
    refusal::{limit_headers, uuid_value},
};

/// Cookies of the gate itself begin with this, behind an optional `__Host-` or `__Secure-`.
const COOKIE_PREFIX: &str = "scopegate";

/// The value of an identity header that has nothing to say: some proxies drop empty headers.
const NOTHING: HeaderValue = HeaderValue::from_static("-");

/// Everything that an allow rests on.
pub(super) struct Allowed<'a> {
    pub(super) request_id: Uuid,
    pub(super) client: IpAddr,
    pub(super) question: &'a Question<'a>,
    /// That has decided.
    pub(super) policy: &'a Arc<Policy>,
    pub(super) route: Option<&'a RouteInfo>,
    pub(super) authenticated: Option<Authenticated>,
    /// The caller's roles that are in force.
    pub(super) roles: Vec<String>,
    /// Already bounded.
    pub(super) visible: Clusters,
    pub(super) limit: Taken,
    pub(super) forward_credentials: bool,
    /// The headers that the policy reads.
    pub(super) declared: &'a [HeaderName],
}

/// Lets a request through.
pub(super) fn admit(allowed: Allowed<'_>) -> Arc<Admission> {
    let Allowed {
        request_id,
        question,
        route,
        authenticated,
        roles,
        visible,
        limit,
        ..
    } = allowed;
    let expires_at = authenticated
        .as_ref()
        .and_then(|authenticated| authenticated.token_expires_at);
    let principal = authenticated.map(|authenticated| authenticated.principal);
    let id = uuid_value(request_id);
    let mut identity = identity(principal.as_deref(), &visible, id.clone());
    let cluster = route.map(|route| &route.cluster);
    // What the policy judged is what the upstream reads, an agent's own cluster where it named none.
    let own = principal
        .as_ref()
        .and_then(|principal| principal.caller.agent_cluster.as_deref());
    let mut query = question.raw_query.to_owned();
    match (cluster, own) {
        (Some(ClusterSource::Query(name)), Some(own)) => {
            query = path::with_parameter(&query, name, own);
        }
        // Whatever a description says: what no policy may read, none may write.
        (Some(ClusterSource::Header(name)), own)
            if allowed.declared.iter().any(|known| known == name.as_str()) =>
        {
            let named = question
                .fields
                .iter()
                .find(|(known, _)| known == name)
                .map(|(_, value)| value.as_str());
            identity.extend(header_pair(name, own.or(named)));
        }
        _ => {}
    }
    let mut remove = to_remove(
        question.headers,
        allowed.declared,
        allowed.forward_credentials,
    );
    if let Some(kept) = kept_cookies(question.headers) {
        remove.push(header::COOKIE);
        identity.extend(kept.map(|kept| (header::COOKIE, kept)));
    }
    let (list, list_clusters) = match (cluster, &principal) {
        (Some(ClusterSource::Lists(shape)), principal) => (
            Some(shape.clone()),
            list_clusters(&visible, principal.as_deref()),
        ),
        _ => (None, Vec::new()),
    };
    let mut response = Vec::with_capacity(4);
    response.extend(limit_headers(&limit));
    response.push((REQUEST_ID, id));
    Arc::new(Admission {
        request_id,
        principal,
        expires_at,
        path: question.path.as_ref().to_owned(),
        query,
        roles,
        visible,
        list,
        list_clusters,
        identity,
        remove,
        response,
        limit,
        client: allowed.client,
        is_own: path::is_own(&question.path),
        policy: Arc::clone(allowed.policy),
        record: None,
    })
}

/// The identity headers of a caller that do not change from request to request.
#[derive(Debug)]
pub struct Identity {
    subject: HeaderValue,
    organization: HeaderValue,
    credential: HeaderValue,
    roles: HeaderValue,
    scopes: HeaderValue,
}

impl Identity {
    fn of(principal: &Principal) -> Self {
        let caller = &principal.caller;
        Self {
            subject: list_value([caller.subject.as_str()]),
            organization: list_value([caller.organization.as_str()]),
            credential: uuid_value(principal.credential),
            roles: list_value(caller.roles.iter().map(String::as_str)),
            scopes: match &caller.scopes {
                None => HeaderValue::from_static("*"),
                Some(scopes) => list_value(scopes.iter().map(String::as_str)),
            },
        }
    }
}

/// All identity headers, always.
fn identity(
    principal: Option<&Principal>,
    visible: &Clusters,
    request_id: HeaderValue,
) -> Vec<(HeaderName, HeaderValue)> {
    let mut headers = Vec::with_capacity(9);
    match principal.map(|principal| principal.identity.get_or_init(|| Identity::of(principal))) {
        Some(identity) => headers.extend([
            (SUBJECT, identity.subject.clone()),
            (ORGANIZATION, identity.organization.clone()),
            (CREDENTIAL, identity.credential.clone()),
            (ROLES, identity.roles.clone()),
            (SCOPES, identity.scopes.clone()),
        ]),
        None => headers.extend([
            (SUBJECT, HeaderValue::from_static("anonymous")),
            (ORGANIZATION, NOTHING),
            (CREDENTIAL, NOTHING),
            (ROLES, NOTHING),
            (SCOPES, NOTHING),
        ]),
    }
    headers.push((CLUSTERS, clusters_value(visible)));
    headers.push((REQUEST_ID, request_id));
    headers
}

/// `*`, a comma list, or `!none`. A `*` means the organization's registered clusters.
fn clusters_value(visible: &Clusters) -> HeaderValue {
    match visible {
        Clusters::All => HeaderValue::from_static("*"),
        Clusters::Only(ids) if ids.is_empty() => HeaderValue::from_static("!none"),
        Clusters::Only(ids) => list_value(ids.iter().map(String::as_str)),
    }
}

/// A comma list whose items cannot break out of it: what is not visible ASCII, and `%` and `,` themselves, are
/// percent-encoded.
fn list_value<'i>(items: impl IntoIterator<Item = &'i str>) -> HeaderValue {
    let mut text = String::new();
    for item in items {
        if !text.is_empty() {
            text.push(',');
        }
        if item
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'%' | b','))
        {
            text.push_str(item);
        } else {
            text.extend(percent_encoding::utf8_percent_encode(item, LIST_ITEM));
        }
    }
    if text.is_empty() {
        NOTHING
    } else {
        HeaderValue::try_from(text).unwrap_or(NOTHING)
    }
}

/// What is percent-encoded within a list: everything that is not visible ASCII, and the list's own characters.
const LIST_ITEM: &percent_encoding::AsciiSet =
    &percent_encoding::CONTROLS.add(b' ').add(b'%').add(b',');

fn header_pair(name: &str, value: Option<&str>) -> Option<(HeaderName, HeaderValue)> {
    Some((
        HeaderName::from_bytes(name.as_bytes()).ok()?,
        HeaderValue::from_str(value?).ok()?,
    ))
}

/// The registered clusters among the visible ones.
fn list_clusters(visible: &Clusters, principal: Option<&Principal>) -> Vec<String> {
    match (visible, principal) {
        (Clusters::Only(ids), _) => ids.clone(),
        (Clusters::All, Some(principal)) => principal.registered.iter().cloned().collect(),
        (Clusters::All, None) => Vec::new(),
    }
}

/// What is taken off: credentials, reserved names in every spelling, what `Connection` names, and other spellings of
/// headers that the policy judged.
fn to_remove(
    sent: &HeaderMap,
    declared: &[HeaderName],
    forward_credentials: bool,
) -> Vec<HeaderName> {
    let mut names = headers::to_remove(sent);
    if !declared.is_empty() {
        let misspelt = |name: &&HeaderName| {
            declared
                .iter()
                .any(|known| headers::is_misspelling(name, known))
        };
        names.extend(sent.keys().filter(misspelt).cloned());
    }
    if forward_credentials {
        names.retain(|name| *name != header::AUTHORIZATION && *name != X_API_KEY);
    } else {
        names.extend([header::AUTHORIZATION, X_API_KEY]);
    }
    names
}

/// What the client's cookies become where the gate's own are among them: the others, or none. Nothing where they go
/// on as they came.
fn kept_cookies(sent: &HeaderMap) -> Option<Option<HeaderValue>> {
    let is_own = |cookie: &str| {
        let name = cookie.trim_start();
        let name = name
            .strip_prefix("__Host-")
            .or_else(|| name.strip_prefix("__Secure-"))
            .unwrap_or(name);
        name.get(..COOKIE_PREFIX.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(COOKIE_PREFIX))
    };
    let values: Vec<_> = sent
        .get_all(header::COOKIE)
        .iter()
        .map(|value| String::from_utf8_lossy(value.as_bytes()))
        .collect();
    let cookies = || values.iter().flat_map(|value| value.split(';'));
    if !cookies().any(is_own) {
        return None;
    }
    let kept: Vec<&str> = cookies()
        .filter(|cookie| !is_own(cookie))
        .map(str::trim)
        .filter(|cookie| !cookie.is_empty())
        .collect();
    // What is no header any more, because it was none that is UTF-8, does not go on.
    let kept = HeaderValue::from_str(&kept.join("; ")).ok();
    Some(kept.filter(|kept| !kept.is_empty()))
}

impl Admission {
    /// The caller's organization, for stores that are asked on their behalf.
    pub fn organization(&self) -> Option<Uuid> {
        self.principal
            .as_ref()
            .map(|principal: &Arc<Principal>| principal.organization)
    }
}
