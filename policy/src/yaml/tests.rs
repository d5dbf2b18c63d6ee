//! What is read, what is reported, and what a hostile text cannot do.

use insta::assert_snapshot;

use super::{Node, Reader, Report, limits};

fn problems_of(text: &str, read: impl Fn(&Reader, &Node)) -> String {
    let report = match Reader::open("x.yaml", text) {
        Err(report) => report,
        Ok((reader, root)) => {
            read(&reader, &root);
            match reader.finish(Some(())) {
                Ok(()) => return String::new(),
                Err(report) => report,
            }
        }
    };
    report.to_string()
}

fn syntax(text: &str) -> Result<(), Report> {
    let (reader, _) = Reader::open("x.yaml", text)?;
    reader.finish(Some(()))
}

#[test]
fn every_problem_is_shown_with_its_place() {
    let text = "name: 12\nname: again\nlisten: {}\ncolour: rad\ncount: 900\nttl: 5 weeks\nextra: 1\nnested:\n  - a\n  - [1]\n";
    let shown = problems_of(text, |reader, root| {
        let known = ["name", "listen", "colour", "count", "ttl", "nested"];
        let fields = reader.fields(root, "a thing", &known).unwrap();
        fields.text("name");
        fields.text("listen");
        fields.choice("colour", &[("red", 1), ("green", 2)]);
        fields.integer("count", 1..=100);
        fields.seconds("ttl");
        fields.texts("nested");
        fields.required("place");
    });
    assert_snapshot!(shown, @r#"
    error: missing key `place` in a thing
     --> x.yaml:1:1
      |
    1 | name: 12
      | ^^^^^^^^

    error: `name` must be text, not the number `12`
     --> x.yaml:1:7
      |
    1 | name: 12
      |       ^^
      |
      = help: put it in quotes: `"12"`

    error: the key `name` is given twice
     --> x.yaml:2:1
      |
    2 | name: again
      | ^^^^
      |
      = help: it stands on line 1 already

    error: `listen` must be text, not a map
     --> x.yaml:3:9
      |
    3 | listen: {}
      |         ^^

    error: `rad` is not a value of `colour`
     --> x.yaml:4:9
      |
    4 | colour: rad
      |         ^^^
      |
      = help: did you mean `red`?

    error: `count` must be from 1 to 100, not `900`
     --> x.yaml:5:8
      |
    5 | count: 900
      |        ^^^

    error: `ttl` must be a length of time, not the text `5 weeks`
     --> x.yaml:6:6
      |
    6 | ttl: 5 weeks
      |      ^^^^^^^
      |
      = help: write a whole number and a unit, such as `90s`, `15m`, `24h` or `7d`

    error: unknown key `extra` in a thing
     --> x.yaml:7:1
      |
    7 | extra: 1
      | ^^^^^
      |
      = help: known keys are `name`, `listen`, `colour`, `count`, `ttl` and `nested`

    error: each of `nested` must be text, not a list
      --> x.yaml:10:5
       |
    10 |   - [1]
       |     ^^^
    "#);
}

fn first_problem(text: &str) -> String {
    let report = syntax(text).unwrap_err();
    let place = report.places().next().unwrap();
    format!(
        "{}:{} {} / {}",
        place.line,
        place.column,
        place.message,
        place.help.unwrap_or_default()
    )
}

#[test]
fn a_text_that_is_not_yaml_has_one_problem() {
    assert_snapshot!(first_problem("a: [1, 2"), @"1:4 this is not YAML: unclosed bracket '[' /");
    assert_snapshot!(first_problem("a: 1\n\tb: 2"), @"1:4 this is not YAML: while scanning a plain scalar, found a tab /");
    assert_snapshot!(first_problem("a: *nowhere"), @"1:4 this is not YAML: while parsing node, found unknown anchor /");
    assert_snapshot!(first_problem("a: 1\n---\nb: 2"), @"2:1 a second document begins here / put it into a file of its own");
    assert_snapshot!(first_problem("a: !!python/object x"), @"1:20 the tag `!!python/object` is not supported /");
    assert_snapshot!(first_problem("? [a]\n: b"), @"1:3 a key must be text /");
    assert_snapshot!(first_problem("a: &a [1, *a]"), @"1:11 an alias cannot stand within its own anchor /");
    assert_snapshot!(first_problem("a: b\u{0}"), @r"1:5 this is not YAML: unexpected character: `\u{0}' /");
}

#[test]
fn a_tree_serializes_as_the_data_it_stands_for() {
    let text =
        "a: &x [1, 1.5, 0x1f, ~, true, 'true', yes, .5]\nb: *x\n401: {}\n'': |\n  two\n  lines\n";
    let (_, root) = Reader::open("x.yaml", text).unwrap();
    let list = r#"[1,1.5,31,null,true,"true","yes",0.5]"#;
    let json = format!(r#"{{"a":{list},"b":{list},"401":{{}},"":"two\nlines\n"}}"#);
    assert_eq!(serde_json::to_string(&root).unwrap(), json);
}

#[test]
fn spans_are_what_was_written() {
    let text = "a: \"b\\n\"\nc:\n  - d\n  - {e: f}\n\n# end\n";
    let (reader, root) = Reader::open("x.yaml", text).unwrap();
    let fields = reader.fields(&root, "it", &["a", "c"]).unwrap();
    assert_eq!(
        reader.source().slice(fields.text("a").unwrap().span),
        "\"b\\n\""
    );
    assert_eq!(
        reader.source().slice(fields.get("c").unwrap().span),
        "- d\n  - {e: f}"
    );
    assert_eq!(
        reader.source().slice(fields.list("c").unwrap()[1].span),
        "{e: f}"
    );
    assert_eq!(
        reader.source().slice(fields.span()),
        "a: \"b\\n\"\nc:\n  - d\n  - {e: f}"
    );
}

#[test]
fn an_empty_text_is_nothing() {
    let (reader, root) = Reader::open("x.yaml", "# only this\n").unwrap();
    assert!(root.is_null());
    assert!(reader.fields(&root, "a policy", &[]).is_none());
    assert_snapshot!(reader.finish(None::<()>).unwrap_err().to_string(), @"
    error: a policy must be a map, not nothing
     --> x.yaml:1:1
      |
    1 | # only this
      | ^
    ");
}

#[test]
fn bombs_are_refused() {
    let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        let below = format!("*a{}", level - 1);
        text += &format!("a{level}: &a{level} [{}]\n", [below.as_str(); 9].join(", "));
    }
    assert!(first_problem(&text).contains("too large with everything that its aliases repeat"));
    assert!(first_problem(&"[".repeat(100_000)).contains("not YAML"));
    assert!(first_problem(&"- ".repeat(100_000)).contains("not YAML"));
    let mut text = String::from("- &a0 [x]\n");
    for level in 1..200 {
        text += &format!("- &a{level} [*a{}]\n", level - 1);
    }
    assert!(first_problem(&text).contains("more than 64 lists and maps within each other"));
    assert!(first_problem(&" ".repeat(limits::TEXT_BYTES_MAX + 1)).contains("too large"));
    assert!(
        syntax(&"a: 1\n".repeat(20_000))
            .unwrap_err()
            .problems()
            .len()
            <= 1000
    );
}

#[test]
fn hostile_text_cannot_write_to_the_terminal() {
    let shown = syntax("\"a\\e[31m\": 1\n\"a\\e[31m\": 2\n")
        .unwrap_err()
        .to_string();
    assert!(!shown.contains('\u{1b}'), "{shown}");
}

#[test]
fn a_long_line_is_shown_in_part_with_its_own_column() {
    let text = format!(
        "{{ a: [{}], b: {{}}, b: 2, c: [{}] }}",
        "ä, ".repeat(9000),
        "1, ".repeat(9000)
    );
    let report = syntax(&text).unwrap_err();
    let shown = report.to_string();
    assert!(shown.len() < 1000, "{shown}");
    assert!(shown.contains("x.yaml:1:27017"), "{shown}");
    assert_eq!(report.places().next().unwrap().column, 27_017);
    assert!(shown.contains("b: 2, c: [1, 1"), "{shown}");
}
