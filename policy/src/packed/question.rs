//! Reading a question, without trust in a single byte of it.

use crate::facts::CallerKind;
use crate::routing::pattern::Method;
use crate::routing::{Entry, Segments};

use super::{
    CALLER_HEAD_BYTES, OFFSET, ON_AUTHORITY, ON_KEY, REQUEST_HEAD_BYTES, VERSION, caller_flag,
    request_flag,
};

/// Bytes of a segment's entry.
const SEGMENT_BYTES: usize = size_of::<Entry>();

/// A question whose parts are all there. What they say is not yet believed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Question<'q> {
    pub(crate) kind: CallerKind,
    flags: u16,
    auth_time: i64,
    pub(crate) fingerprint: u64,
    pub(crate) set_bytes: usize,
    roles: &'q [[u8; 2]],
    own: &'q [u8],
    scopes: &'q [u8],
    agent: &'q [u8],
    subject: &'q [u8],
    created: i64,
    offsets: &'q [[u8; 4]],
    ids: &'q [u8],
    pub(crate) now: i64,
    address: u128,
    pub(crate) method: Method,
    request_flags: u8,
    pub(crate) segments: Segments<'q>,
    field_count: u8,
    fields: &'q [u8],
}

/// The segments of a packed request alone.
#[cfg(test)]
pub(crate) fn request_segments(request: &[u8]) -> Option<Segments<'_>> {
    let mut bytes = Bytes(request);
    let head = bytes.head::<REQUEST_HEAD_BYTES>()?;
    let [segments, _, low, high] = *head.get(10..)?.first_chunk()?;
    let entries = bytes.take(usize::from(segments) * SEGMENT_BYTES)?;
    Some(Segments::new(
        entries,
        bytes.take(usize::from(u16::from_le_bytes([low, high])))?,
    ))
}

/// Where a field of a request came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FieldKind {
    Query = 0,
    Header = 1,
}

/// What a request says in a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Value<'q> {
    Absent,
    Once(&'q [u8]),
    /// More than once: it cannot be told which one the upstream believes.
    Repeated,
}

/// The rest of the bytes, taken from the front.
struct Bytes<'q>(&'q [u8]);

impl<'q> Bytes<'q> {
    fn take(&mut self, count: usize) -> Option<&'q [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn head<const N: usize>(&mut self) -> Option<&'q [u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(head)
    }
}

impl<'q> Question<'q> {
    /// Nothing when it is malformed.
    pub(crate) fn read(bytes: &'q [u8]) -> Option<Self> {
        let mut bytes = Bytes(bytes);
        let head = bytes.head::<CALLER_HEAD_BYTES>()?;
        let u16_at = |at: usize| Some(u16::from_le_bytes(*head.get(at..)?.first_chunk()?));
        let u32_at = |at: usize| Some(u32::from_le_bytes(*head.get(at..)?.first_chunk()?));
        let kind = match *head.first_chunk()? {
            [VERSION, 0] => CallerKind::Anonymous,
            [VERSION, 1] => CallerKind::Session,
            [VERSION, 2] => CallerKind::ApiKey,
            [VERSION, 3] => CallerKind::Agent,
            _ => return None,
        };
        let flags = u16_at(2)?;
        let auth_time = i64::from_le_bytes(*head.get(8..)?.first_chunk()?);
        let fingerprint = u64::from_le_bytes(*head.get(16..)?.first_chunk()?);
        let set_bytes = usize::from(u16_at(6)?);
        let created = i64::from_le_bytes(*head.get(36..)?.first_chunk()?);
        if flags & !caller_flag::ALL != 0 {
            return None;
        }
        let roles = bytes.take(usize::from(u16_at(4)?) * 2)?.as_chunks().0;
        let own = bytes.take(set_bytes)?;
        let scopes = bytes.take(if flags & caller_flag::SCOPES == 0 {
            0
        } else {
            set_bytes
        })?;
        let agent = bytes.take(usize::from(u16_at(32)?))?;
        let subject = bytes.take(usize::from(u16_at(34)?))?;
        let offsets = bytes
            .take((u32_at(24)? as usize).checked_add(1)?.checked_mul(4)?)?
            .as_chunks()
            .0;
        let ids = bytes.take(u32_at(28)? as usize)?;

        let head = bytes.head::<REQUEST_HEAD_BYTES>()?;
        let (now, rest) = head.split_first_chunk()?;
        let (small, rest) = rest.split_first_chunk()?;
        let [method, request_flags, segments, field_count, low, high] = *small;
        if request_flags & !request_flag::ALL != 0 {
            return None;
        }
        let entries = bytes.take(usize::from(segments) * SEGMENT_BYTES)?;
        let path = bytes.take(usize::from(u16::from_le_bytes([low, high])))?;
        Some(Self {
            kind,
            flags,
            auth_time,
            fingerprint,
            set_bytes,
            roles,
            own,
            scopes,
            agent,
            subject,
            created,
            offsets,
            ids,
            now: i64::from_le_bytes(*now),
            address: u128::from_le_bytes(*rest.first_chunk()?),
            method: Method::from_code(method)?,
            request_flags,
            segments: Segments::new(entries, path),
            field_count,
            fields: bytes.0,
        })
    }

