// Makes connector.wasm: `npm install`, then `npm run build`.

import { writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { componentize } from '@bytecodealliance/componentize-js';

const here = (name) => fileURLToPath(new URL(name, import.meta.url));
const { component } = await componentize({
  sourcePath: here('connector.js'),
  // An absolute path: relative ones are looked up elsewhere.
  witPath: here('wit'),
  worldName: 'connector',
  // fetch would ask for the network by itself; what the world imports is enough.
  disableFeatures: ['http', 'fetch-event'],
});
await writeFile(here('connector.wasm'), component);
