"""``scrapy bench`` with a fixed number of pages: follow every link, of 100,000 pages.

python crawl.py ADDRESS PAGES
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import scrapy
from scrapy.crawler import CrawlerProcess
from scrapy.linkextractors import LinkExtractor

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator


class Follow(scrapy.Spider):
    """Follows all links, as the spider of ``scrapy bench`` does."""

    name = "follow"
    links = LinkExtractor()

    async def start(self) -> AsyncIterator[Any]:
        """Begin with one page."""
        yield scrapy.Request(f"{sys.argv[1]}/0/100000")

    def parse(self, response: Any) -> Iterator[Any]:
        """Follow what a page links to."""
        for link in self.links.extract_links(response):
            yield scrapy.Request(link.url, callback=self.parse)


if __name__ == "__main__":
    settings = {
        "LOG_LEVEL": "WARNING",
        "TELNETCONSOLE_ENABLED": False,
        "CLOSESPIDER_PAGECOUNT": int(sys.argv[2]),
    }
    process = CrawlerProcess(settings)
    crawler = process.create_crawler(Follow)
    process.crawl(crawler)
    process.start()
    print(crawler.stats.get_value("response_received_count"), "pages")
