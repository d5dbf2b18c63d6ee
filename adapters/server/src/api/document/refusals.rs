//! What every operation may answer besides what it says itself: refusals, and the headers of every reply.

use serde_json::{Map, Value, json};

/// RFC 9457.
pub(super) fn problem() -> Value {
    json!({
        "type": "object",
        "description": "What went wrong (RFC 9457)",
        "required": ["type", "title", "status", "detail", "code", "instance"],
        "properties": {
            "type": { "type": "string", "format": "uri", "description": "Where the problem is documented" },
            "title": { "type": "string", "description": "The same for every occurrence of the problem" },
            "status": { "type": "integer", "description": "The HTTP status" },
            "detail": { "type": "string", "description": "What happened here" },
            "code": { "type": "string", "description": "For programs" },
            "instance": { "type": "string", "description": "The request's id" },
        },
        "example": {
            "type": "https://scopegate.dev/problems/not-held", "title": "More than you hold", "status": 403,
            "detail": "you do not hold the permission `nodes:read`, so you cannot give it",
            "code": "not-held", "instance": "0197f0c2-6c1e-7d55-9d7e-0a5a3a1c9b11",
        },
    })
}

/// The name of a refusal among the document's responses, its status and what it means.
const REFUSALS: [(&str, u16, &str); 13] = [
    (
        "InvalidRequest",
        400,
        "The request is malformed; the detail names the place",
    ),
    (
        "NotAuthenticated",
        401,
        "No credential, or one that is not accepted",
    ),
    (
        "NotAllowed",
        403,
        "The policy or the caller's bounds do not allow it",
    ),
    ("NotFound", 404, "There is nothing here"),
    (
        "MethodNotAllowed",
        405,
        "The endpoint does not have the method",
    ),
    ("Conflict", 409, "It stands against something that is there"),
    ("Stale", 412, "It was changed by somebody else meanwhile"),
    ("BodyTooLarge", 413, "The body is too large"),
    (
        "UnsupportedMediaType",
        415,
        "The body is not of the right type",
    ),
    (
        "Unprocessable",
        422,
        "The contract, the policy or the moment do not allow it",
    ),
    (
        "PreconditionRequired",
        428,
        "It is not said which version is changed",
    ),
    (
        "TooManyRequests",
        429,
        "The limit of requests a minute is used up",
    ),
    (
        "Unavailable",
        503,
        "Something that is needed is not available",
    ),
];

/// The document's shared responses.
pub(super) fn responses() -> Value {
    let described = REFUSALS.iter().map(|(name, status, description)| {
        let mut headers = common_headers();
        match status {
            401 => headers.insert("WWW-Authenticate".to_owned(), header("Challenge")),
            405 => headers.insert("Allow".to_owned(), header("Methods")),
            429 => headers.insert("Retry-After".to_owned(), header("Wait")),
            _ => None,
        };
        let response = json!({
            "description": description,
            "headers": headers,
            "content": { "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } },
        });
        ((*name).to_owned(), response)
    });
    described.collect::<Map<_, _>>().into()
}

/// The document's shared headers.
pub(super) fn headers() -> Value {
    let of = |description: &str, schema: Value, example: Value| json!({ "description": description, "schema": schema, "example": example });
    let (text, number) = (
        json!({ "type": "string" }),
        json!({ "type": "integer", "minimum": 0 }),
    );
    json!({
        "RequestId": of("The request's id, as the audit has it", text.clone(), json!("0197f0c2-6c1e-7d55-9d7e-0a5a3a1c9b11")),
        "Limit": of("Requests a minute", number.clone(), json!(100)),
        "Remaining": of("How many are left of them", number.clone(), json!(99)),
        "Reset": of("When the minute ends, in seconds since the epoch", number.clone(), json!(1_774_958_460)),
        "Wait": of("When to try again, in seconds", number, json!(17)),
        "Challenge": of("What is accepted here (RFC 6750)", text.clone(), json!("Bearer realm=\"scopegate\"")),
        "Methods": of("The methods that the endpoint has", text, json!("GET, HEAD, POST")),
    })
}

fn header(name: &str) -> Value {
    json!({ "$ref": format!("#/components/headers/{name}") })
}

fn common_headers() -> Map<String, Value> {
    let named = [
        ("X-Request-Id", "RequestId"),
        ("X-RateLimit-Limit", "Limit"),
        ("X-RateLimit-Remaining", "Remaining"),
        ("X-RateLimit-Reset", "Reset"),
    ];
    let headers = named.map(|(name, shared)| (name.to_owned(), header(shared)));
    headers.into_iter().collect()
}

/// Adds to an operation what it may answer besides what it says itself, and to what it says the headers of every
/// reply.
pub(super) fn add(method: &str, operation: &mut Value) {
    let has_body = operation.get("requestBody").is_some();
    // A policy that is kept may be refused by now, and too little of a digest names none.
    let takes_policy = method != "get" && operation["tags"][0] == "Policy";
    let parameters = operation["parameters"].as_array().into_iter().flatten();
    let is_versioned = parameters
        .into_iter()
        .any(|parameter| parameter["name"] == "If-Match");
    let Some(responses) = operation["responses"].as_object_mut() else {
        return;
    };
    for (status, response) in responses.iter_mut() {
        if response["description"].as_str().is_none_or(str::is_empty) {
            response["description"] = json!(match status.as_str() {
                "201" => "It was made",
                "204" => "It was done, and nothing is left to say",
                _ => "What was asked for",
            });
        }
        let own = response["headers"].as_object().cloned().unwrap_or_default();
        let mut all = common_headers();
        all.extend(own);
        response["headers"] = all.into();
    }
    for (name, status, _) in REFUSALS {
        let is_possible = match status {
            409 => method != "get",
            412 | 428 => is_versioned,
            413 | 415 => has_body,
            422 => has_body || takes_policy,
            _ => true,
        };
        if is_possible {
            let shared = json!({ "$ref": format!("#/components/responses/{name}") });
            responses.insert(status.to_string(), shared);
        }
    }
}
