// The decision. The same caller and request must always give the same answer. What is answered is allocated: the bindings
// free it.
#include <stdlib.h>
#include <string.h>

#include "names.h"
#include "routes.h"
#include "tables.h"

// How old a sign-in may be where a route asks for a fresh one, in seconds; clocks may differ by a minute.
#define SIGN_IN_SECS_MAX (15 * 60)
#define CLOCKS_DIFFER_SECS 60
// The gate's own management API. No route of the product is there, and none leads there.
#define MANAGEMENT "/-/api"

static string_t text(const char *text) { return (string_t){(uint8_t *)text, strlen(text)}; }

static bool is_same(string_t a, string_t b) { return a.len == b.len && memcmp(a.ptr, b.ptr, a.len) == 0; }

static bool has(strings_t list, string_t wanted) {
    for (size_t i = 0; i < list.len; i++)
        if (is_same(list.ptr[i], wanted)) return true;
    return false;
}

static bool is_management(string_t path) {
    size_t len = strlen(MANAGEMENT);
    if (path.len < len || memcmp(path.ptr, MANAGEMENT, len) != 0) return false;
    return path.len == len || path.ptr[len] == '/';
}

static string_t copy(string_t from) {
    string_t to;
    policy_string_dup_n(&to, (const char *)from.ptr, from.len);
    return to;
}

static void deny(decision_t *decision, uint8_t reason) {
    decision->outcome.tag = NAME(OUTCOME_DENY);
    decision->outcome.val.deny.tag = reason;
}

// All of these reasons have their text in the same place.
static void deny_about(decision_t *decision, uint8_t reason, string_t about) {
    deny(decision, reason);
    decision->outcome.val.deny.val.other = copy(about);
}

static void allow(decision_t *decision, clusters_t visible) {
    decision->outcome.tag = NAME(OUTCOME_ALLOW);
    decision->outcome.val.allow = visible;
}

static clusters_t room_for(size_t count) {
    clusters_t set = {.tag = NAME(CLUSTERS_ONLY)};
    set.val.only.ptr = count == 0 ? NULL : malloc(count * sizeof(string_t));
    if (count != 0 && set.val.only.ptr == NULL) abort();
    set.val.only.len = 0;
    return set;
}

static void add(clusters_t *set, string_t cluster) { set->val.only.ptr[set->val.only.len++] = copy(cluster); }

static bool contains(const clusters_t *set, string_t cluster) {
    return set->tag == NAME(CLUSTERS_ALL) || has(set->val.only, cluster);
}

static bool is_restricted(const clusters_t *set) { return set->tag == NAME(CLUSTERS_ONLY); }

static uint8_t narrowest(const caller_t *caller) {
    if (caller->agent_cluster.is_some) return NAME(RESTRICTION_AGENT_CLUSTER);
    if (is_restricted(&caller->allowed_clusters)) return NAME(RESTRICTION_KEY_CLUSTERS);
    if (is_restricted(&caller->clusters)) return NAME(RESTRICTION_AUTHORITY_CLUSTERS);
    return NAME(RESTRICTION_NONE);
}

// The caller's clusters, the credential's, and an agent's own: what is in all of them.
static clusters_t visible(const caller_t *caller) {
    if (caller->kind == NAME(CALLER_KIND_ANONYMOUS)) return room_for(0);
    const clusters_t *own = &caller->clusters, *allowed = &caller->allowed_clusters;
    if (caller->agent_cluster.is_some) {
        string_t agent = caller->agent_cluster.val;
        clusters_t set = room_for(1);
        if (contains(own, agent) && contains(allowed, agent)) add(&set, agent);
        return set;
    }
    const clusters_t *listed = is_restricted(own) ? own : allowed;
    if (!is_restricted(listed)) return (clusters_t){.tag = NAME(CLUSTERS_ALL)};
    clusters_t set = room_for(listed->val.only.len);
    for (size_t i = 0; i < listed->val.only.len; i++) {
        string_t cluster = listed->val.only.ptr[i];
        if (contains(own, cluster) && contains(allowed, cluster)) add(&set, cluster);
    }
    return set;
}

