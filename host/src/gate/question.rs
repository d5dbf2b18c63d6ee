//! A request as the policy is asked about it: normalised, and with no more of it than the policy declares.

use std::{borrow::Cow, net::IpAddr, sync::Arc};

use http::{HeaderMap, HeaderName};
use scopegate_policy::{
    ClusterSource, Description, RoleConditions, RouteInfo, Rule, is_management_path,
    packed::RequestRef,
};

use super::shadow::{Shadow, Understudy};
use crate::{
    Cause, Request, audit::Judge, engine::Policy, headers, path, policies::faults::Faults,
};

/// The active policy, what it reads of requests, and the one in its shadow. One value, so that a request sees one policy
/// from start to end, and that the answers of both are compared with each other and never with those of a third.
pub(super) struct Active {
    pub(super) policy: Arc<Policy>,
    /// The policy, for records.
    pub(super) judge: Arc<Judge>,
    /// How often it fails.
    pub(super) faults: Arc<Faults>,
    /// Query parameters.
    queries: Vec<String>,
    /// Headers; never one that carries a credential.
    pub(super) headers: Vec<HeaderName>,
    /// When the caller's roles count, for what is given by callers.
    pub(super) role_conditions: Arc<RoleConditions>,
    pub(super) shadow: Option<Shadow>,
}

/// The query parameters and the headers that a policy reads; never a header that carries a credential.
pub(super) fn declared(description: &Description) -> (Vec<String>, Vec<HeaderName>) {
    let (mut queries, mut headers) = (Vec::new(), Vec::new());
    for route in &description.routes {
        match &route.cluster {
            ClusterSource::Query(name) if !queries.contains(name) => queries.push(name.clone()),
            ClusterSource::Header(name) => {
                let name = HeaderName::from_bytes(name.as_bytes())
                    .ok()
                    .filter(|name| !headers::is_withheld(name));
                headers.extend(name.filter(|name| !headers.contains(name)));
            }
            _ => {}
        }
    }
    for name in &description.headers {
        let name = HeaderName::from_bytes(name.as_bytes())
            .ok()
            .filter(|name| !headers::is_withheld(name));
        headers.extend(name.filter(|name| !headers.contains(name)));
    }
    (queries, headers)
}

impl Active {
    pub(super) fn new(policy: Arc<Policy>) -> Self {
        let (queries, headers) = declared(policy.description());
        let judge = Arc::new(Judge {
            digest: policy.digest().to_owned(),
            description: Arc::clone(policy.description()),
        });
        Self {
            judge,
            faults: Arc::new(Faults::new()),
            queries,
            headers,
            role_conditions: Arc::new(RoleConditions::of(policy.description())),
            policy,
            shadow: None,
        }
    }

    /// The route of a rule.
    pub(super) fn route(&self, rule: &Rule) -> Option<&RouteInfo> {
        let routes = &self.policy.description().routes;
        rule.route.and_then(|index| routes.get(index as usize))
    }

    /// The same policy with another shadow, or none. What is counted starts anew.
    pub(super) fn beside(&self, understudy: Option<Arc<Understudy>>) -> Self {
        Self {
            policy: Arc::clone(&self.policy),
            judge: Arc::clone(&self.judge),
            faults: Arc::clone(&self.faults),
            queries: self.queries.clone(),
            headers: self.headers.clone(),
            role_conditions: Arc::clone(&self.role_conditions),
            shadow: understudy.map(|understudy| Shadow::new(understudy, &self.judge)),
        }
    }
}

/// A request that has the right shape.
pub(super) struct Question<'r> {
    /// As received.
    pub(super) method: &'r str,
    pub(super) path: Cow<'r, str>,
    /// As received.
    pub(super) raw_query: &'r str,
    /// The declared parameters, decoded.
    pub(super) query: Vec<(String, String)>,
    /// The declared headers.
    pub(super) fields: Vec<(String, String)>,
    pub(super) headers: &'r HeaderMap,
    pub(super) now_ms: i64,
    /// The client's address, where it is known.
    pub(super) client: Option<IpAddr>,
}

impl<'r> Question<'r> {
    /// Reads a request, or says where its shape is wrong.
    pub(super) fn read(
        request: &Request<'r>,
        client: Option<IpAddr>,
        active: &Active,
    ) -> Result<Self, Cause> {
        let invalid = |what: path::BadPath| Cause::InvalidRequest(what.to_string());
        headers::check_shape(request)?;
        Ok(Self {
            method: request.method,
            path: path::normalise(request.path).map_err(invalid)?,
            raw_query: request.query,
            query: path::declared_parameters(request.query, &active.queries).map_err(invalid)?,
            fields: headers::declared_headers(request.headers, &active.headers)?,
            headers: request.headers,
            now_ms: request.now_ms,
            client,
        })
    }

    /// As the policy takes it; HEAD is decided as GET.
    pub(super) fn as_ref(&self) -> RequestRef<'_> {
        RequestRef {
            method: if self.method == "HEAD" {
                "GET"
            } else {
                self.method
            },
            path: &self.path,
            query: &self.query,
            headers: &self.fields,
            now: self.now_ms.div_euclid(1000),
            address: self.client,
        }
    }

    /// Whether it is about the gate's own management API.
    pub(super) fn is_management(&self) -> bool {
        is_management_path(&self.path)
    }
}
