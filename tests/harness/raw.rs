//! Bytes on a connection, for what no well-behaved client sends.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::World;

/// Nothing more comes after so long a silence.
const SILENCE: Duration = Duration::from_millis(500);
/// Whatever is answered at all is so by then, also on a machine that does much else.
const ANSWERED: Duration = Duration::from_secs(20);

impl World {
    /// A connection to the public listener.
    pub async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.running().public_addr())
            .await
            .expect("a connection")
    }

    /// Sends bytes on a new connection and reads until the server closes it, or says nothing for half a second.
    pub async fn raw(&self, bytes: &str) -> String {
        raw(self.running().public_addr(), bytes).await
    }

    /// Sends a request's head, with a `Host` and `Connection: close` put in and every line ended.
    pub async fn raw_request(&self, line: &str, headers: &[&str]) -> String {
        raw_request(self.running().public_addr(), line, headers).await
    }
}

/// Sends bytes on a new connection and reads until the other end closes it, or says nothing for half a second.
pub async fn raw(address: SocketAddr, bytes: &str) -> String {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    stream.write_all(bytes.as_bytes()).await.expect("written");
    read_some(&mut stream).await
}

/// Sends a request's head, with a `Host` and `Connection: close` put in and every line ended.
pub async fn raw_request(address: SocketAddr, line: &str, headers: &[&str]) -> String {
    raw(address, &head(line, headers)).await
}

/// The same for what is answered for sure, however long that takes; and reads no further than the reply says that it goes: some
/// proxies close their end late.
pub async fn one_reply(address: SocketAddr, line: &str, headers: &[&str]) -> String {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    let request = head(line, headers);
    stream.write_all(request.as_bytes()).await.expect("written");
    read_while(&mut stream, ANSWERED, |so_far| !is_whole(so_far)).await
}

/// Whether a reply with a `Content-Length` is there, all of it.
fn is_whole(reply: &[u8]) -> bool {
    let text = String::from_utf8_lossy(reply);
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let value = value.trim().parse::<usize>().ok();
        value.filter(|_| name.eq_ignore_ascii_case("content-length"))
    });
    length.is_some_and(|length| body.len() >= length)
}

fn head(line: &str, headers: &[&str]) -> String {
    let mut text = format!("{line}\r\nHost: gate.example\r\nConnection: close\r\n");
    for header in headers {
        text.push_str(header);
        text.push_str("\r\n");
    }
    text.push_str("\r\n");
    text
}

/// What comes until the end, or until nothing came for half a second.
pub async fn read_some(stream: &mut TcpStream) -> String {
    read_while(stream, SILENCE, |_| true).await
}

async fn read_while(
    stream: &mut TcpStream,
    mut patience: Duration,
    goes_on: impl Fn(&[u8]) -> bool,
) -> String {
    let mut all = Vec::new();
    let mut more = [0; 4096];
    while let Ok(Ok(length @ 1..)) = timeout(patience, stream.read(&mut more)).await {
        patience = SILENCE;
        all.extend_from_slice(&more[..length]);
        if !goes_on(&all) {
            break;
        }
    }
    String::from_utf8_lossy(&all).into_owned()
}

/// The status of a raw reply; 0 when there is none.
pub fn status_of(reply: &str) -> u16 {
    reply
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .unwrap_or(0)
}
