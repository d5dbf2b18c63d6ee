//! Where Redis is, in one URL.
//!
//! `redis://HOST:PORT/DATABASE` is one server, `redis+sentinel://HOST:PORT,…/MASTER` the one that sentinels name, and
//! `redis+cluster://HOST:PORT,…` a cluster. With `rediss` in place of `redis` it is spoken to over TLS.

const PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26379;
/// Databases that a server can have at all.
const DATABASE_MAX: u32 = 1 << 20;

/// A host and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// A name or an IP address, without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// Which servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Servers {
    /// One.
    One(Place),
    /// The master of this name, as sentinels have it.
    Sentinels {
        /// The sentinels.
        sentinels: Vec<Place>,
        /// The master's name.
        master: String,
    },
    /// A cluster: some of its servers, which name the others.
    Cluster(Vec<Place>),
}

/// A URL of Redis that can be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisUrl {
    /// Which servers.
    pub servers: Servers,
    /// Whether over TLS.
    pub tls: bool,
    /// The user, if not the default one.
    pub username: Option<String>,
    /// The database; a cluster has only the first one.
    pub database: u32,
}

/// What is wrong with a URL, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadRedisUrl {
    /// What is wrong. It repeats nothing of a secret.
    pub what: String,
    /// What to do.
    pub help: &'static str,
}

impl BadRedisUrl {
    fn new(what: impl Into<String>, help: &'static str) -> Self {
        Self {
            what: what.into(),
            help,
        }
    }
}

const SCHEMES: &str = "write `redis://host:6379`, `rediss://host:6379` for TLS, `redis+sentinel://host:26379,host2:26379/master-name`, or `redis+cluster://host:6379,host2:6379`";

impl std::str::FromStr for RedisUrl {
    type Err = BadRedisUrl;

    fn from_str(text: &str) -> Result<Self, BadRedisUrl> {
        let (scheme, rest) = text.split_once("://").ok_or_else(|| {
            BadRedisUrl::new(
                format!("`{}` is not the URL of a Redis", harmless(text)),
                SCHEMES,
            )
        })?;
        let (user, rest) = match rest.rsplit_once('@') {
            Some((user, rest)) => (Some(user), rest),
            None => (None, rest),
        };
        if user.is_some_and(|user| user.contains(':')) {
            return Err(BadRedisUrl::new(
                "there is a password in the URL",
                "secrets do not stand in the configuration: name a file with mode 600 under `counters.password`",
            ));
        }
        if rest.contains(['?', '#']) {
            return Err(BadRedisUrl::new(
                "the URL of a Redis has neither a query nor a fragment",
                "what else there is to say stands beside `url`: `password`, `ca`, `away`, `window`",
            ));
        }
        let (places, path) = match rest.split_once('/') {
            Some((places, path)) => (places, Some(path).filter(|path| !path.is_empty())),
            None => (rest, None),
        };
        let (tls, kind) = match scheme.strip_prefix("rediss") {
            Some(kind) => (true, kind),
            None => (false, scheme.strip_prefix("redis").unwrap_or("other")),
        };
        let (servers, database) = match kind {
            "" => {
                let mut places = places_of(places, PORT)?;
                let place = places.pop().filter(|_| places.is_empty());
                let place = place.ok_or_else(|| {
                    BadRedisUrl::new("several hosts are sentinels or a cluster", SCHEMES)
                })?;
                (Servers::One(place), database_of(path)?)
            }
            "+sentinel" => {
                let (master, database) = match path.and_then(|path| path.split_once('/')) {
                    Some((master, database)) => (Some(master), Some(database)),
                    None => (path, None),
                };
                let master = master.ok_or_else(|| {
                    BadRedisUrl::new(
                        "the sentinels are not told which master",
                        "write its name at the end: `redis+sentinel://host:26379/master-name`",
                    )
                })?;
                let servers = Servers::Sentinels {
                    sentinels: places_of(places, SENTINEL_PORT)?,
                    master: master.to_owned(),
                };
                (servers, database_of(database)?)
            }
            "+cluster" if path.is_some() => {
                return Err(BadRedisUrl::new(
                    "a cluster has one database",
                    "leave out what follows the hosts",
                ));
            }
            "+cluster" => (Servers::Cluster(places_of(places, PORT)?), 0),
            _ => {
                return Err(BadRedisUrl::new(
                    format!("`{}` is no scheme of a Redis", harmless(scheme)),
                    SCHEMES,
                ));
            }
        };
        Ok(Self {
            servers,
            tls,
            username: user.filter(|user| !user.is_empty()).map(str::to_owned),
            database,
        })
    }
}

