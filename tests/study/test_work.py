"""What a run and its workers import: what decides images, and nothing that they do not use."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path

from relrob.study.plan import make_plan
from relrob.study.work import make_in_worker
from tests.cli_case import Case

ROOT = Path(__file__).resolve().parents[2]
# Packages and modules that take time to import, and that only some runs use.
UNUSED = (
    "h5py",
    "http.client",
    "matplotlib",
    "networkx",
    "scipy.optimize",
    "tensorflow",
    "relrob.attacks.attack",
    "relrob.audit.gate",
    "relrob.certificates",
    "relrob.relative.beside",
    "relrob.relative.search",
    "relrob.study.attacks",
    "relrob.study.export",
)
# The parent plans, stores and reports; a worker does nothing of this.
OF_THE_PARENT = (
    "PIL",
    "click",
    "jinja2",
    "rich",
    "scipy",
    "sqlite3",
    "relrob.api",
    "relrob.audit",
    "relrob.cli",
    "relrob.compress",
    "relrob.report",
    "relrob.store.run_directory",
    "relrob.study.plan",
    "relrob.study.run",
    "relrob.study.stages",
    "relrob.training",
)
# Pages of other commands.
OTHER_PAGES = (
    "relrob.report.html.audit_page",
    "relrob.report.html.radius_page",
    "relrob.report.html.study_page",
)


def imported(program: str, folder: Path, names: tuple[str, ...]) -> list[str]:
    """Those of the modules `names` that are imported when the program has ended."""
    told = folder / "imported.txt"
    last = (
        "\nimport sys\nfrom pathlib import Path\n"
        f"Path({str(told)!r}).write_text(' '.join({{*{names!r}}} & {{*sys.modules}}))\n"
    )
    path = os.pathsep.join(str(ROOT / part) for part in ("", "solvers", "datasets"))
    subprocess.run(
        [sys.executable, "-c", program + last],
        check=True,
        capture_output=True,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path, "RELROB_CACHE": str(folder / "cache")},
    )
    return sorted(told.read_text().split())


def test_a_worker_imports_what_decides_images(case: Case, tmp_path: Path) -> None:
    work = tmp_path / "work.pickle"
    work.write_bytes(pickle.dumps((make_in_worker, make_plan(case.request("0:2")))))
    program = (
        "import pickle\nfrom pathlib import Path\n"
        f"make, plan = pickle.loads(Path({str(work)!r}).read_bytes())\n"
        "assert make(plan)(0).record.index == 0"
    )
    assert imported(program, tmp_path, (*UNUSED, *OF_THE_PARENT)) == []
    # The test sees an import that is there.
    assert imported(program, tmp_path, ("relrob.study.work",)) == ["relrob.study.work"]


def test_a_run_imports_no_other_command(case: Case, tmp_path: Path) -> None:
    arguments = ["relrob", *case.arguments("--out", str(tmp_path / "run"), "-q")]
    program = f"import sys; sys.argv = {arguments!r}\nfrom relrob.cli import main\nmain()"
    assert imported(program, tmp_path, (*UNUSED, *OTHER_PAGES)) == []
    assert (tmp_path / "run" / "report.html").is_file()
