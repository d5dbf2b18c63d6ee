//! Names of headers that a policy may read.

/// Headers that carry credentials: no policy reads them.
const CREDENTIALS: [&str; 5] = [
    "authorization",
    "cookie",
    "proxy-authorization",
    "set-cookie",
    "x-api-key",
];
/// How the gate's own identity headers begin.
const IDENTITY_PREFIX: &str = "x-scopegate-";
/// How those begin in which proxies say whom they speak for.
const FORWARDED_PREFIX: &str = "x-forwarded-";
/// Headers that belong to one connection, or say where a message goes and how long it is.
const FRAMING: [&str; 19] = [
    "connection",
    "content-length",
    "expect",
    "forwarded",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-original-url",
    "x-request-id",
    "x-rewrite-url",
];
/// Bytes of a name at most.
const NAME_BYTES_MAX: usize = 128;

/// The name in lower case.
///
/// # Errors
/// Why no policy may read such a header, and a help.
pub(crate) fn check(name: &str) -> Result<String, (String, &'static str)> {
    let lower = name.to_ascii_lowercase();
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.bytes().all(allowed) {
        let help = "a name has letters, digits and `-`";
        return Err((format!("`{name}` cannot be a header's name"), help));
    }
    let help = if CREDENTIALS.contains(&lower.as_str()) {
        "it carries credentials"
    } else if lower.starts_with(IDENTITY_PREFIX) {
        "identity headers are the gate's own and removed from requests"
    } else if lower.starts_with(FORWARDED_PREFIX) || lower == "forwarded" {
        "it says what proxies say; the client's address is `request.address` in a condition"
    } else if FRAMING.contains(&lower.as_str()) {
        "it belongs to the connection or to the gate"
    } else {
        return Ok(lower);
    };
    Err((format!("a policy cannot read the header `{name}`"), help))
}
