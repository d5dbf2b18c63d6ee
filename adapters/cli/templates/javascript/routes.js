// The route of a request: the most specific one. Literals before `{name}` before `**`, from left to right; then an exact
// method before `*`.
import { tables } from './tables.js';

// Deeper paths have no route.
const SEGMENTS_MAX = 64;

const split = (path) => path.split('/').filter((segment) => segment !== '');
const patterns = tables.routes.map(({ method, pattern }, index) => ({ index, method, parts: split(pattern) }));

// ASCII alone: the locale has no say.
const fold = (text) => text.replace(/[A-Z]/g, (letter) => String.fromCharCode(letter.charCodeAt(0) + 32));

/** The index of the route, `undefined`, or 'ambiguous': another one, or one at all, only when case is ignored. */
export function find(method, path) {
  const segments = split(path);
  if (segments.length > SEGMENTS_MAX) return undefined;
  const exact = best(method, segments, (literal, segment) => literal === segment);
  const folded = best(method, segments, (literal, segment) => fold(literal) === fold(segment));
  return exact === folded ? exact : 'ambiguous';
}

function best(method, path, isSame) {
  let found;
  for (const route of patterns) {
    if (route.method !== '*' && route.method !== method) continue;
    const rank = matched(route.parts, path, isSame);
    if (rank === undefined) continue;
    rank.push(route.method === '*' ? 1 : 0);
    if (found === undefined || isBefore(rank, found.rank)) found = { rank, index: route.index };
  }
  return found?.index;
}

/** How specific the match is, segment by segment; `undefined` if it is none. */
function matched(parts, path, isSame) {
  const rank = [];
  for (const [index, part] of parts.entries()) {
    if (part === '**') return [...rank, 3];
    const segment = path[index];
    if (segment === undefined) return undefined;
    if (part.startsWith('{')) rank.push(2);
    else if (isSame(part, segment)) rank.push(1);
    else return undefined;
  }
  return path.length === parts.length ? rank : undefined;
}

/** In order, number by number; the shorter one first. */
function isBefore(a, b) {
  for (const [index, number] of a.entries()) {
    if (index >= b.length || number > b[index]) return false;
    if (number < b[index]) return true;
  }
  return a.length < b.length;
}
