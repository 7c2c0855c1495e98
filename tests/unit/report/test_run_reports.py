"""Reports of sample runs, read back as HTML."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from sqlmodel import Session

from metadata.database import open_database
from metadata.history import History
from metadata.sessions import AlchemySessions
from orchestrator.plans import Plan, Prediction
from orchestrator.report import Picture, render_report
from orchestrator.reports.efficiency import RunEfficiency, TaskEfficiency, summed_up
from tests.unit.history import sample_run

NASTY = "<script>alert(\"x\")</script> & 'quotes' {{ 7 * 7 }}"
_VOID = {"meta", "br", "img"}


class Page(HTMLParser):
    """What a browser would see: elements with their attributes, and text; refuses badly nested elements."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.words = ""
        self._open: list[str] = []
        self.feed(html)
        assert self._open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in _VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, text):
        if self._open and self._open[-1] != "style":
            self.words += " ".join(text.split()) + " "

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture
def engine(tmp_path):
    engine = open_database(f"sqlite:///{tmp_path}/convoy.db")
    yield engine
    engine.dispose()


@pytest.fixture
def page(engine):
    """The report of a run, parsed."""

    def read(run_id: str, **options) -> Page:
        return Page(report(engine, run_id, **options))

    return read


def report(engine, run_id: str, **options) -> str:
    record = History(AlchemySessions(engine)).run(run_id)
    return render_report(record, Plan.model_validate(record.plan), **options)


SAMPLES = [sample_run.camnet_run, sample_run.failed_run, sample_run.active_run, sample_run.planned_run]


@pytest.mark.parametrize("sample", SAMPLES)
def test_every_kind_of_run_has_a_well_nested_page(engine, page, sample):
    assert len(page(sample(engine)).all("section")) >= 7


@pytest.mark.parametrize("sample", SAMPLES)
def test_the_page_asks_nothing_of_the_network(engine, page, sample):
    found = page(sample(engine))
    assert found.all("script") == found.all("link") == found.all("iframe") == []
    for _, attributes in found.elements:
        for name in ("src", "href"):
            assert attributes.get(name, "#").startswith(("#", "data:"))
    assert "default-src 'none'" in found.all("meta")[3]["content"]


def test_a_nasty_name_stays_text_everywhere(engine, page):
    run_id = sample_run.camnet_run(engine)
    with engine.execution_options(writing=True).begin() as connection:
        for table, column in [("runs", "name"), ("runs", "message"), ("tasks", "label"), ("transfers", "name"),
                              ("attempts", "message"), ("attempts", "node"), ("events", "message")]:  # fmt: skip
            connection.exec_driver_sql(f"UPDATE {table} SET {column} = ?", (NASTY,))
    found = page(run_id, versions={NASTY: NASTY}, pictures=[picture(title=NASTY, task=NASTY)])
    assert found.all("script") == []
    assert found.words.count("{{ 7 * 7 }}") > 20
    assert found.all("img")[0]["alt"] == f"{NASTY} of train · {NASTY}"


def picture(**fields) -> Picture:
    chosen = {"title": "curves", "step": "train", "task": "", "media_type": "image/png", "content": b"\x89PNG"}
    return Picture(**(chosen | fields))


def test_a_nasty_description_and_parameters_stay_text(engine, page):
    plan = sample_run.camnet_plan().model_copy(update={"description": NASTY, "parameters": {"x": NASTY}})
    with Session(engine.execution_options(writing=True)) as session:
        sample_run.begin(session, plan, run_id="nasty")
        session.commit()
    found = page("nasty")
    assert found.all("script") == []
    assert found.words.count("{{ 7 * 7 }}") == 2


def test_the_head_tells_state_duration_bytes_and_sites(engine, page):
    words = page(sample_run.camnet_run(engine)).words
    for expected in ("✓ completed", "26m 20s", "5 of 5", "2.65 GiB", "5 of 5 transfers verified", "agh, hes-so, uva"):
        assert expected in words


def test_a_failure_is_told_at_the_top(engine, page):
    found = page(sample_run.failed_run(engine))
    assert "train failed at hes-so with exit code 1" in found.words[:600]
    assert "1 failed, 1 retried" in found.words


def test_a_run_that_was_only_planned_says_what_is_to_come(engine, page):
    words = page(sample_run.planned_run(engine)).words
    for expected in ("not started", "Nothing has begun yet.", "No tasks yet.", "predicted 15m 00s", "size not known"):
        assert expected in words


def test_arrows_tell_what_moved_and_what_was_in_place(engine, page):
    words = page(sample_run.camnet_run(engine)).words
    assert "inputs.slides to extract: 2 transfers, 2.4 GiB moved (uva → agh)" in words
    assert "inputs.slides to heatmap: nothing had to move" in words


def test_each_attempt_of_a_retried_task_is_told(engine, page):
    words = page(sample_run.camnet_run(engine)).words
    assert "failed, exit code 137: killed: 8 GiB of memory were not enough" in words


def test_pictures_are_in_the_page_with_a_text_for_those_who_cannot_see_them(engine, page):
    found = page(sample_run.camnet_run(engine), pictures=[picture(content=b"abc")])
    assert found.all("img") == [{"src": "data:image/png;base64,YWJj", "alt": "curves of train"}]


