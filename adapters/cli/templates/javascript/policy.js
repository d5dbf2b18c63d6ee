// A policy written by hand: `tables.js` says what there is, `rules.js` decides, `routes.js` finds the route of a request.
// Change any of them. The gate asks `decide` for every request.
import { decide } from './rules.js';
import { tables } from './tables.js';

export const rules = {
  describe() {
    return {
      name: tables.name,
      version: tables.version,
      permissions: tables.permissions,
      roles: tables.roles,
      routes: tables.routes.map(({ method, pattern, public: open, requires, cluster }) =>
        ({ method, pattern, public: open, requires, cluster })),
    };
  },
  decide,
};
