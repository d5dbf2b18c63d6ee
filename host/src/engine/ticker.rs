//! The clock of deadlines: a thread that advances the engine's epoch. It ends when the engine does.

use std::{io, thread, time::Duration};

use wasmtime::Engine;

/// Starts the thread.
pub(super) fn start(engine: &Engine, tick: Duration) -> io::Result<()> {
    let engine = engine.weak();
    thread::Builder::new()
        .name("policy-clock".to_owned())
        .spawn(move || {
            loop {
                thread::sleep(tick);
                match engine.upgrade() {
                    Some(engine) => engine.increment_epoch(),
                    None => return,
                }
            }
        })?;
    Ok(())
}
