//! Whether a permission may be used on a cluster. A policy decides requests, and nothing else: so it is asked about requests
//! that need the permission and are about the cluster, one for each of its routes, until it allows one.

use std::time::Instant;

use http::HeaderMap;
use scopegate_policy::{ClusterSource, Clusters, Outcome, Reason, RouteInfo, is_cluster_id};

use super::{
    Around, Asked, Evaluator, Noted,
    sample::{Sample, method_of},
};
use crate::{
    Cause, Principal,
    gate::{Subject, decide},
    refusal::cut,
};

/// Routes that are asked about for one permission and cluster.
const ROUTES_MAX: usize = 16;

impl Evaluator<'_> {
    /// Whether the subject may use the permission on the cluster; on record, as the request that settled it.
    ///
    /// # Errors
    /// Why not, or why it cannot be told.
    pub async fn evaluate_cluster(
        &self,
        subject: &Subject,
        permission: &str,
        cluster: &str,
        around: &Around<'_>,
    ) -> Result<(), Cause> {
        self.on_cluster(subject, permission, cluster, around, true)
            .await
    }

    /// The same for a search, of whose questions there is no record each.
    ///
    /// # Errors
    /// As [`Evaluator::evaluate_cluster`].
    pub async fn try_out_cluster(
        &self,
        subject: &Subject,
        permission: &str,
        cluster: &str,
        around: &Around<'_>,
    ) -> Result<(), Cause> {
        self.on_cluster(subject, permission, cluster, around, false)
            .await
    }

    async fn on_cluster(
        &self,
        subject: &Subject,
        permission: &str,
        cluster: &str,
        around: &Around<'_>,
        is_recorded: bool,
    ) -> Result<(), Cause> {
        let began = Instant::now();
        // What is on record where no route was asked about.
        let mut told = (
            "GET".to_owned(),
            String::from("/"),
            String::new(),
            Noted::default(),
        );
        let mut answer = Err(match &subject.refused {
            Some(cause) => cause.clone(),
            None => Cause::Denied(Reason::NoRoute),
        });
        let samples = match subject.refused {
            Some(_) => Vec::new(),
            None if !is_cluster_id(cluster) => {
                let named = cut(cluster, 253).to_owned();
                answer = Err(Cause::Denied(Reason::ClusterNotAllowed(named)));
                Vec::new()
            }
            None => samples(&self.description().routes, permission, cluster),
        };
        let mut is_first = true;
        for sample in samples {
            let mut noted = Noted::default();
            let decided = self
                .on_route(subject, &sample, cluster, around, &mut noted)
                .await;
            let Some(decided) = decided else { continue };
            // The first refusal says most: the routes that name their cluster come first.
            if is_first || decided.is_ok() {
                told = (method_of(sample.route), sample.path, sample.query, noted);
                answer = decided;
            }
            is_first = false;
            if answer.is_ok() {
                break;
            }
        }
        if is_recorded {
            let (method, path, query, noted) = told;
            let asked = Asked {
                method: &method,
                path: &path,
                query: &query,
                around: *around,
            };
            let cause = answer.as_ref().err();
            self.record(subject, &asked, noted, cause, began).await?;
        }
        answer
    }

    /// What comes of a request on this route; nothing where another route takes it.
    async fn on_route(
        &self,
        subject: &Subject,
        sample: &Sample<'_>,
        cluster: &str,
        around: &Around<'_>,
        noted: &mut Noted,
    ) -> Option<Result<(), Cause>> {
        let mut headers: HeaderMap = around.headers.clone();
        if let Some((name, value)) = &sample.header {
            headers.insert(name, value.clone());
        }
        let method = method_of(sample.route);
        let asked = Asked {
            method: &method,
            path: &sample.path,
            query: &sample.query,
            around: Around {
                headers: &headers,
                ..*around
            },
        };
        let request = self.request(&asked);
        let question = match self.read(&request, &asked, noted) {
            Ok(question) => question,
            Err(cause) => return Some(Err(cause)),
        };
        let decision = match self.ask(subject, &question, noted).await {
            Ok(decision) => decision,
            Err(cause) => return Some(Err(cause)),
        };
        let taken_by = decision.rule.route.map(|index| index as usize);
        if taken_by.is_some_and(|index| index != sample.index) {
            return None;
        }
        Some(match decision.outcome {
            Outcome::Allow(visible) if is_among(&visible, cluster, subject) => Ok(()),
            // It is of the organization's clusters, and this is none that the subject sees.
            Outcome::Allow(_) => Err(Cause::Denied(Reason::ClusterNotAllowed(cluster.to_owned()))),
            denied => decide::allowed(denied).map(|_| ()),
        })
    }
}

fn is_among(visible: &Clusters, cluster: &str, subject: &Subject) -> bool {
    let is_registered = |principal: &Principal| principal.registered.contains(cluster);
    visible.contains(cluster) && subject.principal.as_deref().is_some_and(is_registered)
}

/// A request for each route that needs the permission and touches clusters, those first that name the cluster.
fn samples<'d>(routes: &'d [RouteInfo], permission: &str, cluster: &str) -> Vec<Sample<'d>> {
    let mut found: Vec<(u8, usize, &RouteInfo)> = routes
        .iter()
        .enumerate()
        .filter(|(_, route)| !route.is_management() && !route.public)
        .filter(|(_, route)| route.requires.as_deref() == Some(permission))
        .filter_map(|(index, route)| Some((order(&route.cluster)?, index, route)))
        .collect();
    found.sort_by_key(|(order, index, _)| (*order, *index));
    let found = found.into_iter().take(ROUTES_MAX);
    found
        .map(|(_, index, route)| Sample::of(index, route, Some(cluster)))
        .collect()
}

fn order(cluster: &ClusterSource) -> Option<u8> {
    match cluster {
        ClusterSource::Path(_) => Some(0),
        ClusterSource::Query(_) => Some(1),
        ClusterSource::Header(_) => Some(2),
        ClusterSource::Lists(_) => Some(3),
        ClusterSource::Upstream => Some(4),
        ClusterSource::Spans => Some(5),
        ClusterSource::None => None,
    }
}
