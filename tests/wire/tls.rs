//! An upstream behind TLS: verified, by the web's roots or by a configured authority.

use std::sync::Arc;

use http::Response;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::harness::{Key, Options, World};

/// An upstream whose certificate is its own authority: its URL, and the certificate.
async fn tls_upstream() -> (String, CertificateDer<'static>) {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivatePkcs8KeyDer::from(signing_key.serialize_der());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key.into())
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else {
                    return;
                };
                let service = service_fn(|request: http::Request<Incoming>| async move {
                    let host = request.headers()["host"].to_str().unwrap().to_owned();
                    Ok::<_, std::convert::Infallible>(Response::new(host))
                });
                let _ = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    });
    (format!("https://localhost:{port}"), cert.der().clone())
}

#[tokio::test]
async fn a_configured_authority_is_believed_and_nobody_else() {
    let (url, authority) = tls_upstream().await;
    let host = url.strip_prefix("https://").unwrap().to_owned();
    let options = Options {
        upstream: Some(url.clone()),
        roots: vec![authority],
        ..Options::of("k8cost")
    };
    let world = World::with(options).await;
    let reply = world
        .key(Key::default())
        .await
        .get("/api/v1/clusters/prod")
        .await;
    assert_eq!((reply.status, reply.body), (200, host));

    let world = World::with(Options {
        upstream: Some(url),
        ..Options::of("k8cost")
    })
    .await;
    let reply = world
        .key(Key::default())
        .await
        .get("/api/v1/clusters/prod")
        .await;
    assert_eq!((reply.status, reply.code().as_str()), (502, "bad-gateway"));
}