/// Without what stands before an `@`.
fn harmless(text: &str) -> &str {
    text.rsplit_once('@').map_or(text, |(_, rest)| rest)
}

fn database_of(text: Option<&str>) -> Result<u32, BadRedisUrl> {
    let Some(text) = text else { return Ok(0) };
    let number = text.parse().ok().filter(|number| *number < DATABASE_MAX);
    number.ok_or_else(|| {
        BadRedisUrl::new(
            format!("`{text}` is not the number of a database"),
            "write one such as `redis://host:6379/0`, or none",
        )
    })
}

fn places_of(text: &str, port: u16) -> Result<Vec<Place>, BadRedisUrl> {
    let places: Option<Vec<Place>> = text.split(',').map(|text| place_of(text, port)).collect();
    places.ok_or_else(|| {
        BadRedisUrl::new(
            format!("`{text}` is not where a Redis can be"),
            "write a host and a port, such as `redis.internal:6379` or `[::1]:6379`",
        )
    })
}

fn place_of(text: &str, port: u16) -> Option<Place> {
    let (host, rest) = match text.strip_prefix('[') {
        Some(text) => {
            let (host, rest) = text.split_once(']')?;
            host.parse::<std::net::Ipv6Addr>().ok()?;
            (host, rest)
        }
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    let port = match rest.strip_prefix(':') {
        Some(port) => port.parse().ok().filter(|port| *port != 0)?,
        None if rest.is_empty() => port,
        None => return None,
    };
    let is_host = !host.is_empty()
        && host
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b".-_:".contains(&b));
    is_host.then(|| Place {
        host: host.to_owned(),
        port,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(host: &str, port: u16) -> Place {
        Place {
            host: host.to_owned(),
            port,
        }
    }

    fn read(text: &str) -> RedisUrl {
        text.parse().unwrap()
    }

    #[test]
    fn each_kind_of_servers() {
        let one = read("redis://redis.internal");
        assert_eq!(one.servers, Servers::One(place("redis.internal", 6379)));
        assert_eq!((one.tls, one.username, one.database), (false, None, 0));
        let one = read("rediss://gate@[::1]:7000/3");
        assert_eq!(one.servers, Servers::One(place("::1", 7000)));
        assert_eq!(
            (one.tls, one.username.as_deref(), one.database),
            (true, Some("gate"), 3)
        );
        let sentinels = read("redis+sentinel://a,b:7/main/1");
        let expected = Servers::Sentinels {
            sentinels: vec![place("a", 26379), place("b", 7)],
            master: "main".to_owned(),
        };
        assert_eq!((sentinels.servers, sentinels.database), (expected, 1));
        let cluster = read("rediss+cluster://10.0.0.1:7000,10.0.0.2:7000/");
        let expected = Servers::Cluster(vec![place("10.0.0.1", 7000), place("10.0.0.2", 7000)]);
        assert_eq!((cluster.servers, cluster.tls), (expected, true));
    }

    #[test]
    fn what_is_wrong_is_said_without_the_secret() {
        for (text, what) in [
            ("redis", "`redis` is not the URL of a Redis"),
            ("http://redis", "`http` is no scheme of a Redis"),
            (
                "redis+other://redis",
                "`redis+other` is no scheme of a Redis",
            ),
            ("redis://:s3cret@redis", "there is a password in the URL"),
            (
                "redis://gate:s3cret@redis",
                "there is a password in the URL",
            ),
            ("redis://a,b", "several hosts are sentinels or a cluster"),
            ("redis://", "`` is not where a Redis can be"),
            ("redis://a:0", "`a:0` is not where a Redis can be"),
            ("redis://a:b", "`a:b` is not where a Redis can be"),
            ("redis://[::1", "`[::1` is not where a Redis can be"),
            ("redis://a b", "`a b` is not where a Redis can be"),
            ("redis://a/x", "`x` is not the number of a database"),
            (
                "redis://a?db=1",
                "the URL of a Redis has neither a query nor a fragment",
            ),
            (
                "redis+sentinel://a",
                "the sentinels are not told which master",
            ),
            ("redis+cluster://a/1", "a cluster has one database"),
        ] {
            let bad = text.parse::<RedisUrl>().unwrap_err();
            assert_eq!(bad.what, what, "{text}");
            assert!(!bad.help.is_empty() && !bad.what.contains("s3cret"));
        }
    }
}
