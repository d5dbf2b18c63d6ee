// The decision. The same caller and request must always give the same answer.
import { find } from './routes.js';
import { tables } from './tables.js';

// How old a sign-in may be where a route asks for a fresh one, in seconds; clocks may differ by a minute.
const SIGN_IN_SECS_MAX = 15n * 60n;
const CLOCKS_DIFFER_SECS = 60n;
// The gate's own management API. No route of the product is there, and none leads there.
const MANAGEMENT = '/-/api';

export function decide(caller, request) {
  const rule = { route: undefined, grant: { tag: 'none' }, restriction: 'none' };
  // Strangers do not learn which routes there are.
  const unknown = caller.kind === 'anonymous' ? 'not-authenticated' : 'no-route';
  const index = find(request.method, request.path);
  if (index === 'ambiguous') return deny(rule, 'ambiguous-path');
  if (index === undefined) return deny(rule, unknown);
  const route = tables.routes[index];
  if (isManagement(request.path) && !isManagement(route.pattern)) return deny(rule, unknown);
  rule.route = index;
  const refused = permit(rule, route, caller, request);
  return refused ?? clusters(rule, route, caller, request);
}

/** Notes in the rule what holds the route's permission; or gives the refusal. */
function permit(rule, route, caller, request) {
  if (route.public) {
    rule.grant = { tag: 'public' };
    return undefined;
  }
  if (caller.kind === 'anonymous') return deny(rule, 'not-authenticated');
  const management = isManagement(route.pattern);
  const agent = caller.kind === 'agent' || caller.agentCluster !== undefined;
  if (management && agent) return deny(rule, 'no-route');
  if (route.operator && !caller.operator) return deny(rule, 'operator-required');
  if (tables.keysReadOnly && !management && caller.kind === 'api-key' && request.method !== 'GET') {
    rule.restriction = 'read-only';
    return deny(rule, 'read-only-key');
  }
  if (route.requires !== undefined) {
    const grant = grantOf(caller, route.requires);
    if (grant === undefined) return deny(rule, 'missing-permission', route.requires);
    rule.grant = grant;
    if (caller.scopes !== undefined && !caller.scopes.includes(route.requires)) {
      rule.restriction = 'scopes';
      return deny(rule, 'missing-permission', route.requires);
    }
  }
  if (route.signIn && !hasSignedIn(caller, request.now)) return deny(rule, 'sign-in-required');
  return undefined;
}

function grantOf(caller, permission) {
  for (const name of caller.roles) {
    const index = tables.roles.findIndex((role) => role.name === name);
    if (index >= 0 && tables.roles[index].permissions.includes(permission)) return { tag: 'role', val: index };
  }
  return caller.permissions.some((pattern) => covers(pattern, permission)) ? { tag: 'permission' } : undefined;
}

/** `*`, `clusters:*`, `*:read` or the permission itself. */
function covers(pattern, permission) {
  const [resource, action] = pattern.split(':');
  const [of, what] = permission.split(':');
  if (action === undefined) return pattern === '*';
  return (resource === '*' || resource === of) && (action === '*' || action === what);
}

function hasSignedIn(caller, now) {
  if (caller.kind !== 'session' || caller.authTime === undefined) return false;
  const age = now - caller.authTime;
  return age >= -CLOCKS_DIFFER_SECS && age <= SIGN_IN_SECS_MAX;
}

/** Whether the caller may do this to the clusters that the route touches, and which of them they see. */
function clusters(rule, route, caller, request) {
  const narrowest = narrowestOf(caller);
  const everything = () => allow({ ...rule, restriction: narrowest }, visible(caller));
  const { tag, val } = route.cluster;
  if (route.public || tag === 'none' || tag === 'upstream' || tag === 'lists') return everything();
  if (tag === 'spans') {
    if (narrowest === 'none') return everything();
    return deny({ ...rule, restriction: narrowest }, 'clusters-restricted');
  }
  const named = tag === 'path' ? request.path.split('/')[val + 1] : value(tag === 'query' ? request.query : request.headers, val);
  if (named !== undefined) return one(rule, named, caller);
  // An agent's own cluster is implied.
  if (caller.agentCluster !== undefined) return one(rule, caller.agentCluster, caller);
  if (narrowest === 'none') return everything();
  return deny({ ...rule, restriction: narrowest }, 'cluster-required');
}

function one(rule, cluster, caller) {
  const refuse = (restriction, reason) => deny({ ...rule, restriction }, reason, cluster);
  if (caller.agentCluster !== undefined && caller.agentCluster !== cluster) return refuse('agent-cluster', 'agent-outside-cluster');
  if (!contains(caller.clusters, cluster)) return refuse('authority-clusters', 'cluster-not-allowed');
  if (!contains(caller.allowedClusters, cluster)) return refuse('key-clusters', 'cluster-not-allowed');
  return allow(rule, { tag: 'only', val: [cluster] });
}

/** The caller's clusters, the credential's, and an agent's own: what is in all of them. */
function visible(caller) {
  if (caller.kind === 'anonymous') return { tag: 'only', val: [] };
  const { clusters: own, allowedClusters: allowed, agentCluster: agent } = caller;
  const both = own.tag === 'all' ? allowed
    : { tag: 'only', val: own.val.filter((id) => contains(allowed, id)) };
  if (agent === undefined) return both;
  return { tag: 'only', val: contains(both, agent) ? [agent] : [] };
}

const contains = (set, cluster) => set.tag === 'all' || set.val.includes(cluster);

function narrowestOf(caller) {
  if (caller.agentCluster !== undefined) return 'agent-cluster';
  if (caller.allowedClusters.tag === 'only') return 'key-clusters';
  return caller.clusters.tag === 'only' ? 'authority-clusters' : 'none';
}

// The gate passes a parameter or header on only where it stands once.
const value = (fields, name) => fields.find((field) => field.name === name)?.value;

const isManagement = (path) => path === MANAGEMENT || path.startsWith(`${MANAGEMENT}/`);

const allow = (rule, set) => ({ outcome: { tag: 'allow', val: set }, rule });

const deny = (rule, tag, val) => ({ outcome: { tag: 'deny', val: val === undefined ? { tag } : { tag, val } }, rule });
