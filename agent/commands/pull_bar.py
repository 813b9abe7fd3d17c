"""The bar of `sotto models pull` and its last words: one bar over everything that is fetched.

In:  what a pull tells its hearers.   Out: a bar and lines on stderr; where each file came from.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agent.models.catalogue import Model, ModelFile, model_dir
from agent.models.pull import Hearers, missing_files


@dataclass
class PullBar:
    """One bar over all files of some models.

    Attributes:
        bar: rich's.
        task: The bar's only one.
        done_bytes: Of each model and file; what comes out of an archive counts as a file of its own.
        sizes: What each model adds to the total.
        origins: Where the files of each model came from.
    """

    bar: Any
    task: Any
    done_bytes: dict[tuple[str, str], int] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    origins: dict[str, dict[str, list[str]]] = field(default_factory=dict)

    def hearers(self, model: Model) -> Hearers:
        """What one model's pull is to tell; the bar is shown from now on.

        Of a model that was not counted in, each file is counted as it comes.
        """
        self.bar.start()
        is_counted = model.name in self.sizes

        def count(name: str, n_bytes: int) -> None:
            if not is_counted and (model.name, name) not in self.done_bytes:
                self.expect(model, n_bytes)

        def progress(file: ModelFile, done_bytes: int) -> None:
            count(file.name, file.size_bytes)
            # An archive's name would fill the line.
            self._show(model, file.name, done_bytes, model.name if model.archive else f"{model.name}/{file.name}")

        def unpacked(done_bytes: int) -> None:
            count("", sum(member.size_bytes for member in model.members))
            self._show(model, "", done_bytes, f"unpacking {model.name}")

        def arrived(file: ModelFile, origin: str) -> None:
            count(file.name, file.size_bytes)
            self._show(model, file.name, file.size_bytes, model.name)
            self.origins.setdefault(model.name, {}).setdefault(origin, []).append(file.name)

        return Hearers(progress, unpacked, arrived, self.say)

    def say(self, line: str) -> None:
        """One line above the bar."""
        self.bar.console.print(line, style="dim", highlight=False, markup=False, soft_wrap=True)

    def drop(self, model: Model) -> None:
        """Count out a model that cannot be had."""
        lost = [key for key in self.done_bytes if key[0] == model.name]
        for key in lost:
            del self.done_bytes[key]
        self.bar.update(self.task, total=self._total() - self.sizes.pop(model.name, 0))

    def add(self, model: Model, models_dir: Path) -> None:
        """Count in what a model lacks; a bar over several begins with all of them."""
        lacking = missing_files(model, model_dir(models_dir, model))
        unpacked = sum(member.size_bytes for member in model.members) if lacking else 0
        self.expect(model, sum(file.size_bytes for file in lacking) + unpacked)

    def expect(self, model: Model, n_bytes: int) -> None:
        """Count in so many bytes more of a model."""
        self.sizes[model.name] = self.sizes.get(model.name, 0) + n_bytes
        self.bar.update(self.task, total=self._total() + n_bytes)

    def came_from(self, model: Model) -> str:
        """`, 4 files from huggingface.co`; empty where nothing had to come."""
        groups = self.origins.get(model.name, {}).items()
        return "".join(f", {_counted(names)} from {origin}" for origin, names in groups)

    def _total(self) -> float:
        return self.bar.tasks[0].total or 0

    def _show(self, model: Model, name: str, done_bytes: int, label: str) -> None:
        self.done_bytes[model.name, name] = done_bytes
        self.bar.update(self.task, completed=sum(self.done_bytes.values()), description=label)


@contextmanager
def pull_bar(models: Sequence[Model], models_dir: Path) -> Iterator[PullBar]:
    """A bar over what these models lack, on stderr."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=Console(stderr=True))
    shown = PullBar(bar, bar.add_task("", total=0))
    for model in models:
        shown.add(model, models_dir)
    try:
        yield shown
    finally:
        if bar.live.is_started:
            bar.stop()


def _counted(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{len(names)} files"
