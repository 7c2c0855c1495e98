"""Crates of sample runs, read back as JSON and judged by the profiles' own validator."""

from __future__ import annotations

import hashlib
import io
import json
from importlib.resources import files
from pathlib import Path

import pytest

from metadata.database import open_database
from metadata.errors import ConflictError, IntegrityError
from metadata.history import History
from metadata.provenance import write_crate
from metadata.sessions import AlchemySessions
from tests.unit.history import sample_run

CONTEXT = "https://w3id.org/ro/crate/1.1/context"
PICTURE = b"\x89PNG a picture"


@pytest.fixture
def engine(tmp_path):
    engine = open_database(f"sqlite:///{tmp_path}/convoy.db")
    yield engine
    engine.dispose()


@pytest.fixture
def written(engine, tmp_path):
    """Writes the crate of a run; gives its entities by `@id`."""

    def write(run_id: str, **options) -> dict[str, dict]:
        record = History(AlchemySessions(engine)).run(run_id)
        path = write_crate(record, tmp_path / "crate", workflow=sample_run.WORKFLOW, version="0.1.0", **options)
        return {entity["@id"]: entity for entity in json.loads(path.read_text())["@graph"]}

    return write


def test_a_run_is_told_with_its_times_its_engine_and_what_came_out(engine, written):
    entities = written(sample_run.camnet_run(engine))
    run = entities["#run"]
    assert run["startTime"] == "2025-10-09T08:53:20.000+00:00"
    assert run["actionStatus"] == "http://schema.org/CompletedActionStatus"
    assert len(run["result"]) == 3
    assert entities["#convoy"]["softwareVersion"] == "0.1.0"
    assert entities["#organize"]["result"] == {"@id": "#run"}


def test_every_attempt_is_an_action_and_only_the_last_has_results(engine, written):
    entities = written(sample_run.camnet_run(engine, run_id="r1"))
    first, second = entities["#attempt/r1.heatmap.1.1"], entities["#attempt/r1.heatmap.1.2"]
    assert first["error"] == "killed: 8 GiB of memory were not enough"
    assert first["actionStatus"] == "http://schema.org/FailedActionStatus"
    assert "result" not in first
    assert len(second["result"]) == 2
    assert entities["#control/heatmap"]["object"][-2:] == [{"@id": first["@id"]}, {"@id": second["@id"]}]


def test_inputs_are_named_by_their_dataset_and_results_by_their_hash(engine, written):
    entities = written(sample_run.camnet_run(engine))
    slide = entities["dataset://camelyon17/patient_000_node_0.tif"]
    assert slide["sha256"] == sample_run.digest("patient_000_node_0.tif")
    assert slide["contentSize"] == str(sample_run.SLIDE_BYTES)
    weights = sample_run.digest("weights.h5")
    assert entities[f"hash://sha256/{weights}"]["name"] == "weights.h5"


def test_a_transfer_tells_from_where_to_where(engine, written):
    entities = written(sample_run.camnet_run(engine))
    transfer = entities["#transfer/0"]
    assert transfer["fromLocation"] == {"@id": "#site/uva"}
    assert transfer["toLocation"] == {"@id": "#site/agh"}
    assert transfer["description"] == f"{sample_run.SLIDE_BYTES} bytes moved by gridftp, verified by its SHA-256"


def test_parameters_are_values_of_formal_parameters(engine, written):
    entities = written(sample_run.camnet_run(engine))
    value = entities[entities["#parameter/train/parameters/epochs"]["workExample"]["@id"]]
    assert (value["@type"], value["value"]) == ("PropertyValue", 10)


def test_connections_lead_from_the_input_through_the_steps_to_the_output(engine, written):
    entities = written(sample_run.camnet_run(engine))
    connections = [entity for entity in entities.values() if entity["@type"] == "ParameterConnection"]
    pairs = {(each["sourceParameter"]["@id"], each["targetParameter"]["@id"]) for each in connections}
    assert ("#parameter/workflow/inputs/slides", "#parameter/extract/inputs/slide") in pairs
    assert ("#parameter/extract/outputs/patches", "#parameter/train/inputs/patches") in pairs
    assert ("#parameter/heatmap/outputs/heatmap", "#parameter/workflow/outputs/heatmaps") in pairs


def test_a_picture_is_copied_into_the_crate(engine, written, tmp_path):
    path = tmp_path / "curves.png"
    path.write_bytes(PICTURE)
    run_id = sample_run.camnet_run(engine)
    sha256 = give_content(engine, "curves.png", PICTURE)
    entities = written(run_id, files={sha256: path})
    assert entities["results/train/0/curves.png"]["encodingFormat"] == "image/png"
    assert (tmp_path / "crate/results/train/0/curves.png").read_bytes() == PICTURE
    assert {"@id": "results/train/0/curves.png"} in entities["./"]["hasPart"]


def give_content(engine, name: str, content: bytes) -> str:
    """Makes a sample file's hash that of real bytes; gives the hash."""
    sha256 = hashlib.sha256(content).hexdigest()
    with engine.execution_options(writing=True).begin() as connection:
        statement = "UPDATE tasks SET outputs = replace(outputs, ?, ?)"
        connection.exec_driver_sql(statement, (sample_run.digest(name), sha256))
    return sha256


