//! The JSON Schema of documents, for editors.

/// The schema (draft 2020-12) of policy documents, as JSON text. What it refuses no document may have; what it
/// accepts may still be wrong in ways that a schema cannot say.
pub const SCHEMA: &str = include_str!("schema.json");

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::SCHEMA;
    use crate::document::compile;
    use crate::documents;
    use crate::yaml::Reader;

    fn schema() -> Value {
        serde_json::from_str(SCHEMA).unwrap()
    }

    /// What the schema says against a document; nothing when it accepts it.
    fn refused(text: &str) -> Vec<String> {
        let (_, root) = Reader::open("p.yaml", text).unwrap();
        let document = serde_json::to_value(&root).unwrap();
        let validator = jsonschema::draft202012::new(&schema()).unwrap();
        let errors = validator.iter_errors(&document);
        errors
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect()
    }

    #[test]
    fn it_is_a_schema_and_accepts_what_compiles() {
        assert!(jsonschema::meta::is_valid(&schema()));
        for name in documents::names() {
            let text = documents::builtin(name).unwrap();
            assert_eq!(refused(text), Vec::<String>::new(), "{name}");
        }
        let page = include_str!("../../../docs/policy.md");
        let mut examples = 0;
        for block in page.split("```yaml policy\n").skip(1) {
            let text = block.split("```").next().unwrap();
            assert_eq!(refused(text), Vec::<String>::new(), "{text}");
            examples += 1;
        }
        assert!(examples >= 1);
    }

    fn document(permission: &str, route: &str) -> String {
        format!(
            "policy: p\npermissions: {{ a:read: {{ {permission} }} }}\nroles: {{ r: [a:read] }}\nroutes: [{{ {route} }}]\n"
        )
    }

    #[test]
    fn it_refuses_what_has_the_wrong_shape() {
        let fine = "match: GET /a, requires: a:read";
        assert_eq!(refused(&document("", fine)), Vec::<String>::new());
        let wrong = [
            "{}".to_owned(),
            "policy: a\npermissions: []\nroles: x\nroutes: {}".to_owned(),
            document("", fine).replace("policy: p", "policy: Kube Adapt"),
            document("", fine).replace("policy: p", "policy: p\nversion: 1.0"),
            document("", fine).replace("policy: p", "policy: p\nkeys: { read_only: 1 }"),
            document("", fine).replace("r: [a:read]", "operator: [a:read]"),
            document("", fine).replace("r: [a:read]", "r: [a:read, a:read]"),
            document("", fine).replace("r: [a:read]", "r: [read]"),
            document("", fine).replace("a:read: {", "manage:keys: {"),
            document("", fine).replace("a:read: {", "a:Read: {"),
            document("scope: no", fine),
            document("category: 5", fine),
            document("", "match: GET /a"),
            document("", "match: GET /a, public: false"),
            document("", "match: GET /a, operator: false"),
            document("", "match: GET /a, public: true, requires: a:read"),
            document("", "match: GTE /a, requires: a:read"),
            document("", "match: HEAD /a, requires: a:read"),
            document("", "match: GET a, requires: a:read"),
            document("", "match: GET /a/, requires: a:read"),
            document("", "match: GET /a, requires: '*'"),
            document("", &format!("{fine}, cluster: non")),
            document("", &format!("{fine}, cluster: {{ query: a, header: b }}")),
            document("", &format!("{fine}, cluster: {{ query: access_token }}")),
            document(
                "",
                &format!("{fine}, cluster: none, lists: {{ items: '', cluster: '' }}"),
            ),
            document(
                "",
                &format!("{fine}, lists: {{ items: data.items, cluster: /c }}"),
            ),
            document("", &format!("{fine}, lists: {{ items: /a }}")),
            document(
                "",
                "match: POST /a, requires: a:read, lists: { items: '', cluster: '' }",
            ),
            document(
                "",
                "match: 'GET /{cluster}', requires: a:read, cluster: none",
            ),
            include_str!("tests/mistakes.yaml").to_owned(),
        ];
        for text in wrong {
            assert!(compile("p.yaml", &text).is_err(), "it compiles: {text}");
            assert!(!refused(&text).is_empty(), "the schema accepts: {text}");
        }
    }

    /// The keys that the reader knows, in its own words when it meets one that it does not.
    fn known_keys(text: &str) -> Vec<String> {
        let report = compile("p.yaml", text).unwrap_err();
        let help = report
            .places()
            .find_map(|place| place.help.filter(|help| help.starts_with("known keys are")));
        let help = help.unwrap_or_else(|| panic!("{report}"));
        let mut names: Vec<String> = help
            .split('`')
            .skip(1)
            .step_by(2)
            .map(str::to_owned)
            .collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn it_has_every_key_that_the_reader_knows_and_no_other() {
        let fine = "match: GET /a, requires: a:read";
        let unknown = "qqqqqqqqqqqq: 1";
        let schema = schema();
        let defs = &schema["$defs"];
        let places = [
            (format!("{unknown}\n"), schema.clone()),
            (
                document("", fine).replace("policy: p", &format!("keys: {{ {unknown} }}")),
                schema["properties"]["keys"].clone(),
            ),
            (document(unknown, fine), defs["permissionInfo"].clone()),
            (
                document("", &format!("{fine}, {unknown}")),
                defs["route"].clone(),
            ),
            (
                document("", &format!("{fine}, lists: {{ {unknown} }}")),
                defs["lists"].clone(),
            ),
            (
                document("", &format!("{fine}, cluster: {{ {unknown} }}")),
                json!({ "properties": { "query": {}, "header": {} } }),
            ),
        ];
        for (text, schema) in places {
            let properties = schema["properties"].as_object().unwrap();
            let mut names: Vec<String> = properties.keys().cloned().collect();
            names.sort_unstable();
            assert_eq!(known_keys(&text), names, "{text}");
        }
    }
}
