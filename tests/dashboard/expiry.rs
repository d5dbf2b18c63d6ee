//! When a key ends that is made with the form.

use std::time::Duration;

use super::plain::Visitor;
use crate::harness::World;

const MINUTE: Duration = Duration::from_secs(60);

/// Makes a key that ends on this day, if it is one.
async fn made(visitor: &Visitor, date: &str) -> Result<String, String> {
    let fields = [
        ("name", "a while"),
        ("scope", "clusters:read"),
        ("reach", "all"),
        ("expires", "date"),
        ("date", date),
        ("do", "make"),
    ];
    let page = visitor.submit("/-/keys/new", &fields).await.body;
    match page.split_once("<code id=\"secret\">") {
        Some((_, rest)) => Ok(rest.split('<').next().unwrap_or_default().to_owned()),
        None => Err(page),
    }
}

#[tokio::test]
async fn a_key_lasts_to_the_end_of_its_day() {
    let world = World::start("scopegate").await;
    let visitor = Visitor::of(&world, "admin@acme.example").await;
    let in_days = |days: i64| {
        let at = world.clock.now_ms() / 1000 + days * 86_400;
        let at = jiff::Timestamp::from_second(at).expect("a time");
        at.to_zoned(jiff::tz::TimeZone::UTC).date()
    };
    let day = in_days(10);
    let secret = made(&visitor, &day.to_string()).await.expect("a key");
    for wrong in ["", "soon", "2026-02-30", &in_days(-1).to_string()] {
        let page = made(&visitor, wrong).await.expect_err(wrong);
        assert!(page.contains("role=\"alert\""), "{wrong}: {page}");
    }
    let status = async || {
        world
            .with_key(&secret)
            .get("/v1/clusters/prod")
            .await
            .status
    };
    let end = day.tomorrow().expect("a day");
    let end = end.to_zoned(jiff::tz::TimeZone::UTC).expect("a time");
    let left = end.timestamp().as_millisecond() - world.clock.now_ms();
    let left = Duration::from_millis(left.unsigned_abs());
    world.clock.advance(left - MINUTE);
    assert_eq!(status().await, 200, "a minute before midnight");
    world.clock.advance(MINUTE);
    assert_eq!(status().await, 401, "at midnight (UTC)");
}
