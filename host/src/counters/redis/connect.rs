//! Connections to Redis, whatever kind of servers it is.

use std::time::Duration;

use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, FromRedisValue, InfoDict,
    IntoConnectionInfo, RedisConnectionInfo, RedisError, TlsCertificates,
    aio::{ConnectionLike, MultiplexedConnection, PubSub},
    cluster::ClusterClient,
    cluster_async::ClusterConnection,
    cluster_routing::{
        MultipleNodeRoutingInfo, ResponsePolicy, RoutingInfo, SingleNodeRoutingInfo,
    },
    sentinel::{SentinelClient, SentinelClientBuilder, SentinelServerType},
};
use secrecy::{ExposeSecret, SecretString};

use super::{BadRedis, Place, RedisConfig, Servers, news::CHANNEL, settings::Secrets};

/// How long making a connection may take.
const CONNECT: Duration = Duration::from_secs(1);
/// Requests that wait to be written; whoever comes when as many do waits for its turn, no longer than for an answer.
const WAITING_MAX: usize = 4096;
/// The oldest version that does not hand its scripts on to replicas and restarts, by which a server that forgot is recognised.
const VERSION_MIN: u32 = 7;

/// How servers are reached.
pub(super) struct Reach {
    servers: Servers,
    username: Option<String>,
    password: Option<SecretString>,
    sentinel_password: Option<SecretString>,
    database: u32,
    /// Nothing: without TLS.
    tls: Option<TlsCertificates>,
    timeout: Duration,
}

/// A connection that many share.
#[derive(Clone)]
pub(super) enum Connection {
    One(MultiplexedConnection),
    Cluster(ClusterConnection),
}

/// Which server answers, and since when it is in charge. Nothing of a cluster, which has many.
pub(super) type Identity = Option<(String, String)>;

impl Reach {
    pub(super) fn of(config: &RedisConfig, secrets: Secrets) -> Self {
        let Secrets {
            password,
            sentinel_password,
            ca,
        } = secrets;
        let certificates = |root_cert| TlsCertificates {
            client_tls: None,
            root_cert,
        };
        if config.url.tls {
            // Where the process has none yet: whoever embeds the gate may have chosen another one.
            let _ = rustls::crypto::ring::default_provider().install_default();
        }
        Self {
            servers: config.url.servers.clone(),
            username: config.url.username.clone(),
            password,
            sentinel_password,
            database: config.url.database,
            tls: config.url.tls.then(|| certificates(ca)),
            timeout: config.timeout,
        }
    }

    /// Connects, and asks who answers.
    pub(super) async fn connect(&self) -> Result<(Connection, Identity), RedisError> {
        let connection = match &self.servers {
            Servers::One(place) => self.to_one(&self.client(place)?).await?,
            Servers::Sentinels { sentinels, master } => {
                let mut sentinel = self.sentinel(sentinels, master)?;
                let client = tokio::time::timeout(CONNECT, sentinel.async_get_client()).await;
                self.to_one(&client.map_err(too_slow)??).await?
            }
            Servers::Cluster(places) => Connection::Cluster(self.to_cluster(places).await?),
        };
        let info = connection.info().await?;
        check_version(&info)?;
        let of = |name: &str| info.get::<String>(name).unwrap_or_default();
        let identity = match &connection {
            Connection::One(_) => Some((of("run_id"), of("master_replid"))),
            Connection::Cluster(_) => None,
        };
        Ok((connection, identity))
    }

    /// Listens to what is told.
    pub(super) async fn subscribe(&self) -> Result<PubSub, RedisError> {
        let listening = async {
            let client = match &self.servers {
                Servers::One(place) => self.client(place)?,
                Servers::Sentinels { sentinels, master } => {
                    self.sentinel(sentinels, master)?.async_get_client().await?
                }
                // What is told to one of them is told to all. Any will do, and not always the same one.
                Servers::Cluster(places) => {
                    match places.get(fastrand::usize(..places.len().max(1))) {
                        Some(place) => self.client(place)?,
                        None => return Err(nowhere()),
                    }
                }
            };
            let mut listening = client.get_async_pubsub().await?;
            listening.subscribe(CHANNEL).await?;
            Ok(listening)
        };
        tokio::time::timeout(CONNECT, listening)
            .await
            .map_err(too_slow)?
    }

