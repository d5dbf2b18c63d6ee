//! Where a gate is, and which header the credential goes in: what the environment and the command line say, or what is
//! wrong with it.

use std::net::IpAddr;

use anyhow::Result;
use reqwest::{
    Url,
    header::{AUTHORIZATION, HeaderName, HeaderValue},
};

use crate::failure::Failure;

/// The credential: a session's token, or an API key.
pub(super) const TOKEN: &str = "SCOPEGATE_TOKEN";
/// Where it goes, for keys that do not go in `Authorization: Bearer`.
pub(super) const TOKEN_HEADER: &str = "SCOPEGATE_TOKEN_HEADER";

/// Where requests go.
pub(super) fn base(text: &str, insecure_http: bool) -> Result<Url> {
    let wrong = |why: &str| Failure::usage(format!("`{text}` is not a gate's URL: {why}"));
    let mut url = Url::parse(text).map_err(|error| wrong(&error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(wrong("it starts with neither http:// nor https://").into());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Failure::usage("a gate's URL has no user in it")
            .help(format!("the credential is in {TOKEN}"))
            .into());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("it has a query").into());
    }
    if url.scheme() == "http" && !insecure_http && !is_loopback(&url) {
        return Err(Failure::usage(format!(
            "http to `{}` would show the credential to everybody on the way",
            url.host_str().unwrap_or_default()
        ))
        .help("use https, or a tunnel to the machine; `--insecure-http` does it all the same")
        .into());
    }
    url.set_path(&format!("{}/", url.path().trim_end_matches('/')));
    Ok(url)
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse();
    host == "localhost" || address.is_ok_and(|address: IpAddr| address.is_loopback())
}

/// The credential of the environment.
pub(super) fn credential_for(base: &Url) -> Result<(HeaderName, HeaderValue)> {
    let token = std::env::var(TOKEN).unwrap_or_default();
    if token.is_empty() {
        return Err(
            Failure::usage(format!("no credential for `{base}`: {TOKEN} is not set"))
                .help(format!(
                    "`export {TOKEN}=$(scopegate login --email ME)`, or put an API key into it"
                ))
                .into(),
        );
    }
    let header = std::env::var(TOKEN_HEADER).ok();
    let header = header.filter(|header| !header.is_empty());
    credential(&token, header.as_deref())
}

/// The header of a credential. `header` is a header's name, or one with a scheme: `Authorization: ApiKey`.
fn credential(token: &str, header: Option<&str>) -> Result<(HeaderName, HeaderValue)> {
    let (name, scheme) = match header {
        None => (AUTHORIZATION, "Bearer"),
        Some(header) => {
            let (name, scheme) = header.split_once(':').unwrap_or((header, ""));
            let name = HeaderName::try_from(name.trim()).map_err(|_| {
                Failure::usage(format!("{TOKEN_HEADER} is not a header: `{header}`"))
                    .help("it reads like `X-API-Key` or `Authorization: ApiKey`")
            })?;
            (name, scheme.trim())
        }
    };
    let text = format!("{scheme} {}", token.trim());
    let mut value = HeaderValue::from_str(text.trim_start())
        .map_err(|_| Failure::usage(format!("{TOKEN} is not a credential")))?;
    value.set_sensitive(true);
    Ok((name, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_goes_in_clear_to_this_machine_alone() {
        for near in [
            "http://127.0.0.1:9080",
            "http://127.9.9.9",
            "http://[::1]:9080",
            "http://localhost:9080/",
            "https://gate.example.com",
            "https://gate.example.com/behind/a/path",
        ] {
            assert!(base(near, false).is_ok(), "{near}");
        }
        for far in [
            "http://gate.example.com",
            "http://10.0.0.1",
            "http://localhost.example.com",
        ] {
            let error = base(far, false).unwrap_err().to_string();
            assert!(error.contains("would show the credential"), "{error}");
            assert!(base(far, true).is_ok(), "{far}");
        }
        for wrong in [
            "gate",
            "ftp://gate",
            "https://me:pw@gate",
            "https://gate/?x=1",
        ] {
            assert!(base(wrong, true).is_err(), "{wrong}");
        }
    }

    #[test]
    fn credentials_go_where_their_contract_wants_them() {
        let sent = |header| {
            let (name, value) = credential("k", header).unwrap();
            assert!(value.is_sensitive());
            format!("{name}: {}", value.to_str().unwrap())
        };
        assert_eq!(sent(None), "authorization: Bearer k");
        assert_eq!(sent(Some("X-API-Key")), "x-api-key: k");
        assert_eq!(
            sent(Some("Authorization: ApiKey")),
            "authorization: ApiKey k"
        );
        assert!(credential("k", Some("no header")).is_err());
        assert!(credential("a\nb", None).is_err());
    }
}
