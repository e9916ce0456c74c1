"""The wheel, as someone without the checkout gets it."""

import os
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

ROOT = Path(__file__).parents[2]
WATCHLIST = """version: 1
workspaces: {production: {api_key: key}}
watches: [{sync: 52}]
receivers: {hook: {type: webhook, url: "http://127.0.0.1:9/"}}
"""


# As where no extra was installed: who imports its packages all the same gets an ImportError.
COMMAND = """
import sys
sys.modules |= dict.fromkeys(("psycopg", "psycopg_binary"))
import notifier
print(notifier.__file__)
from notifier.cli.app import main
main()
"""


def test_the_wheel_brings_its_migrations_and_its_page_and_needs_no_checkout_and_no_extra(tmp_path: Path) -> None:
    built = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("census_notifier-*.whl")
    with ZipFile(wheel) as files:
        files.extractall(tmp_path / "site")
    (metadata,) = (tmp_path / "site").glob("census_notifier-*.dist-info/METADATA")
    optional = [line for line in metadata.read_text().splitlines() if line.endswith("; extra == 'postgresql'")]
    assert [line.partition(">")[0] for line in optional] == ["Requires-Dist: psycopg[binary]"]
    for shipped in ("templates/front.html", "static/page.css", "static/live.js", "static/icon.svg"):
        assert (tmp_path / "site/notifier/web" / shipped).is_file()
    (tmp_path / "watchlist.yaml").write_text(WATCHLIST)
    migrated = subprocess.run(
        [sys.executable, "-c", COMMAND, "migrate"],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(tmp_path / "site")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert migrated.returncode == 0, migrated.stderr
    first, second = migrated.stdout.splitlines()
    assert first.startswith(str(tmp_path / "site"))
    assert second == "notifier.db: brought to the newest schema"
