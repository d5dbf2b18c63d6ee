//! Epochs: what a record was looked up under. Each is a value in Redis that a change takes away, so that what was looked up
//! before it is recognised on every gate.
//!
//! All keys of one caller carry their organization as the hash tag of a Redis cluster: one script reads them all.

use std::{
    fmt::Write as _,
    sync::Arc,
    time::{Duration, Instant},
};

use smallvec::SmallVec;
use uuid::Uuid;

use super::{
    Link, Redis, Trouble,
    news::{CHANNEL, News},
};
use crate::{
    Principal,
    counters::{Away, Bucket},
    store::Touch,
};

/// How long an epoch lasts that nobody reads to keep something under it, in seconds: a day. One that is gone is a look-up
/// more.
const EPOCH_SECS: u64 = 86_400;
/// How long a change waits until Redis knows of it.
const RENEW: Duration = Duration::from_secs(1);
/// And how long between two attempts.
const RENEW_AGAIN: Duration = Duration::from_millis(20);

/// What a change may be about, in one organization.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Field {
    /// A credential or session.
    Credential(Uuid),
    /// A user, and so all that they have.
    User(Uuid),
    /// The organization: its roles and clusters.
    Organization,
    /// Keys and tokens that follow others: which of them end with one that is revoked, only the store knows.
    Successors,
}

/// The fields of one caller or change: a caller has at most four.
pub(crate) type Fields = SmallVec<[Field; 4]>;

/// A value of an epoch. Nothing ever has the one that something else had.
pub(crate) type Epoch = [u8; 16];

/// The epochs that a record was looked up under. Without any, as in a gate alone, it confirms nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FilledUnder(Option<Box<Epochs>>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Epochs {
    /// Of the server that said so: see [`super::Redis`].
    pub(super) generation: u64,
    pub(super) values: SmallVec<[(Field, Epoch); 3]>,
}

impl FilledUnder {
    pub(super) fn new(generation: u64, values: SmallVec<[(Field, Epoch); 3]>) -> Self {
        Self(Some(Box::new(Epochs { generation, values })))
    }

    /// Whether there are any.
    pub(crate) fn is_any(&self) -> bool {
        self.0.is_some()
    }

    pub(super) fn epochs(&self) -> Option<&Epochs> {
        self.0.as_deref()
    }
}

/// What a caller's record depends on. Of a caller whom the store does not know, their organization alone is looked up.
pub(crate) fn of_caller(principal: &Principal) -> Fields {
    let mut fields = Fields::new();
    if principal.version.is_some() {
        fields.push(Field::Credential(principal.credential));
        fields.extend(principal.user.map(Field::User));
        if principal.is_successor {
            fields.push(Field::Successors);
        }
    }
    fields.push(Field::Organization);
    fields
}

/// What a change makes stale, and in which organization.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Touched {
    pub(crate) organization: Uuid,
    pub(crate) touch: Touch,
}

impl Touched {
    pub(super) fn fields(self) -> Fields {
        let mut fields = Fields::new();
        match self.touch {
            Touch::Nothing => {}
            Touch::Credential(id) | Touch::Session(id) => fields.push(Field::Credential(id)),
            Touch::Rotations(id) => fields.extend([Field::Credential(id), Field::Successors]),
            Touch::User(id) => fields.push(Field::User(id)),
            Touch::Organization(_) => fields.push(Field::Organization),
        }
        fields
    }
}

/// Writes the key of a field.
pub(super) fn write_key(key: &mut String, organization: Uuid, field: Field) {
    key.clear();
    // Writing to a text does not fail.
    let _ = match field {
        Field::Credential(id) => write!(key, "sg:{{{}}}:c:{}", organization.simple(), id.simple()),
        Field::User(id) => write!(key, "sg:{{{}}}:u:{}", organization.simple(), id.simple()),
        Field::Organization => write!(key, "sg:{{{}}}:o", organization.simple()),
        Field::Successors => write!(key, "sg:{{{}}}:r", organization.simple()),
    };
}

