//! TLS between Envoy and the gate: the second example, and every way in which it is wrong.

use std::{fs, path::Path};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair,
};
use scopegate_envoy::{Listener, Settings, StartError, Tls};

use super::{anywhere, api, once};
use crate::{
    harness::{Actor, Key, World, program::free_address},
    proxies::envoy::Envoy,
};

const EXAMPLE: &str = include_str!("../../../adapters/envoy/examples/ext-authz-grpc-tls.yaml");
const PATH: &str = "/v1/clusters/prod";

type Issuer = CertifiedIssuer<'static, KeyPair>;

fn authority(name: &str) -> Issuer {
    let mut params = CertificateParams::new(Vec::<String>::new()).expect("parameters");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
        .distinguished_name
        .push(rcgen::DnType::CommonName, name);
    let key = KeyPair::generate().expect("a key");
    CertifiedIssuer::self_signed(params, key).expect("a certificate")
}

/// Writes a certificate for this name, and its key.
fn issue(by: &Issuer, name: &str, to: &Path, file: &str) {
    let mut params = CertificateParams::new(vec![name.to_owned()]).expect("parameters");
    params.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::ClientAuth,
    ];
    let key = KeyPair::generate().expect("a key");
    let certificate = params.signed_by(&key, &**by).expect("signed");
    fs::write(to.join(format!("{file}.pem")), certificate.pem()).expect("written");
    fs::write(to.join(format!("{file}-key.pem")), key.serialize_pem()).expect("written");
}

/// A directory with the gate's certificate, Envoy's, those of strangers, and who signed them.
fn certificates() -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    let place = directory.path();
    let (gates, envoys) = (authority("gate"), authority("envoy"));
    let strangers = authority("stranger");
    fs::write(place.join("gate-ca.pem"), gates.pem()).expect("written");
    fs::write(place.join("envoy-ca.pem"), envoys.pem()).expect("written");
    fs::write(place.join("stranger-ca.pem"), strangers.pem()).expect("written");
    issue(&gates, "scopegate.internal", place, "gate");
    issue(&gates, "other.internal", place, "other");
    issue(&envoys, "envoy.internal", place, "envoy");
    issue(&strangers, "scopegate.internal", place, "stranger");
    directory
}

fn tls(place: &Path, certificate: &str) -> Settings {
    Settings {
        tls: Some(Tls {
            certificate: place.join(format!("{certificate}.pem")),
            key: place.join(format!("{certificate}-key.pem")),
            client_ca: Some(place.join("envoy-ca.pem")),
        }),
        ..anywhere()
    }
}

/// The example with a test's addresses and certificates.
fn example(
    place: &Path,
    listen: std::net::SocketAddr,
    api: std::net::SocketAddr,
    gate: std::net::SocketAddr,
) -> String {
    let text = EXAMPLE.replace("/etc/envoy/tls", &place.display().to_string());
    let addresses = [
        ("address: 0.0.0.0, port_value: 8000 ", listen),
        ("address: 127.0.0.1, port_value: 3000 ", api),
        ("address: scopegate.internal, port_value: 9191 ", gate),
    ];
    addresses.into_iter().fold(text, |text, (stands, address)| {
        let becomes = format!("address: {}, port_value: {} ", address.ip(), address.port());
        once(&text, stands, &becomes)
    })
}

async fn status(
    world: &World,
    settings: Settings,
    place: &Path,
    change: impl Fn(&str) -> String,
) -> u16 {
    let answering = super::answering(world, settings).await;
    let listen = free_address();
    let text = change(&example(place, listen, api(world), answering.address()));
    let envoy = Envoy::start(&text, listen).await;
    let key = world.key(Key::default()).await;
    let through = Actor::new(&envoy.url(), key.credential.clone());
    let status = through.get(PATH).await.status;
    answering.shutdown().await;
    status
}

#[tokio::test(flavor = "multi_thread")]
async fn both_show_a_certificate_or_nobody_is_let_in() {
    let world = World::start("scopegate").await;
    let directory = certificates();
    let place = directory.path();
    let as_it_is = |text: &str| text.to_owned();
    assert_eq!(
        status(&world, tls(place, "gate"), place, as_it_is).await,
        200
    );
    assert_eq!(world.upstream.count(), 1);
    // The gate: of another name, of another authority, without TLS.
    assert_eq!(
        status(&world, tls(place, "other"), place, as_it_is).await,
        503
    );
    assert_eq!(
        status(&world, tls(place, "stranger"), place, as_it_is).await,
        503
    );
    assert_eq!(status(&world, anywhere(), place, as_it_is).await, 503);
    // Envoy: of another authority, without a certificate.
    let stranger = |text: &str| {
        text.replace("/envoy.pem", "/stranger.pem")
            .replace("/envoy-key.pem", "/stranger-key.pem")
    };
    assert_eq!(
        status(&world, tls(place, "gate"), place, stranger).await,
        503
    );
    let bare = |text: &str| {
        let start = text
            .find("            tls_certificates:")
            .expect("certificates");
        let end = text
            .find("            validation_context:")
            .expect("a context");
        format!("{}{}", &text[..start], &text[end..])
    };
    assert_eq!(status(&world, tls(place, "gate"), place, bare).await, 503);
    assert_eq!(world.upstream.count(), 1);
}

/// By the example without TLS, a gate that has it is not reached.
#[tokio::test(flavor = "multi_thread")]
async fn a_gate_with_tls_is_not_asked_without() {
    let world = World::start("scopegate").await;
    let directory = certificates();
    let answering = super::answering(&world, tls(directory.path(), "gate")).await;
    let envoy = super::envoy(&world, answering.address(), str::to_owned).await;
    let key = world.key(Key::default()).await;
    let through = Actor::new(&envoy.url(), key.credential.clone());
    assert_eq!(through.get(PATH).await.status, 503);
    assert_eq!(world.upstream.count(), 0);
}

#[tokio::test]
async fn certificates_that_cannot_be_used_are_said_at_the_start() {
    let directory = certificates();
    let place = directory.path();
    fs::write(place.join("empty.pem"), "").expect("written");
    let of = |certificate: &str, key: &str, ca: &str| Settings {
        tls: Some(Tls {
            certificate: place.join(certificate),
            key: place.join(key),
            client_ca: Some(place.join(ca)),
        }),
        ..anywhere()
    };
    let unusable = [
        of("gate.pem", "other-key.pem", "envoy-ca.pem"),
        of("empty.pem", "gate-key.pem", "envoy-ca.pem"),
        of("gate.pem", "empty.pem", "envoy-ca.pem"),
        of("gate.pem", "gate-key.pem", "empty.pem"),
        of("gate-key.pem", "gate.pem", "envoy-ca.pem"),
    ];
    for settings in unusable {
        let shown = format!("{settings:?}");
        let error = Listener::bind(settings).await.expect_err(&shown);
        assert!(matches!(error, StartError::Tls { .. }), "{shown}: {error}");
    }
    let missing = Listener::bind(of("nowhere.pem", "gate-key.pem", "envoy-ca.pem")).await;
    assert!(matches!(missing, Err(StartError::File { .. })));
}
