//! Links (OpenAPI 3.1, section 4.8.20): from what lists or makes things to what is done with one of them.

use serde_json::{Map, Value, json};

/// Links every operation on `…/things` whose reply has ids to every operation on `…/things/{thing}` and below.
pub(super) fn add(document: &mut Value) {
    let Some(paths) = document["paths"].as_object().cloned() else {
        return;
    };
    for (collection, item) in &paths {
        let below = format!("{collection}/{{");
        let targets: Vec<(String, String)> = paths
            .iter()
            .filter_map(|(path, item)| Some((path.strip_prefix(&below)?.split_once('}')?.0, item)))
            .flat_map(|(parameter, item)| {
                let operations = item.as_object().into_iter().flat_map(Map::values);
                operations.map(move |operation| (parameter.to_owned(), id_of(operation)))
            })
            .collect();
        for (method, status) in [("get", "200"), ("post", "201")] {
            let path = collection.replace('~', "~0").replace('/', "~1");
            let response = format!("/paths/{path}/{method}/responses/{status}");
            let Some(response) = document.pointer_mut(&response) else {
                continue;
            };
            if !targets.is_empty() && item.get(method).is_some() {
                response["links"] = targets
                    .iter()
                    .map(|to| link(method, to))
                    .collect::<Map<_, _>>()
                    .into();
            }
        }
    }
}

fn id_of(operation: &Value) -> String {
    operation["operationId"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

/// One link, by its name.
fn link(method: &str, (parameter, operation): &(String, String)) -> (String, Value) {
    let place = match (method, parameter.as_str()) {
        ("get", "role") => "/items/0/name",
        ("get", _) => "/items/0/id",
        // What is answered there is the invitation.
        (_, "user") => "/user/id",
        (_, _) => "/id",
    };
    let link = json!({
        "operationId": operation,
        "parameters": { parameter: format!("$response.body#{place}") },
    });
    (operation.clone(), link)
}
