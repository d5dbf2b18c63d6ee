//! The decision: one pure function of the tables and a question.

use crate::condition;
use crate::facts::{
    Caller, CallerKind, Decision, Grant, Outcome, Reason, Request, Restriction, Rule,
};
use crate::is_cluster_id_bytes;
use crate::packed::{self, Answer, Code, FieldKind, Question, RequestRef, Value, Visible};
use crate::routing::Found;
use crate::tables::{ClusterMark, RouteMark, Tables, set_has};

/// How old a sign-in may be on a route with `sign_in`.
pub const SIGN_IN_SECS_MAX: i64 = 15 * 60;

/// Decides a request. The same tables, caller and request always give the same decision.
pub fn decide(tables: &Tables, caller: &Caller, request: &Request) -> Decision {
    let request = RequestRef::from(request);
    let mut question = packed::pack_caller(tables.vocabulary(), caller);
    packed::pack_request(&mut question, &request);
    let answer = Answer::from_bits(packed::answer(tables, &question));
    let decision =
        answer.and_then(|answer| answer.decision(tables.description(), caller, &request));
    // What was just packed is not malformed, so this is for routes that overlap without end: refused in words that
    // no host can take for an allow.
    decision.unwrap_or_else(|malformed| Decision {
        outcome: Outcome::Deny(Reason::Other(malformed.to_string())),
        rule: Rule {
            route: None,
            grant: Grant::None,
            restriction: Restriction::None,
        },
    })
}

/// Answers a question that was read.
pub(crate) fn answer(tables: &Tables, question: &Question<'_>) -> Answer {
    let vocabulary = tables.vocabulary();
    if question.fingerprint != vocabulary.fingerprint()
        || question.set_bytes != vocabulary.set_bytes()
    {
        return Answer::deny(Code::Malformed);
    }
    let is_anonymous = question.kind == CallerKind::Anonymous;
    let unknown = Answer::deny(if is_anonymous {
        Code::NotAuthenticated
    } else {
        Code::NoRoute
    });
    if question.has_no_route() {
        return unknown;
    }
    let met = tables
        .routes
        .find(&question.segments, question.method, question.has_upper());
    let index = match met.exact {
        Found::TooMany => return Answer::deny(Code::Overlap),
        // Told to anonymous callers too: it says nothing but that the path is written strangely.
        _ if met.ambiguous => return Answer::deny(Code::AmbiguousPath),
        Found::Nothing => return unknown,
        Found::Route(index) => index,
    };
    let Some(route) = tables.marks.get(usize::from(index)) else {
        return Answer::deny(Code::Malformed);
    };
    // No route of a document's own is for the management API, not even `/**`.
    if !route.management && is_management(question) {
        return unknown;
    }
    let answer = on_route(tables, question, index, *route);
    Answer {
        route: Some(index),
        ..answer
    }
}

/// Whether the path is of the gate's management API.
fn is_management(question: &Question<'_>) -> bool {
    let is = |index: usize, expected: &[u8]| {
        let segment = question.segments.get(index);
        segment.is_some_and(|(segment, _)| segment == expected)
    };
    is(0, b"-") && is(1, b"api")
}

/// What the route asks for, one after the other.
fn on_route(tables: &Tables, question: &Question<'_>, index: u16, route: RouteMark) -> Answer {
    if route.public {
        if route.has_condition() && !condition::holds(tables.route_condition(route), question) {
            return Answer::deny(Code::ConditionNotMet);
        }
        return allow(question, Visible::Effective, Grant::Public);
    }
    if question.kind == CallerKind::Anonymous {
        return Answer::deny(Code::NotAuthenticated);
    }
    // An agent sends its cluster's data and manages nothing, whatever its role.
    if route.management && question.is_agent() {
        return Answer::deny(Code::NoRoute);
    }
    if route.operator && !question.is_operator() {
        return Answer::deny(Code::OperatorRequired);
    }
    let is_read = question.method == crate::routing::pattern::Method::Get;
    // What keys may only read is the product: they manage themselves.
    let is_read_only = tables.rules().keys_read_only && !route.management;
    if is_read_only && question.kind == CallerKind::ApiKey && !is_read {
        return Answer {
            restriction: Restriction::ReadOnly,
            ..Answer::deny(Code::ReadOnlyKey)
        };
    }
    let grant = match route.requires() {
        Some(permission) => match grant(tables, question, permission) {
            Grant::None => return Answer::deny(Code::MissingPermission),
            grant => {
                if question
                    .scopes()
                    .is_some_and(|scopes| !set_has(scopes, permission))
                {
                    let restriction = Restriction::Scopes;
                    return Answer {
                        grant,
                        restriction,
                        ..Answer::deny(Code::MissingPermission)
                    };
                }
                grant
            }
        },
        None => Grant::None,
    };
    if route.sign_in && !has_signed_in(question) {
        return Answer {
            grant,
            ..Answer::deny(Code::SignInRequired)
        };
    }
    if route.has_condition() && !condition::holds(tables.route_condition(route), question) {
        return Answer {
            grant,
            ..Answer::deny(Code::ConditionNotMet)
        };
    }
    Answer {
        grant,
        ..clusters(tables, question, index, route.cluster, grant)
    }
}

