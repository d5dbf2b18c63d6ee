//! The contract's words for the dashboard.

use scopegate_policy::{
    permission::Pattern,
    yaml::{Fields, Node, Reader, Text},
};

use super::{Minting, SCHEMES, Scheme, path};
use crate::contract::{Preset, Section, Words};

const KEYS: [&str; 8] = [
    "section",
    "keys",
    "create",
    "submit",
    "scheme",
    "smoke_test",
    "name_hint",
    "presets",
];

/// A word on a screen at most, in characters.
const WORD_CHARS_MAX: usize = 80;

/// The words, each with what is said where the contract says nothing.
pub(super) fn words(
    reader: &Reader,
    contract: &Fields<'_>,
    schemes: &[Scheme],
    minting: &Minting,
) -> Option<Words> {
    let mut words = Words {
        section: Section::Settings,
        keys: "API Keys".to_owned(),
        create: "+ Create Key".to_owned(),
        submit: "Create Key".to_owned(),
        scheme: *schemes.first()?,
        smoke_test: None,
        name_hint: "grafana-export".to_owned(),
        presets: Vec::new(),
    };
    let Some(fields) = contract.fields("dashboard", "`dashboard`", &KEYS) else {
        return Some(words);
    };
    let sections = [
        ("settings", Section::Settings),
        ("profile", Section::Profile),
    ];
    if let Some(section) = fields.choice("section", &sections) {
        words.section = section;
    }
    for (key, place) in [
        ("keys", &mut words.keys),
        ("create", &mut words.create),
        ("submit", &mut words.submit),
        ("name_hint", &mut words.name_hint),
    ] {
        if let Some(said) = fields.text(key).and_then(|text| label(reader, text)) {
            *place = said;
        }
    }
    if let Some(scheme) = fields.choice("scheme", &SCHEMES) {
        if schemes.contains(&scheme) {
            words.scheme = scheme;
        } else {
            fields
                .problem("scheme", "keys are not presented like that here")
                .help("name one of `schemes` under `credentials`, or leave it out");
        }
    }
    words.smoke_test = fields
        .text("smoke_test")
        .and_then(|text| path(reader, text));
    words.presets = presets(reader, &fields, minting);
    Some(words)
}

fn label(reader: &Reader, text: Text<'_>) -> Option<String> {
    let chars = text.chars().count();
    if (1..=WORD_CHARS_MAX).contains(&chars) && !text.contains(char::is_control) {
        return Some(text.to_string());
    }
    reader
        .problem(text.span, "this does not fit on a screen")
        .help("write one line of 1 to 80 characters");
    None
}

fn presets(reader: &Reader, fields: &Fields<'_>, minting: &Minting) -> Vec<Preset> {
    let Some(list) = fields.list("presets") else {
        return Vec::new();
    };
    if !minting.scopes_allowed {
        fields
            .problem(
                "presets",
                "keys carry no scopes here, so there is nothing to choose",
            )
            .help("leave `presets` out, or say `scopes: optional` under `keys`");
    }
    list.iter()
        .filter_map(|node| preset(reader, node))
        .collect()
}

fn preset(reader: &Reader, node: &Node) -> Option<Preset> {
    let fields = reader.fields(node, "a preset", &["name", "scopes"])?;
    let name = fields.required_text("name");
    let name = name.and_then(|name| label(reader, name));
    fields.required("scopes")?;
    let scopes = fields.texts("scopes")?;
    for scope in &scopes {
        let is_name = Pattern::parse(scope).is_some() && !scope.contains('*');
        if !is_name {
            reader
                .problem(scope.span, format!("`{scope}` is not a scope"))
                .help("write one such as `clusters:read`");
        }
    }
    Some(Preset {
        name: name?,
        scopes: scopes.iter().map(ToString::to_string).collect(),
    })
}