// `*`, `clusters:*`, `*:read` or the permission itself.
static bool covers(string_t pattern, string_t permission) {
    if (is_same(pattern, text("*")) || is_same(pattern, permission)) return true;
    const uint8_t *colon = memchr(pattern.ptr, ':', pattern.len);
    const uint8_t *other = memchr(permission.ptr, ':', permission.len);
    if (colon == NULL || other == NULL) return false;
    string_t resource = {pattern.ptr, (size_t)(colon - pattern.ptr)};
    string_t action = {pattern.ptr + resource.len + 1, pattern.len - resource.len - 1};
    string_t of = {permission.ptr, (size_t)(other - permission.ptr)};
    string_t what = {permission.ptr + of.len + 1, permission.len - of.len - 1};
    string_t any = text("*");
    return (is_same(resource, any) || is_same(resource, of)) && (is_same(action, any) || is_same(action, what));
}

static bool role_has(const role_t *role, const char *permission) {
    for (size_t i = 0; i < role->permissions_count; i++)
        if (strcmp(role->permissions[i], permission) == 0) return true;
    return false;
}

// False when nothing holds the permission.
static bool grant(const caller_t *caller, const char *permission, decision_t *decision) {
    for (size_t i = 0; i < caller->roles.len; i++) {
        for (size_t r = 0; r < ROLES_COUNT; r++) {
            if (!is_same(text(ROLES[r].name), caller->roles.ptr[i]) || !role_has(&ROLES[r], permission)) continue;
            decision->rule.grant.tag = NAME(GRANT_ROLE);
            decision->rule.grant.val.role = (uint32_t)r;
            return true;
        }
    }
    for (size_t i = 0; i < caller->permissions.len; i++) {
        if (!covers(caller->permissions.ptr[i], text(permission))) continue;
        decision->rule.grant.tag = NAME(GRANT_PERMISSION);
        return true;
    }
    return false;
}

static bool has_signed_in(const caller_t *caller, int64_t now) {
    if (caller->kind != NAME(CALLER_KIND_SESSION) || !caller->auth_time.is_some) return false;
    int64_t age;
    if (__builtin_sub_overflow(now, caller->auth_time.val, &age)) return false;
    return age >= -CLOCKS_DIFFER_SECS && age <= SIGN_IN_SECS_MAX;
}

// False when it has been refused.
static bool permit(const route_t *route, const caller_t *caller, const request_t *request, decision_t *decision) {
    if (route->public) {
        decision->rule.grant.tag = NAME(GRANT_PUBLIC);
        return true;
    }
    if (caller->kind == NAME(CALLER_KIND_ANONYMOUS)) return deny(decision, NAME(REASON_NOT_AUTHENTICATED)), false;
    bool management = is_management(text(route->pattern));
    bool agent = caller->kind == NAME(CALLER_KIND_AGENT) || caller->agent_cluster.is_some;
    if (management && agent) return deny(decision, NAME(REASON_NO_ROUTE)), false;
    if (route->operator_only && !caller->operator_) return deny(decision, NAME(REASON_OPERATOR_REQUIRED)), false;
    bool is_write = !is_same(request->method, text("GET"));
    if (KEYS_READ_ONLY && !management && caller->kind == NAME(CALLER_KIND_API_KEY) && is_write) {
        decision->rule.restriction = NAME(RESTRICTION_READ_ONLY);
        return deny(decision, NAME(REASON_READ_ONLY_KEY)), false;
    }
    if (route->requires != NULL) {
        string_t permission = text(route->requires);
        bool is_granted = grant(caller, route->requires, decision);
        if (is_granted && caller->scopes.is_some && !has(caller->scopes.val, permission)) {
            decision->rule.restriction = NAME(RESTRICTION_SCOPES);
            is_granted = false;
        }
        if (!is_granted) return deny_about(decision, NAME(REASON_MISSING_PERMISSION), permission), false;
    }
    if (route->sign_in && !has_signed_in(caller, request->now)) {
        return deny(decision, NAME(REASON_SIGN_IN_REQUIRED)), false;
    }
    return true;
}