/// What holds a permission: the first of the caller's roles that has it and whose condition is true, else the caller's
/// own permissions.
fn grant(tables: &Tables, question: &Question<'_>, permission: u16) -> Grant {
    match question.roles().find(|role| {
        tables.role_has(*role, permission)
            && tables
                .role_condition(*role)
                .is_none_or(|code| condition::holds(code, question))
    }) {
        Some(role) => Grant::Role(u32::from(role)),
        None if set_has(question.own(), permission) => Grant::Permission,
        None => Grant::None,
    }
}

/// Whether this is a session whose user signed in a short while ago. Clocks may differ by a minute.
fn has_signed_in(question: &Question<'_>) -> bool {
    let age_secs = question
        .auth_time()
        .map(|auth_time| question.now.saturating_sub(auth_time));
    question.kind == CallerKind::Session
        && age_secs.is_some_and(|age_secs| (-60..=SIGN_IN_SECS_MAX).contains(&age_secs))
}

/// The one place where an allow is made.
fn allow(question: &Question<'_>, visible: Visible, grant: Grant) -> Answer {
    let restriction = match visible {
        Visible::Effective if question.is_agent() => Restriction::AgentCluster,
        Visible::Effective if question.is_key_restricted() => Restriction::KeyClusters,
        Visible::Effective if question.is_authority_restricted() => Restriction::AuthorityClusters,
        _ => Restriction::None,
    };
    Answer {
        code: Code::Allow,
        visible,
        restriction,
        grant,
        implied: false,
        route: None,
    }
}

/// Whether the caller may do this to the clusters that the route touches.
fn clusters(
    tables: &Tables,
    question: &Question<'_>,
    index: u16,
    cluster: ClusterMark,
    grant: Grant,
) -> Answer {
    let named = match cluster {
        ClusterMark::Narrowed => return allow(question, Visible::Effective, grant),
        ClusterMark::Spans => {
            return match narrowest(question) {
                Restriction::None => allow(question, Visible::Effective, grant),
                restriction => Answer {
                    restriction,
                    ..Answer::deny(Code::ClustersRestricted)
                },
            };
        }
        ClusterMark::Path(segment) => question
            .segments
            .get(usize::from(segment))
            .map(|(segment, _)| Value::Once(segment)),
        ClusterMark::Query => field(tables, question, index, FieldKind::Query),
        ClusterMark::Header => field(tables, question, index, FieldKind::Header),
    };
    match named {
        Some(Value::Once(cluster)) => one_cluster(question, cluster, grant),
        Some(Value::Repeated) => Answer::deny(Code::ClusterNotAllowed),
        Some(Value::Absent) if question.is_agent() => Answer {
            implied: true,
            ..one_cluster(question, question.agent(), grant)
        },
        Some(Value::Absent) => match narrowest(question) {
            Restriction::None => allow(question, Visible::Effective, grant),
            restriction => Answer {
                restriction,
                ..Answer::deny(Code::ClusterRequired)
            },
        },
        None => Answer::deny(Code::Malformed),
    }
}

fn field<'q>(
    tables: &Tables,
    question: &Question<'q>,
    index: u16,
    kind: FieldKind,
) -> Option<Value<'q>> {
    question.field(kind, tables.cluster_field(index)?)
}

/// What restricts the caller to clusters.
fn narrowest(question: &Question<'_>) -> Restriction {
    if question.is_agent() {
        Restriction::AgentCluster
    } else if question.is_key_restricted() {
        Restriction::KeyClusters
    } else if question.is_authority_restricted() {
        Restriction::AuthorityClusters
    } else {
        Restriction::None
    }
}

fn one_cluster(question: &Question<'_>, cluster: &[u8], grant: Grant) -> Answer {
    let refuse = |restriction| Answer {
        restriction,
        ..Answer::deny(Code::ClusterNotAllowed)
    };
    if !is_cluster_id_bytes(cluster) {
        return refuse(Restriction::None);
    }
    if question.is_agent() && cluster != question.agent() {
        let restriction = Restriction::AgentCluster;
        return Answer {
            restriction,
            ..Answer::deny(Code::AgentOutsideCluster)
        };
    }
    if question.is_authority_restricted() || question.is_key_restricted() {
        let (on_authority, on_key) = question.lists_of(cluster);
        if question.is_authority_restricted() && !on_authority {
            return refuse(Restriction::AuthorityClusters);
        }
        if question.is_key_restricted() && !on_key {
            return refuse(Restriction::KeyClusters);
        }
    }
    allow(question, Visible::One, grant)
}

#[cfg(test)]
mod tests;
