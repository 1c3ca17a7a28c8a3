"""Reads the items of a paged HTTP API: the example of a source in Python.

The API answers `GET /items?page=N` with `{"items": [...], "next": "/items?page=2"}`, oldest change first,
and takes `updated_since=TIME` to leave out what did not change. A page says where the next one is: `next`
is a link, or null at the end; where it is missing, pages are counted until one is empty.
"""

from urllib.parse import urlencode, urljoin, urlsplit

import lockgate
import lockgate_http
from lockgate import Failure

STREAM = "items"
MAX_PAGES = 1_000_000
"""Pages of one read: links that lead in a circle end here."""


class Pages(lockgate.Source):
    spec = lockgate.Spec(
        name="source-pages-python",
        version="0.1.0",
        properties={
            "host": {
                "title": "Host",
                "description": "The API's host.",
                "type": "string",
                "examples": ["api.example"],
            },
            "port": {
                "title": "Port",
                "description": "The API's port.",
                "type": "integer",
                "minimum": 0,
                "maximum": 65535,
                "default": 443,
            },
            "tls": {
                "title": "TLS",
                "description": "Whether the API speaks HTTPS.",
                "type": "boolean",
                "default": True,
            },
            "token": {
                "title": "Token",
                "description": "A token that is sent with each request, if the API wants one.",
                "type": ["string", "null"],
                "airbyte_secret": True,
            },
        },
        required=["host"],
        needs=[("network", "${host}:${port}", "reads the API")],
    )

    def check(self, config):
        next(pages(config, None))

    def discover(self, config):
        schema = {
            "type": "object",
            "properties": {
                "id": {"type": "integer"},
                "name": {"type": ["null", "string"]},
                "updated_at": {"type": "string", "format": "date-time"},
            },
        }
        cursor, key = ["updated_at"], [["id"]]
        return [lockgate.Stream(STREAM, schema, incremental=True, cursor=cursor, primary_key=key)]

    def read(self, config, catalog, state, output):
        for index, configured in enumerate(catalog.streams):
            descriptor = configured.descriptor
            if (descriptor.name, descriptor.namespace) != (STREAM, None):
                name = lockgate.full_name(descriptor)
                raise Failure.config(f"there is no stream `{name}`", stream=descriptor)
            incremental = configured.sync_mode is lockgate.SyncMode.INCREMENTAL
            # What was changed at this time or later is read again, so nothing that has the same
            # time is left out.
            reached = ((incremental and state.stream(descriptor)) or {}).get("updated_at")
            stream = output.stream(index)
            for items in pages(config, reached):
                for item in items:
                    changed = item.get("updated_at")
                    if changed is not None and (reached is None or changed > reached):
                        reached = changed
                    stream.write(item)
                if incremental and reached is not None:
                    stream.checkpoint({"updated_at": reached})
            stream.complete()


def pages(config, since):
    """The items of each page, of what was changed at `since` or later."""
    scheme = "https" if config["tls"] else "http"
    base = f"{scheme}://{config['host']}:{config['port']}/items"
    changed = {} if since is None else {"updated_since": since}
    url = f"{base}?{urlencode({'page': 1} | changed)}"
    for number in range(1, MAX_PAGES + 1):
        page = lockgate_http.get_json(url, token=config.get("token"), what="reading a page")
        items = checked(page)
        yield items
        if "next" not in page and items:
            url = f"{base}?{urlencode({'page': number + 1} | changed)}"
        elif page.get("next") is not None:
            url = linked(base, url, page["next"])
        else:
            return
    raise Failure.system(f"the API has more than {MAX_PAGES} pages")


def checked(page):
    """The items of a page that is one."""
    items = page.get("items") if isinstance(page, dict) else None
    if not isinstance(items, list) or not isinstance(page.get("next"), str | None):
        raise Failure.system("a page of the API is not an object with `items` and a link `next`")
    for item in items:
        if not isinstance(item, dict) or not isinstance(item.get("updated_at"), str | None):
            raise Failure.system("an item of the API is not an object whose `updated_at` is a text")
    return items


def linked(base, url, link):
    """Where a link leads. The token goes with it, so it leads to the API and nowhere else."""
    try:
        target = urlsplit(urljoin(url, link))
    except ValueError:
        raise Failure.system("the link `next` is not a URL") from None
    if target[:2] != urlsplit(base)[:2]:
        raise Failure.system("the link `next` leads to another host than the API's")
    if target.geturl() == url:
        raise Failure.system("the link `next` leads to its own page")
    return target.geturl()


Source = lockgate.export_source(Pages)
