//! Requests that stand for a route: with something in the place of each of its parameters.

use http::{HeaderName, HeaderValue};
use scopegate_policy::{ClusterSource, RouteInfo};

use crate::path;

/// What stands for the parameters of a route that are no cluster.
const ANYTHING: &str = "~";

/// A request on a route.
pub(in crate::gate) struct Sample<'d> {
    pub(in crate::gate) index: usize,
    pub(in crate::gate) route: &'d RouteInfo,
    pub(in crate::gate) path: String,
    pub(in crate::gate) query: String,
    pub(in crate::gate) header: Option<(HeaderName, HeaderValue)>,
}

impl<'d> Sample<'d> {
    /// A request on the policy's route of this place, about this cluster where it takes one.
    pub(in crate::gate) fn of(index: usize, route: &'d RouteInfo, cluster: Option<&str>) -> Self {
        Self {
            index,
            route,
            path: path_of(route, cluster),
            query: match (&route.cluster, cluster) {
                (ClusterSource::Query(name), Some(cluster)) => {
                    path::with_parameter("", name, cluster)
                }
                _ => String::new(),
            },
            header: match (&route.cluster, cluster) {
                (ClusterSource::Header(name), Some(cluster)) => pair(name, cluster),
                _ => None,
            },
        }
    }
}

fn pair(name: &str, value: &str) -> Option<(HeaderName, HeaderValue)> {
    Some((
        HeaderName::from_bytes(name.as_bytes()).ok()?,
        HeaderValue::from_str(value).ok()?,
    ))
}

pub(in crate::gate) fn method_of(route: &RouteInfo) -> String {
    match route.method.as_str() {
        "*" => "GET".to_owned(),
        method => method.to_owned(),
    }
}

/// A path that the route's pattern matches: with this cluster where it names one.
pub fn path_of(route: &RouteInfo, cluster: Option<&str>) -> String {
    let place = match route.cluster {
        ClusterSource::Path(index) => Some(index as usize),
        _ => None,
    };
    let mut path = String::new();
    for (index, segment) in route.pattern.split('/').skip(1).enumerate() {
        let segment = match segment {
            "**" => break,
            _ if place == Some(index) => cluster.unwrap_or(ANYTHING),
            parameter if parameter.starts_with('{') => ANYTHING,
            literal => literal,
        };
        path.push('/');
        path.push_str(segment);
    }
    if path.is_empty() {
        path.push('/');
    }
    path
}