def test_small_numbers_become_a_table_and_not_an_image(engine, page):
    numbers = picture(title="metrics", media_type="application/json", content=b'{"auc": 0.912345, "all": [1, 2]}')
    found = page(sample_run.camnet_run(engine), pictures=[numbers])
    assert "auc 0.9123" in found.words
    assert found.all("img") == []


def test_content_that_only_claims_to_be_an_image_is_shown_as_text(engine, page):
    found = page(sample_run.camnet_run(engine), pictures=[picture(media_type='image/png" onload="x', content=b"<b>")])
    assert found.all("img") == []
    assert "<b>" in found.words


def test_too_many_pictures_are_left_out_and_the_page_says_so(engine, page):
    found = page(sample_run.camnet_run(engine), pictures=[picture()] * 30)
    assert len(found.all("img")) == 24
    assert "6 more are not shown." in found.words


def test_drawings_have_titles_and_tables_have_captions_and_headers(engine, page):
    found = page(sample_run.camnet_run(engine))
    identifiers = [attributes.get("id") for _, attributes in found.elements]
    for drawing in found.all("svg"):
        assert all(name in identifiers for name in drawing["aria-labelledby"].split())
    assert len(found.all("caption")) == len(found.all("table"))
    assert all(head.get("scope") in ("row", "col") for head in found.all("th"))


def test_a_run_of_two_hundred_slides_is_summed_up(engine, page):
    run_id = sample_run.camnet_run(engine, slides=200)
    found = page(run_id)
    assert "300 of 401 tasks are shown." in found.words
    assert "201 attempts" in found.words
    assert len(found.all("rect")) < 60


def test_of_too_many_tasks_those_that_were_retried_come_first(engine):
    html = report(engine, sample_run.camnet_run(engine, slides=200))
    rows = re.split(r"<tr>", html[html.index("Every task with its last attempt") :])
    assert "exit code 137" in rows[2]


def task_efficiency(position: int, **facts) -> TaskEfficiency:
    known = {
        "queue_wait_s": 40.0, "elapsed_s": 60.0, "time_limit_s": 600.0, "time_efficiency": 0.1, "cpu_cores": 4,
        "cpu_efficiency": 0.25, "memory": 8 * 2**30, "memory_used": 2**30, "memory_efficiency": 0.125, "counted": True,
    }  # fmt: skip
    told = {"step": "extract", "label": "", "site": "agh", "native_id": "1", "state": "COMPLETED", **known, **facts}
    return TaskEfficiency(position=position, **told)


def test_what_tasks_used_stands_beside_what_they_asked_for_a_line_for_each_step(engine, page):
    small, large = task_efficiency(0), task_efficiency(1, cpu_efficiency=0.75, memory_used=6 * 2**30, elapsed_s=300.0)
    uncounted = task_efficiency(0, step="train", site="hes-so", counted=False)
    tasks = (small, large, uncounted)
    words = page(sample_run.camnet_run(engine), efficiency=RunEfficiency(run="r", tasks=tasks, silent={})).words
    [told] = re.findall("Asked for and used(.*?)As the sites' accounts", words)
    assert "extract agh 2 40 s  50 % of 4 cores  12 % 6 GiB of 8 GiB  10 % 5m 00s of 10m 00s" in told
    assert "train" not in told


def test_tasks_that_shared_jobs_have_a_line_about_these_jobs(engine, page):
    worker = task_efficiency(0)
    shared = replace(summed_up("extract", "agh", [worker, worker]), tasks=40, jobs=2)
    alone = task_efficiency(0, counted=False)
    found = RunEfficiency(run="r", tasks=(alone,), silent={}, shared=(shared,))
    words = page(sample_run.camnet_run(engine), efficiency=found).words
    assert "extract agh 40 in 2 jobs 40 s  25 % of 4 cores" in words


def test_of_runs_without_accounts_nothing_is_told(engine, page):
    run_id = sample_run.camnet_run(engine)
    uncounted = RunEfficiency(run=run_id, tasks=(task_efficiency(0, counted=False),), silent={})
    for found in (None, uncounted):
        assert "Asked for and used" not in page(run_id, efficiency=found).words


def test_a_site_that_does_not_tell_is_named_with_its_reason(engine, page):
    silent = RunEfficiency(run="r", tasks=(task_efficiency(0, counted=False),), silent={"agh": NASTY})
    words = page(sample_run.camnet_run(engine), efficiency=silent).words
    assert f"There are no figures of agh : {NASTY}" in words


def test_the_wait_in_the_queue_stands_beside_the_predicted_one(engine, page):
    plan = sample_run.camnet_plan()
    waiting = plan.steps[0].model_copy(update={"prediction": Prediction(queue_s=77, run_s=10, basis="history")})
    record = History(AlchemySessions(engine)).run(sample_run.camnet_run(engine))
    words = Page(render_report(record, plan.model_copy(update={"steps": (waiting, *plan.steps[1:])}))).words
    assert re.search(r"extract agh .{0,60}4\.5 s 1m 17s", words)


def test_the_same_record_gives_the_same_page(engine):
    run_id = sample_run.active_run(engine)
    assert report(engine, run_id) == report(engine, run_id)
