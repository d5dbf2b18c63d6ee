//! What gates tell each other: that something was changed, in one line.

use std::time::Duration;

use futures_util::{Stream, StreamExt, stream};
use redis::{Value, aio::PubSub};
use tokio::time::timeout;
use uuid::Uuid;

use crate::store::Touch;

/// Where it is told.
pub(super) const CHANNEL: &str = "sg:changes";

/// How long it is quiet before the other end is asked whether it is there, and how long it may take to say so.
const QUIET: Duration = Duration::from_secs(1);

/// What is told, until the connection is lost or something is told that is not understood: then nobody can say what it was.
pub(super) fn read_on(listening: PubSub) -> impl Stream<Item = News> {
    stream::unfold(listening.split(), async |(mut sink, mut told)| {
        loop {
            match timeout(QUIET, told.next()).await {
                Ok(message) => {
                    let news = News::read(message?.get_payload_bytes())?;
                    return Some((news, (sink, told)));
                }
                Err(_) => {
                    let answer = timeout(QUIET, sink.ping::<Value>()).await;
                    answer.ok()?.ok()?;
                }
            }
        }
    })
}

/// A change, and the gate that made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct News {
    pub(crate) node: Uuid,
    pub(crate) touch: Touch,
}

impl News {
    /// As it is told; nothing for a change that touches nothing.
    pub(super) fn line(self) -> Option<String> {
        let (kind, id) = self.touch.words()?;
        Some(format!("{} {kind} {id}", self.node))
    }

    /// From such a line.
    pub(super) fn read(line: &[u8]) -> Option<Self> {
        let mut words = std::str::from_utf8(line).ok()?.split(' ');
        let (node, kind, id, None) = (words.next()?, words.next()?, words.next()?, words.next())
        else {
            return None;
        };
        Some(Self {
            node: node.parse().ok()?,
            touch: Touch::of_words(kind, id.parse().ok()?)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn news_are_read_as_they_are_told() {
        let (node, id) = (Uuid::from_u128(1), Uuid::from_u128(2));
        for touch in [
            Touch::Credential(id),
            Touch::Rotations(id),
            Touch::Session(id),
            Touch::User(id),
            Touch::Organization(id),
        ] {
            let news = News { node, touch };
            let line = news.line().unwrap();
            assert_eq!(News::read(line.as_bytes()), Some(news), "{line}");
        }
        let nothing = News {
            node,
            touch: Touch::Nothing,
        };
        assert_eq!(nothing.line(), None);
        let user = format!("{node} user {id}");
        for wrong in [
            "",
            "user",
            &format!("{user} more"),
            &user.replace("user", "role"),
            &user[1..],
        ] {
            assert_eq!(News::read(wrong.as_bytes()), None, "{wrong}");
        }
        assert_eq!(News::read(&[0xff, 0xfe]), None);
    }
}
