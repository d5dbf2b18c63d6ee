//! Where a store is.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use reqwest::Url;
use secrecy::SecretString;

use super::OpenError;
use crate::private_file;

/// Where a store is, and how it is reached.
#[derive(Clone, Debug)]
pub enum Location {
    /// One SQLite file, for one gate.
    Sqlite(PathBuf),
    /// A PostgreSQL server, for as many gates as there are.
    Postgres(Box<Server>),
}

/// A PostgreSQL server.
#[derive(Clone, Debug)]
pub struct Server {
    /// `postgres://USER@HOST:PORT/DATABASE?…`, as libpq has it, without a password.
    pub(super) url: Url,
    /// The user's password; without one, `PGPASSWORD` or a `.pgpass` file.
    pub(super) password: Option<SecretString>,
    /// Who signed the server's certificate, in PEM; without it, the web's roots.
    pub(super) ca: Option<Vec<u8>>,
    /// Connections of this gate at most.
    pub connections_max: u32,
    /// How long the server may take for one statement.
    pub statement_timeout: Duration,
    /// How long a gate that cannot reach it goes on deciding by the policy that was active last.
    pub contact_max: Duration,
}

/// Connections of one gate, unless it is told otherwise.
pub const CONNECTIONS_MAX: u32 = 16;
/// Fewer would let searches keep look-ups waiting.
pub const CONNECTIONS_MIN: u32 = 5;
/// How long the server may take for a statement, unless it is told otherwise.
pub const STATEMENT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a gate that cannot reach its store goes on deciding by the policy that was active last, unless it is told otherwise.
pub const CONTACT_MAX: Duration = Duration::from_secs(600);

impl Location {
    /// Reads the URL of a store: `sqlite://PATH`, or `postgres://USER@HOST/DATABASE`.
    ///
    /// # Errors
    /// When it is neither, or has a password in it, or a server elsewhere is to be reached over a connection that others
    /// could read or answer.
    pub fn parse(url: &str) -> Result<Self, OpenError> {
        if url.starts_with("sqlite://") {
            return path_of_url(url).map(Self::Sqlite);
        }
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            return Server::parse(url).map(|server| Self::Postgres(Box::new(server)));
        }
        Err(bad(
            url,
            "it must be `sqlite://` and the path of a file, or `postgres://` with a user, a host and a database",
        ))
    }

    /// How long a gate goes on without it, where many serve from it.
    pub(super) fn contact_max(&self) -> Option<Duration> {
        match self {
            Self::Sqlite(_) => None,
            Self::Postgres(server) => Some(server.contact_max),
        }
    }

    /// How it is named in messages.
    pub fn name(&self) -> String {
        match self {
            Self::Sqlite(path) => path.display().to_string(),
            Self::Postgres(server) => server.name(),
        }
    }
}

impl Server {
    fn parse(text: &str) -> Result<Self, OpenError> {
        // Nothing of a URL that cannot be read is shown: a password may be in it.
        let Ok(url) = Url::parse(text) else {
            return Err(bad("postgres://…", "it cannot be read as a URL"));
        };
        let server = Self {
            url,
            password: None,
            ca: None,
            connections_max: CONNECTIONS_MAX,
            statement_timeout: STATEMENT_TIMEOUT,
            contact_max: CONTACT_MAX,
        };
        let refused = |what: &str| Err(bad(&server.name(), what));
        let has_password = server.url.password().is_some()
            || server.parameters().any(|(key, _)| key == "password");
        if has_password {
            return refused(
                "a password does not belong into it: give the map `{ url, password }` with a file, or set PGPASSWORD",
            );
        }
        if matches!(server.url.path(), "" | "/") {
            return refused("the name of a database is missing");
        }
        match server.ssl_mode().as_deref() {
            None | Some("disable" | "require" | "verify-ca" | "verify-full") => Ok(server),
            Some("allow" | "prefer") => refused(
                "`sslmode` must say whether TLS is used: `verify-full`, `verify-ca`, `require` or `disable`",
            ),
            Some(_) => {
                refused("`sslmode` is none of `verify-full`, `verify-ca`, `require`, `disable`")
            }
        }
    }

