//! Making an example small: facts are taken away one by one, as long as it still shows the same.

use crate::facts::{Caller, CallerKind, Clusters, Request};
use crate::generate::{Case, NOW, SOMEONE};
use crate::permission::Pattern;

/// The smallest case that `still_shows` what this one does: whatever is taken away from it, it no longer does. A
/// wildcard becomes the one of the `required` permissions that it stands for.
pub(super) fn smallest(
    case: Case,
    required: &[String],
    mut still_shows: impl FnMut(&Case) -> bool,
) -> Case {
    let mut kept = case;
    // Ends: each step takes something away, or puts a name in the place of a wildcard.
    loop {
        let next = smaller(&kept, required).find(|next| still_shows(next));
        match next {
            Some(next) => kept = next,
            None => return kept,
        }
    }
}

/// The case with one thing less, the largest things first.
fn smaller<'c>(case: &'c Case, required: &'c [String]) -> impl Iterator<Item = Case> {
    let with_caller = callers(&case.caller, case.request.now, required)
        .into_iter()
        .filter(|caller| *caller != case.caller)
        .map(|caller| Case {
            caller,
            request: case.request.clone(),
        });
    let with_request = requests(&case.request).into_iter().map(|request| Case {
        caller: case.caller.clone(),
        request,
    });
    with_caller
        .chain(with_request)
        .chain(at_the_usual_time(case))
}

/// The case at the moment of most others; what is so old stays so old.
fn at_the_usual_time(case: &Case) -> Option<Case> {
    let later = NOW - case.request.now;
    (later != 0).then(|| {
        let mut case = case.clone();
        case.request.now = NOW;
        let Caller {
            auth_time,
            credential_created,
            ..
        } = &mut case.caller;
        for time in [auth_time, credential_created] {
            *time = time.map(|time| time.saturating_add(later));
        }
        case
    })
}

fn callers(caller: &Caller, now: i64, required: &[String]) -> Vec<Caller> {
    if caller.kind == CallerKind::Anonymous {
        return Vec::new();
    }
    let mut all = vec![Caller::anonymous()];
    if caller.operator || caller.kind != CallerKind::Session {
        all.extend(sessions(caller, now));
    }
    let is_old = |time: Option<i64>| time.is_some_and(|time| time != now);
    if is_old(caller.auth_time) || is_old(caller.credential_created) {
        all.push(Caller {
            auth_time: caller.auth_time.and(Some(now)),
            credential_created: caller.credential_created.and(Some(now)),
            ..caller.clone()
        });
    }
    if caller.subject != SOMEONE {
        all.push(Caller {
            subject: SOMEONE.to_owned(),
            ..caller.clone()
        });
    }
    if caller.mfa {
        all.push(Caller {
            mfa: false,
            ..caller.clone()
        });
    }
    // An agent is its cluster and its role, an operator is in no organization: nothing to take away.
    if caller.kind == CallerKind::Agent || caller.operator {
        return all;
    }
    let lists = without_one(&caller.roles).into_iter();
    all.extend(lists.map(|roles| Caller {
        roles,
        ..caller.clone()
    }));
    let lists = without_one(&caller.permissions).into_iter();
    let lists = lists.chain(with_a_name(&caller.permissions, required));
    all.extend(lists.map(|permissions| Caller {
        permissions,
        ..caller.clone()
    }));
    if let Some(scopes) = &caller.scopes {
        let fewer = without_one(scopes)
            .into_iter()
            .filter(|list| !list.is_empty());
        let lists = fewer.chain(with_a_name(scopes, required)).map(Some);
        all.extend([None].into_iter().chain(lists).map(|scopes| Caller {
            scopes,
            ..caller.clone()
        }));
    }
    all.extend(wider(&caller.clusters).into_iter().map(|clusters| Caller {
        clusters,
        ..caller.clone()
    }));
    let wider = wider(&caller.allowed_clusters).into_iter();
    all.extend(wider.map(|allowed_clusters| Caller {
        allowed_clusters,
        ..caller.clone()
    }));
    all
}

/// A user's session in the place of another credential: without what restricted that one, or with it.
fn sessions(caller: &Caller, now: i64) -> Vec<Caller> {
    let unrestricted = if caller.operator {
        Clusters::All
    } else {
        caller.clusters.clone()
    };
    let is_agent = caller.kind == CallerKind::Agent;
    let session = |clusters| Caller {
        kind: CallerKind::Session,
        organization: "organization".to_owned(),
        // What an agent holds goes with being one.
        roles: caller.roles.iter().filter(|_| !is_agent).cloned().collect(),
        scopes: None,
        clusters,
        allowed_clusters: Clusters::All,
        agent_cluster: None,
        operator: false,
        auth_time: Some(now),
        credential_created: Some(now),
        ..caller.clone()
    };
    let mut all = vec![session(unrestricted)];
    if caller.allowed_clusters.is_restricted() {
        let both = caller.clusters.intersect(&caller.allowed_clusters);
        all.push(session(both));
    }
    all
}

/// The list without each of its items.
fn without_one<T: Clone>(list: &[T]) -> Vec<Vec<T>> {
    (0..list.len())
        .map(|left_out| {
            let items = list.iter().enumerate();
            items
                .filter(|(place, _)| *place != left_out)
                .map(|(_, item)| item.clone())
                .collect()
        })
        .collect()
}

/// The list with a required permission in the place of a wildcard for it.
fn with_a_name(list: &[String], required: &[String]) -> Vec<Vec<String>> {
    let mut lists = Vec::new();
    for (place, pattern) in list.iter().enumerate() {
        let Some(pattern) =
            Pattern::parse(pattern).filter(|pattern| !matches!(pattern, Pattern::Exact(_)))
        else {
            continue;
        };
        for name in required.iter().filter(|name| pattern.matches(name)) {
            let mut list = list.to_vec();
            if let Some(slot) = list.get_mut(place) {
                *slot = name.clone();
            }
            lists.push(list);
        }
    }
    lists
}

/// No restriction at all, else one with fewer clusters; none of them is a stranger fact than some.
fn wider(clusters: &Clusters) -> Vec<Clusters> {
    let Clusters::Only(ids) = clusters else {
        return Vec::new();
    };
    let fewer = without_one(ids).into_iter().filter(|ids| !ids.is_empty());
    [Clusters::All]
        .into_iter()
        .chain(fewer.map(Clusters::Only))
        .collect()
}

fn requests(request: &Request) -> Vec<Request> {
    let query = without_one(&request.query).into_iter();
    let query = query.map(|query| Request {
        query,
        ..request.clone()
    });
    let headers = without_one(&request.headers).into_iter();
    let headers = headers.map(|headers| Request {
        headers,
        ..request.clone()
    });
    let parent = request.path.rsplit_once('/');
    let path = parent
        .filter(|(parent, _)| !parent.is_empty())
        .map(|(parent, _)| Request {
            path: parent.to_owned(),
            ..request.clone()
        });
    let address = request.address.map(|_| Request {
        address: None,
        ..request.clone()
    });
    query.chain(headers).chain(path).chain(address).collect()
}
