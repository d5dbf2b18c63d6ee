//! The listener: bound first, so that what is wrong with it shows before anything runs; then serving a gate until it is
//! told to stop.

use std::{fs, io, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use ipnet::IpNet;
use scopegate_host::Gate;
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::transport::{Certificate, Identity, Server, ServerTlsConfig};

use crate::{
    answered::Answered,
    connection::{Askers, accepted},
    readiness,
    service::{Authorizer, Now},
};

/// For a decision: more than the gate waits for its audit, and together with the words of a refusal less than Envoy waits
/// by the examples, so that even the last resort is an answer and not an error.
const CHECK_MAX: Duration = Duration::from_millis(2500);
/// For what is under way when the server stops.
const DRAIN: Duration = Duration::from_secs(6);
/// For a TLS handshake.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);
/// Questions at once on one connection; an Envoy waits with more.
const STREAMS_MAX: u32 = 1024;
/// How often a silent Envoy is asked whether it is there, and how long it may take to say so.
const ALIVE_EVERY: Duration = Duration::from_secs(30);
const ALIVE_WITHIN: Duration = Duration::from_secs(20);

/// Where Envoy asks, and which.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// What is spoken there. Without it, nothing is encrypted.
    pub tls: Option<Tls>,
    /// Who may ask besides this machine. Where clients show certificates, these alone decide.
    pub trusted_proxies: Vec<IpNet>,
    /// How long a decision may take.
    pub check_max: Duration,
}

impl Settings {
    /// On this address, without TLS, for this machine alone.
    pub fn at(listen: SocketAddr) -> Self {
        Self {
            listen,
            tls: None,
            trusted_proxies: Vec::new(),
            check_max: CHECK_MAX,
        }
    }
}

/// TLS, in PEM files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// The server's certificate, and what leads to its root.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// Who signs the certificates of those who may ask. Without it, nobody is asked for one.
    pub client_ca: Option<PathBuf>,
}

/// Why Envoy cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address cannot be listened on.
    #[error("cannot listen on `{address}`: {error}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why not.
        error: io::Error,
    },
    /// A file cannot be read.
    #[error("cannot read `{}`: {error}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// The certificates or the key cannot be used.
    #[error("the certificate `{}` cannot be used with its key and `client_ca`: {why}", certificate.display())]
    Tls {
        /// The server's certificate.
        certificate: PathBuf,
        /// What is wrong.
        why: String,
    },
}

/// A listener that nobody is answered on yet.
#[derive(Debug)]
pub struct Listener {
    listener: TcpListener,
    address: SocketAddr,
    askers: Askers,
    server: Server,
    check_max: Duration,
}

impl Listener {
    /// Reads the certificates and listens.
    ///
    /// # Errors
    /// When a file or the address cannot be used.
    pub async fn bind(settings: Settings) -> Result<Self, StartError> {
        let server = Server::builder()
            .max_concurrent_streams(STREAMS_MAX)
            .http2_keepalive_interval(Some(ALIVE_EVERY))
            .http2_keepalive_timeout(Some(ALIVE_WITHIN));
        let is_certified = settings
            .tls
            .as_ref()
            .is_some_and(|tls| tls.client_ca.is_some());
        let server = match &settings.tls {
            Some(tls) => with_tls(server, tls)?,
            None => server,
        };
        let failed = |error| StartError::Listen {
            address: settings.listen,
            error,
        };
        let listener = TcpListener::bind(settings.listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self {
            listener,
            address,
            askers: match is_certified {
                true => Askers::Certified,
                false => Askers::Trusted(settings.trusted_proxies),
            },
            server,
            check_max: settings.check_max,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers for this gate, at the times that `now` shows. Once this returns, questions are answered.
    pub async fn serve(mut self, gate: Arc<Gate>, now: Now) -> Running {
        let (stopping, cut) = (CancellationToken::new(), CancellationToken::new());
        let tasks = TaskTracker::new();
        let (reporter, health) = tonic_health::server::health_reporter();
        readiness::tell(&reporter, readiness::status(&gate).await).await;
        let authorizer = Arc::new(Authorizer::new(Arc::clone(&gate), now, self.check_max));
        let router = self
            .server
            .add_service(Answered::new(authorizer))
            .add_service(health);
        let connections = accepted(self.listener, self.askers, cut.clone());
        let stopped = stopping.clone().cancelled_owned();
        tasks.spawn(readiness::report(gate, reporter, stopping.clone()));
        tasks.spawn(async move {
            let served = router.serve_with_incoming_shutdown(connections, stopped);
            if let Err(error) = served.await {
                tracing::error!(%error, "Envoy is served no longer");
            }
        });
        tasks.close();
        tracing::info!(address = %self.address, "answering Envoy");
        Running {
            address: self.address,
            stopping,
            cut,
            tasks,
        }
    }
}

/// A listener that answers. Dropping it lets it run on; [`Running::shutdown`] ends it.
#[derive(Debug)]
pub struct Running {
    address: SocketAddr,
    stopping: CancellationToken,
    cut: CancellationToken,
    tasks: TaskTracker,
}

impl Running {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Says that it does not serve, accepts nothing more, lets what is under way be answered for a moment, and cuts the
    /// rest. When this returns, nothing is asked of the gate any more.
    pub async fn shutdown(self) {
        self.stopping.cancel();
        if tokio::time::timeout(DRAIN, self.tasks.wait())
            .await
            .is_err()
        {
            tracing::warn!("connections of Envoy were cut at the end of the drain");
        }
        self.cut.cancel();
        self.tasks.wait().await;
    }
}

fn with_tls(server: Server, tls: &Tls) -> Result<Server, StartError> {
    // There may be several in the process, and then none is taken by itself.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let read = |path: &PathBuf| {
        fs::read(path).map_err(|error| StartError::File {
            path: path.clone(),
            error,
        })
    };
    let identity = Identity::from_pem(read(&tls.certificate)?, read(&tls.key)?);
    let mut config = ServerTlsConfig::new()
        .identity(identity)
        .timeout(HANDSHAKE_MAX);
    if let Some(path) = &tls.client_ca {
        config = config.client_ca_root(Certificate::from_pem(read(path)?));
    }
    server.tls_config(config).map_err(|error| {
        let mut why = error.to_string();
        let mut source = std::error::Error::source(&error);
        while let Some(error) = source {
            why = format!("{why}: {error}");
            source = error.source();
        }
        StartError::Tls {
            certificate: tls.certificate.clone(),
            why,
        }
    })
}
