// `npm test`: the rules, without the sandbox.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { find } from './routes.js';
import { decide } from './rules.js';
import { tables } from './tables.js';

const caller = (kind, more = {}) => ({
  kind,
  subject: 'somebody',
  organization: 'acme',
  roles: [],
  permissions: ['*'],
  scopes: undefined,
  clusters: { tag: 'all' },
  allowedClusters: { tag: 'all' },
  agentCluster: undefined,
  operator: false,
  mfa: false,
  authTime: undefined,
  ...more,
});
const request = (method, path) => ({ method, path, query: [], headers: [], now: 1_800_000_000n });
const concrete = (pattern) => pattern.replace('/**', '').replace(/[{}]/g, '_');

test('every route is found under its own pattern', () => {
  for (const { method, pattern } of tables.routes) {
    assert.equal(typeof find(method, concrete(pattern)), 'number', `${method} ${pattern}`);
  }
});

test('what no route matches is refused', () => {
  const reason = (kind) => decide(caller(kind), request('GET', '/nowhere')).outcome.val.tag;
  assert.equal(reason('api-key'), 'no-route');
  assert.equal(reason('anonymous'), 'not-authenticated');
});

test('permissions are needed, and scopes narrow', () => {
  for (const { method, pattern, requires } of tables.routes) {
    if (requires === undefined || pattern.startsWith('/-/')) continue;
    const asked = request(method, concrete(pattern));
    assert.equal(decide(caller('session'), asked).outcome.tag, 'allow', pattern);
    const { outcome } = decide(caller('session', { scopes: [] }), asked);
    assert.deepEqual(outcome.val, { tag: 'missing-permission', val: requires });
  }
});
