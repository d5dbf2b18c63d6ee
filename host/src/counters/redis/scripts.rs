//! The scripts, each with a mark of this gate's own in its text, so that no other server can know them by their hash.
//!
//! A server that does not know a script is another one than before, or has forgotten everything: what was kept under its
//! epochs is worth nothing. So a mark is used for one server once, and scripts are only ever called by their hash.

use redis::{Cmd, RedisError};
use uuid::Uuid;

use super::connect::Connection;

const TAKE: &str = include_str!("take.lua");
const FILL: &str = include_str!("fill.lua");
const CONFIRM: &str = include_str!("confirm.lua");

/// What a server was taught. By default nothing, of the generation before the first.
#[derive(Default)]
pub(super) struct Scripts {
    /// Counted up with each mark.
    pub(super) generation: u64,
    take: String,
    fill: String,
    confirm: String,
}

impl Scripts {
    /// Teaches a server, or all of a cluster.
    pub(super) async fn load(connection: &Connection, generation: u64) -> Result<Self, RedisError> {
        let mark = Uuid::new_v4();
        let load = async |text: &str| connection.teach(format!("-- {mark}\n{text}")).await;
        Ok(Self {
            generation,
            take: load(TAKE).await?,
            fill: load(FILL).await?,
            confirm: load(CONFIRM).await?,
        })
    }

    /// Whether the server still knows them all.
    pub(super) async fn are_known(&self, connection: &Connection) -> Result<bool, RedisError> {
        let mut exists = redis::cmd("SCRIPT");
        exists.arg("EXISTS");
        for script in [&self.take, &self.fill, &self.confirm] {
            exists.arg(script.as_str());
        }
        let known: Vec<bool> = connection.query(&exists).await?;
        Ok(known.len() == 3 && known.iter().all(|known| *known))
    }

    pub(super) fn take(&self, keys: usize) -> Cmd {
        call(&self.take, keys)
    }

    pub(super) fn fill(&self, keys: usize) -> Cmd {
        call(&self.fill, keys)
    }

    pub(super) fn confirm(&self, keys: usize) -> Cmd {
        call(&self.confirm, keys)
    }
}

fn call(hash: &str, keys: usize) -> Cmd {
    // So many parts, of about so many bytes.
    let mut call = Cmd::with_capacity(3 + 2 * keys + 6, 64 + 112 * keys);
    call.arg("EVALSHA").arg(hash).arg(keys);
    call
}
