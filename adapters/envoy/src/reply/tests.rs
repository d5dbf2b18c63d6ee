//! Each refusal that there is, as Envoy is told of it. What an allow says needs an admission, which a gate alone makes:
//! the tests of the whole ask one.

use scopegate_host::Cause;

use super::*;

fn refusal(status: StatusCode, headers: &[(&'static str, &'static str)]) -> Refusal {
    let headers = headers.iter().map(|(name, value)| {
        let name = HeaderName::from_static(name);
        (name, HeaderValue::from_static(value))
    });
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(name, value);
    }
    Refusal {
        cause: Cause::Overloaded,
        status,
        headers: map,
        body: "the body".to_owned(),
    }
}

fn denied(refusal: &Refusal) -> (i32, DeniedHttpResponse) {
    let response = CheckResponse::from(Reply::deny(refusal));
    assert!(response.dynamic_metadata.is_none());
    let Some(HttpResponse::DeniedResponse(denied)) = response.http_response else {
        panic!("{:?}", response.http_response)
    };
    (response.status.expect("a status").code, denied)
}

#[test]
fn no_refusal_has_the_code_of_an_allow() {
    for status in 100..1000 {
        let status = StatusCode::from_u16(status).unwrap();
        let (code, denied) = denied(&refusal(status, &[]));
        assert_ne!(code, 0, "{status}");
        let shown = denied.status.unwrap().code;
        assert!((400..600).contains(&shown), "{status} is shown as {shown}");
        if status.is_client_error() || status.is_server_error() {
            assert_eq!(shown, i32::from(status.as_u16()));
        }
    }
}

#[test]
fn the_code_says_what_kind_it_is() {
    let code = |status: u16| denied(&refusal(StatusCode::from_u16(status).unwrap(), &[])).0;
    let codes = [400, 401, 403, 404, 422, 429, 500, 503].map(code);
    assert_eq!(codes, [3, 16, 7, 5, 7, 8, 14, 14]);
}

#[test]
fn a_denial_says_all_that_the_refusal_does() {
    let headers = [
        ("www-authenticate", "Bearer"),
        ("www-authenticate", "ApiKey"),
        ("retry-after", "7"),
        ("content-length", "8"),
    ];
    let (_, denied) = denied(&refusal(StatusCode::UNAUTHORIZED, &headers));
    assert_eq!(denied.body, "the body");
    let mut told: Vec<_> = denied
        .headers
        .iter()
        .map(|told| {
            let header = told.header.as_ref().unwrap();
            (
                header.key.as_str(),
                header.value.as_str(),
                told.append_action,
            )
        })
        .collect();
    told.sort_unstable();
    let (overwrite, append) = (
        HeaderAppendAction::OverwriteIfExistsOrAdd as i32,
        HeaderAppendAction::AppendIfExistsOrAdd as i32,
    );
    assert_eq!(
        told,
        [
            ("retry-after", "7", overwrite),
            ("www-authenticate", "ApiKey", append),
            ("www-authenticate", "Bearer", overwrite),
        ]
    );
}