static void one(string_t cluster, const caller_t *caller, decision_t *decision) {
    uint8_t reason = NAME(REASON_CLUSTER_NOT_ALLOWED);
    if (caller->agent_cluster.is_some && !is_same(caller->agent_cluster.val, cluster)) {
        decision->rule.restriction = NAME(RESTRICTION_AGENT_CLUSTER);
        reason = NAME(REASON_AGENT_OUTSIDE_CLUSTER);
    } else if (!contains(&caller->clusters, cluster)) {
        decision->rule.restriction = NAME(RESTRICTION_AUTHORITY_CLUSTERS);
    } else if (!contains(&caller->allowed_clusters, cluster)) {
        decision->rule.restriction = NAME(RESTRICTION_KEY_CLUSTERS);
    } else {
        clusters_t set = room_for(1);
        add(&set, cluster);
        return allow(decision, set);
    }
    deny_about(decision, reason, cluster);
}

// The gate passes a parameter or header on only where it stands once.
static bool find_field(fields_t fields, const char *name, string_t *value) {
    for (size_t i = 0; i < fields.len; i++) {
        if (!is_same(fields.ptr[i].name, text(name))) continue;
        *value = fields.ptr[i].value;
        return true;
    }
    return false;
}

static bool find_segment(string_t path, uint32_t index, string_t *value) {
    size_t start = 1;
    for (;; index--) {
        size_t end = start;
        while (end < path.len && path.ptr[end] != '/') end++;
        *value = (string_t){path.ptr + start, end - start};
        if (index == 0) return true;
        if (end >= path.len) return false;
        start = end + 1;
    }
}

// Whether the caller may do this to the clusters that the route touches, and which of them they see.
static void clusters(const route_t *route, const caller_t *caller, const request_t *request, decision_t *decision) {
    uint8_t restriction = narrowest(caller);
    string_t cluster;
    bool is_named = false;
    switch (route->public ? CLUSTER_NONE : route->cluster.kind) {
    case CLUSTER_PATH: is_named = find_segment(request->path, route->cluster.segment, &cluster); break;
    case CLUSTER_QUERY: is_named = find_field(request->query, route->cluster.name, &cluster); break;
    case CLUSTER_HEADER: is_named = find_field(request->headers, route->cluster.name, &cluster); break;
    case CLUSTER_SPANS:
        decision->rule.restriction = restriction;
        if (restriction != NAME(RESTRICTION_NONE)) return deny(decision, NAME(REASON_CLUSTERS_RESTRICTED));
        return allow(decision, visible(caller));
    default:
        decision->rule.restriction = restriction;
        return allow(decision, visible(caller));
    }
    if (is_named) return one(cluster, caller, decision);
    // An agent's own cluster is implied.
    if (caller->agent_cluster.is_some) return one(caller->agent_cluster.val, caller, decision);
    decision->rule.restriction = restriction;
    if (restriction != NAME(RESTRICTION_NONE)) return deny(decision, NAME(REASON_CLUSTER_REQUIRED));
    allow(decision, visible(caller));
}

void exports_scopegate_policy_rules_decide(caller_t *caller, request_t *request, decision_t *decision) {
    memset(decision, 0, sizeof *decision);
    // Strangers do not learn which routes there are.
    bool is_stranger = caller->kind == NAME(CALLER_KIND_ANONYMOUS);
    uint8_t unknown = is_stranger ? NAME(REASON_NOT_AUTHENTICATED) : NAME(REASON_NO_ROUTE);
    int index = find_route(request->method, request->path);
    if (index == ROUTE_AMBIGUOUS) return deny(decision, NAME(REASON_AMBIGUOUS_PATH));
    if (index == ROUTE_NOTHING) return deny(decision, unknown);
    const route_t *route = &ROUTES[index];
    if (is_management(request->path) && !is_management(text(route->pattern))) return deny(decision, unknown);
    decision->rule.route.is_some = true;
    decision->rule.route.val = (uint32_t)index;
    if (permit(route, caller, request, decision)) clusters(route, caller, request, decision);
}
