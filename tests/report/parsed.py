"""The report's page as tests read it."""

from html.parser import HTMLParser

from glad_ray.report import write_report
from glad_ray.report.rendering import page_script

VOID = {"meta", "link", "img", "br", "hr", "input"}


class Page(HTMLParser):
    """The parsed page: elements with their attributes and text, tables as grids; not well-formed raises.

    `all` and `words` are of the report, without the pages of runs within it; `run` gives one of these.
    """

    def __init__(self, text):
        super().__init__()
        self.open, self.elements, self.text = [], [], []
        self.feed(text)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag, attributes):
        element = {"tag": tag, "attributes": dict(attributes), "text": [], "parents": list(self.open)}
        assert len(element["attributes"]) == len(attributes), f"an attribute twice in <{tag}>"
        self.elements.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open[-1]["tag"] == tag, f"</{tag}> closes <{self.open[-1]['tag']}>"
        self.open.pop()

    def handle_data(self, data):
        for element in self.open:
            element["text"].append(data)
        if not any(element["tag"] in ("style", "script") or is_run(element) for element in self.open):
            self.text.append(data)

    def all(self, tag):
        return [e for e in self.elements if e["tag"] == tag and not any(map(is_run, [e, *e["parents"]]))]

    def run(self, run_id):
        (article,) = [e for e in self.elements if e["attributes"].get("id") == f"run-{run_id}"]
        assert is_run(article)
        return article

    @property
    def foreign_scripts(self):
        """The scripts that are not the page's own; what has the type of HTML is none, and is kept for the page's."""
        scripts = [e for e in self.elements if e["tag"] == "script" and e["attributes"] != {"type": "text/html"}]
        return [text for text in ("".join(e["text"]) for e in scripts) if text != page_script()]

    def within(self, element, *tags):
        return [e for e in self.elements if e["tag"] in tags and any(parent is element for parent in e["parents"])]

    def grid(self, table):
        return [[said(cell) for cell in self.within(row, "th", "td")] for row in self.within(table, "tr")]

    @property
    def words(self):
        return " ".join("".join(self.text).split())


def is_run(element):
    return element["tag"] == "article" and element["attributes"].get("class") == "run"


def said(element):
    return " ".join("".join(element["text"]).split())


def page_of(storage):
    path = write_report(storage)
    assert path == "report/index.html"
    return Page(storage.read_bytes(path).decode())


def accuracy_tables(page):
    return [table for table in page.all("table") if "Step" in map(said, page.within(table, "th"))]


def facts(page):
    return dict(zip(map(said, page.all("dt")), map(said, page.all("dd")), strict=True))
