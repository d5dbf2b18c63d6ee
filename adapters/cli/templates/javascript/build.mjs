// Makes `policy.wasm` of `policy.js`. Every feature is off, so the component imports nothing: no clock, no file, no network.
import { writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { componentize } from '@bytecodealliance/componentize-js';

const here = (name) => fileURLToPath(new URL(name, import.meta.url));
const { component } = await componentize({
  sourcePath: here('policy.js'),
  witPath: here('wit'),
  worldName: 'policy',
  disableFeatures: ['stdio', 'random', 'clocks', 'http', 'fetch-event'],
});
await writeFile(here('policy.wasm'), component);
console.log(`policy.wasm: ${component.length} bytes`);
