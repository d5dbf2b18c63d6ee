//! Ports for programs that cannot tell which one they took.

use std::{
    net::{IpAddr, TcpListener},
    ops::Range,
    process,
    sync::atomic::{AtomicU16, Ordering},
};

/// Below those that Linux takes by itself, for a listener on port 0 or for a connection: one of these stays free until the
/// program that it was found for has started, and again while that program is stopped and started.
const PORTS: Range<u16> = 12_000..32_000;

/// A port that nobody has now, and that no other call in this process gets.
///
/// # Panics
/// When there is none, or the address is not one of this machine.
pub fn free_port(address: IpAddr) -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let all = PORTS.end - PORTS.start;
    // Somewhere else in each process: two may run at once.
    let first = (process::id() % u32::from(all)) as u16;
    for _ in 0..all {
        let next = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = PORTS.start + (first.wrapping_mul(97) % all + next % all) % all;
        if TcpListener::bind((address, port)).is_ok() {
            return port;
        }
    }
    panic!("no port is free at {address}")
}
