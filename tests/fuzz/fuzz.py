"""One target under atheris, which looks for inputs that take new ways through the parsers: `make fuzz`.

    python -m tests.fuzz.fuzz TARGET [libFuzzer's options]

A round of so many runs from one seed (-seed=1 -runs=1000, as in CI) begins at the corpus alone and is always the same.
What takes a new way is kept in .fuzz/TARGET/, which is not part of the project. An input that breaks a promise of the
target becomes .fuzz/TARGET-crash-...; once that is cured, it belongs into tests/fuzz/corpus under a name that tells.
"""

from __future__ import annotations

import importlib
import platform
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
CORPUS = ROOT / "tests" / "fuzz" / "corpus"
FOUND = ROOT / ".fuzz"
TORTURE = [ROOT / "tests" / "conformance" / name for name in ("rfc4475", "rfc5118")]
# What other tests keep already.
BORROWED = {"sip": TORTURE, "sip_stream": TORTURE}
LARGEST = 8192  # bytes; beyond that only length limits are met, which the unit tests meet


def main(target: str, options: list[str]) -> None:
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        print("atheris has no wheel for this platform; tests/fuzz/test_corpus.py tries the corpus alone")
        return
    import atheris

    atheris.enabled_hooks.add("str")  # what is compared is known; its hook for patterns knows no start position
    with atheris.instrument_imports(include=["haproxy_voip"]):
        module = importlib.import_module(f"tests.fuzz.targets.{target}")
    found = FOUND / target
    if any(option.startswith("-runs=") for option in options):
        found = FOUND / "round" / target
        shutil.rmtree(found, ignore_errors=True)
    found.mkdir(parents=True, exist_ok=True)
    folders = [found, CORPUS / target, *BORROWED.get(target, [])]
    ours = ["-verbosity=0", "-print_final_stats=1", f"-max_len={LARGEST}", f"-artifact_prefix={found}-"]
    atheris.Setup([sys.argv[0], *ours, *options, *map(str, folders)], module.check)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
