"""Whether what a template uses is what its page has."""

from dataclasses import fields
from importlib.resources import files

import pytest
from jinja2 import Environment, meta, nodes

from notifier.web.browser import LoginPage, RefusalPage
from notifier.web.page.values import FrontPage, SyncPage
from notifier.web.render import HtmlPage

TEMPLATES = files("notifier.web") / "templates"
OF_ALL = {"ago", "lasting", "ending", "utc", "static", "show"}
"""What all templates are given; `show` is the macros, which a block of theirs has by its template's import."""


def names_in(template: str) -> set[str]:
    """The names that a template and those that it extends, includes and imports expect to be given."""
    environment = Environment(autoescape=True)
    parsed = environment.parse((TEMPLATES / template).read_text("utf-8"))
    environment.filters |= dict.fromkeys((each.name for each in parsed.find_all(nodes.Filter)), str)  # of ours
    others = [names_in(other) for other in meta.find_referenced_templates(parsed) if other is not None]
    return meta.find_undeclared_variables(parsed).union(*others)


@pytest.mark.parametrize("page", [FrontPage, SyncPage, LoginPage, RefusalPage])
def test_a_template_uses_every_field_of_its_page_and_no_other_name(page: type[HtmlPage]) -> None:
    given = {field.name for field in fields(page)} | OF_ALL
    used = names_in(page.template)
    assert used - given == set()
    assert given - used - OF_ALL - {"now"} == set()
