mod changes;
mod opening;
mod reading;

use crate::{contract::Authority, store::fixture::Fixture};

async fn fixture() -> Fixture {
    Fixture::new(Authority::Owner).await
}
