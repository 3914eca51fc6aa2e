"""The HTML templates of this folder."""

import jinja2


def render_template(name: str, **values: object) -> str:
    """Return a template of this folder with its values filled in; every value is escaped.

    A value that is markup already, such as a plot, is not escaped again. A value that the template
    needs and does not get is an error.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("palate.evaluation.report", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name).render(**values)
