// The route of a request.
#pragma once

#include "names.h"

#define ROUTE_NOTHING -1
// Another route, or one at all, only when case is ignored: refused, because upstreams differ about it.
#define ROUTE_AMBIGUOUS -2

// An index into `ROUTES`, or one of the two above.
int find_route(string_t method, string_t path);
