"""Plugins are packed as they are now; one that did not make the results is told by its name."""

from pathlib import Path

from selfdistill.foundation.plugins import digest_of
from selfdistill.publishing.bundle import other_plugins


def test_a_plugin_that_did_not_make_the_results_is_named(tmp_path: Path) -> None:
    files = [tmp_path / "mine.py", tmp_path / "more.py"]
    for file in files:
        file.write_text("KEEP = {}\n")
    record = {"plugins": [{"file": file.name, "offers": "filter x", "digest": digest_of(file)} for file in files]}
    assert other_plugins(files, record) == []
    files[1].write_text("KEEP = {'x': 1}\n")
    assert other_plugins(files, record) == ["more.py"], "changed"
    assert other_plugins(files[:1], record) == ["more.py"], "gone"
    assert other_plugins(files, {}) == ["mine.py", "more.py"] and other_plugins([], {}) == []
