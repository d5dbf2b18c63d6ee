//! The dashboard under `/-/`: the management API as pages, rendered here, that work without script.
//!
//! A page is a client of the API in the same process: it calls it with the visitor's own session, so what a visitor may
//! not do is refused by the same rules, whatever a page shows. Nothing here reads or changes the store by itself.

mod assets;
mod audit;
mod browser;
mod calls;
mod catalogue;
mod clusters;
mod confirm;
mod fields;
mod invitation;
mod keys;
mod menu;
mod moment;
mod organizations;
mod overview;
mod page;
mod policy;
mod problem;
mod profile;
mod roles;
mod sign_in;
mod users;
mod visitor;

use std::sync::Arc;

use axum::{Router, body::Body, middleware, routing::get};
use http::{Request, Response};
use scopegate_axum::Clock;
use scopegate_host::Gate;
use tower::ServiceExt;

use crate::{api::Api, front::Product};
use problem::SignsIn;

/// Where the dashboard is.
const ROOT: &str = "/-/";
/// What pages begin with, after [`ROOT`].
const PARTS: [&str; 14] = [
    "",
    "assets",
    "audit",
    "clusters",
    "join",
    "keys",
    "organizations",
    "policy",
    "profile",
    "roles",
    "settings",
    "sign-in",
    "sign-out",
    "users",
];

/// The dashboard.
#[derive(Clone, Debug)]
pub(crate) struct Dashboard {
    router: Router,
}

/// How clients reach the gate.
#[derive(Clone, Debug)]
pub(crate) struct Reached {
    /// Where the product's API is, as the configuration says.
    pub(crate) public_url: Option<http::Uri>,
    /// Whether it is where the dashboard is.
    pub(crate) shared: bool,
}

/// What pages are made with.
#[derive(Debug)]
pub(crate) struct Site {
    gate: Arc<Gate>,
    clock: Clock,
    api: Api,
    product: Product,
    reached: Reached,
}

/// Whether a path is the dashboard's.
pub(crate) fn is_page(path: &str) -> bool {
    if path == "/-" {
        return true;
    }
    path.strip_prefix(ROOT).is_some_and(|rest| {
        let part = rest.split('/').next().unwrap_or_default();
        PARTS.contains(&part)
    })
}

impl Dashboard {
    /// The pages of this gate.
    pub(crate) fn new(
        gate: Arc<Gate>,
        clock: Clock,
        api: Api,
        product: Product,
        reached: Reached,
    ) -> Self {
        let site = Arc::new(Site {
            gate,
            clock,
            api,
            product,
            reached,
        });
        let router = Router::new()
            .route("/-", get(overview::home))
            .route("/-/", get(overview::show))
            .route("/-/settings", get(overview::section))
            .route("/-/profile", get(overview::section))
            .merge(sign_in::routes())
            .merge(keys::routes())
            .merge(profile::routes())
            .merge(audit::routes())
            .merge(policy::routes())
            .merge(users::routes())
            .merge(clusters::routes())
            .merge(roles::routes())
            .merge(organizations::routes())
            .route("/-/assets/{name}", get(assets::serve))
            .fallback(page::nothing_here)
            .method_not_allowed_fallback(page::nothing_here)
            .layer(middleware::map_response(browser::harden))
            .with_state(site);
        Self { router }
    }

    /// Answers a request to it.
    pub(crate) async fn answer(&self, request: Request<Body>) -> Response<Body> {
        let target = request.uri().path_and_query();
        let target = target
            .map_or(ROOT, http::uri::PathAndQuery::as_str)
            .to_owned();
        let Ok(mut reply) = self.router.clone().oneshot(request).await;
        // One comes back to the page that was asked for; a form's page has the form's own address.
        if let Some(signs_in) = reply.extensions_mut().remove::<SignsIn>() {
            let path = sign_in::path(&target, signs_in == SignsIn::Again);
            return browser::harden(page::see(&path)).await;
        }
        reply
    }
}
