//! Version 1.1.0 of `rules`: with conditions.

use self::bindings::exports::scopegate::policy::rules as wit;

mod bindings {
    wasmtime::component::bindgen!({
        path: "../wit/1.1",
        world: "policy",
        // Questions lend their strings: a call copies nothing on the host's side.
        ownership: Borrowing { duplicate_if_necessary: true },
    });
}

conversions! {
    caller(caller) { credential_created: caller.credential_created }
    request(request, address = request.address.map(|address| address.to_string()).unwrap_or_default()) {
        address: &address
    }
    reasons { wit::Reason::ConditionNotMet => Reason::ConditionNotMet }
    role(role) { when: role.when }
    route(route) { when: route.when }
    description(description) { headers: description.headers }
}
