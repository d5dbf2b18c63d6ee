//! Test files broken at random: cases or a report, never a panic.

use proptest::prelude::*;

use super::{natively, policies, read_alone};

fn check(text: &str) {
    match read_alone(text) {
        Ok(file) => {
            assert!(!file.cases.is_empty());
            assert_eq!(natively(&file).len(), file.cases.len());
        }
        Err(report) => {
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
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_text_is_cases_or_a_report(text in "[ -~\n\t{}\\[\\]:&*#'\"|>äß\u{1}]{0,200}") {
        check(&text);
        check(&format!("document: kubeadapt\ncases:\n  - {text}"));
    }

    #[test]
    fn a_broken_file_is_cases_or_a_report(
        cuts in prop::collection::vec((any::<prop::sample::Index>(), 0..6_usize, "[ -~\nä]{0,6}"), 1..4),
    ) {
        let mut text = policies::acme_text();
        for (place, len, with) in cuts {
            let mut start = place.index(text.len());
            let mut end = (start + len).min(text.len());
            while !text.is_char_boundary(start) { start -= 1; }
            while !text.is_char_boundary(end) { end += 1; }
            text.replace_range(start..end, &with);
        }
        check(&text);
    }
}
