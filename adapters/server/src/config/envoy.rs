//! `envoy`: where Envoy asks about requests over gRPC.

use std::{net::SocketAddr, path::PathBuf};

use scopegate_policy::yaml::Fields;

use super::read::Context;

/// Where Envoy asks, and what is spoken there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvoyConfig {
    /// Where to listen.
    pub listen: SocketAddr,
    /// Without it, nothing is encrypted.
    pub tls: Option<EnvoyTls>,
}

/// TLS towards Envoy, in PEM files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvoyTls {
    /// The gate's certificate, and what leads to its root.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// Who signs the certificates of those who may ask.
    pub client_ca: Option<PathBuf>,
}

pub(super) fn envoy(context: &Context<'_>, fields: &Fields<'_>) -> Option<EnvoyConfig> {
    let envoy = fields.fields("envoy", "`envoy`", &["listen", "tls"])?;
    let listen = context.address(envoy.required_text("listen"));
    let tls = match envoy.has("tls") {
        true => Some(tls(context, &envoy)),
        false => None,
    };
    Some(EnvoyConfig {
        listen: listen?,
        // What cannot be read is a problem, and never nothing.
        tls: match tls {
            Some(tls) => Some(tls?),
            None => None,
        },
    })
}

fn tls(context: &Context<'_>, envoy: &Fields<'_>) -> Option<EnvoyTls> {
    let tls = envoy.fields("tls", "`tls`", &["certificate", "key", "client_ca"])?;
    let certificate = tls
        .required_text("certificate")
        .map(|text| context.file(text));
    let key = tls
        .required("key")
        .and_then(|node| context.secret_file(node, "`key`"));
    let client_ca = tls.text("client_ca").map(|text| context.file(text));
    Some(EnvoyTls {
        certificate: certificate?,
        key: key?,
        client_ca,
    })
}
