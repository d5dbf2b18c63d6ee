//! The one span of a request, in the words of OpenTelemetry's conventions for HTTP servers, and the two headers of W3C Trace
//! Context that say whose child it is and whose parent. Nothing in them decides anything.
//!
//! A span lasts as long as its [`Admission`](crate::Admission): where the gate itself proxies, until the reply's last byte.

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use opentelemetry::{
    Context,
    trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState},
};
use scopegate_policy::RouteInfo;
use tracing::{Span, field::Empty};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use uuid::Uuid;

use crate::{Cause, Principal, audit::without_secrets};

/// What the spans of requests are called in filters: the program that exports them takes these and no others.
pub const TARGET: &str = module_path!();

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// A request's span; nothing where nobody listens.
#[derive(Clone, Debug)]
pub struct RequestSpan(Span);

impl Default for RequestSpan {
    fn default() -> Self {
        Self(Span::none())
    }
}

/// What was decided about a request.
#[derive(Clone, Copy)]
pub(crate) struct Decided<'d> {
    pub(crate) method: &'d str,
    pub(crate) path: &'d str,
    pub(crate) route: Option<&'d RouteInfo>,
    pub(crate) kind: &'static str,
    pub(crate) principal: Option<&'d Principal>,
    /// The digest of the policy that was asked.
    pub(crate) policy: Option<&'d str>,
    pub(crate) micros: u64,
    pub(crate) cause: Option<&'d Cause>,
}

impl RequestSpan {
    /// The span of a request that begins. `told` are its headers where they may say whose child it is: where they come from
    /// a proxy that is trusted. Anybody else's word would make strangers decide what is kept, and tie their traces to ours.
    pub(crate) fn open(id: Uuid, told: Option<&HeaderMap>) -> Self {
        let span = tracing::debug_span!(
            "request",
            otel.kind = "server",
            otel.status_code = Empty,
            http.request.method = Empty,
            http.route = Empty,
            http.response.status_code = Empty,
            url.path = Empty,
            scopegate.request_id = %id,
            scopegate.outcome = Empty,
            scopegate.reason = Empty,
            scopegate.caller = Empty,
            scopegate.organization = Empty,
            scopegate.user = Empty,
            scopegate.credential = Empty,
            scopegate.policy = Empty,
            scopegate.gate_micros = Empty,
        );
        if !span.is_disabled()
            && let Some(parent) = told.and_then(parent)
            // An application around the gate has a span of its own, and has read the headers.
            && !Span::current().context().span().span_context().is_valid()
        {
            // Where nothing exports spans, nothing has a parent.
            let _ = span.set_parent(Context::new().with_remote_span_context(parent));
        }
        Self(span)
    }

    /// What runs within it.
    pub(crate) fn span(&self) -> Span {
        self.0.clone()
    }

    /// Says what was decided. Callers are ids here: names and addresses are the audit's.
    pub(crate) fn decided(&self, decided: Decided<'_>) {
        let span = &self.0;
        if span.is_disabled() {
            return;
        }
        let Decided { method, route, .. } = decided;
        let mut name = method.to_owned();
        if let Some(route) = route {
            name = format!("{method} {}", route.pattern);
            span.record("http.route", &*route.pattern);
        }
        // A span that has begun takes no other name as a field.
        span.context().span().update_name(name);
        span.record("http.request.method", method);
        span.record("url.path", &*without_secrets(decided.path));
        span.record("scopegate.caller", decided.kind);
        if let Some(principal) = decided.principal {
            let id = tracing::field::display;
            span.record("scopegate.organization", id(principal.organization));
            span.record("scopegate.credential", id(principal.credential));
            if let Some(user) = principal.user {
                span.record("scopegate.user", id(user));
            }
        }
        if let Some(policy) = decided.policy {
            span.record("scopegate.policy", policy);
        }
        span.record("scopegate.gate_micros", decided.micros);
        match decided.cause {
            None => {
                span.record("scopegate.outcome", "admit");
            }
            Some(cause) => {
                span.record("scopegate.outcome", "refuse");
                self.came_to_nothing(cause);
                span.in_scope(|| tracing::debug!("refused"));
            }
        }
    }

    /// Says why the request was refused, or was not answered although it had been admitted. To be said once.
    pub(crate) fn came_to_nothing(&self, cause: &Cause) {
        self.0.record("scopegate.reason", cause.code());
    }

    /// Says what the client was answered.
    pub fn answered(&self, status: StatusCode) {
        if self.0.is_disabled() {
            return;
        }
        self.0
            .record("http.response.status_code", i64::from(status.as_u16()));
        if status.is_server_error() {
            self.0.record("otel.status_code", "ERROR");
        }
    }

