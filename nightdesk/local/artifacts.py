"""Downloads the Java programs from Maven Central, once, into a cache.

A folder with its final name is complete and has the pinned content: everything is downloaded to a draft folder beside
it, its digest is compared, and then the folder is renamed. So an interrupted download starts again, a damaged or
changed one is refused, and two processes can download at the same time.
"""

from __future__ import annotations

import hashlib
import shutil
import tarfile
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jgo.maven import MavenContext, PythonResolver
from jgo.parse import Coordinate as MavenCoordinate

from nightdesk.local.progress import Report
from nightdesk.messaging.failures import Failure, FailureKind


@dataclass(frozen=True, slots=True)
class Program:
    """A Maven coordinate. A jar includes every jar that it needs, a tar.gz its content.

    `digest` pins everything that is downloaded for it, as `digest_of` computes it, because jgo only warns of a wrong
    checksum.
    """

    group: str
    artifact: str
    version: str
    digest: str
    classifier: str = ""
    packaging: str = "jar"

    @property
    def folder(self) -> str:
        return f"{self.artifact}-{self.version}"


@dataclass(frozen=True, slots=True)
class Cache:
    """The folder of the programs and the repository they come from; `maven_url` None is Maven Central."""

    path: Path
    maven_url: str | None = None

    def folder(self, program: Program, report: Report) -> Path:
        """The folder with the program's files. Raises `Failure` without network, or if the content is not the pinned
        one.
        """
        final = self.path / program.folder
        if final.is_dir():
            return final
        self.path.mkdir(parents=True, exist_ok=True)
        report.show(f"fetching {program.artifact} {program.version} (once, kept in {self.path})")
        with tempfile.TemporaryDirectory(prefix=f".{program.folder}-", dir=self.path) as draft:
            content = Path(draft) / "content"
            content.mkdir()
            try:
                files = self._fetch(program, Path(draft) / "repository", report)
            except (OSError, RuntimeError) as error:  # requests' errors are OSErrors, jgo's are RuntimeErrors
                raise self._failure(program, str(error)) from error
            if digest_of(files) != program.digest:
                raise self._failure(program, "the download is damaged, or not the pinned version")
            _place(files, content)
            _publish(content, final)
        return final

    def _fetch(self, program: Program, repository: Path, report: Report) -> list[Path]:
        remote = {"central": self.maven_url.rstrip("/")} if self.maven_url else None
        resolver = PythonResolver(progress_callback=report.download)
        context = MavenContext(resolver=resolver, repo_cache=repository, remote_repos=remote, timeout=30)
        if program.packaging != "jar":
            component = context.project(program.group, program.artifact).at_version(program.version)
            return [component.artifact(program.classifier, program.packaging).resolve()]
        wanted = MavenCoordinate(program.group, program.artifact, program.version, scope="compile")
        inputs, transitive = resolver.resolve([context.create_dependency(wanted)])
        needed = [one for one in [*inputs, *transitive] if one.scope in ("compile", "runtime")]
        return [one.artifact.resolve() for one in needed]

    def _failure(self, program: Program, problem: str) -> Failure:
        return Failure(
            f"cannot fetch {program.artifact} {program.version}: {problem}",
            f"Check the network and the free space on the disk of {self.path}, then run it again; "
            "behind a firewall set NIGHTDESK_LOCAL__MAVEN_URL to a mirror of Maven Central",
            FailureKind.UNREACHABLE,
        )


def digest_of(files: Sequence[Path]) -> str:
    """SHA-256 of the files' names and SHA-256s, in the order of names."""
    lines = [f"{file.name} {hashlib.sha256(file.read_bytes()).hexdigest()}\n" for file in files]
    return hashlib.sha256("".join(sorted(lines)).encode()).hexdigest()


def _place(files: Sequence[Path], content: Path) -> None:
    for file in files:
        if file.name.endswith(".tar.gz"):
            with tarfile.open(file) as archive:
                archive.extraction_filter = getattr(tarfile, "data_filter", None)  # missing before 3.11.4 (Debian 12)
                archive.extractall(content)  # noqa: S202 - its digest is the pinned one, with and without a filter
        else:
            shutil.copy(file, content)


def _publish(content: Path, final: Path) -> None:
    try:
        content.rename(final)
    except OSError:
        if not final.is_dir():  # otherwise another process was faster, and its copy is equal
            raise
