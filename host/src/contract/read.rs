//! Reads a contract's YAML, every mistake at once.

mod dashboard;
mod errors;
mod placeholders;

use jsonwebtoken::Algorithm;
use scopegate_policy::permission::Pattern;
use scopegate_policy::yaml::{Fields, Node, Reader, Report, Text, Value as Yaml, did_you_mean};

use super::{Authority, BUILTIN_NAMES, Contract, Limits, Login, Minting, Scheme, SessionRules};

const SCHEMES: [(&str, Scheme); 3] = [
    ("bearer", Scheme::Bearer),
    ("api-key", Scheme::ApiKey),
    ("x-api-key", Scheme::XApiKey),
];

/// What the gate can make keys for, and what it can be brought.
const ALGORITHMS: [(&str, Algorithm); 4] = [
    ("HS256", Algorithm::HS256),
    ("ES256", Algorithm::ES256),
    ("EdDSA", Algorithm::EdDSA),
    ("RS256", Algorithm::RS256),
];

const CONTRACT_KEYS: [&str; 10] = [
    "contract",
    "policy",
    "credentials",
    "keys",
    "sessions",
    "login",
    "refresh",
    "limits",
    "errors",
    "dashboard",
];
const KEYS_KEYS: [&str; 4] = ["authority", "scopes", "expiry", "name_chars_max"];
const LIMITS_KEYS: [&str; 7] = [
    "session",
    "api_key",
    "agent",
    "anonymous",
    "failures",
    "logins",
    "bucket",
];
const ERRORS_KEYS: [&str; 5] = [
    "realm",
    "content_type",
    "body",
    "texts",
    "several_credentials",
];

const LOGIN_WORDS: [&str; 6] = [
    "token",
    "expires_at",
    "user_id",
    "email",
    "role",
    "organization_id",
];

/// What a minute may see at most: the counters hold more, and nobody needs more.
const LIMIT_MAX: i64 = 10_000_000;
const NAME_CHARS_MAX: i64 = 255;

pub(super) fn contract(name: &str, text: &str) -> Result<Contract, Report> {
    let (reader, root) = Reader::open(name, text)?;
    let contract = read(&reader, &root);
    reader.finish(contract)
}

fn read(reader: &Reader, root: &Node) -> Option<Contract> {
    let fields = reader.fields(root, "a contract", &CONTRACT_KEYS)?;
    let name = fields.required_text("contract");
    let name = name.and_then(|name| word(reader, name, "a contract's name"));
    let policy = fields
        .required_text("policy")
        .and_then(|name| builtin_policy(reader, name));
    let credentials = section(&fields, "credentials", &["schemes", "prefix"]);
    let schemes = credentials.and_then(|credentials| schemes(reader, &credentials));
    let prefix = credentials.and_then(|credentials| credentials.required_text("prefix"));
    let prefix = prefix.and_then(|prefix| word(reader, prefix, "a prefix"));
    let keys = section(&fields, "keys", &KEYS_KEYS).and_then(|keys| keys_rules(reader, &keys));
    let sessions = section(
        &fields,
        "sessions",
        &["on_api", "token_life", "session_life", "algorithm"],
    );
    let sessions = sessions.and_then(|sessions| session_rules(reader, &sessions));
    let login = fields.fields("login", "`login`", &["path", "reply"]);
    let login = login.and_then(|login| login_endpoint(reader, &login));
    let refresh_path = fields
        .text("refresh")
        .and_then(|refresh| path(reader, refresh));
    let limits = section(&fields, "limits", &LIMITS_KEYS).and_then(|limits| counts(&limits));
    let errors = section(&fields, "errors", &ERRORS_KEYS);
    let errors = errors.and_then(|errors| errors::shape(reader, &errors));

    let (authority, minting) = keys?;
    let schemes = schemes?;
    let dashboard = dashboard::words(reader, &fields, &schemes, &minting);
    let (sessions_on_api, session) = sessions?;
    let limits = limits?;
    check_together(&fields, sessions_on_api, &authority, &limits);
    if let (Some(login), Some(refresh)) = (&login, &refresh_path)
        && login.path == *refresh
    {
        fields.problem(
            "refresh",
            format!("`{refresh}` is the path of the log-in already"),
        );
    }
    Some(Contract {
        name: name?,
        policy: policy?,
        schemes,
        key_prefix: prefix?,
        authority,
        minting,
        sessions_on_api,
        session,
        login,
        refresh_path,
        limits,
        errors: errors?,
        dashboard: dashboard?,
    })
}

