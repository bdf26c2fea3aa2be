"""Write config/regimes.toml and docs/configuration.md anew: `python -m regimes.config`."""

from regimes.config import render


def main() -> None:
    """Write both files of this checkout."""
    for path, text in ((render.TOML_PATH, render.toml()), (render.DOCS_PATH, render.docs())):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")


main()
