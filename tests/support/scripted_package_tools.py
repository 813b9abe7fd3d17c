"""Programs called uv, pip and npm on PATH that hand out packages made by a test: the edge of the package source.

In:  files of each package.   Out: programs that take the arguments of the real ones; what each was asked.
"""

import io
import json
import sys
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

_PROGRAM = """#!{python}
import json, pathlib, shutil, sys
here = pathlib.Path({here!r})
name = pathlib.Path(sys.argv[0]).name
with open(here / "asked", "a") as asked:
    asked.write(json.dumps([name, *sys.argv[1:]]) + chr(10))
broken = here / f"{{name}}.broken"
if broken.exists():
    print("Resolving", broken.read_text(), sep=chr(10), file=sys.stderr)
    sys.exit(2)
wanted = here / "packages" / sys.argv[-1].replace("==", "@")
options = {{"uv": "--target", "pip": "--dest", "npm": "--pack-destination"}}
target = pathlib.Path(sys.argv[sys.argv.index(options[name]) + 1])
if not wanted.exists():
    print(f"error: {{sys.argv[-1]}} was not found in https://me:secret@index.example/", file=sys.stderr)
    sys.exit(1)
if name == "uv":
    shutil.copytree(wanted / "files", target, dirs_exist_ok=True)
else:
    shutil.copy(wanted / {{"pip": "x-1-py3-none-any.whl", "npm": "x-1.tgz"}}[name], target)
"""


@dataclass(frozen=True)
class PackageTools:
    """The programs.

    Attributes:
        bin: The folder to put on PATH.
    """

    folder: Path
    bin: Path

    def asked(self) -> list[list[str]]:
        """Each call: the program's name and its arguments."""
        path = self.folder / "asked"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def break_tool(self, name: str, complaint: str) -> None:
        """Let a program end with 2 after this complaint."""
        (self.folder / f"{name}.broken").write_text(complaint)

    def publish(self, name: str, version: str, files: dict[str, bytes]) -> None:
        """Offer a package, by all three programs; one of the same name and version is replaced."""
        package = self.folder / "packages" / f"{name}@{version}"
        for path, content in files.items():
            target = package / "files" / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        with zipfile.ZipFile(package / "x-1-py3-none-any.whl", "w") as wheel:
            for path, content in files.items():
                wheel.writestr(path, content)
        with tarfile.open(package / "x-1.tgz", "w:gz") as packed:
            for path, content in files.items():
                info = tarfile.TarInfo(f"package/{path}")
                info.size = len(content)
                packed.addfile(info, io.BytesIO(content))


def install_package_tools(folder: Path, names: tuple[str, ...]) -> PackageTools:
    """Put some of the programs into `folder/bin`; packages are offered later."""
    tools = PackageTools(folder, folder / "bin")
    tools.bin.mkdir(parents=True)
    for name in names:
        program = tools.bin / name
        program.write_text(_PROGRAM.format(python=sys.executable, here=str(folder)))
        program.chmod(0o755)
    return tools
