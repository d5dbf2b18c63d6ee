//! Documents broken at random: tables or a report, never a panic.

use proptest::prelude::*;

use super::compile;
use crate::documents;
use crate::{Tables, yaml};

fn check(text: &str) {
    match compile("x.yaml", text) {
        Ok(tables) => {
            let again = Tables::decode(&tables.encode()).unwrap();
            assert_eq!(again.rules(), tables.rules());
        }
        Err(report) => {
            assert!(!report.problems().is_empty());
            assert!(!report.to_string().is_empty());
            assert!(
                report
                    .places()
                    .all(|place| place.line > 0 && place.column > 0)
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_text_is_tables_or_a_report(text in "[ -~\n\t{}\\[\\]:&*#'\"|>äß\u{1}]{0,200}") {
        check(&text);
    }

    #[test]
    fn a_broken_document_is_tables_or_a_report(
        which in 0..5_usize,
        cuts in prop::collection::vec((any::<prop::sample::Index>(), 0..6_usize, "[ -~\nä]{0,6}"), 1..4),
    ) {
        let name = documents::names().nth(which).unwrap();
        let mut text = documents::builtin(name).unwrap().to_owned();
        for (place, len, with) in cuts {
            let mut start = place.index(text.len());
            let mut end = (start + len).min(text.len());
            while !text.is_char_boundary(start) { start -= 1; }
            while !text.is_char_boundary(end) { end += 1; }
            text.replace_range(start..end, &with);
        }
        check(&text);
    }

    #[test]
    fn any_yaml_serializes(text in "[a-c0-9:\n \\[\\]{},&*-]{0,60}") {
        if let Ok((_, root)) = yaml::Reader::open("x.yaml", text) {
            serde_json::to_string(&root).unwrap();
        }
    }
}

#[test]
fn ten_thousand_routes_compile() {
    let mut text =
        String::from("policy: p\npermissions: { a:read: }\nroles: { viewer: [a:read] }\nroutes:\n");
    for n in 0..10_000 {
        text += &format!("  - {{ match: 'GET /v1/r{n}/{{cluster}}/**', requires: a:read }}\n");
    }
    let tables = compile("many.yaml", &text).unwrap();
    assert_eq!(tables.description().own_routes().count(), 10_000);
}