    pub(crate) fn is_operator(&self) -> bool {
        self.flags & caller_flag::OPERATOR != 0
    }

    /// Whether the caller acts for one cluster alone.
    pub(crate) fn is_agent(&self) -> bool {
        self.flags & caller_flag::AGENT != 0 || self.kind == CallerKind::Agent
    }

    /// The agent's own cluster; empty when it has none.
    pub(crate) fn agent(&self) -> &'q [u8] {
        self.agent
    }

    pub(crate) fn is_authority_restricted(&self) -> bool {
        self.flags & caller_flag::AUTHORITY_CLUSTERS != 0
    }

    pub(crate) fn is_key_restricted(&self) -> bool {
        self.flags & caller_flag::KEY_CLUSTERS != 0
    }

    pub(crate) fn auth_time(&self) -> Option<i64> {
        (self.flags & caller_flag::AUTH_TIME != 0).then_some(self.auth_time)
    }

    /// Whether the session was opened with a second factor.
    pub(crate) fn has_mfa(&self) -> bool {
        self.flags & caller_flag::MFA != 0
    }

    /// When the credential was made.
    pub(crate) fn created(&self) -> Option<i64> {
        (self.flags & caller_flag::CREATED != 0).then_some(self.created)
    }

    /// Who acts; nothing when that was too long to be packed.
    pub(crate) fn subject(&self) -> Option<&'q [u8]> {
        (self.flags & caller_flag::SUBJECT != 0).then_some(self.subject)
    }

    /// The client's address, IPv4 in its IPv6 form.
    pub(crate) fn address(&self) -> Option<u128> {
        (self.request_flags & request_flag::ADDRESS != 0).then_some(self.address)
    }

    /// The caller's roles, by number.
    pub(crate) fn roles(&self) -> impl Iterator<Item = u16> {
        self.roles.iter().map(|role| u16::from_le_bytes(*role))
    }

    /// The set of permissions held besides roles.
    pub(crate) fn own(&self) -> &'q [u8] {
        self.own
    }

    /// The set of scopes, where they narrow.
    pub(crate) fn scopes(&self) -> Option<&'q [u8]> {
        (self.flags & caller_flag::SCOPES != 0).then_some(self.scopes)
    }

    /// Whether no route can match the path.
    pub(crate) fn has_no_route(&self) -> bool {
        self.request_flags & request_flag::NO_ROUTE != 0
    }

    pub(crate) fn has_upper(&self) -> bool {
        self.request_flags & request_flag::HAS_UPPER != 0
    }

    /// Whether a cluster is on the authority's list and on the credential's.
    pub(crate) fn lists_of(&self, cluster: &[u8]) -> (bool, bool) {
        let Some((_, starts)) = self.offsets.split_last() else {
            return (false, false);
        };
        let (mut low, mut high) = (0, starts.len());
        while low < high {
            let middle = low + (high - low) / 2;
            let Some((id, marks)) = self.listed(middle) else {
                return (false, false);
            };
            match id.cmp(cluster) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => {
                    return (marks & ON_AUTHORITY != 0, marks & ON_KEY != 0);
                }
            }
        }
        (false, false)
    }

    fn listed(&self, index: usize) -> Option<(&'q [u8], u32)> {
        let start = u32::from_le_bytes(*self.offsets.get(index)?);
        let end = u32::from_le_bytes(*self.offsets.get(index + 1)?);
        Some((
            self.ids
                .get((start & OFFSET) as usize..(end & OFFSET) as usize)?,
            start,
        ))
    }

    /// A field's value. Nothing when the fields are malformed.
    pub(crate) fn field(&self, kind: FieldKind, name: &str) -> Option<Value<'q>> {
        let mut bytes = Bytes(self.fields);
        let mut found = Value::Absent;
        for _ in 0..self.field_count {
            let [field_kind, name_bytes, low, high] = *bytes.head::<4>()?;
            let field_name = bytes.take(usize::from(name_bytes))?;
            let value = bytes.take(usize::from(u16::from_le_bytes([low, high])))?;
            if field_kind == kind as u8 && field_name == name.as_bytes() {
                found = if found == Value::Absent {
                    Value::Once(value)
                } else {
                    Value::Repeated
                };
            }
        }
        Some(found)
    }
}
