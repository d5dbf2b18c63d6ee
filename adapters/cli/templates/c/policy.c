// A policy written by hand: `tables.h` says what there is, `rules.c` decides, `routes.c` finds the route of a request. Change
// any of them. This file tells the gate what `tables.h` says.
#include <stdlib.h>
#include <string.h>

#include "names.h"
#include "tables.h"

static void *room(size_t count, size_t size) {
    void *room = calloc(count == 0 ? 1 : count, size);
    if (room == NULL) abort();
    return room;
}

static strings_t texts(const char *const *from, size_t count) {
    strings_t list = {room(count, sizeof(string_t)), count};
    for (size_t i = 0; i < count; i++) policy_string_dup(&list.ptr[i], from[i]);
    return list;
}

static void describe_cluster(const cluster_t *from, exports_scopegate_policy_rules_cluster_source_t *to) {
    switch (from->kind) {
    case CLUSTER_SPANS: to->tag = NAME(CLUSTER_SOURCE_SPANS); break;
    case CLUSTER_NONE: to->tag = NAME(CLUSTER_SOURCE_NONE); break;
    case CLUSTER_UPSTREAM: to->tag = NAME(CLUSTER_SOURCE_UPSTREAM); break;
    case CLUSTER_PATH:
        to->tag = NAME(CLUSTER_SOURCE_PATH);
        to->val.path = from->segment;
        break;
    case CLUSTER_QUERY:
        to->tag = NAME(CLUSTER_SOURCE_QUERY);
        policy_string_dup(&to->val.query, from->name);
        break;
    case CLUSTER_HEADER:
        to->tag = NAME(CLUSTER_SOURCE_HEADER);
        policy_string_dup(&to->val.header, from->name);
        break;
    case CLUSTER_LISTS:
        to->tag = NAME(CLUSTER_SOURCE_LISTS);
        policy_string_dup(&to->val.lists.items, from->items);
        policy_string_dup(&to->val.lists.cluster, from->name);
        to->val.lists.keep = texts(from->keep, from->keep_count);
        break;
    }
}

void exports_scopegate_policy_rules_describe(description_t *to) {
    memset(to, 0, sizeof *to);
    policy_string_dup(&to->name, POLICY_NAME);
    policy_string_dup(&to->version, POLICY_VERSION);
    to->permissions.ptr = room(to->permissions.len = PERMISSIONS_COUNT, sizeof *to->permissions.ptr);
    for (size_t i = 0; i < PERMISSIONS_COUNT; i++) {
        policy_string_dup(&to->permissions.ptr[i].name, PERMISSIONS[i].name);
        policy_string_dup(&to->permissions.ptr[i].category, PERMISSIONS[i].category);
        policy_string_dup(&to->permissions.ptr[i].unlocks, PERMISSIONS[i].unlocks);
        to->permissions.ptr[i].scope = PERMISSIONS[i].scope;
    }
    to->roles.ptr = room(to->roles.len = ROLES_COUNT, sizeof *to->roles.ptr);
    for (size_t i = 0; i < ROLES_COUNT; i++) {
        policy_string_dup(&to->roles.ptr[i].name, ROLES[i].name);
        to->roles.ptr[i].permissions = texts(ROLES[i].permissions, ROLES[i].permissions_count);
    }
    to->routes.ptr = room(to->routes.len = ROUTES_COUNT, sizeof *to->routes.ptr);
    for (size_t i = 0; i < ROUTES_COUNT; i++) {
        const route_t *route = &ROUTES[i];
        policy_string_dup(&to->routes.ptr[i].method, route->method);
        policy_string_dup(&to->routes.ptr[i].pattern, route->pattern);
        to->routes.ptr[i].public_ = route->public;
        if (route->requires != NULL) {
            to->routes.ptr[i].requires_.is_some = true;
            policy_string_dup(&to->routes.ptr[i].requires_.val, route->requires);
        }
        describe_cluster(&route->cluster, &to->routes.ptr[i].cluster);
    }
}
