//! Guests that trap, break the ABI, or answer what makes no sense.

use scopegate_host::engine::{BadPolicy, DecideError, Isolation};
use scopegate_policy::{Caller, ClusterSource, Clusters, Description, Grant, Outcome, Reason};

use super::{ask, ask_bounded, fault_of, get, guest::Guest, refused, sandbox, viewer};

async fn fault(guest: &Guest) -> String {
    fault_of(&guest.build()).await
}

#[tokio::test]
async fn traps_are_faults() {
    for (instructions, word) in [
        ("unreachable", "unreachable"),
        (
            "(drop (i32.div_u (i32.const 1) (i32.const 0)))",
            "divide by zero",
        ),
        ("(drop (i32.load (i32.const -8)))", "out of bounds"),
        (
            "(drop (i32.trunc_f32_s (f32.const nan)))",
            "conversion to integer",
        ),
    ] {
        let text = fault(&Guest::deciding(instructions)).await;
        assert!(text.contains(word), "{text}");
    }
}

#[tokio::test]
async fn answers_that_break_the_abi_are_faults() {
    // Offsets into the decision: 0 outcome, 4 its case, 8 and 12 a list or text, 16 route, 24 grant, 32 restriction.
    for (patches, word) in [
        (vec![(0, 7)], "discriminant"),
        (vec![(4, 9)], "discriminant"),
        (vec![(24, 200)], "discriminant"),
        (vec![(32, 6)], "discriminant"),
        (vec![(4, 1), (8, 4_000_000_000), (12, 3)], "out of bounds"),
        (vec![(4, 1), (8, 65_536), (12, u32::MAX)], ""),
        (vec![(4, 1), (8, 65_537), (12, 1)], "aligned"),
        (vec![(0, 1), (4, 11), (8, 32_768 + 2048), (12, 2)], "utf-8"),
    ] {
        let text = fault(&Guest {
            patches: patches.clone(),
            items: bad_utf8(),
            ..Guest::new()
        })
        .await;
        assert!(text.to_lowercase().contains(word), "{patches:?}: {text}");
    }
}

fn bad_utf8() -> String {
    format!("(data (i32.const {}) \"\\ff\\fe\")", 32_768 + 2048)
}

#[tokio::test]
async fn packed_answers_that_mean_nothing_are_faults() {
    let allow = 1_u64 | 1 << 8 | 1 << 32; // on route 1, the caller's clusters
    for (bits, word) in [
        (0, "no answer"),
        (0xf0, "could not read the question"),
        (0xee, "unknown code"),
        (allow | 15 << 12, "restriction"),
        (allow | 1 << 20, "mean nothing"),
        (allow & !(0xff << 8), "without clusters"),
        (1 | 1 << 8 | 0xffff << 32, "without a route"),
        (1 | 1 << 8 | 77 << 32, "route that is not there"),
        (allow | 1 << 16 | 9 << 48, "role that is not there"),
        (2 | 1 << 8, "refuses with visible clusters"),
        (1 | 1 << 8, "not the request's"),
    ] {
        let text = fault(&Guest::packed(&format!("(i64.const {})", bits as i64))).await;
        assert!(text.contains(word), "{bits:x}: {text}");
    }
}

#[tokio::test]
async fn decisions_that_mean_nothing_are_faults() {
    type Case = (fn(&mut Guest), &'static str);
    let cases: [Case; 7] = [
        (|guest| guest.decision.rule.route = Some(5), "route 5"),
        (|guest| guest.decision.rule.route = None, "without a route"),
        (
            |guest| guest.decision.rule.route = Some(0),
            "not the request's",
        ),
        (|guest| guest.decision.rule.grant = Grant::Role(3), "role 3"),
        (
            |guest| guest.decision.outcome = Outcome::Deny(Reason::Other("a b".to_owned())),
            "not a word",
        ),
        (
            |guest| {
                guest.decision.outcome = Outcome::Deny(Reason::MissingPermission("x\"y".to_owned()))
            },
            "not in its catalogue",
        ),
        (
            |guest| {
                guest.decision.outcome =
                    Outcome::Deny(Reason::ClusterNotAllowed("theirs".to_owned()))
            },
            "does not name",
        ),
    ];
    for (spoil, word) in cases {
        let mut guest = Guest::new();
        spoil(&mut guest);
        let text = fault(&guest).await;
        assert!(text.contains(word), "{text}");
    }
}

#[tokio::test]
async fn an_allow_opens_no_more_than_the_callers_own() {
    let sandbox = sandbox(Isolation::Fresh);
    let policy = sandbox.load(&Guest::new().build()).unwrap();
    let organization = get("/v1/organization");
    let mine = Caller {
        clusters: Clusters::only(["dev", "elsewhere"]),
        ..viewer()
    };

    let unbounded = ask(&policy, &mine, &organization).await.unwrap();
    assert_eq!(unbounded.outcome, Outcome::Allow(Clusters::All));
    let bounded = ask_bounded(&policy, &mine, &organization).await.unwrap();
    assert_eq!(bounded.outcome, Outcome::Allow(Clusters::only(["dev"])));

    let open = ask_bounded(&policy, &Caller::anonymous(), &organization)
        .await
        .unwrap_err();
    assert!(
        matches!(&open, DecideError::Fault(text) if text.contains("not public")),
        "{open}"
    );
}

#[test]
fn a_lying_description_is_refused() {
    let sandbox = sandbox(Isolation::Fresh);
    type Lie = (fn(&mut Description), &'static str);
    let lies: [Lie; 6] = [
        (|d| d.name = String::new(), "the policy's name"),
        (
            |d| d.permissions[0].name = "everything".to_owned(),
            "is not a permission",
        ),
        (
            |d| d.roles[0].permissions.push("users:write".to_owned()),
            "not in the catalogue",
        ),
        (
            |d| d.routes[1].cluster = ClusterSource::Header("authorization".to_owned()),
            "credentials",
        ),
        (
            |d| d.routes[1].cluster = ClusterSource::Path(4_000_000),
            "not a parameter",
        ),
        (|d| d.routes[1].pattern = "v1".to_owned(), "starts with"),
    ];
    for (lie, word) in lies {
        let mut guest = Guest::new();
        lie(&mut guest.description);
        let error = refused(&sandbox, &guest.build());
        assert!(
            matches!(&error, BadPolicy::Description(text) if text.contains(word)),
            "{error}"
        );
    }
}
