"""Serve pages full of links, each to some further ones, in a process of its own."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

LINKS = 20


class Pages(BaseHTTPRequestHandler):
    """Page n links to twenty others, among them the next ones that nobody saw."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer with a page."""
        number, total = (int(part) for part in self.path.strip("/").split("/"))
        links = ((number * LINKS + link) % total for link in range(1, LINKS + 1))
        body = "".join(f"<a href='/{n}/{total}'>follow {n}</a><br>" for n in links)
        page = f"<html><head></head><body>{body}</body></html>".encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, *_: object) -> None:
        """Be silent."""


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", 0), Pages)
    print(server.server_port, flush=True)
    server.serve_forever()
