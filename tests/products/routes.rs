//! What a credential may do, over every route of the policy.

use serde_json::json;

use super::world::World;

/// A route of the policy.
pub struct Route {
    pub method: String,
    pub path: String,
    pub requires: Option<String>,
}

impl World {
    /// Every route of the policy, the gate's own aside, as a request for the cluster `prod`.
    pub fn routes(&self) -> Vec<Route> {
        let policy = self.policy();
        let routes = policy.description().own_routes();
        routes
            .map(|route| Route {
                method: route.method.clone(),
                path: route
                    .pattern
                    .replace("{cluster}", "prod")
                    .replace("/**", "")
                    .replace(['{', '}'], ""),
                requires: route.requires.clone(),
            })
            .collect()
    }

    /// Asks for every route; `may` says of a permission whether it lets through, all else is 403. The clock moves
    /// on now and then, so that no limit is met.
    pub async fn assert_may(&self, credential: &str, may: impl Fn(&str) -> bool) {
        for (index, route) in self.routes().into_iter().enumerate() {
            if index % 10 == 0 {
                self.advance_secs(120);
            }
            let request = self.request(&route.method, &route.path).bearer(credential);
            let request = match route.method.as_str() {
                "GET" | "DELETE" => request,
                _ => request.json(json!({})),
            };
            let answer = request.send().await;
            let allowed = route.requires.as_deref().is_none_or(&may);
            let expected = if allowed { 200..=202 } else { 403..=403 };
            assert!(
                expected.contains(&answer.status),
                "{} {}: {answer:?}",
                route.method,
                route.path
            );
        }
    }
}
