//! Where the store is: a URL, or a map with more to say of a server.

use std::path::{Path, PathBuf};

use scopegate_host::store::{CONNECTIONS_MIN, CONTACT_MAX, Location, OpenError, STATEMENT_TIMEOUT};
use scopegate_policy::yaml::{Fields, Node, Text, Value};

use super::{limits::set_time, read::Context};

const KEYS: [&str; 6] = [
    "url",
    "password",
    "ca",
    "connections_max",
    "statement_timeout",
    "contact_max",
];
/// Whoever needs more has another problem.
const CONNECTIONS_MAX: u32 = 1000;

/// Where the store is, and what is kept on this machine besides.
#[derive(Clone, Debug)]
pub struct StoreConfig {
    location: Location,
    password: Option<PathBuf>,
    ca: Option<PathBuf>,
    /// The lock, the socket and the compiled policies have this name, with an ending each: that of the store's file, or one
    /// in the directory of the gate's state.
    pub local: PathBuf,
}

impl StoreConfig {
    /// In the place of one that is not told yet.
    pub(super) fn untold() -> Self {
        Self {
            location: Location::Sqlite(PathBuf::new()),
            password: None,
            ca: None,
            local: PathBuf::new(),
        }
    }

    /// Where it is, with what is in files of their own read.
    ///
    /// # Errors
    /// When one of them cannot be used.
    pub fn location(&self) -> Result<Location, OpenError> {
        let mut location = self.location.clone();
        if let Location::Postgres(server) = &mut location {
            self.password
                .as_deref()
                .map_or(Ok(()), |path| server.read_password(path))?;
            self.ca
                .as_deref()
                .map_or(Ok(()), |path| server.read_ca(path))?;
        }
        Ok(location)
    }

    /// The file that holds all of it; none for a server's.
    pub fn file(&self) -> Option<&Path> {
        match &self.location {
            Location::Sqlite(path) => Some(path),
            Location::Postgres(_) => None,
        }
    }
}

/// Reads `store`, and `state`, which goes with a server.
pub(super) fn store(context: &Context<'_>, fields: &Fields<'_>) -> Option<StoreConfig> {
    let state = fields.text("state");
    let node = fields.required("store")?;
    let read = match node.value {
        Value::Map(_) => server(context, node)?,
        _ => StoreConfig {
            location: location(context, context.reader.text(node, "`store`")?)?,
            ..StoreConfig::untold()
        },
    };
    let local = match (&read.location, state) {
        (Location::Sqlite(path), None) => path.clone(),
        (Location::Sqlite(_), Some(state)) => {
            context
                .reader
                .problem(state.span, "`state` goes with a store on a server")
                .help("leave it out: what belongs to a file is kept beside it");
            return None;
        }
        (Location::Postgres(_), None) => context.directory.join("scopegate"),
        (Location::Postgres(_), Some(state)) => directory(context, state)?.join("scopegate"),
    };
    Some(StoreConfig { local, ..read })
}

fn directory(context: &Context<'_>, state: Text<'_>) -> Option<PathBuf> {
    let path = context.path(state);
    if path.is_dir() {
        return Some(path);
    }
    context
        .reader
        .problem(
            state.span,
            format!("there is no directory `{}`", path.display()),
        )
        .help("make it: the gate keeps its lock, its socket and compiled policies there");
    None
}

fn location(context: &Context<'_>, text: Text<'_>) -> Option<Location> {
    // Relative paths start where the file is.
    let url = match text.strip_prefix("sqlite://") {
        Some(path) if !path.is_empty() => {
            format!("sqlite://{}", context.directory.join(path).display())
        }
        _ => text.to_string(),
    };
    match Location::parse(&url) {
        Ok(location) => Some(location),
        Err(OpenError::BadUrl { url, what }) => {
            context
                .reader
                .problem(text.span, format!("`{url}` is not a store: {what}"))
                .help("write `sqlite://` and the path of a file, such as `sqlite://scopegate.db`, or `postgres://user@host/database`");
            None
        }
        Err(error) => {
            context.reader.problem(text.span, error.to_string());
            None
        }
    }
}

fn server(context: &Context<'_>, node: &Node) -> Option<StoreConfig> {
    let fields = context.reader.fields(node, "`store`", &KEYS)?;
    // Everything is read before the first `?`, so that no problem hides another.
    let url = fields.required_text("url");
    let password = fields
        .get("password")
        .map(|node| context.secret_file(node, "`password`"));
    let ca = fields.text("ca").map(|text| context.file(text));
    let connections = fields.integer(
        "connections_max",
        CONNECTIONS_MIN.into()..=CONNECTIONS_MAX.into(),
    );
    let mut timeout = STATEMENT_TIMEOUT;
    set_time(&fields, "statement_timeout", &mut timeout);
    let mut contact_max = CONTACT_MAX;
    set_time(&fields, "contact_max", &mut contact_max);
    let url = url?;
    match location(context, url)? {
        Location::Postgres(mut server) => {
            server.statement_timeout = timeout;
            server.contact_max = contact_max;
            if let Some(connections) = connections.and_then(|count| u32::try_from(count).ok()) {
                server.connections_max = connections;
            }
            Some(StoreConfig {
                location: Location::Postgres(server),
                password: password.map_or(Some(None), |path| path.map(Some))?,
                ca,
                ..StoreConfig::untold()
            })
        }
        Location::Sqlite(_) => {
            context
                .reader
                .problem(url.span, "the map is for stores on a server")
                .help("write `store: sqlite://…`");
            None
        }
    }
}
