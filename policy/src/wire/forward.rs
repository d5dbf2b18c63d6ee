//! What goes on to the upstream in place of what the client sent: who calls, and nothing that only pretends to say so.

use http::{HeaderMap, HeaderName, HeaderValue, header};
use uuid::Uuid;

use super::{
    Question,
    headers::{
        self, CLUSTERS, CREDENTIAL, ORGANIZATION, REQUEST_ID, ROLES, SCOPES, SUBJECT, X_API_KEY,
    },
    path,
    refusal::uuid_value,
};
use crate::{Caller, ClusterSource, Clusters};

/// Cookies of the gate itself begin with this, behind an optional `__Host-` or `__Secure-`.
const COOKIE_PREFIX: &str = "scopegate";

/// The value of an identity header that has nothing to say: some proxies drop empty headers.
const NOTHING: HeaderValue = HeaderValue::from_static("-");

/// What an admitted request becomes on its way to the upstream; its path is the question's.
pub struct Onward {
    /// The query; an agent's own cluster is written into it where the route takes the cluster from a parameter.
    pub query: String,
    /// Set, replacing whatever was there. Every identity header is always here.
    pub set: Vec<(HeaderName, HeaderValue)>,
    /// Taken off before.
    pub remove: Vec<HeaderName>,
}

/// What an admission rests on, as far as the upstream is to know of it.
#[derive(Clone, Copy)]
pub struct Admitted<'a> {
    /// The request.
    pub question: &'a Question<'a>,
    /// What the policy reads of requests: headers.
    pub declared: &'a [HeaderName],
    /// Where the route's cluster is.
    pub cluster: Option<&'a ClusterSource>,
    /// Who calls; nothing for anonymous callers.
    pub caller: Option<&'a Identity>,
    /// The one cluster of an agent.
    pub agent_cluster: Option<&'a str>,
    /// The clusters that are visible, already bounded.
    pub visible: &'a Clusters,
    /// The request's id.
    pub request_id: Uuid,
    /// Whether the credential goes on.
    pub forward_credentials: bool,
}

/// What the upstream gets.
pub fn onward(admitted: &Admitted<'_>) -> Onward {
    let question = admitted.question;
    let id = uuid_value(admitted.request_id);
    let mut set = identity(admitted.caller, admitted.visible, id);
    // What the policy judged is what the upstream reads, an agent's own cluster where it named none.
    let own = admitted.agent_cluster;
    let mut query = question.raw_query.to_owned();
    match (admitted.cluster, own) {
        (Some(ClusterSource::Query(name)), Some(own)) => {
            query = path::with_parameter(&query, name, own);
        }
        // Whatever a description says: what no policy may read, none may write.
        (Some(ClusterSource::Header(name)), own)
            if admitted.declared.iter().any(|known| known == name.as_str()) =>
        {
            let named = question
                .fields
                .iter()
                .find(|(known, _)| known == name)
                .map(|(_, value)| value.as_str());
            set.extend(header_pair(name, own.or(named)));
        }
        _ => {}
    }
    let mut remove = to_remove(
        question.headers,
        admitted.declared,
        admitted.forward_credentials,
    );
    if let Some(kept) = kept_cookies(question.headers) {
        remove.push(header::COOKIE);
        set.extend(kept.map(|kept| (header::COOKIE, kept)));
    }
    Onward { query, set, remove }
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
    /// Of a caller with this credential.
    pub fn of(caller: &Caller, credential: Uuid) -> Self {
        Self {
            subject: list_value([caller.subject.as_str()]),
            organization: list_value([caller.organization.as_str()]),
            credential: uuid_value(credential),
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
    caller: Option<&Identity>,
    visible: &Clusters,
    request_id: HeaderValue,
) -> Vec<(HeaderName, HeaderValue)> {
    let mut headers = Vec::with_capacity(9);
    match caller {
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
