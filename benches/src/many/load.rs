//! A client with many connections: as fast as it is answered, or at a steady rate.
//!
//! At a steady rate each connection has its moments, whether or not the answer before has come by then: who is late because
//! of a late answer counts from the moment that was meant. A connection that had to wait for its moment counts from when
//! it awoke, for how late a thread awakes is not the gate's doing.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::http::{LOAD_CORE, TARGET};

/// Connections, each with a thread of its own.
const LANES: u32 = 32;
/// How much of each run is not looked at.
const WARM_UP: Duration = Duration::from_secs(1);
/// How long an answer may take before the run fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a client saw.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Load {
    /// All of them, those of the first second included.
    pub requests: f64,
    /// Answers in a second.
    pub per_second: f64,
    /// Half of the answers took no longer.
    pub p50_micros: f64,
    /// Of a hundred, one took longer.
    pub p99_micros: f64,
}

/// How much is asked.
#[derive(Clone, Copy, Debug)]
pub(super) enum Pace {
    /// As fast as it is answered.
    Full,
    /// Requests in a second.
    Steady(f64),
}

/// A client that runs.
pub(super) struct Running(Child);

impl Running {
    /// Starts one in a process of its own.
    pub(super) fn start(
        address: SocketAddr,
        key: &str,
        pace: Pace,
        duration: Duration,
    ) -> Result<Self> {
        let mut command = Command::new("taskset");
        command
            .args(["-c", LOAD_CORE])
            .arg(std::env::current_exe()?)
            .args(["load", &address.to_string(), key])
            .args(["--seconds", &duration.as_secs_f64().to_string()]);
        if let Pace::Steady(rate) = pace {
            command.args(["--rate", &rate.to_string()]);
        }
        Ok(Self(command.stdout(Stdio::piped()).spawn()?))
    }

    /// Waits for its end.
    pub(super) fn end(self) -> Result<Load> {
        let output = self.0.wait_with_output()?;
        ensure!(output.status.success(), "the load failed");
        Ok(serde_json::from_slice(&output.stdout)?)
    }
}

/// Asks for so long, `rate` times a second if it is given.
///
/// # Errors
/// When anything but a 200 comes back.
pub fn ask(address: SocketAddr, key: &str, rate: Option<f64>, duration: Duration) -> Result<Load> {
    let begin = Instant::now() + Duration::from_millis(200);
    let every = rate.map(|rate| Duration::from_secs_f64(1.0 / rate));
    let lanes: Vec<Result<Vec<Answer>>> = thread::scope(|scope| {
        let lanes: Vec<_> = (0..LANES)
            .map(|number| {
                let lane = Lane {
                    number,
                    begin,
                    end: begin + duration,
                    every,
                };
                scope.spawn(move || lane.run(address, key))
            })
            .collect();
        let ended = lanes.into_iter().map(|lane| {
            lane.join()
                .unwrap_or_else(|_| Err(anyhow::anyhow!("a client panicked")))
        });
        ended.collect()
    });
    let mut answers = Vec::new();
    for lane in lanes {
        answers.extend(lane?);
    }
    let mut looked_at: Vec<Duration> = answers
        .iter()
        .filter(|answer| answer.meant >= begin + WARM_UP.min(duration / 2))
        .map(|answer| answer.took)
        .collect();
    looked_at.sort_unstable();
    let at = |percent: usize| {
        let took = looked_at.get(looked_at.len() * percent / 100);
        took.map(|took| took.as_secs_f64() * 1e6)
            .context("there was no answer")
    };
    Ok(Load {
        requests: answers.len() as f64,
        per_second: answers.len() as f64 / duration.as_secs_f64(),
        p50_micros: at(50)?,
        p99_micros: at(99)?,
    })
}

/// One answer.
struct Answer {
    /// When it was to be asked for.
    meant: Instant,
    took: Duration,
}

/// One connection.
struct Lane {
    number: u32,
    begin: Instant,
    end: Instant,
    /// Between two requests of all lanes together.
    every: Option<Duration>,
}

impl Lane {
    fn run(&self, address: SocketAddr, key: &str) -> Result<Vec<Answer>> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let request =
            format!("GET {TARGET} HTTP/1.1\r\nHost: api.example\r\nX-API-Key: {key}\r\n\r\n");
        let (mut reader, mut answers) = (BufReader::new(stream), Vec::new());
        for turn in 0.. {
            let meant = match self.every {
                Some(every) => self.begin + every * (turn * LANES + self.number),
                None => Instant::now().max(self.begin),
            };
            if meant >= self.end {
                break;
            }
            let ahead = meant.saturating_duration_since(Instant::now());
            let asked = if ahead.is_zero() {
                meant
            } else {
                thread::sleep(ahead);
                Instant::now()
            };
            reader.get_mut().write_all(request.as_bytes())?;
            read_reply(&mut reader)?;
            answers.push(Answer {
                meant,
                took: asked.elapsed(),
            });
        }
        Ok(answers)
    }
}

fn read_reply(reader: &mut BufReader<TcpStream>) -> Result<()> {
    let (mut line, mut length) = (String::new(), 0);
    reader.read_line(&mut line)?;
    ensure!(
        line.starts_with("HTTP/1.1 200 "),
        "the gate answered `{}`",
        line.trim()
    );
    while line != "\r\n" {
        line.clear();
        reader.read_line(&mut line)?;
        ensure!(!line.is_empty(), "the gate closed a connection");
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(())
}
