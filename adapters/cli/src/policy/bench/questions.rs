//! Questions that a policy's own routes and roles make.

use scopegate_host::engine::PackedCaller;
use scopegate_policy::{
    Caller, CallerKind, ClusterSource, Clusters, Description, Request, RouteInfo,
};

/// Questions at most; of more, some are taken evenly.
const QUESTIONS_MAX: usize = 2_000;
/// Seconds since the epoch, in every question.
const NOW: i64 = 1_767_225_600;
const CLUSTER: &str = "prod";

/// A question, with the slot that the gate keeps beside a caller.
pub(super) struct Asked {
    pub(super) caller: Caller,
    pub(super) packed: PackedCaller,
    pub(super) request: Request,
}

/// Every route asked for by a session and by a restricted key of every role, and by an agent.
pub(super) fn questions(description: &Description) -> Vec<Asked> {
    let callers = callers(description);
    let requests: Vec<Request> = description.routes.iter().map(request).collect();
    let all = callers.len() * requests.len();
    // A power of two shares no factor with the odd number of callers, so that each of them asks.
    let step = all.div_ceil(QUESTIONS_MAX).max(1).next_power_of_two();
    let pairs = requests
        .iter()
        .flat_map(|request| callers.iter().map(move |caller| (caller, request)));
    let asked = pairs.step_by(step).map(|(caller, request)| Asked {
        caller: caller.clone(),
        packed: PackedCaller::default(),
        request: request.clone(),
    });
    asked.collect()
}

fn callers(description: &Description) -> Vec<Caller> {
    let of = |kind: CallerKind, role: &str| Caller {
        kind,
        subject: "0198c1a4-6f5e-7c3b-9d41-2f6a8b0c4e17".to_owned(),
        organization: "0198c1a4-5a02-7f10-8e77-90ab12cd34ef".to_owned(),
        roles: vec![role.to_owned()],
        clusters: Clusters::All,
        allowed_clusters: Clusters::All,
        ..Caller::anonymous()
    };
    let scopes = description.permissions.iter().filter(|info| info.scope);
    let scopes: Vec<String> = scopes.map(|info| info.name.clone()).collect();
    let mut callers = vec![Caller {
        agent_cluster: Some(CLUSTER.to_owned()),
        ..of(CallerKind::Agent, "agent")
    }];
    for role in description.roles.iter().filter(|role| role.name != "agent") {
        callers.push(of(CallerKind::Session, &role.name));
        callers.push(Caller {
            scopes: Some(scopes.clone()),
            allowed_clusters: Clusters::only([CLUSTER, "staging"]),
            ..of(CallerKind::ApiKey, &role.name)
        });
    }
    callers
}

/// A request that the route matches, unless a more specific one does.
fn request(route: &RouteInfo) -> Request {
    let segments = route
        .pattern
        .split('/')
        .skip(1)
        .map(|segment| match segment {
            "{cluster}" => CLUSTER,
            "**" => "details",
            parameter if parameter.starts_with('{') => "7f3a",
            literal => literal,
        });
    let path: String = segments.map(|segment| format!("/{segment}")).collect();
    let named = |name: &String| vec![(name.clone(), CLUSTER.to_owned())];
    let (query, headers) = match &route.cluster {
        ClusterSource::Query(name) => (named(name), Vec::new()),
        ClusterSource::Header(name) => (Vec::new(), named(name)),
        _ => (Vec::new(), Vec::new()),
    };
    Request {
        method: if route.method == "*" {
            "GET"
        } else {
            &route.method
        }
        .to_owned(),
        path,
        query,
        headers,
        now: NOW,
        address: None,
    }
}
