//! Code that nobody checked: whatever the bytes, it ends, and what cannot run is refused.

use proptest::prelude::*;

use super::{asked, holds, session};
use crate::condition::{Condition, OPS_MAX, Op};

fn of(code: Vec<Op>) -> Condition {
    Condition {
        text: String::new(),
        code,
    }
}

#[test]
fn code_that_cannot_run_is_refused() {
    assert_eq!(of(vec![Op::Bool(true)]).verify(), Ok(()));
    assert!(of(vec![]).verify().is_err());
    assert!(of(vec![Op::Not]).verify().is_err());
    assert!(of(vec![Op::Bool(true), Op::And]).verify().is_err());
    assert!(of(vec![Op::Bool(true), Op::Bool(true)]).verify().is_err());
    let deep: Vec<Op> = std::iter::repeat_n(Op::Bool(true), 25)
        .chain(std::iter::repeat_n(Op::And, 24))
        .collect();
    assert!(of(deep).verify().is_err());
    let long: Vec<Op> = std::iter::once(Op::Bool(true))
        .chain(std::iter::repeat_n(Op::Not, OPS_MAX))
        .collect();
    assert!(of(long).verify().is_err());
}

#[test]
fn code_of_the_wrong_kinds_does_not_hold() {
    for code in [
        vec![Op::Int(1)],
        vec![Op::Int(1), Op::Not],
        vec![Op::Bool(true), Op::Int(1), Op::Equal],
        vec![Op::Text("a".to_owned()), Op::Hours(i32::MAX)],
        vec![Op::And],
        vec![Op::Bool(true), Op::Bool(true)],
    ] {
        assert!(!holds(&of(code.clone()), &session(), &asked()), "{code:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn any_bytes_end(bytes in prop::collection::vec(prop_oneof![0..40_u8, any::<u8>()], 0..200)) {
        if let Ok((condition, _)) = postcard::take_from_bytes::<Condition>(&bytes) {
            let _ = condition.verify();
            let _ = holds(&condition, &session(), &asked());
        }
        let mut code = Vec::new();
        let mut rest = bytes.as_slice();
        while let Ok((op, left)) = postcard::take_from_bytes::<Op>(rest) {
            code.push(op);
            rest = left;
        }
        let _ = holds(&of(code), &session(), &asked());
    }

    #[test]
    fn any_text_compiles_or_is_refused(text in "[a-z0-9 ().&|!=<>?:'\"+*,\\[\\]{}ä-]{0,60}") {
        check_text(&text);
    }

    #[test]
    fn words_of_the_language_compile_or_are_refused(
        words in prop::collection::vec(prop::sample::select(vec![
            "request", ".path", ".headers", "['x-env']", "caller", ".mfa", ".kind", "&&", "||", "!", "==", "<", "in", "[", "]",
            "(", ")", "'a'", "1", "-", "+", "?", ":", "has(", "ip(", "cidr(", "'10.0.0.0/8'", ".containsIP(", ".size()", "true",
            "duration(", "'1h'", ".getHours(", "'ä'", ",", ".exists(x, x)", "{", "}",
        ]), 0..14),
    ) {
        check_text(&words.join(" "));
    }
}

fn check_text(text: &str) {
    match super::compile(text) {
        Ok(condition) => {
            assert_eq!(condition.verify(), Ok(()));
            let _ = holds(&condition, &session(), &asked());
        }
        Err(wrong) => {
            assert!(!wrong.is_empty());
            for wrong in wrong {
                assert!(text.get(wrong.at.clone()).is_some(), "{text:?} {wrong:?}");
            }
        }
    }
}
