"""A plugin that did not make the results is told by its name, whoever asks: who packs a study, or who looks how far it is."""

import json
from pathlib import Path

from selfdistill.analysis.what_made import other_plugins, plugins_changed_since
from selfdistill.foundation.plugins import digest_of


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
    assert plugins_changed_since(tmp_path, files) == [], "there is no report yet"
    (tmp_path / "provenance.json").write_text(json.dumps(record))
    assert plugins_changed_since(tmp_path, files) == ["more.py"]