/// Parts that are right in themselves and contradict each other.
fn check_together(
    fields: &Fields<'_>,
    sessions_on_api: bool,
    authority: &Authority,
    limits: &Limits,
) {
    if !sessions_on_api && fields.has("login") {
        fields.problem("login", "a log-in whose sessions the API does not take").help(
            "leave `login` out, or say `on_api: true` under `sessions`; the dashboard has its own log-in",
        );
    }
    if fields.has("refresh") && !fields.has("login") {
        fields
            .problem("refresh", "`refresh` without `login`")
            .help("leave it out, or add the log-in");
    }
    if limits.per_user && *authority != Authority::Owner {
        fields
            .problem("limits", "`bucket: user` where keys have no owner")
            .help("say `authority: owner` under `keys`, or `bucket: credential`");
    }
}

/// A map that must be there.
fn section<'r>(fields: &Fields<'r>, key: &'static str, known: &[&str]) -> Option<Fields<'r>> {
    fields.required(key)?;
    fields.fields(key, key, known)
}

/// Lower-case letters and digits, with a letter first: it stands in keys and file names.
fn word(reader: &Reader, text: Text<'_>, what: &str) -> Option<String> {
    let plain = text
        .bytes()
        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    if plain && text.starts_with(|c: char| c.is_ascii_lowercase()) && text.len() <= 32 {
        return Some(text.to_string());
    }
    reader
        .problem(text.span, format!("`{text}` is not {what}"))
        .help("write lower-case letters and digits, a letter first, at most 32");
    None
}

fn builtin_policy(reader: &Reader, name: Text<'_>) -> Option<String> {
    if BUILTIN_NAMES.contains(&name.text) {
        return Some(name.to_string());
    }
    let slot = reader.problem(name.span, format!("there is no built-in policy `{name}`"));
    match did_you_mean(&name, BUILTIN_NAMES) {
        Some(meant) => slot.help(format!("did you mean `{meant}`?")),
        None => slot.help("a document of your own is named in the server's configuration instead"),
    }
    None
}

fn schemes(reader: &Reader, credentials: &Fields<'_>) -> Option<Vec<Scheme>> {
    credentials.required("schemes")?;
    let mut schemes = Vec::new();
    for node in credentials.list("schemes")? {
        let Some(scheme) = reader.choice(node, "`schemes`", &SCHEMES) else {
            continue;
        };
        if schemes.contains(&scheme) {
            reader.problem(node.span, "this scheme is listed already");
        }
        schemes.push(scheme);
    }
    if credentials.list("schemes")?.is_empty() {
        credentials.problem(
            "schemes",
            "no scheme is listed, so no credential could be presented",
        );
    }
    Some(schemes)
}

fn keys_rules(reader: &Reader, keys: &Fields<'_>) -> Option<(Authority, Minting)> {
    let authority = keys
        .required("authority")
        .and_then(|node| authority(reader, node));
    keys.required("scopes");
    // Whether they may be given, and whether they must.
    let scopes = keys.choice(
        "scopes",
        &[
            ("forbidden", (false, false)),
            ("optional", (true, false)),
            ("required", (true, true)),
        ],
    );
    keys.required("expiry");
    let expiry = keys.choice("expiry", &[("never", false), ("optional", true)]);
    let name_chars_max = keys
        .integer("name_chars_max", 1..=NAME_CHARS_MAX)
        .unwrap_or(NAME_CHARS_MAX);
    let authority = authority?;
    let (scopes_allowed, scopes_required) = scopes?;
    if authority == Authority::Scopes && !scopes_required {
        keys.problem(
            "scopes",
            "keys whose authority is their scopes need at least one",
        )
        .help("say `scopes: required`");
    }
    let minting = Minting {
        scopes_required,
        scopes_allowed,
        expiry_allowed: expiry?,
        name_chars_max: usize::try_from(name_chars_max).ok()?,
    };
    Some((authority, minting))
}

