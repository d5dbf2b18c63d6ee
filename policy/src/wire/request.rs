//! A request as every adapter hands it to the gate.

use core::{fmt, net::IpAddr};

use http::HeaderMap;

/// What an adapter knows of a request before anything is checked. The gate normalises the path, finds the
/// client's address and picks the credential; nothing raw goes further.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// As received, such as `GET`.
    pub method: &'a str,
    /// As received, without the query: still percent-encoded.
    pub path: &'a str,
    /// As received, without `?`; empty when there is none.
    pub query: &'a str,
    /// The authority of the request target (HTTP/2 `:authority`, or an absolute-form target), if it has one.
    pub authority: Option<&'a str>,
    /// All headers.
    pub headers: &'a HeaderMap,
    /// The address of the connection's other end.
    pub peer: IpAddr,
    /// Milliseconds since the epoch.
    pub now_ms: i64,
}

/// Without query and headers, which hold secrets.
impl fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("path", &self.path)
            .field("peer", &self.peer)
            .field("now_ms", &self.now_ms)
            .finish_non_exhaustive()
    }
}
