// Reads the items of a paged HTTP API: the example of a source in JavaScript.
//
// The API answers `GET /items?page=N` with `{"items": [...], "next": "/items?page=2"}`, oldest change first,
// and takes `updated_since=TIME` to leave out what did not change. A page says where the next one is: `next`
// is a link, or null at the end; where it is missing, pages are counted until one is empty.

import * as output from 'lockgate:connector/output@0.1.0';
import { Failure, exportSource, fullName } from './lockgate.js';
import { getJson, parseUrl } from './lockgate-http.js';

const STREAM = 'items';
/// Pages of one read: links that lead in a circle end here.
const MAX_PAGES = 1_000_000;

export const source = exportSource(
  {
    spec: {
      name: 'source-pages-javascript',
      version: '0.1.0',
      properties: {
        host: {
          title: 'Host',
          description: "The API's host.",
          type: 'string',
          examples: ['api.example'],
        },
        port: {
          title: 'Port',
          description: "The API's port.",
          type: 'integer',
          minimum: 0,
          maximum: 65535,
          default: 443,
        },
        tls: {
          title: 'TLS',
          description: 'Whether the API speaks HTTPS.',
          type: 'boolean',
          default: true,
        },
        token: {
          title: 'Token',
          description: 'A token that is sent with each request, if the API wants one.',
          type: ['string', 'null'],
          airbyte_secret: true,
        },
      },
      required: ['host'],
      needs: [['network', '${host}:${port}', 'reads the API']],
    },

    check(config) {
      pages(config, undefined).next();
    },

    discover() {
      const jsonSchema = {
        type: 'object',
        properties: {
          id: { type: 'integer' },
          name: { type: ['null', 'string'] },
          updated_at: { type: 'string', format: 'date-time' },
        },
      };
      const [cursor, primaryKey] = [['updated_at'], [['id']]];
      return [{ name: STREAM, jsonSchema, incremental: true, cursor, primaryKey }];
    },

    read(config, catalog, state, output) {
      catalog.streams.forEach(({ descriptor, syncMode }, index) => {
        if (descriptor.name !== STREAM || descriptor.namespace !== undefined) {
          const message = `there is no stream \`${fullName(descriptor)}\``;
          throw Failure.config(message, { stream: descriptor });
        }
        const incremental = syncMode === 'incremental';
        // What was changed at this time or later is read again, so nothing that has the same time is
        // left out.
        let reached = incremental ? state.stream(descriptor)?.updated_at : undefined;
        const stream = output.stream(index);
        for (const items of pages(config, reached)) {
          for (const item of items) {
            const changed = item.updated_at;
            if (changed != null && (reached === undefined || changed > reached)) reached = changed;
            stream.write(item);
          }
          if (incremental && reached !== undefined) stream.checkpoint({ updated_at: reached });
        }
        stream.complete();
      });
    },
  },
  output,
);

/// The items of each page, of what was changed at `since` or later.
function* pages(config, since) {
  const base = `${config.tls ? 'https' : 'http'}://${config.host}:${config.port}/items`;
  const changed = since === undefined ? {} : { updated_since: since };
  const numbered = (page) => `${base}?${new URLSearchParams({ page, ...changed })}`;
  let url = numbered(1);
  for (let number = 1; number <= MAX_PAGES; number++) {
    const page = getJson(url, { token: config.token, what: 'reading a page' });
    const items = checked(page);
    yield items;
    if (page.next === undefined && items.length > 0) {
      url = numbered(number + 1);
    } else if (page.next != null) {
      url = linked(base, url, page.next);
    } else {
      return;
    }
  }
  throw Failure.system(`the API has more than ${MAX_PAGES} pages`);
}

/// The items of a page that is one.
function checked(page) {
  if (!Array.isArray(page?.items) || !['string', 'undefined'].includes(typeof (page.next ?? undefined))) {
    throw Failure.system('a page of the API is not an object with `items` and a link `next`');
  }
  for (const item of page.items) {
    const isObject = typeof item === 'object' && item !== null && !Array.isArray(item);
    if (!isObject || !['string', 'undefined'].includes(typeof (item.updated_at ?? undefined))) {
      throw Failure.system('an item of the API is not an object whose `updated_at` is a text');
    }
  }
  return page.items;
}

/// Where a link leads. The token goes with it, so it leads to the API and nowhere else.
function linked(base, url, link) {
  const target = parseUrl(link, url);
  if (target === undefined) throw Failure.system('the link `next` is not a URL');
  if (target.origin !== new URL(base).origin) {
    throw Failure.system("the link `next` leads to another host than the API's");
  }
  if (target.href === url) throw Failure.system('the link `next` leads to its own page');
  return target.href;
}
