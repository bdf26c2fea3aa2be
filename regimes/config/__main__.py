"""Write config/regimes.toml, docs/configuration.md and docs/event.schema.json anew: `python -m regimes.config`."""

from regimes.config import render


def main() -> None:
    """Write these files of this checkout."""
    for path, text in (
        (render.TOML_PATH, render.toml()),
        (render.DOCS_PATH, render.docs()),
        (render.SCHEMA_PATH, render.schema()),
    ):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")


main()
