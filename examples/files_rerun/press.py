"""Pages made of texts."""

from html import escape
from pathlib import Path


def render(text, to, title):
    """The page of one text. `to` is its name while it is written; what is given back is the name that it gets then."""
    head, _, body = Path(text).read_text("utf-8").partition("\n")
    frame = Path("frame.html").read_text("utf-8")
    page = frame.replace("TITLE", escape(f"{title}: {head}")).replace("BODY", escape(body.strip()))
    Path(to).write_text(page, "utf-8")
    return to


def index(pages, to):
    """A page that leads to all others; how many they are."""
    links = [f'<a href="{Path(page).name}">{Path(page).stem}</a>' for page in pages]
    Path(to).write_text("\n".join(links), "utf-8")
    return len(links)


def expected():
    """What the pipeline gives, without it."""
    names = sorted(path.stem for path in Path(__file__).parent.glob("pages/*.txt"))
    return {
        "render": [f"site/{name}.html" for name in names],
        "index": len(names),
        "check": [""] * len(names),
    }
