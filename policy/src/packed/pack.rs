//! Writing a question.

use core::net::IpAddr;

use crate::facts::{Caller, CallerKind, Clusters, Request};
use crate::routing::pattern::Method;
use crate::routing::{SEGMENTS_MAX, entry};
use crate::vocabulary::Vocabulary;

use super::{ON_AUTHORITY, ON_KEY, VERSION, caller_flag, request_flag};

/// Bytes of a query parameter's value that are kept: one more than the longest cluster id, so that a longer value
/// still is no cluster's id.
const VALUE_BYTES_MAX: usize = 254;
/// Bytes of a header's value that are kept: one more than conditions read, which so know of a longer one.
const HEADER_BYTES_MAX: usize = 1025;
/// Bytes of a subject at most; conditions know nothing of a longer one.
const SUBJECT_BYTES_MAX: usize = 1024;

/// What is asked for, borrowed. The fields are those of [`Request`].
#[derive(Clone, Copy, Debug)]
pub struct RequestRef<'r> {
    /// Upper-case; HEAD is decided as GET.
    pub method: &'r str,
    /// Starts with `/`; no dot segments, no doubled slashes, no query.
    pub path: &'r str,
    /// The query parameters that the policy's routes name, decoded.
    pub query: &'r [(String, String)],
    /// The headers that the policy's routes and conditions name, with lower-case names.
    pub headers: &'r [(String, String)],
    /// Seconds since the epoch.
    pub now: i64,
    /// The client's address.
    pub address: Option<IpAddr>,
}

impl<'r> From<&'r Request> for RequestRef<'r> {
    fn from(request: &'r Request) -> Self {
        Self {
            method: &request.method,
            path: &request.path,
            query: &request.query,
            headers: &request.headers,
            now: request.now,
            address: request.address,
        }
    }
}

/// The caller's part of a question. Roles and permissions that the policy does not know grant nothing and are left
/// out.
pub fn pack_caller(vocabulary: &Vocabulary, caller: &Caller) -> Vec<u8> {
    let mut roles: Vec<u16> = caller
        .roles
        .iter()
        .filter_map(|name| vocabulary.role(name))
        .collect();
    roles.truncate(usize::from(u16::MAX));
    let mut own = vec![0; vocabulary.set_bytes()];
    caller
        .permissions
        .iter()
        .for_each(|pattern| vocabulary.add(&mut own, pattern));
    let scopes = caller.scopes.as_ref().map(|scopes| {
        let mut set = vec![0; vocabulary.set_bytes()];
        scopes
            .iter()
            .for_each(|pattern| vocabulary.add(&mut set, pattern));
        set
    });
    let clusters = merge(&caller.clusters, &caller.allowed_clusters);
    let ids_bytes: usize = clusters.iter().map(|(id, _)| id.len()).sum();
    let is_agent = caller.kind == CallerKind::Agent || caller.agent_cluster.is_some();
    // An id too long to be one matches no cluster, and neither does the empty one.
    let agent = caller
        .agent_cluster
        .as_deref()
        .filter(|id| id.len() < VALUE_BYTES_MAX)
        .unwrap_or_default();

    let subject = Some(caller.subject.as_str()).filter(|text| text.len() <= SUBJECT_BYTES_MAX);

    let flag = |is_set: bool, flag: u16| if is_set { flag } else { 0 };
    let flags = flag(caller.operator, caller_flag::OPERATOR)
        | flag(caller.mfa, caller_flag::MFA)
        | flag(scopes.is_some(), caller_flag::SCOPES)
        | flag(caller.auth_time.is_some(), caller_flag::AUTH_TIME)
        | flag(
            caller.clusters.is_restricted(),
            caller_flag::AUTHORITY_CLUSTERS,
        )
        | flag(
            caller.allowed_clusters.is_restricted(),
            caller_flag::KEY_CLUSTERS,
        )
        | flag(is_agent, caller_flag::AGENT)
        | flag(caller.credential_created.is_some(), caller_flag::CREATED)
        | flag(subject.is_some(), caller_flag::SUBJECT);
    let subject = subject.unwrap_or_default();

    let mut bytes = Vec::with_capacity(128 + own.len() * 2 + clusters.len() * 4 + ids_bytes);
    bytes.push(VERSION);
    bytes.push(kind_code(caller.kind));
    bytes.extend(flags.to_le_bytes());
    bytes.extend((roles.len() as u16).to_le_bytes());
    bytes.extend((own.len() as u16).to_le_bytes());
    bytes.extend(caller.auth_time.unwrap_or_default().to_le_bytes());
    bytes.extend(vocabulary.fingerprint().to_le_bytes());
    bytes.extend((clusters.len() as u32).to_le_bytes());
    bytes.extend((ids_bytes as u32).to_le_bytes());
    bytes.extend((agent.len() as u16).to_le_bytes());
    bytes.extend((subject.len() as u16).to_le_bytes());
    bytes.extend(caller.credential_created.unwrap_or_default().to_le_bytes());
    roles
        .iter()
        .for_each(|role| bytes.extend(role.to_le_bytes()));
    bytes.extend(&own);
    bytes.extend(scopes.unwrap_or_default());
    bytes.extend(agent.as_bytes());
    bytes.extend(subject.as_bytes());
    let mut start = 0_u32;
    for (id, marks) in &clusters {
        bytes.extend((start | marks).to_le_bytes());
        start += id.len() as u32;
    }
    bytes.extend(start.to_le_bytes());
    clusters
        .iter()
        .for_each(|(id, _)| bytes.extend(id.as_bytes()));
    bytes
}

