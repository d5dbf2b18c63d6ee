//! The canonical layout: what it does to documents, what it leaves, and that nothing is lost.

use proptest::prelude::*;

use super::{Comments, format};
use crate::document::compile;
use crate::documents;
use crate::yaml::Reader;

fn formatted(text: &str) -> String {
    let once = format("p.yaml", text).unwrap_or_else(|report| panic!("{report}"));
    let again = format("p.yaml", &once).unwrap_or_else(|report| panic!("{report}\n{once}"));
    assert_eq!(once, again);
    once
}

#[test]
fn the_built_in_documents_are_in_it() {
    for name in documents::names() {
        let text = documents::builtin(name).unwrap();
        assert_eq!(formatted(text), text, "{name}");
    }
}

#[test]
fn keys_are_put_in_order_and_comments_go_with_them() {
    let text = r#"# A document.

routes: # what is served
    # Health is for everyone.


    - {public: true,   match: 'GET /health'} # always
    - requires: a:read   # who may
      # for one cluster
      match: "GET /a/{cluster}"
    - { cluster: { query: cluster_id }, requires: 'a:read', match: GET /b }

    # the end of the routes
# roles are few
roles: { admin: ["*"], viewer: [ a:read,
   # and more
   "b:*" ] }
version: '1'
keys: {read_only: false}
permissions:
  a:read: {scope: true, category: "A"}
  b:x:
policy: "p"
# the end
"#;
    let laid_out = r#"# A document.

policy: p
version: "1"

permissions:
  a:read: { category: A, scope: true }
  b:x:

# roles are few
roles:
  admin: ["*"]
  viewer:
    - a:read
    # and more
    - b:*

keys: { read_only: false }

routes: # what is served
  # Health is for everyone.

  - { match: GET /health, public: true } # always
  # for one cluster
  - match: "GET /a/{cluster}"
    requires: a:read # who may
  - { match: GET /b, requires: a:read, cluster: { query: cluster_id } }

  # the end of the routes

# the end
"#;
    assert_eq!(formatted(text), laid_out);
}

#[test]
fn what_would_lose_its_place_is_refused() {
    let refused = |text: &str| {
        let report = format("p.yaml", text).unwrap_err();
        let place = report.places().next().unwrap();
        format!("{}:{} {}", place.line, place.column, place.message)
    };
    let head = "policy: p\npermissions: { a:read: }\nroutes: []\n";
    let dash = format!("{head}roles: {{}}\n").replace(
        "[]",
        "\n  - # of the dash\n    match: GET /a\n    requires: a:read",
    );
    assert_eq!(refused(&dash), "4:5 this comment would lose its place");
    let alias = format!("{head}roles: {{ r: &x [a:read], s: *x }}\n");
    assert_eq!(
        refused(&alias),
        "4:29 an alias has no place in the canonical layout"
    );
    assert_eq!(
        refused("policy: p\n"),
        "1:1 missing key `permissions` in a policy"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Wherever comments and empty lines stand: formatted and all there, or refused.
    #[test]
    fn nothing_is_lost(
        which in 0..5_usize,
        lines in prop::collection::vec((any::<prop::sample::Index>(), 0..5_usize, 0..8_usize), 1..12),
    ) {
        let name = documents::names().nth(which).unwrap();
        let mut text: Vec<String> = documents::builtin(name).unwrap().lines().map(str::to_owned).collect();
        for (number, (place, kind, indent)) in lines.into_iter().enumerate() {
            let place = place.index(text.len());
            match kind {
                0 => text.insert(place, String::new()),
                1 => text.insert(place, format!("{}# comment {number}", " ".repeat(indent))),
                2 if !text[place].contains('#') && !text[place].is_empty() => text[place] += &format!("  # behind {number}"),
                3 => text[place] = text[place].replace(", ", ",\n        "),
                4 => text[place] = text[place].replace(", ", format!(", # within {number}\n        ").as_str()),
                _ => {}
            }
        }
        let text = text.join("\n");
        if let (Ok(tables), Ok(formatted)) = (compile("p.yaml", &text), format("p.yaml", &text)) {
            let again = compile("p.yaml", &formatted).unwrap();
            prop_assert_eq!(again.rules(), tables.rules());
            let comments = |text: &str| Comments::read(&Reader::open("p.yaml", text).unwrap().0).texts();
            prop_assert_eq!(comments(&formatted), comments(&text));
            prop_assert_eq!(format("p.yaml", &formatted).unwrap(), formatted);
        }
    }
}