    fn parameters(&self) -> impl Iterator<Item = (String, String)> + '_ {
        let pairs = self.url.query_pairs();
        pairs.map(|(key, value)| (key.into_owned(), value.into_owned()))
    }

    fn ssl_mode(&self) -> Option<String> {
        let mode = |(key, value): (String, String)| {
            (key == "sslmode" || key == "ssl-mode").then_some(value)
        };
        self.parameters().find_map(mode)
    }

    /// The URL that the server is reached by. Where it does not say whether TLS is used, it is, with the certificate
    /// verified, unless the server is on this machine.
    pub(super) fn url(&self) -> Url {
        let mut url = self.url.clone();
        if self.ssl_mode().is_none() {
            let mode = match self.is_here() {
                true => "disable",
                false => "verify-full",
            };
            url.query_pairs_mut().append_pair("sslmode", mode);
        }
        url
    }

    fn is_here(&self) -> bool {
        let host = self
            .parameters()
            .find_map(|(key, value)| (key == "host").then_some(value));
        match host.as_deref().or(self.url.host_str()) {
            // A Unix socket.
            None | Some("" | "localhost") => true,
            Some(host) => {
                let address = host.trim_start_matches('[').trim_end_matches(']');
                host.starts_with('/')
                    || address
                        .parse()
                        .is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
            }
        }
    }

    /// Reads the user's password from a file that only its owner may read.
    ///
    /// # Errors
    /// When it cannot be read, or others can read it.
    pub fn read_password(&mut self, path: &Path) -> Result<(), OpenError> {
        let text = private_file::read(path).map_err(|error| {
            let what = match error {
                private_file::ReadError::File(error) => error.to_string(),
                private_file::ReadError::Exposed(mode) => {
                    format!("others can read it (mode {mode:03o}): it must be 600")
                }
            };
            secret(path, what)
        })?;
        self.password = Some(text.trim_end_matches(['\n', '\r']).into());
        Ok(())
    }

    /// Reads the certificates of those who sign the server's.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn read_ca(&mut self, path: &Path) -> Result<(), OpenError> {
        let pem = std::fs::read(path).map_err(|error| secret(path, error.to_string()))?;
        self.ca = Some(pem);
        Ok(())
    }

    /// Its URL, without anything secret.
    pub fn name(&self) -> String {
        let mut url = self.url.clone();
        url.set_query(None);
        // A URL with a host can have no password; one without one has none.
        let _ = url.set_password(None);
        url.to_string()
    }
}

/// The file that `sqlite://PATH` names.
pub fn path_of_url(url: &str) -> Result<PathBuf, OpenError> {
    let Some(path) = url.strip_prefix("sqlite://") else {
        return Err(bad(url, "it must be `sqlite://` and the path of a file"));
    };
    if path.is_empty() || path.ends_with('/') {
        return Err(bad(url, "the path of a file is missing"));
    }
    if path.starts_with(":memory:") || path.contains(['?', '#', '\0']) {
        return Err(bad(url, "it takes a path and no parameters"));
    }
    Ok(PathBuf::from(path))
}

fn secret(path: &Path, what: String) -> OpenError {
    OpenError::File {
        path: path.to_owned(),
        what,
    }
}

fn bad(url: &str, what: &str) -> OpenError {
    OpenError::BadUrl {
        url: url.to_owned(),
        what: what.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(url: &str) -> Server {
        match Location::parse(url).unwrap() {
            Location::Postgres(server) => *server,
            other @ Location::Sqlite(_) => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_server_elsewhere_is_verified_unless_the_url_says_otherwise() {
        for (url, mode) in [
            ("postgres://gate@db.internal/scopegate", "verify-full"),
            ("postgresql://gate@10.0.0.7:5433/scopegate", "verify-full"),
            ("postgres://gate@localhost/scopegate", "disable"),
            ("postgres://gate@127.0.0.1/scopegate", "disable"),
            ("postgres://gate@[::1]/scopegate", "disable"),
            (
                "postgres:///scopegate?host=/run/postgresql&user=gate",
                "disable",
            ),
        ] {
            let reached = server(url).url();
            assert_eq!(reached.query_pairs().last().unwrap().1, mode, "{url}");
        }
        let chosen = server("postgres://gate@db.internal/scopegate?sslmode=require").url();
        assert_eq!(chosen.query(), Some("sslmode=require"));
    }

    #[test]
    fn what_is_refused_is_named_without_its_secret() {
        for (url, what) in [
            (
                "postgres://gate:hunter2@db/scopegate",
                "a password does not belong",
            ),
            (
                "postgres://gate@db/scopegate?password=hunter2",
                "a password does not belong",
            ),
            ("postgres://gate@db", "the name of a database is missing"),
            (
                "postgres://gate@db/scopegate?sslmode=prefer",
                "`sslmode` must say",
            ),
            (
                "postgres://gate@db/scopegate?sslmode=x",
                "`sslmode` is none of",
            ),
            (
                "postgres://gate:hunter2@[/scopegate",
                "it cannot be read as a URL",
            ),
            ("mysql://gate@db/scopegate", "it must be `sqlite://`"),
        ] {
            let error = Location::parse(url).unwrap_err().to_string();
            assert!(error.contains(what), "{url}: {error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
