//! A gRPC error is no answer: Envoy lets the request through where it is told to fail open, and a client that can cause
//! one (by headers that make the question too large, by bytes that are not UTF-8) would open the gate itself. So what
//! becomes of a question that never reached the service is a denial like any other.

use std::{
    convert::Infallible,
    panic::AssertUnwindSafe,
    sync::Arc,
    task::{Context, Poll},
};

use envoy_types::ext_authz::v3::pb::{AuthorizationServer, CheckResponse};
use futures_util::{FutureExt as _, stream};
use http::{Request, Response, header};
use scopegate_host::Cause;
use tonic::{
    Code, Status,
    body::Body,
    codec::{Codec as _, EncodeBody, SingleMessageCompressionOverride},
    codegen::{BoxFuture, Service},
    metadata::GRPC_CONTENT_TYPE,
    server::NamedService,
};
use tonic_prost::ProstCodec;

use crate::{reply::Reply, service::Authorizer};

const CHECK: &str = "/envoy.service.auth.v3.Authorization/Check";
/// The largest question, in bytes: far more than the headers that the gate takes, for Envoy adds certificates and metadata.
const QUESTION_BYTES_MAX: usize = 1 << 20;

/// The service, which answers every question with a [`Reply`].
#[derive(Clone)]
pub(crate) struct Answered {
    inner: AuthorizationServer<Authorizer>,
    authorizer: Arc<Authorizer>,
}

impl Answered {
    pub(crate) fn new(authorizer: Arc<Authorizer>) -> Self {
        let inner = AuthorizationServer::from_arc(Arc::clone(&authorizer))
            .max_decoding_message_size(QUESTION_BYTES_MAX);
        Self { inner, authorizer }
    }
}

impl NamedService for Answered {
    const NAME: &'static str = <AuthorizationServer<Authorizer> as NamedService>::NAME;
}

impl Service<Request<Body>> for Answered {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Response<Body>, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let is_question = request.uri().path() == CHECK;
        let answering = self.inner.call(request);
        if !is_question {
            return answering;
        }
        let authorizer = Arc::clone(&self.authorizer);
        Box::pin(async move {
            let cause = match AssertUnwindSafe(answering).catch_unwind().await {
                Ok(Ok(response)) => match error_of(&response) {
                    None => return Ok(response),
                    Some(code) => cause(code),
                },
                Err(_) => Cause::Unavailable("reading a question of Envoy panicked".to_owned()),
            };
            tracing::warn!(
                code = cause.code(),
                ?cause,
                "a question of Envoy could not be read"
            );
            Ok(response(authorizer.refuse(cause).await))
        })
    }
}

/// The code of a gRPC error, which stands in the head of a response without a message.
fn error_of(response: &Response<Body>) -> Option<Code> {
    let status = response.headers().get(Status::GRPC_STATUS)?;
    match Code::from_bytes(status.as_bytes()) {
        Code::Ok => None,
        code => Some(code),
    }
}

fn cause(code: Code) -> Cause {
    match code {
        Code::OutOfRange | Code::ResourceExhausted => Cause::InvalidRequest(
            "what Envoy has to say of the request is more than is read".to_owned(),
        ),
        code => Cause::Unavailable(format!("a question of Envoy could not be read: {code:?}")),
    }
}

/// A reply as a whole response.
fn response(reply: Reply) -> Response<Body> {
    let encoder = ProstCodec::<CheckResponse, ()>::default().encoder();
    let message = stream::iter([Ok::<_, Status>(CheckResponse::from(reply))]);
    let body = EncodeBody::new_server(
        encoder,
        message,
        None,
        SingleMessageCompressionOverride::Disable,
        None,
    );
    let mut response = Response::new(Body::new(body));
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, GRPC_CONTENT_TYPE);
    response
}
