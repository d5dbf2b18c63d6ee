// What there is: the catalogue, the roles, the routes. Those under `/-/api` are the gate's own management API; without them its
// users could not manage their keys.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    const char *name, *category, *unlocks;
    // Whether a key may carry it.
    bool scope;
} permission_t;

typedef struct {
    const char *name;
    const char *const *permissions;
    size_t permissions_count;
} role_t;

typedef struct {
    // Which clusters a route touches. `CLUSTER_SPANS`: all of them.
    enum { CLUSTER_SPANS, CLUSTER_PATH, CLUSTER_QUERY, CLUSTER_HEADER, CLUSTER_NONE, CLUSTER_UPSTREAM, CLUSTER_LISTS } kind;
    // Of the path, from 0.
    uint32_t segment;
    // A parameter's or header's name, or for a list the JSON Pointer to the cluster within an item.
    const char *name;
    // A list's JSON Pointer to its items, and what stands beside them and passes.
    const char *items;
    const char *const *keep;
    size_t keep_count;
} cluster_t;

typedef struct {
    const char *method, *pattern;
    bool public;
    // A permission, or NULL.
    const char *requires;
    // Only for operators of the gate; only for a session that signed in a short while ago.
    bool operator_only, sign_in;
    cluster_t cluster;
} route_t;

#define LIST(...) (const char *const[]){__VA_ARGS__}, sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *)

