//! Numbers about Redis. Handles are taken when they are first needed, after a recorder was installed.

use std::{sync::OnceLock, time::Duration};

use metrics::{Counter, Gauge, Histogram};

#[derive(Default)]
pub(super) struct Meters(OnceLock<Handles>);

struct Handles {
    here: Gauge,
    away: Counter,
    seconds: Histogram,
    stale: Counter,
    generations: Counter,
}

impl Meters {
    fn handles(&self) -> &Handles {
        self.0.get_or_init(|| {
            metrics::describe_gauge!("scopegate_redis_up", "Whether Redis answers: 1, or 0");
            metrics::describe_counter!(
                "scopegate_redis_away_total",
                "How often Redis stopped answering"
            );
            metrics::describe_histogram!(
                "scopegate_redis_seconds",
                metrics::Unit::Seconds,
                "Time of each request's round trip to Redis"
            );
            metrics::describe_counter!(
                "scopegate_redis_stale_total",
                "Callers who were looked up again, because something behind them had changed on another gate"
            );
            metrics::describe_counter!(
                "scopegate_redis_generations_total",
                "How often Redis was another one than before, so that all callers were looked up again"
            );
            Handles {
                here: metrics::gauge!("scopegate_redis_up"),
                away: metrics::counter!("scopegate_redis_away_total"),
                seconds: metrics::histogram!("scopegate_redis_seconds"),
                stale: metrics::counter!("scopegate_redis_stale_total"),
                generations: metrics::counter!("scopegate_redis_generations_total"),
            }
        })
    }

    pub(super) fn here(&self, is_here: bool) {
        let handles = self.handles();
        handles.here.set(if is_here { 1.0 } else { 0.0 });
        if !is_here {
            handles.away.increment(1);
        }
    }

    pub(super) fn asked(&self, took: Duration) {
        self.handles().seconds.record(took.as_secs_f64());
    }

    pub(super) fn stale(&self) {
        self.handles().stale.increment(1);
    }

    pub(super) fn generation(&self) {
        self.handles().generations.increment(1);
    }
}
