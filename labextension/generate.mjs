// Write src/state.ts: the types of the server's messages, from the schemas of ../gpumodels/jupyter/openapi.json.
// With --check, write nothing, and fail if src/state.ts is stale.

import { readFile, writeFile } from 'node:fs/promises';
import openapiTS, { astToString } from 'openapi-typescript';
import prettier from 'prettier';

const SOURCE = new URL('../gpumodels/jupyter/openapi.json', import.meta.url);
const TARGET = new URL('src/state.ts', import.meta.url);
const BANNER =
  '// Generated from gpumodels/jupyter/openapi.json by `jlpm generate`. Do not edit.\n\n';

/** The schemas that the sidebar reads or sends. The schemas that they refer to are added. */
const USED = ['State', 'FeedMessage', 'FeedRequest', 'Catalog', 'Check', 'LoadRequest'];

/** The names of declarations for other parts of the document. They would be empty, so they are left out. */
const EMPTY = new Set(['paths', 'webhooks', '$defs', 'operations']);

/** Return the schemas of these names and all that they refer to. */
function reachable(schemas, names, found = {}) {
  for (const name of names) {
    if (!(name in found)) {
      found[name] = schemas[name];
      const references = JSON.stringify(schemas[name]).matchAll(/#\/components\/schemas\/(\w+)/g);
      reachable(
        schemas,
        [...references].map(([, reference]) => reference),
        found
      );
    }
  }
  return found;
}

async function generated() {
  const document = JSON.parse(await readFile(SOURCE, 'utf8'));
  const schemas = reachable(document.components.schemas, USED);
  const options = {
    immutable: true,
    rootTypes: true,
    rootTypesNoSchemaPrefix: true,
    defaultNonNullable: false // A property with a default may be left out of a message, so it is optional in its type.
  };
  const nodes = await openapiTS({ ...document, paths: {}, components: { schemas } }, options);
  const code = astToString(nodes.filter(({ name }) => !EMPTY.has(name?.text)));
  const style = await prettier.resolveConfig(TARGET, { config: 'package.json' });
  return prettier.format(BANNER + code, { ...style, parser: 'typescript' });
}

const code = await generated();
if (!process.argv.includes('--check')) {
  await writeFile(TARGET, code);
} else if (code !== (await readFile(TARGET, 'utf8'))) {
  console.error('src/state.ts is stale: openapi.json has changed. Run `jlpm generate`.');
  process.exitCode = 1;
}
