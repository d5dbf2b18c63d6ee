//! From what Envoy says of a request to what the gate is asked. Whatever is missing, or said twice and not alike, makes it
//! a question that nobody can answer.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr},
};

use envoy_types::pb::envoy::{
    config::core::v3::{HeaderMap as RawHeaders, HeaderValue as RawHeader, address::Address},
    service::auth::v3::{
        AttributeContext,
        attribute_context::{HttpRequest, Peer},
    },
};
use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{CONNECTION, UPGRADE},
};
use scopegate_host::{Request, headers};

/// Pseudo-headers come on top of what a request may have.
const HEADERS_MAX: usize = headers::HEADERS_MAX + 8;

/// A request that Envoy asks about.
pub(crate) struct Asked {
    method: String,
    path: String,
    query: String,
    authority: Option<String>,
    headers: HeaderMap,
    peer: IpAddr,
    ended: Vec<HeaderName>,
}

/// What of a question cannot be read. The text has nothing in it that a client sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Malformed(&'static str);

impl Asked {
    /// Reads a question.
    ///
    /// # Errors
    /// What is missing or cannot be read.
    pub(crate) fn read(context: AttributeContext) -> Result<Self, Malformed> {
        let peer = peer(context.source)?;
        let request = context.request.and_then(|request| request.http);
        let request = request.ok_or(Malformed("there is no HTTP request to decide about"))?;
        let HttpRequest {
            method,
            path,
            host,
            headers,
            header_map,
            ..
        } = request;
        let Fields {
            mut headers,
            pseudo,
        } = fields(headers, header_map)?;
        let method = agreed(method, pseudo.method, "the method is not clear")?;
        let target = agreed(path, pseudo.path, "the path is not clear")?;
        let authority = match (host.is_empty(), &pseudo.authority) {
            (true, None) => None,
            _ => Some(agreed(
                host,
                pseudo.authority,
                "the authority is not clear",
            )?),
        };
        let ended = end_connection(&mut headers);
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path.to_owned(), query.to_owned()),
            None => (target, String::new()),
        };
        Ok(Self {
            method,
            path,
            query,
            authority,
            headers,
            peer,
            ended,
        })
    }

    /// What the gate is asked.
    pub(crate) fn request(&self, now_ms: i64) -> Request<'_> {
        Request {
            method: &self.method,
            path: &self.path,
            query: &self.query,
            authority: self.authority.as_deref(),
            headers: &self.headers,
            peer: self.peer,
            now_ms,
        }
    }

    /// What the client's `Connection` header named: nobody has judged it, so it must not go on.
    pub(crate) fn ended(&self) -> &[HeaderName] {
        &self.ended
    }
}

/// Without query and headers, which hold secrets.
impl std::fmt::Debug for Asked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Asked")
            .field("method", &self.method)
            .field("path", &self.path)
            .field("peer", &self.peer)
            .finish_non_exhaustive()
    }
}

/// The other end of the client's connection to Envoy. All clients of a Unix socket are one.
fn peer(source: Option<Peer>) -> Result<IpAddr, Malformed> {
    let address = source.and_then(|peer| peer.address?.address);
    match address {
        Some(Address::SocketAddress(address)) => address
            .address
            .parse()
            .map_err(|_| Malformed("the client's address is no IP address")),
        Some(Address::Pipe(_)) => Ok(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
        Some(Address::EnvoyInternalAddress(_)) | None => {
            Err(Malformed("there is no address of the client"))
        }
    }
}

struct Fields {
    headers: HeaderMap,
    pseudo: Pseudo,
}

#[derive(Default)]
struct Pseudo {
    method: Option<String>,
    path: Option<String>,
    authority: Option<String>,
}

/// The headers, from the one field that has them: `header_map` where Envoy is told to `encode_raw_headers`, else
/// `headers`, where it has merged repeated ones.
fn fields(merged: HashMap<String, String>, raw: Option<RawHeaders>) -> Result<Fields, Malformed> {
    let raw = raw.map_or_else(Vec::new, |raw| raw.headers);
    if !raw.is_empty() && !merged.is_empty() {
        return Err(Malformed("the headers are there twice"));
    }
    if raw.len() > HEADERS_MAX || merged.len() > HEADERS_MAX {
        return Err(Malformed("there are too many headers"));
    }
    let mut fields = Fields {
        headers: HeaderMap::with_capacity(raw.len().max(merged.len())),
        pseudo: Pseudo::default(),
    };
    for RawHeader {
        key,
        value,
        raw_value,
    } in raw
    {
        let value = match (value.is_empty(), raw_value.is_empty()) {
            (false, false) => return Err(Malformed("a header has two values")),
            (false, true) => value.into_bytes(),
            _ => raw_value,
        };
        fields.add(&key, value)?;
    }
    for (key, value) in merged {
        fields.add(&key, value.into_bytes())?;
    }
    Ok(fields)
}

impl Fields {
    fn add(&mut self, name: &str, value: Vec<u8>) -> Result<(), Malformed> {
        let place = match name {
            ":method" => &mut self.pseudo.method,
            ":path" => &mut self.pseudo.path,
            ":authority" => &mut self.pseudo.authority,
            // Whether the client came by TLS is nothing that is decided by.
            ":scheme" => return Ok(()),
            _ => return self.append(name, value),
        };
        let text = String::from_utf8(value);
        let text = text.map_err(|_| Malformed("a pseudo-header is not text"))?;
        match place.replace(text) {
            None => Ok(()),
            Some(_) => Err(Malformed("a pseudo-header is there twice")),
        }
    }

    fn append(&mut self, name: &str, value: Vec<u8>) -> Result<(), Malformed> {
        // Another pseudo-header is no header name either.
        let name = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| Malformed("a header's name cannot be read"))?;
        let value = HeaderValue::try_from(value)
            .map_err(|_| Malformed("a header's value cannot be read"))?;
        self.headers
            .try_append(name, value)
            .map(|_| ())
            .map_err(|_| Malformed("there are too many headers"))
    }
}

/// What is said in a field of its own and perhaps as a pseudo-header: alike, and not nothing.
fn agreed(field: String, pseudo: Option<String>, what: &'static str) -> Result<String, Malformed> {
    let text = match pseudo {
        Some(pseudo) if field.is_empty() || field == pseudo => pseudo,
        Some(_) => return Err(Malformed(what)),
        None => field,
    };
    match text.is_empty() {
        true => Err(Malformed(what)),
        false => Ok(text),
    }
}

/// Takes off what the client's `Connection` header names, before anybody reads it: a header that the policy judged must
/// not vanish before the upstream reads it. What Envoy itself writes about the client stays, and so does an upgrade.
fn end_connection(headers: &mut HeaderMap) -> Vec<HeaderName> {
    if !headers.contains_key(CONNECTION) {
        return Vec::new();
    }
    let named: Vec<HeaderName> = headers::connection_named(headers).collect();
    headers.remove(CONNECTION);
    if named.contains(&UPGRADE) && headers.contains_key(UPGRADE) {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    }
    let ended = named.into_iter().filter(|name| {
        !headers::HOP_BY_HOP.contains(name) && !name.as_str().starts_with("x-forwarded-")
    });
    let ended: Vec<HeaderName> = ended.collect();
    for name in &ended {
        headers.remove(name);
    }
    ended
}

#[cfg(test)]
mod tests;