/// Writes the key of a bucket. Those of strangers are in no organization.
pub(super) fn write_bucket_key(key: &mut String, organization: Uuid, bucket: Bucket) {
    key.clear();
    let organization = organization.simple();
    let _ = match bucket {
        Bucket::Credential(id) => write!(key, "sg:{{{organization}}}:b:c:{}", id.simple()),
        Bucket::User(id) => write!(key, "sg:{{{organization}}}:b:u:{}", id.simple()),
        Bucket::Anonymous(address) => write!(key, "sg:{{a:{address}}}:b"),
        Bucket::Failures(address) => write!(key, "sg:{{f:{address}}}:b"),
        Bucket::Account(digest) => write!(key, "sg:{{l:{}}}:b", hex::encode(digest)),
    };
}

impl Redis {
    /// Whether what is kept of a caller still stands.
    pub(crate) async fn confirm(
        &self,
        organization: Uuid,
        filled: &FilledUnder,
    ) -> Result<bool, Away> {
        let link = self.link()?;
        let scripts = link.scripts.load_full();
        let Some(epochs) = filled.epochs() else {
            return Ok(false);
        };
        if epochs.generation != scripts.generation {
            return Ok(false);
        }
        let mut command = scripts.confirm(epochs.values.len());
        let mut key = String::with_capacity(128);
        for (field, _) in &epochs.values {
            write_key(&mut key, organization, *field);
            command.arg(key.as_str());
        }
        for (_, value) in &epochs.values {
            command.arg(&value[..]);
        }
        match self.query(&link, &command).await {
            Ok(confirmed) => Ok(confirmed),
            Err(Trouble::Forgotten) => {
                self.teach(&link, scripts.generation).await?;
                Ok(false)
            }
            Err(Trouble::Away) => Err(Away),
        }
    }

    /// The epochs of these fields. What is looked up after this, and not before, may be kept under them. Without an answer
    /// it is kept under none.
    pub(crate) async fn fill(&self, organization: Uuid, fields: &Fields) -> FilledUnder {
        // Once more where the server was another one than the last time.
        for _ in 0..2 {
            let Ok(link) = self.link() else { break };
            let scripts = link.scripts.load_full();
            let mut command = scripts.fill(fields.len());
            let mut key = String::with_capacity(128);
            for field in fields {
                write_key(&mut key, organization, *field);
                command.arg(key.as_str());
            }
            let fresh: Epoch = Uuid::now_v7().into_bytes();
            command.arg(&fresh[..]).arg(EPOCH_SECS);
            let said: Result<Vec<Vec<u8>>, Trouble> = self.query(&link, &command).await;
            match said {
                Ok(values) => {
                    let values: Option<SmallVec<_>> = fields
                        .iter()
                        .zip(&values)
                        .map(|(field, value)| Some((*field, Epoch::try_from(&value[..]).ok()?)))
                        .collect();
                    return match values.filter(|values| values.len() == fields.len()) {
                        Some(values) => FilledUnder::new(scripts.generation, values),
                        None => FilledUnder::default(),
                    };
                }
                Err(Trouble::Forgotten) => {
                    if self.teach(&link, scripts.generation).await.is_err() {
                        break;
                    }
                }
                Err(Trouble::Away) => break,
            }
        }
        FilledUnder::default()
    }

    /// Takes the epochs away that a change touches, and tells the other gates of it. When this returns without an error, no
    /// gate believes what it looked up before.
    pub(crate) async fn renew(&self, touched: Touched) -> Result<(), Away> {
        let began = Instant::now();
        loop {
            if let Ok(link) = self.link()
                && self.try_renew(&link, touched).await.is_ok()
            {
                return Ok(());
            }
            // Who has been away for long will not be back within the time that one waits.
            let long = self.since.lock().elapsed() > RENEW && !self.is_here();
            if long || began.elapsed() > RENEW {
                return Err(Away);
            }
            tokio::time::sleep(RENEW_AGAIN).await;
        }
    }

    async fn try_renew(&self, link: &Arc<Link>, touched: Touched) -> Result<(), Trouble> {
        let mut forget = redis::cmd("DEL");
        let mut key = String::with_capacity(128);
        for field in touched.fields() {
            write_key(&mut key, touched.organization, field);
            forget.arg(key.as_str());
        }
        let news = News {
            node: self.node,
            touch: touched.touch,
        };
        let Some(line) = news.line() else {
            return Ok(());
        };
        let _: i64 = self.query(link, &forget).await?;
        let mut tell = redis::cmd("PUBLISH");
        let _: i64 = self.query(link, tell.arg(CHANNEL).arg(line)).await?;
        Ok(())
    }
}
