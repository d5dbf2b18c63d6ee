//! What the gate counts, in one table: the numbers of `/-/metrics`. Each is described there, and is there from the start with
//! zero: a number that first appears with its first event has no rise that an alert could see.

/// A number that only rises.
struct Meter {
    name: &'static str,
    what: &'static str,
    /// The label and its values, where it has one and they are few.
    label: Option<(&'static str, &'static [&'static str])>,
}

const METERS: [Meter; 12] = [
    Meter {
        name: "scopegate_policy_faults_total",
        what: "Decisions in which the policy failed, and the request was refused",
        label: None,
    },
    Meter {
        name: "scopegate_policy_overloaded_total",
        what: "Requests refused because every place for a decision was taken",
        label: None,
    },
    Meter {
        name: "scopegate_policy_instances_total",
        what: "Instances of pooled policies that were made",
        label: None,
    },
    Meter {
        name: "scopegate_policy_activations_total",
        what: "Policies that became active, by where they came from",
        label: Some((
            "source",
            &["start", "file", "push", "rollback", "promote", "fault"],
        )),
    },
    Meter {
        name: "scopegate_policy_taken_back_total",
        what: "Active policies that failed, by whether a good one took their place",
        label: Some(("outcome", &["done", "none"])),
    },
    Meter {
        name: "scopegate_policy_shadow_total",
        what: "Questions to the policy in the shadow, by how its answer compares",
        label: Some(("result", &["same", "different", "fault", "skipped"])),
    },
    Meter {
        name: "scopegate_audit_write_errors_total",
        what: "Audit records that could not be written, by where to",
        label: Some(("to", &["store", "lines", "heads"])),
    },
    Meter {
        name: "scopegate_evaluations_total",
        what: "Questions about others over AuthZEN, by answer",
        label: Some(("outcome", &["admit", "refuse"])),
    },
    Meter {
        name: "scopegate_filter_questions_total",
        what: "Credentials that filters inside Envoy asked about",
        label: None,
    },
    Meter {
        name: "scopegate_leaked_keys_total",
        what: "Keys revoked because a secret scanner found them in public",
        label: None,
    },
    Meter {
        name: "scopegate_jwks_errors_total",
        what: "Key sets of external issuers that could not be fetched",
        label: None,
    },
    Meter {
        name: "scopegate_proxy_refusals_total",
        what: "Admitted requests that the upstream did not answer, by reason",
        label: Some(("reason", &["bad-gateway", "gateway-timeout"])),
    },
];

/// Describes what is counted, and starts the counts at zero. To be called once, when the recorder is installed.
pub fn announce() {
    metrics::describe_counter!(
        "scopegate_decisions_total",
        "Requests, by outcome, reason and kind of caller"
    );
    metrics::describe_counter!(
        "scopegate_rejected_credentials_total",
        "Rejected credentials, by reason"
    );
    metrics::describe_histogram!(
        "scopegate_gate_seconds",
        metrics::Unit::Seconds,
        "Time in the gate for each request"
    );
    for Meter { name, what, label } in METERS {
        metrics::describe_counter!(name, what);
        match label {
            None => metrics::counter!(name).increment(0),
            Some((label, values)) => {
                for value in values {
                    metrics::counter!(name, label => *value).increment(0);
                }
            }
        }
    }
}
