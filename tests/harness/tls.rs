//! TLS before something that speaks none.

use std::{net::SocketAddr, sync::Arc};

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::PrivatePkcs8KeyDer;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// A listener whose certificate, for `localhost` and `127.0.0.1`, is its own authority.
pub struct Encrypted {
    /// Where it listens.
    pub address: SocketAddr,
    /// Its certificate, in PEM.
    pub authority: String,
    /// Another one for the same names, which it does not use.
    pub stranger: String,
}

/// Puts one before this address.
pub async fn before(inner: SocketAddr) -> Encrypted {
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(names.clone()).expect("a certificate");
    let stranger = generate_simple_self_signed(names).expect("a certificate");
    let key = PrivatePkcs8KeyDer::from(signing_key.serialize_der());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key.into())
        .expect("a configuration");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut outside) = acceptor.accept(stream).await else {
                    return;
                };
                let inside = TcpStream::connect(inner).await;
                let mut inside = inside.expect("what is behind it");
                let _ = tokio::io::copy_bidirectional(&mut outside, &mut inside).await;
            });
        }
    });
    Encrypted {
        address,
        authority: cert.pem(),
        stranger: stranger.cert.pem(),
    }
}
