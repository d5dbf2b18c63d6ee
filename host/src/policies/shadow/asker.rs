//! Asks the policy in the shadow, on a thread of its own: requests leave their questions in a queue and go on.
//!
//! The thread takes a quarter of a core at most, whatever is asked and however long the policy takes over it, and a
//! fresh instance for each question. What does not fit into the queue meanwhile is not asked.

use std::{
    borrow::Cow,
    collections::BTreeSet,
    io,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{
            AtomicBool, AtomicUsize,
            Ordering::{AcqRel, Acquire, Relaxed, Release},
        },
    },
    thread,
    time::{Duration, Instant},
};

use crossbeam_queue::ArrayQueue;
use scopegate_policy::{Caller, Clusters, packed::RequestRef};

use super::tally::{Answer, Tally};
use crate::{
    Cause, Principal,
    engine::{CallerRef, PackedCaller, Policy},
};

/// What waits to be asked, in bytes: a thousand ordinary questions.
const WAITING_BYTES_MAX: usize = 4 << 20;
/// What a question counts for besides its texts: more than it takes, so that there are only so many.
const QUESTION_BYTES: usize = 4 << 10;
/// How often the queue is looked at while it is empty. To be woken would cost each request a system call.
const LOOKED_AT: Duration = Duration::from_millis(4);
/// Parts of the time of which the thread works one.
const SHARE: u32 = 4;
/// How far it may run ahead of its share, so that a burst of requests is asked about at once.
const AHEAD: Duration = Duration::from_millis(50);

/// A question that the active policy has answered.
pub(crate) struct Asked {
    /// Milliseconds since the epoch.
    pub(crate) at_ms: i64,
    /// As received.
    pub(crate) method: Cow<'static, str>,
    /// Normalised.
    pub(crate) path: Box<str>,
    /// What else the policy in the shadow is told, or why it would never be asked.
    pub(crate) told: Result<Told, Cause>,
    /// The client's address, where it is known.
    pub(crate) client: Option<IpAddr>,
    /// Who asked, if they are known.
    pub(crate) principal: Option<Arc<Principal>>,
    /// What the active policy answered.
    pub(crate) active: Answer,
    /// Where the comparison is counted.
    pub(crate) tally: Arc<Tally>,
}

/// What a policy reads of a request, by its own description.
pub(crate) struct Told {
    pub(crate) query: Vec<(String, String)>,
    pub(crate) headers: Vec<(String, String)>,
}

/// The thread that asks. It ends soon after this does.
pub(crate) struct Asker(Arc<Line>);

struct Line {
    waiting: ArrayQueue<(Asked, usize)>,
    bytes: AtomicUsize,
    is_over: AtomicBool,
}

impl Asker {
    /// Starts to ask this policy.
    ///
    /// # Errors
    /// When the machine gives no thread.
    pub(crate) fn start(policy: Arc<Policy>) -> io::Result<Self> {
        let line = Arc::new(Line {
            waiting: ArrayQueue::new(WAITING_BYTES_MAX / QUESTION_BYTES),
            bytes: AtomicUsize::new(0),
            is_over: AtomicBool::new(false),
        });
        let asked = Arc::clone(&line);
        thread::Builder::new()
            .name("policy-shadow".to_owned())
            .spawn(move || asked.ask_all(&policy))?;
        Ok(Self(line))
    }

    /// Whether nothing fits any more: cheap to ask before a question is made.
    pub(crate) fn is_full(&self) -> bool {
        self.0.bytes.load(Relaxed) + QUESTION_BYTES > WAITING_BYTES_MAX
    }

    /// Leaves a question, if it fits.
    pub(crate) fn offer(&self, asked: Asked) -> bool {
        let line = &self.0;
        let bytes = asked.bytes();
        let taken = line.bytes.fetch_add(bytes, AcqRel);
        let fits = taken + bytes <= WAITING_BYTES_MAX && line.waiting.push((asked, bytes)).is_ok();
        if !fits {
            line.bytes.fetch_sub(bytes, AcqRel);
        }
        fits
    }
}

impl Drop for Asker {
    fn drop(&mut self) {
        self.0.is_over.store(true, Release);
    }
}

impl Line {
    fn ask_all(&self, policy: &Policy) {
        let mut pace = Pace(Instant::now());
        while !self.is_over.load(Acquire) {
            let Some((asked, bytes)) = self.waiting.pop() else {
                thread::sleep(LOOKED_AT);
                continue;
            };
            let began = Instant::now();
            let answer = asked.ask(policy);
            let tally = Arc::clone(&asked.tally);
            tally.note(asked, answer);
            self.bytes.fetch_sub(bytes, AcqRel);
            if let Some(rest) = pace.rest(began, Instant::now()) {
                thread::sleep(rest);
            }
        }
    }
}

/// Up to when the thread's share of the time is used up.
struct Pace(Instant);

impl Pace {
    /// How long to rest after work, if at all.
    fn rest(&mut self, began: Instant, ended: Instant) -> Option<Duration> {
        let worked = ended.saturating_duration_since(began);
        self.0 = self.0.max(began) + worked * SHARE;
        let ahead = self.0.saturating_duration_since(ended);
        (ahead > AHEAD).then_some(ahead)
    }
}

impl Asked {
    /// What it takes to keep it, roughly and rather too much.
    fn bytes(&self) -> usize {
        let pairs = |pairs: &[(String, String)]| -> usize {
            pairs
                .iter()
                .map(|(name, value)| name.len() + value.len())
                .sum()
        };
        let told = match &self.told {
            Ok(told) => pairs(&told.query) + pairs(&told.headers),
            Err(_) => 0,
        };
        let visible: usize = match &self.active.outcome {
            Ok(Clusters::Only(ids)) => ids.iter().map(|id| id.len() + size_of::<String>()).sum(),
            Ok(Clusters::All) | Err(_) => 0,
        };
        QUESTION_BYTES + self.path.len() + told + visible
    }

    fn ask(&self, policy: &Policy) -> Answer {
        let told = match &self.told {
            Ok(told) => told,
            Err(cause) => return Answer::refusal(cause.clone()),
        };
        let request = RequestRef {
            method: match &*self.method {
                "HEAD" => "GET",
                method => method,
            },
            path: &self.path,
            query: &told.query,
            headers: &told.headers,
            now: self.at_ms.div_euclid(1000),
            address: self.client,
        };
        let (nobody, none) = (Caller::anonymous(), BTreeSet::new());
        let (caller, registered) = match &self.principal {
            Some(principal) => (&principal.caller, &*principal.registered),
            None => (&nobody, &none),
        };
        // The principal's own slot is the active policy's.
        let packed = PackedCaller::default();
        let caller = CallerRef {
            caller,
            packed: &packed,
        };
        match policy.decide_apart(&caller, &request, registered) {
            Ok(decision) => Answer::of(decision),
            Err(why) => Answer::refusal(Cause::PolicyFault(why)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_thread_rests_three_times_as_long_as_it_works() {
        let start = Instant::now();
        let mut pace = Pace(start);
        let (mut now, mut worked) = (start, Duration::ZERO);
        while worked < Duration::from_secs(1) {
            let ended = now + Duration::from_millis(7);
            worked += Duration::from_millis(7);
            now = ended + pace.rest(now, ended).unwrap_or_default();
        }
        let took = now.saturating_duration_since(start);
        assert!(took + AHEAD >= worked * SHARE, "{took:?}");
        assert!(took <= worked * SHARE + AHEAD, "{took:?}");
        // What is little is never held up.
        let later = now + Duration::from_secs(1);
        assert_eq!(pace.rest(later, later + Duration::from_millis(5)), None);
    }
}
