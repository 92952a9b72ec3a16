"""``scrapy bench``, its spider and settings, but for a number of pages, not seconds.

python crawl.py ADDRESS PAGES
"""

from __future__ import annotations

import sys

from scrapy.commands.bench import Command, _BenchSpider
from scrapy.crawler import CrawlerProcess

if __name__ == "__main__":
    settings = {
        **Command.default_settings,
        "CLOSESPIDER_TIMEOUT": 0,
        "CLOSESPIDER_PAGECOUNT": int(sys.argv[2]),
    }
    process = CrawlerProcess(settings)
    crawler = process.create_crawler(_BenchSpider)
    process.crawl(crawler, total=100_000, baseurl=sys.argv[1])
    process.start()
    print(crawler.stats.get_value("response_received_count"), "pages")
