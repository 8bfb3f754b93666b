"""The wheel, built and installed into an environment of its own: what somebody gets who never saw the repository.

Needs no peer but PyPI, or whatever index pip is set to, for the build tools. The dependencies are those of this
environment: the test proves our packaging and not the network.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from functools import cache
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

ROOT = Path(__file__).parent.parent.parent
SHIPPED = ("LICENSE", "README.md", "pyproject.toml", "rtcgw", "setup.py", "twisted")
"""What a build needs; copied, so that nothing is built inside the repository."""


def run(*command: str | Path, cwd: Path) -> str:
    """The output of a command that must work."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        [str(word) for word in command], cwd=cwd, env=environ, capture_output=True, text=True, timeout=300
    )
    if done.returncode:
        raise AssertionError(f"{' '.join(map(str, command))}:\n{done.stdout}\n{done.stderr}")
    return done.stdout


@cache
def environment() -> Path:
    """A folder with an environment `env` into which the wheel was installed; made once, for it is the dear part."""
    folder = Path("wheel").absolute()
    source = folder / "source"
    source.mkdir(parents=True)
    for name in SHIPPED:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, source / name)
    run(sys.executable, "-m", "build", "--wheel", "--outdir", folder, source, cwd=folder)
    venv.EnvBuilder(symlinks=True).create(folder / "env")
    python = folder / "env/bin/python"
    (wheel,) = folder.glob("rtcgw-*.whl")
    run(sys.executable, "-m", "pip", "--quiet", "--python", python, "install", "--no-deps", wheel, cwd=folder)
    site = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder).strip())
    # The libraries come from here; our own package must come from the wheel.
    (site / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder


class WheelTests(SynchronousTestCase):
    """What an installed wheel can do."""

    def setUp(self) -> None:
        self.folder = environment()
        self.python = self.folder / "env/bin/python"

    def run_python(self, code: str) -> str:
        return run(self.python, "-c", code, cwd=self.folder).strip()

    def test_comes_from_the_wheel(self) -> None:
        """The tests below look at what was installed, not at the repository."""
        self.assertTrue(self.run_python("import rtcgw; print(rtcgw.__file__)").startswith(str(self.folder)))

    def test_brings_its_files(self) -> None:
        """The page, the default configuration and the type marker are in the wheel."""
        for name in ("default.toml", "py.typed", "web/softphone/index.html", "web/softphone/rtcgw.js"):
            code = f"from importlib import resources; print(resources.files('rtcgw').joinpath('{name}').is_file())"
            self.assertEqual(self.run_python(code), "True", name)

    def test_every_shipped_file_of_the_page(self) -> None:
        """No file of the page is forgotten."""
        files = "resources.files('rtcgw.web').joinpath('softphone').iterdir()"
        code = f"from importlib import resources; print(*(file.name for file in {files}))"
        shipped = set(self.run_python(code).split())
        written = {path.name for path in (ROOT / "rtcgw/web/softphone").iterdir()}
        self.assertEqual(written - shipped, set())

    def test_plugin_works(self) -> None:
        """twistd finds the plugin, and the options are the documented ones."""
        text = self.twistd("--help")
        for option in ("--config", "--sandbox", "--tls", "--listen", "--check", "--print-config"):
            self.assertIn(option, text)

    def test_default_configuration_is_good(self) -> None:
        """The shipped file loads."""
        where = self.run_python("from importlib import resources; print(resources.files('rtcgw') / 'default.toml')")
        self.assertIn("[web]", self.twistd("--config", where, "--print-config"))

    def test_sandbox_is_there(self) -> None:
        """--sandbox needs nothing but the wheel."""
        self.assertIn('"alice"', self.twistd("--sandbox", "--print-config"))

    def twistd(self, *words: str) -> str:
        """The output of `twistd rtcgw ...` in the new environment."""
        code = "import sys; from twisted.scripts.twistd import run; sys.argv[0] = 'twistd'; run()"
        return run(self.python, "-c", code, "--pidfile=", "--nodaemon", "rtcgw", *words, cwd=self.folder)
