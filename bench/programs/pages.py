"""The server of ``scrapy bench``, at a free port: pages of links to random others."""

from __future__ import annotations

from scrapy.utils.benchserver import Root
from twisted.internet import reactor
from twisted.web.server import Site

if __name__ == "__main__":
    port = reactor.listenTCP(0, Site(Root()), interface="127.0.0.1")
    print(port.getHost().port, flush=True)
    reactor.run()
