"""What a URL may say beside the place, and what of it holds."""

from notifier.store.postgres.connect import connect
from notifier.watchlist.database import ServerUrl


def test_text_is_utf_8_whatever_the_url_says(url: str) -> None:
    with connect(ServerUrl(f"{url}?client_encoding=LATIN1")) as connection:
        assert connection.execute("SELECT '→ é'").fetchone() == ("→ é",)
