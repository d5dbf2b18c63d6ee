//! A thread that burns CPU: what a load is compared beside.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

/// The CPU time of this process so far, in units of 10 ms (proc(5)).
pub(super) fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("a process");
    // Behind the program's name, which may have blanks in it: user and system time are fields 14 and 15.
    let (_, fields) = stat.rsplit_once(')').expect("a name");
    let ticks = fields.split_whitespace().skip(11).take(2);
    let ticks: u64 = ticks
        .map(|ticks| ticks.parse::<u64>().expect("ticks"))
        .sum();
    Duration::from_millis(ticks * 10)
}

/// The CPU time of this thread so far.
fn own_cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").expect("a thread");
    let nanos = stat.split_whitespace().next().expect("a time");
    Duration::from_nanos(nanos.parse().expect("nanoseconds"))
}

/// The thread.
pub(super) struct Burner {
    done: Arc<AtomicBool>,
    thread: thread::JoinHandle<()>,
}

impl Burner {
    /// Burns so much CPU time, so often.
    pub(super) fn start(each: Duration, every: Duration) -> Self {
        let done = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&done);
        let thread = thread::spawn(move || {
            while !stopped.load(SeqCst) {
                let began = std::time::Instant::now();
                let until = own_cpu_time() + each;
                while own_cpu_time() < until {
                    for _ in 0..1000 {
                        std::hint::spin_loop();
                    }
                }
                thread::sleep(every.saturating_sub(began.elapsed()));
            }
        });
        Self { done, thread }
    }

    /// Ends it.
    pub(super) fn stop(self) {
        self.done.store(true, SeqCst);
        self.thread.join().expect("it burnt");
    }
}
