//! Questions that leave nothing behind: no record, no count, nothing in the shadow. For people who look at what could be.

use std::{collections::BTreeSet, net::IpAddr};

use http::HeaderMap;
use scopegate_policy::{
    Clusters, Decision, Outcome, Reason,
    wire::question::{Declared, Question},
};

use super::evaluate::sample::{Sample, method_of};
use crate::{Cause, Principal, Request, engine::Policy};

/// Methods that are tried on a route for every method, until the route is the one that takes it: others of the same pattern
/// may take the first ones.
const METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];
/// Questions after which others have their turn on this thread.
const TURN: usize = 32;

/// A policy, and when and from where it is asked.
#[derive(Clone, Copy, Debug)]
pub struct Pondered<'p> {
    /// It.
    pub policy: &'p Policy,
    /// From where, if that is known.
    pub client: Option<IpAddr>,
    /// When, in milliseconds since the epoch.
    pub now_ms: i64,
}

impl Pondered<'_> {
    /// What the policy says to a caller on each of the product's own routes, by the route's place: a request with
    /// something in place of the route's parameters, and about a cluster that the caller may touch where there is one.
    ///
    /// # Errors
    /// When the policy gives no answer.
    pub async fn routes(
        &self,
        caller: &Principal,
    ) -> Result<Vec<(usize, Result<(), Reason>)>, Cause> {
        let description = self.policy.description();
        let declared = Declared::of(description);
        let cluster = representative(caller);
        let mut found = Vec::new();
        for (index, route) in description.routes.iter().enumerate() {
            if route.is_management() {
                continue;
            }
            let sample = Sample::of(index, route, cluster);
            found.push((index, self.route(caller, &sample, &declared).await?));
            if found.len() % TURN == 0 {
                tokio::task::yield_now().await;
            }
        }
        Ok(found)
    }

    /// A request, as the policy is asked about it.
    ///
    /// # Errors
    /// Where its shape is wrong.
    pub fn request(&self, request: &Request<'_>) -> Result<scopegate_policy::Request, Cause> {
        let declared = Declared::of(self.policy.description());
        let question = Question::read(request, self.client, &declared)?;
        let asked = question.as_ref();
        Ok(scopegate_policy::Request {
            method: asked.method.to_owned(),
            path: asked.path.to_owned(),
            query: asked.query.to_vec(),
            headers: asked.headers.to_vec(),
            now: asked.now,
            address: asked.address,
        })
    }

    async fn route(
        &self,
        caller: &Principal,
        sample: &Sample<'_>,
        declared: &Declared,
    ) -> Result<Result<(), Reason>, Cause> {
        let mut headers = HeaderMap::new();
        if let Some((name, value)) = &sample.header {
            headers.insert(name, value.clone());
        }
        let own = method_of(sample.route);
        let methods: &[&str] = match sample.route.method.as_str() {
            "*" => &METHODS,
            _ => &[own.as_str()],
        };
        let mut answer = Err(Reason::NoRoute);
        for method in methods {
            let request = Request {
                method,
                path: &sample.path,
                query: &sample.query,
                authority: None,
                headers: &headers,
                peer: self.client.unwrap_or(IpAddr::from([0, 0, 0, 0])),
                now_ms: self.now_ms,
            };
            let question = Question::read(&request, self.client, declared)?;
            let decision = self.decide(caller, &question).await?;
            let taken_by = decision.rule.route.map(|route| route as usize);
            answer = match decision.outcome {
                Outcome::Allow(_) => Ok(()),
                Outcome::Deny(reason) => Err(reason),
            };
            if taken_by == Some(sample.index) {
                break;
            }
        }
        Ok(answer)
    }

    async fn decide(&self, caller: &Principal, question: &Question<'_>) -> Result<Decision, Cause> {
        let registered: &BTreeSet<String> = &caller.registered;
        let decided = self
            .policy
            .decide_bounded(&caller.caller_ref(), &question.as_ref(), registered)
            .await;
        decided.map_err(Cause::from)
    }
}

/// A cluster that is registered, one of those that the caller may touch if there is any.
fn representative(caller: &Principal) -> Option<&str> {
    let registered = caller.registered.iter().map(String::as_str);
    let own = match caller.caller.effective_clusters() {
        Clusters::All => None,
        Clusters::Only(ids) => registered
            .clone()
            .find(|cluster| ids.iter().any(|id| id == cluster)),
    };
    let mut registered = registered;
    own.or_else(|| registered.next())
}