    async fn to_one(&self, client: &Client) -> Result<Connection, RedisError> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT))
            .set_response_timeout(Some(self.timeout))
            .set_pipeline_buffer_size(WAITING_MAX);
        let connection = client.get_multiplexed_async_connection_with_config(&config);
        Ok(Connection::One(connection.await?))
    }

    async fn to_cluster(&self, places: &[Place]) -> Result<ClusterConnection, RedisError> {
        let places: Result<Vec<ConnectionInfo>, RedisError> =
            places.iter().map(|place| self.info(place)).collect();
        // A server that moved is asked where to; what takes longer is the business of whoever asked.
        let mut builder = ClusterClient::builder(places?)
            .retries(2)
            .connection_timeout(CONNECT)
            .response_timeout(self.timeout);
        if let Some(tls) = &self.tls {
            builder = builder.certs(tls.clone());
        }
        let connecting = builder.build()?;
        let connected = tokio::time::timeout(2 * CONNECT, connecting.get_async_connection());
        connected.await.map_err(too_slow)?
    }

    fn client(&self, place: &Place) -> Result<Client, RedisError> {
        let info = self.info(place)?;
        match &self.tls {
            Some(tls) => Client::build_with_tls(info, tls.clone()),
            None => Client::open(info),
        }
    }

    fn info(&self, place: &Place) -> Result<ConnectionInfo, RedisError> {
        let mut redis = RedisConnectionInfo::default().set_db(i64::from(self.database));
        if let Some(username) = &self.username {
            redis = redis.set_username(username);
        }
        if let Some(password) = &self.password {
            redis = redis.set_password(password.expose_secret());
        }
        Ok(self
            .address(place)
            .into_connection_info()?
            .set_redis_settings(redis))
    }

    fn address(&self, place: &Place) -> ConnectionAddr {
        let Place { host, port } = place.clone();
        match self.tls {
            Some(_) => ConnectionAddr::TcpTls {
                host,
                port,
                insecure: false,
                tls_params: None,
            },
            None => ConnectionAddr::Tcp(host, port),
        }
    }

    /// User and password are those of the servers: sentinels have a password of their own, or none.
    fn sentinel(&self, sentinels: &[Place], master: &str) -> Result<SentinelClient, RedisError> {
        let places = sentinels.iter().map(|place| self.address(place));
        let mut builder = SentinelClientBuilder::new(places, master, SentinelServerType::Master)?
            .set_client_to_redis_db(i64::from(self.database));
        if let Some(username) = &self.username {
            builder = builder.set_client_to_redis_username(username);
        }
        if let Some(password) = &self.password {
            builder = builder.set_client_to_redis_password(password.expose_secret());
        }
        if let Some(password) = &self.sentinel_password {
            builder = builder.set_client_to_sentinel_password(password.expose_secret());
        }
        if let Some(tls) = &self.tls {
            builder = builder
                .set_client_to_redis_tls_mode(redis::TlsMode::Secure)
                .set_client_to_redis_certificates(tls.clone())
                .set_client_to_sentinel_tls_mode(redis::TlsMode::Secure)
                .set_client_to_sentinel_certificates(tls.clone());
        }
        builder.build()
    }
}

impl Connection {
    pub(super) async fn query<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, RedisError> {
        match self {
            Self::One(connection) => answer(&mut connection.clone(), command).await,
            Self::Cluster(connection) => answer(&mut connection.clone(), command).await,
        }
    }

    /// Teaches the server a script; of a cluster those in charge and no others: one that takes over must not know it.
    pub(super) async fn teach(&self, script: String) -> Result<String, RedisError> {
        let mut load = redis::cmd("SCRIPT");
        load.arg("LOAD").arg(script);
        match self {
            Self::One(_) => self.query(&load).await,
            Self::Cluster(connection) => {
                let all = (
                    MultipleNodeRoutingInfo::AllMasters,
                    Some(ResponsePolicy::AllSucceeded),
                );
                let mut connection = connection.clone();
                let said = connection.route_command(load, RoutingInfo::MultiNode(all));
                Ok(redis::from_redis_value(said.await?)?)
            }
        }
    }

    /// What a server says of itself.
    async fn info(&self) -> Result<InfoDict, RedisError> {
        let mut info = redis::cmd("INFO");
        info.arg("everything");
        match self {
            Self::One(_) => self.query(&info).await,
            Self::Cluster(connection) => {
                let any = RoutingInfo::SingleNode(SingleNodeRoutingInfo::RandomPrimary);
                let mut connection = connection.clone();
                let said = connection.route_command(info, any).await?;
                Ok(redis::from_redis_value(said)?)
            }
        }
    }
}

async fn answer<T: FromRedisValue>(
    connection: &mut impl ConnectionLike,
    command: &Cmd,
) -> Result<T, RedisError> {
    command.query_async(connection).await
}

/// Valkey says which version of Redis it is as good as.
fn check_version(info: &InfoDict) -> Result<(), RedisError> {
    let version = info.get::<String>("redis_version").unwrap_or_default();
    let major = version
        .split('.')
        .next()
        .and_then(|major| major.parse::<u32>().ok());
    if major.is_some_and(|major| major >= VERSION_MIN) {
        return Ok(());
    }
    Err(RedisError::from((
        redis::ErrorKind::InvalidClientConfig,
        "Redis 7 or later is needed, or Valkey",
        format!("this is `{version}`"),
    )))
}

/// Whether trying again is of no use: the configuration is wrong, or the server.
pub(super) fn is_for_good(error: &RedisError) -> bool {
    matches!(
        error.kind(),
        redis::ErrorKind::InvalidClientConfig
            | redis::ErrorKind::AuthenticationFailed
            | redis::ErrorKind::Server(redis::ServerErrorKind::NoPerm)
    ) || matches!(error.code(), Some("NOAUTH" | "WRONGPASS"))
}

/// As an error of whoever wants to start.
pub(super) fn refused(error: &RedisError) -> BadRedis {
    BadRedis::Refused(error.to_string())
}

fn too_slow(_: tokio::time::error::Elapsed) -> RedisError {
    std::io::Error::new(std::io::ErrorKind::TimedOut, "connecting took too long").into()
}

fn nowhere() -> RedisError {
    RedisError::from((redis::ErrorKind::InvalidClientConfig, "no server is named"))
}
