//! The way to a gate: whom it is shown to, TLS, and connections that break.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
};

use serde_json::json;

use super::{Office, elsewhere};
use crate::{
    cli::binary::{run_with, text},
    harness::tls,
};

#[test]
fn a_credential_goes_in_clear_to_this_machine_alone() {
    let nowhere = tempfile::tempdir().expect("a directory");
    let variables = [
        ("SCOPEGATE_TOKEN", "a-token"),
        ("SCOPEGATE_URL", "http://gate.example.com:9080"),
    ];
    let refused = run_with(nowhere.path(), &variables, "", &["key", "list"]);
    assert_eq!(refused.status.code(), Some(2));
    let said = text(&refused.stderr);
    assert!(
        said.contains("would show the credential") && said.contains("--insecure-http"),
        "{said}"
    );
    assert!(!said.contains("a-token"), "{said}");
    for url in [
        "gate.example.com",
        "ftp://127.0.0.1",
        "http://me:pw@127.0.0.1",
    ] {
        let wrong = run_with(
            nowhere.path(),
            &variables,
            "",
            &["key", "list", "--url", url],
        );
        assert_eq!(wrong.status.code(), Some(2), "{url}");
    }
    // The option wins over the variable, and nobody listens there.
    let nobody = run_with(
        nowhere.path(),
        &variables,
        "",
        &["key", "list", "--url", "http://127.0.0.1:1"],
    );
    assert_eq!(nobody.status.code(), Some(1));
}

/// Keys that do not go in `Authorization: Bearer` say where they go.
#[test]
fn keys_of_other_contracts_have_their_header() {
    let office = Office::open("k8cost");
    let token = office.token("root@example.com");
    let key = office.json(&token, &["key", "mint", "--name", "ci"]);
    let key = key["secret"].as_str().expect("a secret");
    let variables = [
        ("SCOPEGATE_TOKEN", key),
        ("SCOPEGATE_TOKEN_HEADER", "X-API-Key"),
    ];
    let me = office.run(&variables, "", &["whoami", "--output", "json"]);
    assert_eq!(me.code, Some(0), "{}", me.stderr);
    assert!(me.stdout.contains("api-key"), "{}", me.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn https_goes_by_the_authority_that_is_named() {
    let office = tokio::task::spawn_blocking(|| Office::open("scopegate"))
        .await
        .expect("it opens");
    let inner = office.management.strip_prefix("http://").expect("http");
    let encrypted = tls::before(inner.parse().expect("an address")).await;
    let url = format!("https://localhost:{}", encrypted.address.port());
    tokio::task::spawn_blocking(move || {
        let ca = elsewhere(&office).join("ca.pem");
        std::fs::write(&ca, encrypted.authority).expect("writable");
        let token = office.token("viewer@example.com");
        let trusted = office.ask(&token, &["whoami", "--url", &url, "--ca", "ca.pem"]);
        assert_eq!(trusted.code, Some(0), "{}", trusted.stderr);
        let by_the_web = office.ask(&token, &["whoami", "--url", &url]);
        assert_eq!(by_the_web.code, Some(1), "{}", by_the_web.stderr);
        std::fs::write(&ca, "nothing").expect("writable");
        let no_authority = office.ask(&token, &["whoami", "--url", &url, "--ca", "ca.pem"]);
        assert_eq!(no_authority.code, Some(2), "{}", no_authority.stderr);
    })
    .await
    .expect("it passes");
}

/// What happens to a request on its way.
#[derive(Clone, Copy)]
enum Way {
    /// It is read and the connection closed.
    Lost,
    /// It goes to the gate, and the answer does not come back.
    AnswerLost,
    Open,
}

/// A listener in front of a gate: each connection goes one of these ways.
fn between(gate: &str, ways: &'static [Way]) -> String {
    let gate = gate.strip_prefix("http://").expect("http").to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    std::thread::spawn(move || {
        for way in ways {
            let (mut client, _) = listener.accept().expect("a connection");
            let request = read_request(&mut client);
            if matches!(way, Way::Lost) {
                continue;
            }
            let mut inside = TcpStream::connect(&gate).expect("the gate");
            inside.write_all(&request).expect("it is sent");
            let mut answer = vec![0; 64 * 1024];
            let length = inside.read(&mut answer).expect("an answer");
            if matches!(way, Way::Open) {
                client.write_all(&answer[..length]).expect("it is sent");
                let _ = client.shutdown(Shutdown::Write);
            }
        }
    });
    url
}

/// A whole request: its head, and as much of a body as that says.
fn read_request(client: &mut TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    let mut part = [0; 4096];
    loop {
        let length = client.read(&mut part).expect("a request");
        all.extend_from_slice(&part[..length]);
        let read = String::from_utf8_lossy(&all).to_lowercase();
        if let Some((head, body)) = read.split_once("\r\n\r\n") {
            let said = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "));
            let said: usize = said.map_or(0, |said| said.parse().expect("a number"));
            if body.len() >= said {
                return all;
            }
        }
        assert!(length > 0, "the request is whole");
    }
}

#[test]
fn what_is_minted_over_a_broken_connection_is_minted_once() {
    let office = Office::open("scopegate");
    let token = office.token("root@example.com");
    let mint = |name: &str, ways| {
        let url = between(&office.management, ways);
        office.ask(&token, &["key", "mint", "--name", name, "--url", &url])
    };
    // The request was lost: it is sent again.
    let again = mint("lost", &[Way::Lost, Way::Open]);
    assert_eq!(again.code, Some(0), "{}", again.stderr);
    assert!(again.stdout.starts_with("sg_live_"));
    // The answer was lost, and with it the secret: nothing is minted twice, and what was minted is named.
    let gone = mint("gone", &[Way::AnswerLost, Way::Open]);
    assert_eq!(
        (gone.code, gone.stdout.as_str()),
        (Some(1), ""),
        "{}",
        gone.stderr
    );
    assert!(
        gone.stderr.contains("`gone` was minted with the id"),
        "{}",
        gone.stderr
    );
    let twice = mint("twice", &[Way::Lost, Way::Lost]);
    assert_eq!(twice.code, Some(1), "{}", twice.stderr);
    let keys = office.json(&token, &["key", "list"]);
    let names: Vec<_> = keys
        .as_array()
        .expect("a list")
        .iter()
        .map(|key| key["name"].clone())
        .collect();
    assert_eq!(names, [json!("lost"), json!("gone")]);
    let id = keys[1]["id"].as_str().expect("an id");
    assert!(gone.stderr.contains(id), "{}", gone.stderr);
}
