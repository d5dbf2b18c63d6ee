//! Requests that a proxy forwards, which only asks: it filters no list, and ends nothing that is under way.

use scopegate_policy::{Clusters, Reason};

use crate::{Admission, Cause, Request};

/// Who carries out what the gate decides.
#[derive(Clone, Copy, Debug)]
pub(super) enum Enforcer {
    /// The adapter that asks: all of it.
    Adapter,
    /// A proxy, which an adapter answers.
    Proxy(Rewriting),
}

/// Whether a proxy forwards the request under the target that the gate gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rewriting {
    /// It does: the admission's path and query are what the upstream reads.
    Target,
    /// It forwards the target as it came. One that the gate reads in another way is refused, for the upstream would read
    /// something that nobody judged.
    Nothing,
}

/// Why a proxy could not carry out an admission.
pub(super) fn obstacle(
    admission: &Admission,
    request: &Request<'_>,
    rewriting: Rewriting,
) -> Option<Cause> {
    // The gate answers these itself, on its own listeners; they are nothing that an upstream has.
    if admission.is_own {
        return Some(Cause::Denied(Reason::NoRoute));
    }
    let is_whole = admission.principal.is_some() && admission.visible == Clusters::All;
    if admission.list.is_some() && !is_whole {
        return Some(Cause::ListNotFilterable);
    }
    if rewriting == Rewriting::Target {
        return None;
    }
    if admission.path != request.path {
        let what = "the path is not in its normal form, and is forwarded as it is";
        return Some(Cause::InvalidRequest(what.to_owned()));
    }
    // An agent's own cluster, in the parameter that the upstream reads it from.
    (admission.query != request.query).then_some(Cause::Denied(Reason::ClusterRequired))
}
