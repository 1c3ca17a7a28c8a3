#!/usr/bin/env python3
"""A small paged HTTP API, for the connectors that read one.

Usage: example-api.py [--port N] [--items N] [--page N] [--token TOKEN] [--busy] [--no-links]

Prints its port, then one line a request: the status, the target, and the word `token` where the right
one came with it. Answers `GET /items?page=N[&updated_since=TIME]` with `{"items": [...], "next": ...}`,
oldest change first. With --busy the second page is refused twice at first, once with `Retry-After` in
seconds and once with it as a date. A line `more N` on its stdin adds N items. It ends with its stdin.
"""

import argparse
import json
import sys
import threading
import time
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlencode, urlsplit

NAMES = ["plain", "größe", "日本", 'say "hi"', "a\tb\\c", "😀", "\u2028line", None]


def item(number):
    """What languages write in ways of their own: text beyond ASCII, fractions, null, depth."""
    minutes, hour = number % 60, number // 60 % 24
    return {
        "id": number,
        "name": NAMES[number % len(NAMES)],
        "price": number + 0.5,
        "tags": [] if number % 3 else ["a", {"deep": [None, True, -1]}],
        "updated_at": f"2024-01-{1 + number // 1440:02}T{hour:02}:{minutes:02}:00Z",
    }


class Api(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        options = self.server.options
        url = urlsplit(self.path)
        asked = parse_qs(url.query)
        known = self.headers.get("authorization") == f"Bearer {options.token}"
        if url.path != "/items":
            return self.answer(404, b"nothing here")
        if options.token and not known:
            return self.answer(401, b"no such token")
        page = int(asked.get("page", ["1"])[0])
        if page == 2 and self.server.busy:
            after = self.server.busy.pop()
            return self.answer(429, b"slow down", ("retry-after", after()))
        since = asked.get("updated_since", [""])[0]
        items = [one for one in self.server.items if one["updated_at"] >= since]
        start, end = (page - 1) * options.page, page * options.page
        body = {"items": items[start:end]}
        if not options.no_links:
            query = {"page": page + 1} | ({"updated_since": since} if since else {})
            body["next"] = f"/items?{urlencode(query)}" if end < len(items) else None
        text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
        self.answer(200, text.encode(), ("content-type", "application/json"))

    def answer(self, status, body, *headers):
        known = "authorization" in self.headers and status != 401
        print(status, self.path, *(["token"] if known else []), flush=True)
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Said by answer."""


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--items", type=int, default=25)
    parser.add_argument("--page", type=int, default=10)
    parser.add_argument("--token")
    parser.add_argument("--busy", action="store_true")
    parser.add_argument("--no-links", action="store_true")
    options = parser.parse_args()
    server = ThreadingHTTPServer(("127.0.0.1", options.port), Api)
    server.options = options
    server.items = [item(number) for number in range(server.options.items)]
    in_a_second = [lambda: formatdate(time.time() + 1, usegmt=True), lambda: "1"]
    server.busy = in_a_second if server.options.busy else []
    print(server.server_address[1], flush=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    for line in sys.stdin:
        word, count = line.split()
        if word == "more":
            start = len(server.items)
            server.items += [item(number) for number in range(start, start + int(count))]


if __name__ == "__main__":
    main()