fn authority(reader: &Reader, node: &Node) -> Option<Authority> {
    if let Yaml::Map(_) = &node.value {
        let fields = reader.fields(node, "`authority`", &["organization"])?;
        fields.required("organization")?;
        let patterns = fields.texts("organization")?;
        if patterns.is_empty() {
            fields.problem(
                "organization",
                "no permission is listed, so keys could do nothing",
            );
        }
        for pattern in patterns
            .iter()
            .filter(|pattern| Pattern::parse(pattern).is_none())
        {
            reader
                .problem(pattern.span, format!("`{pattern}` is not a permission"))
                .help("write `resource:action`, `resource:*`, `*:action` or `*`");
        }
        return Some(Authority::Organization(
            patterns.iter().map(ToString::to_string).collect(),
        ));
    }
    reader.choice(
        node,
        "`authority`",
        &[("owner", Authority::Owner), ("scopes", Authority::Scopes)],
    )
}

fn session_rules(reader: &Reader, sessions: &Fields<'_>) -> Option<(bool, SessionRules)> {
    sessions.required("on_api");
    let on_api = sessions.boolean("on_api");
    let life = |key: &str| {
        let node = sessions.required(key)?;
        let seconds = reader.seconds(node, &format!("`{key}`"))?;
        let in_range = i64::try_from(seconds)
            .ok()
            .filter(|seconds| (60..=366 * 86_400).contains(seconds));
        if in_range.is_none() {
            reader.problem(
                node.span,
                format!("`{key}` must be from one minute to a year"),
            );
        }
        in_range
    };
    let (ttl_secs, life_secs_max) = (life("token_life"), life("session_life"));
    let session = SessionRules {
        ttl_secs: ttl_secs?,
        life_secs_max: life_secs_max?,
        algorithm: match sessions.get("algorithm") {
            Some(node) => Some(reader.choice(node, "`algorithm`", &ALGORITHMS)?),
            None => None,
        },
    };
    if session.ttl_secs > session.life_secs_max {
        sessions.problem("token_life", "a token cannot live longer than its session");
    }
    Some((on_api?, session))
}

fn login_endpoint(reader: &Reader, login: &Fields<'_>) -> Option<Login> {
    let path = login
        .required_text("path")
        .and_then(|path| self::path(reader, path));
    let reply = login.required("reply")?;
    let used = placeholders::check(reader, reply, &LOGIN_WORDS);
    if !used.iter().any(|word| word == "token") {
        login
            .problem("reply", "the reply never gives the token")
            .help("put `\"{token}\"` somewhere in it");
    }
    Some(Login {
        path: path?,
        reply: placeholders::json(reply)?,
    })
}

/// A path of the contract's own endpoints: a literal one, outside the gate's own.
fn path(reader: &Reader, path: Text<'_>) -> Option<String> {
    let segment = |segment: &str| {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
        !segment.is_empty() && segment.bytes().all(plain) && segment != "." && segment != ".."
    };
    match path.strip_prefix('/') {
        Some(rest) if rest == "-" || rest.starts_with("-/") => {
            reader.problem(
                path.span,
                format!("`{path}` is within the gate's own paths, `/-/`"),
            );
            None
        }
        Some(rest) if rest.split('/').all(segment) => Some(path.to_string()),
        _ => {
            reader
                .problem(path.span, format!("`{path}` is not a path"))
                .help(
                    "write one such as `/auth/login`, without a trailing slash, query or encoding",
                );
            None
        }
    }
}

fn counts(limits: &Fields<'_>) -> Option<Limits> {
    let read = |key: &str| {
        limits.required(key)?;
        limits
            .integer(key, 1..=LIMIT_MAX)
            .and_then(|limit| u32::try_from(limit).ok())
    };
    let counts = [
        "session",
        "api_key",
        "agent",
        "anonymous",
        "failures",
        "logins",
    ]
    .map(read);
    limits.required("bucket");
    let per_user = limits.choice("bucket", &[("credential", false), ("user", true)]);
    let [session, api_key, agent, anonymous, failures, logins] = counts;
    Some(Limits {
        session: session?,
        api_key: api_key?,
        agent: agent?,
        anonymous: anonymous?,
        failures: failures?,
        logins: logins?,
        per_user: per_user?,
    })
}
