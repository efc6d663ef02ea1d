"""README and docs are true: every command in them runs, their event is valid, the table of settings is complete."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from infra.config.settings import Settings, describe_settings, read_settings
from infra.local_state import read_local_state
from lookstream.__main__ import EXTRAS
from producers.demo.system import running_system
from schemas.envelope import from_bytes
from schemas.items import ItemUpserted
from tests.end_to_end import forked_cli
from tests.end_to_end.system import System, make_environment

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
SETTINGS = (ROOT / "docs" / "settings.md").read_text()
DOCS = ROOT / "docs"
PAGES = [page for page in (*ROOT.glob("*.md"), *DOCS.glob("*.md")) if page.name != "CHANGELOG.md"]
"""All pages, but for the one that tells of the past."""
CREATED_BY_THE_OPERATOR = ("infra/deploy/.env",)
WITH_COMMANDS = [(DOCS / "commands.md").read_text(), README, (DOCS / "quality.md").read_text()]
"""Pages whose commands run one after the other, each once, on one system; docs/search.md has a test of its own."""
PYTHON = (DOCS / "python.md").read_text()
MOST_LINES = 150
BIN = Path(sys.executable).parent


def blocks(language: str) -> list[str]:
    return [block for page in WITH_COMMANDS for block in re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)]


def commands() -> list[str]:
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    return list(dict.fromkeys(line for line in lines if line and not line.startswith("#")))


SETUP = {". .venv/bin/activate", "make demo", "make test", "lookstream up", "lookstream gateway"}
"""Lines with a test of their own (`make demo` in tests/test_search_page.py), or that the tests stand on."""
GATEWAY = "http://127.0.0.1:8400"


def all_indexed(system: System) -> bool:
    items = ["sku-1", "sku-2", "sku-3", "https://social.example/1"]
    return system.indexed(items) == len(items)


@pytest.fixture
def folder(tmp_path: Path, discs: Path) -> Path:
    """A folder with the files that the README names."""
    shutil.copytree(discs, tmp_path / "pictures")
    shutil.copy(discs / "red.png", tmp_path / "photo.jpg")
    (tmp_path / "products.csv").write_text(
        "id,title,image_link,price,availability,product_type\n"
        "sku-1,A red disc,red.png,9.50 EUR,in_stock,Toys > Discs\n"
        "sku-2,A blue disc,blue.png,9.50 EUR,in_stock,Toys > Discs\n"
    )
    (tmp_path / "stock.csv").write_text("sku,file,kind\nsku-3,green.png,Discs\n")
    image = {"type": "Image", "url": "black.png", "mediaType": "image/png"}
    note = {"type": "Note", "id": "https://social.example/1", "attachment": [image], "content": "look"}
    post = {"type": "Create", "actor": "https://social.example/@ana", "published": "2026-05-01T10:00:00Z"}
    (tmp_path / "posts.jsonl").write_text(json.dumps(post | {"object": note}) + "\n")
    (tmp_path / "table.toml").write_text('currency = "EUR"\n[columns]\nitem_id = "id"\nimage = "photo"\n')
    row = {"op": "c", "after": {"id": "row-1", "photo": "yellow.png"}, "source": {"ts_ms": 1_760_000_000_000}}
    (tmp_path / "changes.jsonl").write_text(json.dumps(row) + "\n")
    draw_labelled(tmp_path)
    return tmp_path


def draw_labelled(folder: Path) -> None:
    """labels.csv, as evaluate and fit take it: noise of three colours and three grains."""
    draw = np.random.default_rng(0)
    rows = ["image,label,split"]
    for n in range(36):
        colour, grain = ((200, 40, 40), (40, 160, 60), (40, 60, 200))[n % 3], (2, 8, 24)[n % 3]
        coarse = draw.normal(0, 40, (96 // grain, 96 // grain, 1)).repeat(grain, 0).repeat(grain, 1)
        Image.fromarray(np.clip(coarse + colour, 0, 255).astype(np.uint8)).save(folder / f"noise-{n}.png")
        rows.append(f"noise-{n}.png,{['red', 'green', 'blue'][n % 3]},{'val' if n < 6 else 'train'}")
    (folder / "labels.csv").write_text("\n".join(rows))


@pytest.fixture
def system(kafka_server: str | None, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[System]:
    """What `lookstream up` in a first terminal starts; started and stopped as the demo does it."""
    data = folder / "data"
    settings = {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "BROWSER": "true"}  # true opens nothing
    environment = make_environment(data, settings)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    printed = list[str]()
    with running_system(read_settings(), folder / "data.log", printed.append, keep=False):
        yield System(data, environment)
    assert printed == ["lookstream up"]
    assert read_local_state(data) is None


def test_every_command_for_ones_own_pictures_runs_as_written(system: System, folder: Path) -> None:
    assert set(commands()) >= SETUP
    running = read_local_state(system.folder)
    assert running is not None
    assert running.page is not None
    for command in (line.replace(GATEWAY, running.page) for line in commands() if line not in SETUP):
        if command.startswith("lookstream search"):
            system.wait_for(partial(all_indexed, system), "the items to be indexed")
        done = forked_cli.run_line(command, system.environment, folder, 400)
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    for written in ("hits.png", "worst.png", "before.json", "my-encoder/encoder.safetensors"):
        assert (folder / written).exists(), written
    run_examples(system, folder)


def run_examples(system: System, folder: Path) -> None:
    """Run each Python example as a program of its own, on the Kafka of the system."""
    kafka = system.kafka
    for example in re.findall(r"```python\n(.*?)```", PYTHON, re.DOTALL):
        program = example.replace('"localhost:9092"', f'"{kafka.bootstrap}", prefix="{kafka.prefix}"')
        assert program != example
        done = subprocess.run(
            [sys.executable, "-c", program], cwd=folder, env=system.environment, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{example}\n{done.stdout}\n{done.stderr}"
        if "min_as_of=positions" in example:
            assert "disc-1 " in done.stdout


def test_the_event_for_ones_own_producer_is_valid() -> None:
    [text] = blocks("json")
    assert isinstance(from_bytes(text.encode()), ItemUpserted)


def test_the_settings_for_ones_own_kafka_and_qdrant_are_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    [text] = blocks("ini")
    for line in text.splitlines():
        name, value = line.split("=", 1)
        monkeypatch.setenv(name, value)
    settings = Settings()
    assert settings.kafka.sasl_username == "lookstream"
    assert settings.qdrant.url == "https://qdrant:6333"


def test_the_table_of_settings_is_complete_and_true(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("LOOKSTREAM_"):
            monkeypatch.delenv(name)
    table = SETTINGS.split("<!-- settings -->\n")[1].split("<!-- /settings -->")[0]
    assert table == settings_table(), "paste what `python -m tests.test_readme` prints"


def test_every_target_and_every_place_that_is_named_exists() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for page in PAGES:
        text = page.read_text()
        for target in re.findall(r"`make ([\w-]+)", text):
            assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"{page.name}: {target}"
        for place in re.findall(r"`((?:schemas|infra|producers|consumers|tests)/[\w/.]*)`", text):
            assert (ROOT / place).exists() or place in CREATED_BY_THE_OPERATOR, f"{page.name}: {place}"


def test_every_link_to_a_page_leads_to_one() -> None:
    for page in PAGES:
        for link in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text()):
            assert (page.parent / link).exists(), f"{page.name}: {link}"


def test_the_readme_is_read_in_a_few_minutes() -> None:
    assert len(README.splitlines()) <= MOST_LINES


def modules_after(code: str) -> set[str]:
    """The top-level modules that a program has imported, without those of the standard library."""
    program = f"{code}; import sys; print(*{{name.split('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(done.stdout.split()) - set(sys.stdlib_module_names)


def test_help_answers_without_the_heavy_libraries() -> None:
    heavy = {"torch", "transformers", "qdrant_client", "qdrant_edge", "confluent_kafka", "PIL", "numpy", "fastapi"}
    assert not modules_after("import lookstream.cli") & heavy


def test_the_python_api_needs_the_base_install_alone() -> None:
    assert not modules_after("import lookstream") & {"pydantic", "confluent_kafka", "structlog"}
    imported = modules_after("from lookstream import *; import lookstream.events")
    extras = [module for module in EXTRAS if module != "rich"]  # structlog imports it where it is installed
    assert not imported & set(extras)


def test_a_command_whose_extra_is_missing_names_it() -> None:
    code = "import sys; sys.modules['typer'] = None; from lookstream.__main__ import main; main()"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "error: this command needs `typer`: pip install 'lookstream[cli]'\n"


@pytest.mark.parametrize("missing", ["", "sys.modules['typer'] = None; "])
def test_the_version_names_the_engines_with_and_without_extras(missing: str) -> None:
    code = f"import sys; sys.argv[1:] = ['--version']; {missing}from lookstream.__main__ import main; main()"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert re.fullmatch(r"lookstream \S+( \([0-9a-f]{12}\))?", lines[0])
    assert {"confluent-kafka", "qdrant-client", "torch"} <= {line.split()[0] for line in lines[1:]}


def settings_table() -> str:
    rows = [f"| `{s.variable}` | {s.default} | {s.meaning} |" for s in describe_settings(Settings())]
    return "\n".join(["| variable | default | what it means |", "|---|---|---|", *rows]) + "\n"


if __name__ == "__main__":
    print(settings_table(), end="")
