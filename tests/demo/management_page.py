"""Takes the course's picture of the management page, from a real broker.

apt-get install chromium
make .venv/.ready-browser
PYTHONPATH=tests .venv/bin/python -m demo.management_page docs/pictures/management-page.png
"""

import shutil
import sys

from playwright.sync_api import sync_playwright

from brokers.docker_or_local import broker_class
from brokers.tools import BrokerError, end_in_good_order_when_the_terminal_closes, say
from helpers.process import Script

SIZE = {"width": 1250, "height": 440}  # pixels
LONG = "." * 600  # a task of ten minutes
# What the page says when a worker holds one task and two more wait.
NUMBERS = r"/Ready\s+2\s+Unacked\s+1\s+Total\s+3/.test(document.body.innerText)"
DRAWN = 30_000  # milliseconds, after which the line of the last minute can be seen


def main(path):
    """Take a picture of task_queue.

    :param str path: the PNG file to write
    """
    end_in_good_order_when_the_terminal_closes()
    browser_path = shutil.which("chromium") or shutil.which("google-chrome")
    if not browser_path:
        raise BrokerError("Chromium is missing. Install it: apt-get install chromium")
    with broker_class()() as broker, Script("worker.py", url=broker.url()) as worker:
        worker.wait_until_ready()
        for number in (1, 2, 3):
            with Script("new_task.py", f"task {number}{LONG}", url=broker.url()) as sender:
                sender.wait()
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=browser_path,
                args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
            )
            page = browser.new_page(viewport=SIZE, bypass_csp=True)
            page.goto(f"http://127.0.0.1:{broker.management_port}/")
            page.fill("input[name=username]", "guest")
            page.fill("input[name=password]", "guest")
            page.click("input[type=submit]")
            page.wait_for_selector("text=Overview")
            page.goto(f"http://127.0.0.1:{broker.management_port}/#/queues/%2F/task_queue")
            page.wait_for_function(NUMBERS, timeout=60_000)
            page.wait_for_timeout(DRAWN)
            page.screenshot(path=path)
            browser.close()
    say(f"The picture is in {path}.")


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    except (BrokerError, TimeoutError) as error:
        sys.exit(f"{error}")