    /// What the upstream is told: that its span is a child of this one. Nothing where no spans are exported: then what the
    /// client said goes on as it is.
    pub(crate) fn onward(&self) -> Option<Onward> {
        if self.0.is_disabled() {
            return None;
        }
        let context = self.0.context();
        let span = context.span();
        let context = span.span_context();
        if !context.is_valid() {
            return None;
        }
        let parent = format!(
            "00-{}-{}-{:02x}",
            context.trace_id(),
            context.span_id(),
            context.trace_flags().to_u8()
        );
        let mut set = vec![(TRACEPARENT, HeaderValue::try_from(parent).ok()?)];
        let state = HeaderValue::try_from(context.trace_state().header()).ok();
        set.extend(
            state
                .filter(|state| !state.is_empty())
                .map(|state| (TRACESTATE, state)),
        );
        Some(Onward {
            set,
            remove: [TRACEPARENT, TRACESTATE],
        })
    }
}

/// Headers for the upstream.
pub(crate) struct Onward {
    pub(crate) set: Vec<(HeaderName, HeaderValue)>,
    /// A state without its parent is nobody's.
    pub(crate) remove: [HeaderName; 2],
}

/// Whose child a request is, by its headers (W3C Trace Context, section 3.2). What is not well formed was not said.
fn parent(headers: &HeaderMap) -> Option<SpanContext> {
    let mut parents = headers.get_all(TRACEPARENT).iter();
    let (Some(parent), None) = (parents.next(), parents.next()) else {
        return None;
    };
    let parent = parent.to_str().ok()?;
    let mut parts = parent.split('-');
    let [version, trace, span, flags] = [(); 4].map(|()| parts.next().unwrap_or_default());
    let version = hex(version, 2)?;
    // Later versions may have more parts, and 255 is none.
    if version == 255 || (version == 0 && parts.next().is_some()) {
        return None;
    }
    let trace = TraceId::from(hex(trace, 32)?);
    let span = SpanId::from(u64::try_from(hex(span, 16)?).ok()?);
    let flags = u8::try_from(hex(flags, 2)?).ok()?;
    let states: Vec<&str> = headers
        .get_all(TRACESTATE)
        .iter()
        .filter_map(|state| state.to_str().ok())
        .collect();
    let state = states
        .join(",")
        .parse()
        .unwrap_or_else(|_| TraceState::default());
    let flags = TraceFlags::new(flags) & TraceFlags::SAMPLED;
    let context = SpanContext::new(trace, span, flags, true, state);
    context.is_valid().then_some(context)
}

/// So many lower-case digits, and nothing else.
fn hex(text: &str, digits: usize) -> Option<u128> {
    let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if text.len() != digits || !text.bytes().all(is_hex) {
        return None;
    }
    u128::from_str_radix(text, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

    fn told(headers: &[(&'static str, &str)]) -> Option<SpanContext> {
        let headers = headers
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_str(value).unwrap(),
                )
            })
            .collect();
        parent(&headers)
    }

    #[test]
    fn a_parent_is_read_with_its_state() {
        let parent = format!("00-{TRACE}-b7ad6b7169203331-01");
        let read = told(&[
            ("traceparent", &parent),
            ("tracestate", "rojo=00f067aa0ba902b7"),
            ("tracestate", "congo=t61rcWkgMzE"),
        ])
        .unwrap();
        assert_eq!(read.trace_id().to_string(), TRACE);
        assert_eq!(read.span_id().to_string(), "b7ad6b7169203331");
        assert!(read.is_sampled() && read.is_remote());
        assert_eq!(
            read.trace_state().header(),
            "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"
        );
        let later = format!("cc-{TRACE}-b7ad6b7169203331-00-what-comes");
        assert!(!told(&[("traceparent", &later)]).unwrap().is_sampled());
    }

    #[test]
    fn what_is_not_well_formed_was_not_said() {
        let wrong = [
            String::new(),
            "00".to_owned(),
            format!("00-{TRACE}-b7ad6b7169203331"),
            format!("00-{TRACE}-b7ad6b7169203331-01-more"),
            format!("ff-{TRACE}-b7ad6b7169203331-01"),
            format!("00-{}-b7ad6b7169203331-01", TRACE.to_uppercase()),
            format!("00-{}-b7ad6b7169203331-01", "0".repeat(32)),
            format!("00-{TRACE}-{}-01", "0".repeat(16)),
            format!("00-+{}-b7ad6b7169203331-01", &TRACE[1..]),
            format!("00-{TRACE}-b7ad6b7169203331-1"),
        ];
        for parent in wrong {
            assert!(told(&[("traceparent", &parent)]).is_none(), "{parent}");
        }
        let good = format!("00-{TRACE}-b7ad6b7169203331-01");
        assert!(told(&[("traceparent", &good), ("traceparent", &good)]).is_none());
        let odd = told(&[("traceparent", &good), ("tracestate", "no pairs")]).unwrap();
        assert_eq!(odd.trace_state().header(), "");
    }

    #[test]
    fn where_nobody_listens_the_upstream_is_told_nothing() {
        let span = RequestSpan::open(Uuid::nil(), None);
        assert!(span.onward().is_none());
        assert!(RequestSpan::default().onward().is_none());
    }
}
