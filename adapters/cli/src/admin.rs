//! The way of a change from the terminal to the store. Where a server runs, it holds the store's lock and makes the
//! change itself, so that what it has cached goes before the command returns; where none runs, the change is made here. A
//! gate that is named by its URL is asked over its API.

use std::{path::PathBuf, time::Duration};

use anyhow::Result;
use jiff::Timestamp;
use scopegate_host::{
    Contract, Directory,
    admin::{Admin as Executor, AdminError, Command, ErrorKind, Reply},
    key::secret_scanning_regex,
    lock::{LockError, StoreLock, socket_path},
    store::{Missing, Purpose},
};
use scopegate_policy::Description;
use scopegate_server::{
    Config, SendError,
    assemble::{self, open_store},
    send,
};

use crate::{
    Common, assembly,
    failure::Failure,
    remote::{self, Remote},
};

/// How often, and for how long at most, a lock is tried that another command holds.
const RETRY: Duration = Duration::from_millis(50);
const RETRIES_MAX: u32 = 100;

/// Whoever executes commands.
#[derive(Debug)]
pub(crate) enum Admin {
    /// The server that listens on this socket, with this configuration.
    Server(PathBuf, Box<Config>),
    /// This process.
    Here(Box<Here>),
    /// A gate elsewhere.
    Remote(Box<Remote>),
}

/// A store that no server runs on.
#[derive(Debug)]
pub(crate) struct Here {
    directory: Directory,
    contract: Contract,
    description: Description,
    _lock: StoreLock,
}

impl Admin {
    /// The gate that is named by its URL; or else finds the server of the configuration's store, or takes the store.
    pub(crate) async fn open(common: &Common) -> Result<Self> {
        if let Some(remote) = Remote::open(common)? {
            return Ok(Self::Remote(Box::new(remote)));
        }
        let config = assembly::configuration(&common.config)?;
        let path = &config.store.local;
        let socket = socket_path(path);
        let mut tries = 0;
        loop {
            match StoreLock::take(path) {
                Ok(lock) => return Here::open(&config, lock).await,
                // A server that is just starting has no socket yet, and another command will be done soon.
                Err(LockError::Held { .. }) if socket.exists() => {
                    return Ok(Self::Server(socket, Box::new(config)));
                }
                Err(LockError::Held { .. }) if tries < RETRIES_MAX => tries += 1,
                Err(error) => return Err(error.into()),
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    /// Executes a command. What it changed is in force when this returns.
    pub(crate) async fn execute(&self, command: Command) -> Result<Reply> {
        let answer = match self {
            Self::Remote(remote) => return remote.execute(command).await,
            Self::Server(socket, _) => send(socket, &command).await.map_err(no_answer)?,
            Self::Here(here) => here.execute(command).await,
        };
        answer.map_err(refused)
    }

    /// The name of the gate's contract.
    pub(crate) async fn contract_name(&self) -> Result<String> {
        match self {
            Self::Remote(remote) => remote.contract_name().await,
            Self::Server(_, config) => Ok(assembly::contract(config)?.name),
            Self::Here(here) => Ok(here.contract.name.clone()),
        }
    }
}

/// The regular expression by which secret scanners find the gate's keys. No store and no credential is needed for it.
pub(crate) async fn pattern(common: &Common) -> Result<String> {
    if let Some(url) = &common.access.url {
        return remote::pattern(common, url).await;
    }
    let config = assembly::configuration(&common.config)?;
    Ok(secret_scanning_regex(
        &assembly::contract(&config)?.key_prefix,
    ))
}

impl Here {
    async fn open(config: &Config, lock: StoreLock) -> Result<Admin> {
        let contract = assembly::contract(config)?;
        let description = assembly::description(config, &contract)?;
        let store = open_store(
            &config.store,
            &config.audit,
            Purpose::Serve,
            Missing::Refuse,
        )
        .await
        .map_err(assembly::with_help)?;
        let counters = assemble::counters(&config.counters).await;
        let counters = counters.map_err(assembly::with_help)?;
        let directory = Directory::beside(&counters, store, contract.authority.clone());
        Ok(Admin::Here(Box::new(Self {
            directory,
            contract,
            description,
            _lock: lock,
        })))
    }

    async fn execute(&self, command: Command) -> Result<Reply, AdminError> {
        let executor = Executor::new(&self.directory, &self.contract, &self.description);
        executor
            .execute(command, Timestamp::now().as_millisecond())
            .await
    }
}

/// What was asked for is not to be had: the command line is to be worded differently, or things are as they are.
fn refused(error: AdminError) -> anyhow::Error {
    let failure = match error.kind {
        ErrorKind::Invalid => Failure::usage(error.message),
        ErrorKind::Refused
        | ErrorKind::Unknown
        | ErrorKind::Missing
        | ErrorKind::Conflict
        | ErrorKind::Forbidden
        | ErrorKind::Ended
        | ErrorKind::Stale
        | ErrorKind::Pending
        | ErrorKind::Unavailable => Failure::new(error.message),
    };
    match error.help {
        Some(help) => failure.help(help).into(),
        None => failure.into(),
    }
}

fn no_answer(error: SendError) -> anyhow::Error {
    let help = match &error {
        SendError::NoServer { .. } => {
            "the server is just starting or ending, or belongs to another user"
        }
        SendError::NoAnswer { .. } => "look with `list` whether the change was made",
    };
    Failure::new(error.to_string()).help(help).into()
}