def test_a_copy_that_is_not_the_content_is_refused(engine, written, tmp_path):
    path = tmp_path / "curves.png"
    path.write_bytes(PICTURE)
    with pytest.raises(IntegrityError, match="would make the crate tell a lie"):
        written(sample_run.camnet_run(engine), files={sample_run.digest("curves.png"): path})


def test_the_workflow_file_lies_in_the_crate_word_for_word(engine, written, tmp_path):
    written(sample_run.camnet_run(engine))
    assert (tmp_path / "crate/workflow.yaml").read_text() == sample_run.WORKFLOW


def test_a_step_that_never_ran_is_not_claimed(engine, written):
    entities = written(sample_run.failed_run(engine))
    assert "#step/train" in entities
    assert "#step/heatmap" not in entities
    assert entities["#run"]["error"].startswith("train failed at hes-so")


def test_results_that_were_taken_over_say_from_where(engine, written):
    run_id = sample_run.camnet_run(engine)
    with engine.execution_options(writing=True).begin() as connection:
        connection.exec_driver_sql("DELETE FROM attempts WHERE site = 'hes-so'")
        connection.exec_driver_sql("UPDATE tasks SET reused_from = 'r0.train.0.1' WHERE outputs LIKE '%weights%'")
    assert "r0.train.0.1" in written(run_id)["#reused/train/0"]["description"]


def test_a_run_that_did_nothing_has_no_crate(engine, written):
    with pytest.raises(ConflictError, match=r"nothing of the run .* was carried out yet"):
        written(sample_run.planned_run(engine))


def test_who_ran_it_and_on_what_terms_is_told_when_known(engine, written):
    entities = written(sample_run.camnet_run(engine), operator="Ada Example", terms="https://spdx.org/licenses/CC0-1.0")
    assert entities["#run"]["agent"] == entities["./"]["author"] == {"@id": "#operator"}
    assert entities["./"]["license"] == {"@id": "https://spdx.org/licenses/CC0-1.0"}


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # the validator's own libraries warn of themselves
@pytest.mark.parametrize("sample", [sample_run.camnet_run, sample_run.failed_run, sample_run.active_run])
def test_the_validator_finds_no_breach_of_the_provenance_run_crate_profile(engine, written, tmp_path, sample):
    """The profile inherits Workflow Run Crate, Process Run Crate, Workflow RO-Crate and RO-Crate 1.1."""
    written(sample(engine), operator="Ada Example")
    assert breaches(tmp_path) == []


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_the_validator_would_find_a_step_without_an_action(engine, written, tmp_path):
    """Shows that the offline validation above looks at the shapes at all."""
    written(sample_run.camnet_run(engine))
    path = tmp_path / "crate/ro-crate-metadata.json"
    document = json.loads(path.read_text())
    del next(entity for entity in document["@graph"] if entity["@id"] == "#control/train")["object"]
    path.write_text(json.dumps(document))
    assert any("must reference the action representing" in breach for breach in breaches(tmp_path))


def breaches(tmp_path: Path) -> list[str]:
    """What the validator holds against the crate, asked without a network."""
    models = pytest.importorskip("rocrate_validator.models", reason="roc-validator is not installed")
    services = pytest.importorskip("rocrate_validator.services", reason="roc-validator is not installed")
    remember_context(tmp_path / "http_cache")
    settings = models.ValidationSettings(
        rocrate_uri=str(tmp_path / "crate"), profile_identifier="provenance-run-crate-0.5",
        requirement_severity=models.Severity.REQUIRED, offline=True, cache_path=tmp_path / "http_cache",
    )  # fmt: skip
    return [f"{issue.check.identifier}: {issue.message}" for issue in services.validate(settings).get_issues()]


def remember_context(cache: Path) -> None:
    """Puts RO-Crate's JSON-LD context where the validator looks for it, as if it had been fetched: no network.

    The `rocrate` library holds the newest context. 1.1 differs from it in the four Bioschemas names that matter here.
    """
    from requests.adapters import HTTPAdapter
    from requests_cache import CachedSession
    from urllib3 import HTTPResponse

    document = json.loads((files("rocrate") / "data/ro-crate.jsonld").read_text())
    document["@context"] |= {
        "ComputationalWorkflow": "https://bioschemas.org/ComputationalWorkflow",
        "FormalParameter": "https://bioschemas.org/FormalParameter",
        "input": "https://bioschemas.org/ComputationalWorkflow#input",
        "output": "https://bioschemas.org/ComputationalWorkflow#output",
    }
    body = json.dumps(document).encode()

    class Answers(HTTPAdapter):
        def send(self, request, **_options):
            headers = {"Content-Type": "application/ld+json"}
            raw = HTTPResponse(body=io.BytesIO(body), headers=headers, status=200, preload_content=False)
            return self.build_response(request, raw)

    with CachedSession(cache_name=str(cache), backend="sqlite", expire_after=-1) as session:
        session.mount("https://", Answers())
        session.get(CONTEXT)
        session.cache.close()
