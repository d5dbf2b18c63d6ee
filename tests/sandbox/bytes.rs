//! Components cut off and mutated: whatever the bytes are, loading answers, and so does what was loaded.
//! `SCOPEGATE_MUTATIONS` sets the number of mutants, for a long campaign.

use scopegate_host::engine::{Isolation, Limits, Worlds, build_document};

use super::{GOOD, ask, assert_unharmed, get, good, guest::Guest, sandbox_with, viewer};

const MUTANTS: u64 = 150;

fn mutants() -> u64 {
    std::env::var("SCOPEGATE_MUTATIONS")
        .ok()
        .and_then(|count| count.parse().ok())
        .unwrap_or(MUTANTS)
}

/// SplitMix64: the same mutants in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % bound.max(1) as u64) as usize
    }
}

#[tokio::test]
async fn mutants_are_refused_or_contained() {
    let limits = Limits {
        describe_ticks_max: 10,
        ..Limits::default()
    };
    let sandbox = sandbox_with(Isolation::Pooled { calls_max: 10 }, limits, Worlds::All);
    let good = good(&sandbox);
    let honest = build_document("good.yaml", GOOD).unwrap();
    let by_hand = [
        Guest::new().build(),
        Guest::packed("(i64.const 4294967553)").build(),
    ];
    let (mut refused, mut loaded, mut answered) = (0, 0, 0);
    for seed in 0..mutants() {
        let mut random = Random(seed);
        // A whole engine takes long to compile, so most mutants are of small guests.
        let mut mutant = if seed % 25 == 0 {
            honest.clone()
        } else {
            by_hand[seed as usize % 2].clone()
        };
        for _ in 0..=random.below(4) {
            let place = random.below(mutant.len());
            match random.below(4) {
                0 => mutant[place] = random.below(256) as u8,
                1 => mutant[place] ^= 1 << random.below(8),
                2 => drop(mutant.remove(place)),
                _ => mutant.insert(place, random.below(256) as u8),
            }
        }
        match sandbox.load(&mutant) {
            Err(error) => {
                assert!(!error.to_string().is_empty());
                refused += 1;
            }
            Ok(policy) => {
                assert!(
                    !policy.is_from_document() || mutant == honest,
                    "mutant {seed} passes for a document's"
                );
                loaded += 1;
                answered += u64::from(
                    ask(&policy, &viewer(), &get("/v1/organization"))
                        .await
                        .is_ok(),
                );
            }
        }
    }
    println!("{refused} mutants refused, {loaded} loaded, {answered} of them answered");
    assert_unharmed(&good).await;
}

#[test]
fn a_component_that_was_cut_off_is_refused() {
    let sandbox = sandbox_with(Isolation::Fresh, Limits::default(), Worlds::All);
    let whole = Guest::new().build();
    for end in (0..whole.len()).step_by(whole.len() / 40) {
        // Cut right behind a section, what is left may be a component, but it is none of the world.
        assert!(sandbox.load(&whole[..end]).is_err(), "cut at {end}");
    }
    let honest = build_document("good.yaml", GOOD).unwrap();
    for end in [8, honest.len() / 3, honest.len() / 2, honest.len() - 1] {
        assert!(sandbox.load(&honest[..end]).is_err(), "cut at {end}");
    }
}