/// Every id of both lists once, sorted, with marks that say on which it is.
fn merge<'c>(authority: &'c Clusters, key: &'c Clusters) -> Vec<(&'c str, u32)> {
    let ids = |clusters: &'c Clusters, mark: u32| {
        let list = if let Clusters::Only(ids) = clusters {
            ids.as_slice()
        } else {
            &[]
        };
        list.iter().map(move |id| (id.as_str(), mark))
    };
    let mut all: Vec<(&str, u32)> = ids(authority, ON_AUTHORITY)
        .chain(ids(key, ON_KEY))
        .collect();
    // What is no cluster's id is on no list; that also bounds the offsets.
    all.retain(|(id, _)| crate::is_cluster_id(id));
    all.truncate(4 << 20);
    all.sort_unstable();
    all.dedup_by(|later, kept| {
        let same = later.0 == kept.0;
        kept.1 |= if same { later.1 } else { 0 };
        same
    });
    all
}

fn kind_code(kind: CallerKind) -> u8 {
    match kind {
        CallerKind::Anonymous => 0,
        CallerKind::Session => 1,
        CallerKind::ApiKey => 2,
        CallerKind::Agent => 3,
    }
}

/// Appends the request's part of a question to the caller's.
pub fn pack_request(buffer: &mut Vec<u8>, request: &RequestRef<'_>) {
    let path = request.path.as_bytes();
    let path = path.strip_suffix(b"/").unwrap_or(path);
    let head = buffer.len();
    buffer.reserve(144 + path.len());
    buffer.extend(request.now.to_le_bytes());
    buffer.push(Method::of_request(request.method) as u8);
    buffer.extend([0; 5]); // flags, numbers of segments and fields, bytes of the path: known below
    buffer.extend(request.address.map_or(0, bits_of).to_le_bytes());
    let mut flags = if path.iter().any(u8::is_ascii_uppercase) {
        request_flag::HAS_UPPER
    } else {
        0
    };
    let segments = if request.path.starts_with('/') {
        pack_segments(buffer, path)
    } else {
        None
    };
    if segments.is_none() {
        buffer.truncate(head + super::REQUEST_HEAD_BYTES);
        flags = request_flag::NO_ROUTE;
    } else {
        buffer.extend(path);
    }
    if request.address.is_some() {
        flags |= request_flag::ADDRESS;
    }
    let path_bytes = if segments.is_some() {
        path.len() as u16
    } else {
        0
    };
    let fields = pack_fields(buffer, 0, request.query, 0);
    let fields = pack_fields(buffer, 1, request.headers, fields);
    let [low, high] = path_bytes.to_le_bytes();
    let late = [flags, segments.unwrap_or_default(), fields, low, high];
    if let Some(place) = buffer.get_mut(head + 9..head + 14) {
        place.copy_from_slice(&late);
    }
}

/// The number of segments, or nothing when no route can match the path: too long, too many, an empty one.
fn pack_segments(buffer: &mut Vec<u8>, path: &[u8]) -> Option<u8> {
    if path.len() > usize::from(u16::MAX) {
        return None;
    }
    let mut count = 0_u8;
    let mut start = 1_usize;
    while let Some(rest) = path.get(start..) {
        let len = rest.iter().position(|b| *b == b'/').unwrap_or(rest.len());
        let segment = rest.get(..len).filter(|segment| !segment.is_empty())?;
        if usize::from(count) == SEGMENTS_MAX {
            return None;
        }
        let end = start + len;
        buffer.extend_from_slice(&entry(start as u16, end as u16, segment));
        count += 1;
        start = end + 1;
    }
    Some(count)
}

/// Returns how many fields there are now. Those beyond 255 are left out, as are names longer than any policy's.
fn pack_fields(buffer: &mut Vec<u8>, kind: u8, fields: &[(String, String)], before: u8) -> u8 {
    let bytes_max = if kind == 0 {
        VALUE_BYTES_MAX
    } else {
        HEADER_BYTES_MAX
    };
    let mut count = before;
    for (name, value) in fields {
        let Ok(name_bytes) = u8::try_from(name.len()) else {
            continue;
        };
        let Some(next) = count.checked_add(1) else {
            break;
        };
        count = next;
        let value = value
            .as_bytes()
            .get(..bytes_max)
            .unwrap_or(value.as_bytes());
        buffer.extend([kind, name_bytes]);
        buffer.extend((value.len() as u16).to_le_bytes());
        buffer.extend(name.as_bytes());
        buffer.extend(value);
    }
    count
}

/// An address, IPv4 in its IPv6 form.
fn bits_of(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits(),
    }
}
