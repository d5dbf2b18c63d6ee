//! A request as a policy is asked about it: normalised, and with no more of it than the policy declares.

use core::net::IpAddr;
use std::borrow::Cow;

use http::{HeaderMap, HeaderName};

use super::{Cause, Request, headers, path};
use crate::{ClusterSource, Description, is_management_path, packed::RequestRef};

/// What a policy reads of requests besides method and path.
#[derive(Clone, Debug, Default)]
pub struct Declared {
    /// Query parameters.
    pub queries: Vec<String>,
    /// Headers; never one that carries a credential.
    pub headers: Vec<HeaderName>,
}

impl Declared {
    /// What a policy of this description reads.
    pub fn of(description: &Description) -> Self {
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
        Self { queries, headers }
    }
}

/// A request that has the right shape. Without `Debug`: its headers hold secrets.
pub struct Question<'r> {
    /// As received.
    pub method: &'r str,
    /// Normalised.
    pub path: Cow<'r, str>,
    /// As received.
    pub raw_query: &'r str,
    /// The declared parameters, decoded.
    pub query: Vec<(String, String)>,
    /// The declared headers.
    pub fields: Vec<(String, String)>,
    /// All headers.
    pub headers: &'r HeaderMap,
    /// Milliseconds since the epoch.
    pub now_ms: i64,
    /// The client's address, where it is known.
    pub client: Option<IpAddr>,
}

impl<'r> Question<'r> {
    /// Reads a request.
    ///
    /// # Errors
    /// Where its shape is wrong.
    pub fn read(
        request: &Request<'r>,
        client: Option<IpAddr>,
        declared: &Declared,
    ) -> Result<Self, Cause> {
        let invalid = |what: path::BadPath| Cause::InvalidRequest(what.to_string());
        headers::check_shape(request)?;
        Ok(Self {
            method: request.method,
            path: path::normalise(request.path).map_err(invalid)?,
            raw_query: request.query,
            query: path::declared_parameters(request.query, &declared.queries).map_err(invalid)?,
            fields: headers::declared_headers(request.headers, &declared.headers)?,
            headers: request.headers,
            now_ms: request.now_ms,
            client,
        })
    }

    /// As the policy takes it; HEAD is decided as GET.
    pub fn as_ref(&self) -> RequestRef<'_> {
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
    pub fn is_management(&self) -> bool {
        is_management_path(&self.path)
    }
}
