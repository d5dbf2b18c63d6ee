//! Another site, whose pages a test writes.

use std::{collections::HashMap, net::SocketAddr, sync::Arc};

use axum::{
    Router,
    extract::Request,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode},
    response::IntoResponse,
};

/// A site with these pages, until the test ends.
pub(super) struct Site {
    address: SocketAddr,
}

/// A page: its path, a header of its own, and its text.
pub(super) type Page<'p> = (&'p str, Option<(&'static str, &'static str)>, String);

impl Site {
    /// Serves these pages; every other path is 404.
    pub(super) async fn of(pages: &[Page<'_>]) -> Self {
        let pages: HashMap<_, _> = pages
            .iter()
            .map(|(path, header, html)| ((*path).to_owned(), (*header, html.clone())))
            .collect();
        let pages = Arc::new(pages);
        let answer = move |request: Request| {
            let page = pages.get(request.uri().path()).cloned();
            async move {
                let Some((header, html)) = page else {
                    return StatusCode::NOT_FOUND.into_response();
                };
                let mut headers = HeaderMap::new();
                headers.insert(
                    "content-type",
                    HeaderValue::from_static("text/html; charset=utf-8"),
                );
                if let Some((name, value)) = header {
                    headers.insert(
                        HeaderName::from_static(name),
                        HeaderValue::from_static(value),
                    );
                }
                (headers, html).into_response()
            }
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        let address = listener.local_addr().expect("an address");
        let app = Router::new().fallback(answer);
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { address }
    }

    /// Its URL: of another origin than the gate's, but to a browser of the same site, since a port makes no site.
    pub(super) fn same_site(&self) -> String {
        format!("http://127.0.0.1:{}", self.address.port())
    }

    /// The same pages as of another site.
    pub(super) fn cross_site(&self) -> String {
        format!("http://localhost:{}", self.address.port())
    }
}
