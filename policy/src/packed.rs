//! A question in one buffer and its answer in one integer: what crosses the boundary of the component.
//!
//! A question is the caller's bytes followed by the request's. The caller's are made once for each credential and
//! policy ([`pack_caller`]): names are numbers over the policy's [`Vocabulary`](crate::Vocabulary) in them, and a
//! fingerprint tells when they were made with another. The request's are appended for each request
//! ([`pack_request`]). All numbers are little-endian.
//!
//! ```text
//! caller    0  u8   2, the version of this layout
//!           1  u8   kind: 0 anonymous, 1 session, 2 API key, 3 agent
//!           2  u16  flags: 1 operator, 2 mfa, 4 scopes narrow, 8 auth_time is known, 16 authority's clusters are
//!                   restricted, 32 the credential's clusters are restricted, 64 bound to an agent's cluster,
//!                   128 it is known when the credential was made, 256 the subject is there
//!           4  u16  number of roles
//!           6  u16  bytes of a set of permissions
//!           8  i64  auth_time, seconds since the epoch
//!          16  u64  fingerprint of the policy's names
//!          24  u32  number of clusters on the lists
//!          28  u32  bytes of those clusters' ids
//!          32  u16  bytes of the agent's cluster
//!          34  u16  bytes of the subject
//!          36  i64  when the credential was made, seconds since the epoch
//!          44       roles, u16 each
//!                   set of permissions held besides roles; then, where scopes narrow, the set of scopes
//!                   agent's cluster, subject
//!                   for each cluster u32: where its id starts, with bit 31 set when it is on the authority's list
//!                   and bit 30 when it is on the credential's; sorted by id; then u32, where the last one ends
//!                   the ids
//! request   0  i64  now, seconds since the epoch
//!           8  u8   method: 0 GET, 1 POST, 2 PUT, 3 PATCH, 4 DELETE, 5 OPTIONS, 6 other
//!           9  u8   flags: 1 the path has an upper-case ASCII letter, 2 no route can match the path, 4 the client's
//!                   address is known
//!          10  u8   number of segments
//!          11  u8   number of fields
//!          12  u16  bytes of the path
//!          14  u128 the client's address; IPv4 as `::ffff:a.b.c.d`
//!          30       segments: u16 where it starts in the path, u16 where it ends, u32 its hash
//!                   the path, from `/`, without a slash at the end
//!                   fields: u8 0 query or 1 header, u8 bytes of its name, u16 bytes of its value, name, value
//! ```

mod answer;
mod pack;
mod question;

pub use answer::{Answer, Malformed};
pub use pack::{RequestRef, pack_caller, pack_request};

pub(crate) use answer::{Code, Visible};
#[cfg(test)]
pub(crate) use question::request_segments;
pub(crate) use question::{FieldKind, Question, Value};

use crate::decide;
use crate::tables::Tables;

/// Answers a question, in the bits that [`Answer::from_bits`] reads. Total: a malformed question gets a code of its
/// own, which the host treats as a fault. Does not allocate and does not panic, whatever the bytes.
pub fn answer(tables: &Tables, question: &[u8]) -> u64 {
    match Question::read(question) {
        Some(question) => decide::answer(tables, &question).to_bits(),
        None => answer::MALFORMED_QUESTION,
    }
}

const VERSION: u8 = 2;
const CALLER_HEAD_BYTES: usize = 44;
const REQUEST_HEAD_BYTES: usize = 30;

/// Flags of a caller.
mod caller_flag {
    pub(super) const OPERATOR: u16 = 1;
    pub(super) const MFA: u16 = 2;
    pub(super) const SCOPES: u16 = 4;
    pub(super) const AUTH_TIME: u16 = 8;
    pub(super) const AUTHORITY_CLUSTERS: u16 = 16;
    pub(super) const KEY_CLUSTERS: u16 = 32;
    pub(super) const AGENT: u16 = 64;
    pub(super) const CREATED: u16 = 128;
    pub(super) const SUBJECT: u16 = 256;
    pub(super) const ALL: u16 = 511;
}

/// Flags of a request.
mod request_flag {
    pub(super) const HAS_UPPER: u8 = 1;
    pub(super) const NO_ROUTE: u8 = 2;
    pub(super) const ADDRESS: u8 = 4;
    pub(super) const ALL: u8 = 7;
}

/// Marks on a cluster's offset.
const ON_AUTHORITY: u32 = 1 << 31;
const ON_KEY: u32 = 1 << 30;
const OFFSET: u32 = ON_KEY - 1;

#[cfg(test)]
mod tests;
