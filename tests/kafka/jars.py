"""The jars of Apache Kafka: copied by Maven into the user's cache, once for each version."""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

POM = Path(__file__).with_name("pom.xml")
OLDEST_JAVA = 17
COPY_SECONDS = 600
INSTALL = "on Debian: apt-get install openjdk-17-jre-headless maven"


class KafkaMissing(Exception):
    """Apache Kafka cannot be run here; the message says what is missing and how to install it."""


def kafka_version() -> str:
    """The version to run: KAFKA_VERSION, else that of pom.xml."""
    [newest] = re.findall(r"<kafka\.version>(.+?)</kafka\.version>", POM.read_text())
    return os.environ.get("KAFKA_VERSION") or newest


def jar_folder(version: str) -> Path:
    """The folder with the jars of this version of Kafka, which are downloaded when they are not in the cache."""
    digest = hashlib.sha256(POM.read_bytes()).hexdigest()[:8]
    folder = _cache() / f"kafka-{version}-{digest}"
    make_once(folder, lambda partial: _copy_jars(version, partial))
    return folder


def make_once(path: Path, make: Callable[[Path], None]) -> None:
    """Have a path in the cache made, beside it at first, unless it is there or another process is making it."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.with_name(f"{path.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not path.exists():
                partial = path.with_name(f"{path.name}.partial")
                shutil.rmtree(partial, ignore_errors=True)
                partial.unlink(missing_ok=True)
                make(partial)
                partial.rename(path)


def class_archive(version: str) -> Path:
    """Where the JVM's archive of Kafka's classes belongs: with it a node starts in three fifths of the time."""
    build = subprocess.run([java(), "-version"], capture_output=True, check=True).stderr
    folder = jar_folder(version)
    return folder.with_name(f"{folder.name}-{hashlib.sha256(build).hexdigest()[:8]}.jsa")


def java() -> str:
    """The command of a Java that can run Kafka."""
    command = shutil.which("java")
    if command is None:
        raise KafkaMissing(f"Apache Kafka needs Java {OLDEST_JAVA} or newer, and there is none: {INSTALL}")
    answer = subprocess.run([command, "-version"], capture_output=True, text=True, check=False).stderr
    found = re.search(r'version "(\d+)', answer)
    if found is None or int(found[1]) < OLDEST_JAVA:
        raise KafkaMissing(f"Apache Kafka needs Java {OLDEST_JAVA} or newer, {command} is another: {INSTALL}")
    return command


def _copy_jars(version: str, folder: Path) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise KafkaMissing(f"the jars of Apache Kafka come by Maven, and there is none: {INSTALL}")
    command = [maven, "--batch-mode", "--quiet", "--file", str(POM), "dependency:copy-dependencies"]
    command += [f"-Dkafka.version={version}", f"-DoutputDirectory={folder}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=COPY_SECONDS, check=False)
    if done.returncode != 0:
        raise KafkaMissing(f"Maven could not download Apache Kafka {version}: {done.stdout}{done.stderr}")


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lookstream"
