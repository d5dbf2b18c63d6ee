// The most specific route: literals before `{name}` before `**`, from left to right; then an exact method before `*`.
#include "routes.h"

#include <string.h>

#include "tables.h"

// Deeper paths have no route.
#define SEGMENTS_MAX 64

typedef struct {
    const char *start;
    size_t len;
} segment_t;

typedef struct {
    segment_t at[SEGMENTS_MAX];
    size_t count;
} segments_t;

// For each segment how specific it was met, the most specific first in order; then the method.
typedef struct {
    unsigned char at[SEGMENTS_MAX + 2];
    size_t count;
} rank_t;

// False when there are too many.
static bool split(const char *path, size_t len, segments_t *segments) {
    segments->count = 0;
    for (size_t start = 0; start < len;) {
        size_t end = start;
        while (end < len && path[end] != '/') end++;
        if (end > start) {
            if (segments->count == SEGMENTS_MAX) return false;
            segments->at[segments->count++] = (segment_t){path + start, end - start};
        }
        start = end + 1;
    }
    return true;
}

static char fold(char c) { return c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c; }

static bool is_same(segment_t a, segment_t b, bool folded) {
    if (a.len != b.len) return false;
    for (size_t i = 0; i < a.len; i++) {
        char x = a.start[i], y = b.start[i];
        if (folded ? fold(x) != fold(y) : x != y) return false;
    }
    return true;
}

static bool matches(const segments_t *pattern, const segments_t *path, bool folded, rank_t *rank) {
    rank->count = 0;
    for (size_t i = 0; i < pattern->count; i++) {
        segment_t part = pattern->at[i];
        if (part.len == 2 && memcmp(part.start, "**", 2) == 0) {
            rank->at[rank->count++] = 3;
            return true;
        }
        if (i == path->count) return false;
        if (part.start[0] == '{') {
            rank->at[rank->count++] = 2;
        } else if (is_same(part, path->at[i], folded)) {
            rank->at[rank->count++] = 1;
        } else {
            return false;
        }
    }
    return pattern->count == path->count;
}

static bool is_before(const rank_t *a, const rank_t *b) {
    size_t both = a->count < b->count ? a->count : b->count;
    int order = memcmp(a->at, b->at, both);
    return order != 0 ? order < 0 : a->count < b->count;
}

static int best(string_t method, const segments_t *path, bool folded) {
    int found = ROUTE_NOTHING;
    rank_t first;
    for (size_t i = 0; i < ROUTES_COUNT; i++) {
        const route_t *route = &ROUTES[i];
        bool every = strcmp(route->method, "*") == 0;
        bool exact = strlen(route->method) == method.len && memcmp(route->method, method.ptr, method.len) == 0;
        segments_t pattern;
        rank_t rank;
        if (!every && !exact) continue;
        if (!split(route->pattern, strlen(route->pattern), &pattern)) continue;
        if (!matches(&pattern, path, folded, &rank)) continue;
        rank.at[rank.count++] = every;
        if (found == ROUTE_NOTHING || is_before(&rank, &first)) {
            found = (int)i;
            first = rank;
        }
    }
    return found;
}

int find_route(string_t method, string_t path) {
    segments_t segments;
    if (!split((const char *)path.ptr, path.len, &segments)) return ROUTE_NOTHING;
    int exact = best(method, &segments, false);
    return best(method, &segments, true) == exact ? exact : ROUTE_AMBIGUOUS;
}
