"""Why a job failed, as shown to people."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from asyncmq_cli.models.changes import AuditEvent
from asyncmq_cli.models.jobs import Job, JobDetail
from asyncmq_cli.output.text.job_detail import job_lines
from asyncmq_cli.services.jobs.causes import job_error
from tests.support.library import TRACEBACK
from tests.support.tracebacks import fail_in_handler, raised_by, text_of


def _detail(text: str) -> JobDetail:
    job = Job("q", "1", "failed", {"last_error": text, "error_traceback": text})
    return JobDetail(job, None, job_error(job))


def shown(text: str, *, full: bool = False) -> list[str]:
    return list(job_lines(_detail(text), now=0.0, show_secrets=False, full=full))


def test_each_exception_of_a_chain_stands_over_its_own_frames() -> None:
    lines = shown(TRACEBACK)
    assert lines[lines.index("Frames, the last called last:") + 1 :] == [
        "  app.errors.DeliveryError",
        "    app/tasks.py:30 in send",
        '        raise DeliveryError("no mail server") from exc',
        "  caused by ConnectionRefusedError",
        "    app/mail.py:12 in connect",
        "        sock.connect(address)",
    ]


def blocks(text: str) -> list[str]:
    lines = shown(text)
    return [
        line.strip()
        for line in lines[lines.index("Frames, the last called last:") + 1 :]
        if line[2:3] not in ("", " ")
    ]


def test_a_context_is_distinguished_from_a_cause() -> None:
    assert blocks(text_of(raised_by(fail_in_handler))) == [
        "KeyError",
        "while handling RuntimeError: could not send",
        "caused by ValueError",
    ]


def test_a_single_traceback_is_one_block() -> None:
    assert blocks(TRACEBACK.split("\n\n", 1)[0]) == ["ConnectionRefusedError"]


@pytest.mark.parametrize("cut", range(0, len(TRACEBACK), 7))
def test_a_truncated_traceback_is_shown_up_to_its_end(cut: int) -> None:
    paths = [line.strip() for line in shown(TRACEBACK[:cut] or " ") if line.strip().startswith("app/")]
    assert len(paths) == len(set(paths)) <= 2


def test_a_frames_path_and_source_are_redacted_as_in_json() -> None:
    text = (
        'Traceback (most recent call last):\n  File "/srv/token=hunter2/app.py", line 3, in send\n'
        '    os.environ["DB_PASSWORD"] = "hunter2"\nValueError: no'
    )
    lines = "\n".join(shown(text))
    assert "token=[redacted]" in lines and 'os.environ["DB_PASSWORD"] = "[redacted]"' in lines
    assert "hunter2" not in lines


IN_LIBRARIES = """Traceback (most recent call last):
  File "/venv/lib/python3.12/site-packages/asyncmq/workers.py", line 431, in handle_job
    result = await execute_handler()
  File "/venv/lib/python3.12/site-packages/asyncmq/tasks.py", line 123, in __call__
    result = await self.func(*args)
  File "/srv/shop/mail.py", line 9, in send
    return json.loads(text)
  File "/usr/lib/python3.12/json/__init__.py", line 346, in loads
    return _default_decoder.decode(s)
  File "/venv/lib/python3.12/site-packages/six.py", line 3, in raise_from
    raise value
ValueError: no
"""


def test_frames_of_libraries_are_folded_where_the_application_has_some() -> None:
    lines = shown(IN_LIBRARIES)
    assert lines[lines.index("Frames, the last called last:") + 1 :] == [
        "  ValueError",
        "    … 2 frames in asyncmq",
        "    shop/mail.py:9 in send",
        "        return json.loads(text)",
        "    … 2 frames in json, six",
    ]
    assert "handle_job" in "\n".join(shown(IN_LIBRARIES, full=True))


def test_frames_of_libraries_alone_are_shown() -> None:
    assert any(
        "handle_job" in line for line in shown(IN_LIBRARIES.replace("/srv/shop", "/opt/site-packages/x"))
    )


def test_paths_are_relative_to_the_project_or_to_site_packages() -> None:
    alone = "\n".join(shown(IN_LIBRARIES.replace("/srv/shop", "/venv/lib/python3.12/site-packages/x")))
    assert "  asyncmq/workers.py:431 in handle_job" in alone and "/venv" not in alone
    assert "    /srv/shop/mail.py:9 in send" in shown(IN_LIBRARIES, full=True)


@pytest.mark.parametrize(
    ("status", "record", "dead_at", "state"),
    [
        ("failed", {"created_at": 40.0}, 100.0, "failed 15m ago, 1m after it was created"),
        ("failed", {"created_at": 400.0}, 100.0, "failed 15m ago"),
        ("active", {"created_at": 10.0, "active_since": 940.0}, None, "active for 1m, after waiting 15m 30s"),
        ("active", {"active_since": "soon"}, None, "active"),
        ("waiting", {"created_at": 970.0, "delay_until": 990.0}, None, "waiting for 10s"),
        ("completed", {"created_at": 970.0}, None, "completed"),
        ("delayed", {"delay_until": 1120.0}, None, "delayed, due in 2m"),
    ],
)
def test_the_state_says_for_how_long(
    status: str, record: dict[str, object], dead_at: float | None, state: str
) -> None:
    job = Job("q", "1", status, record, dead_at=dead_at)
    lines = list(job_lines(JobDetail(job, None, None), now=1000.0, show_secrets=False))
    assert f"State:        {state}" in lines


def test_the_audit_trail_says_who_changed_the_job_and_why() -> None:
    done = AuditEvent(
        400.0, "job.retry", "jobs.single", "success", "q", "1", "ann", {"reason": "mail is back"}, None
    )
    failed = replace(done, status="failed", error="no job '1'", details={})
    job = Job("q", "1", "waiting", {"created_at": 1.0})
    lines = list(job_lines(JobDetail(job, None, None), now=1000.0, show_secrets=False, audit=[failed, done]))
    assert "State:        waiting for 10m" in lines
    assert lines[-2:] == [
        "Audit:        job.retry failed, by ann 10m ago: no job '1'",
        'Audit:        retried by ann 10m ago: "mail is back"',
    ]


def test_short_values_stand_beside_their_titles() -> None:
    job = Job("q", "1", "waiting", {"args": [1], "kwargs": {"text": "x" * 70}})
    lines = list(job_lines(JobDetail(job, None, None), now=1000.0, show_secrets=False))
    assert "Arguments:    [1]" in lines
    assert "Keyword arguments:" in lines


def test_a_message_of_many_lines_stands_line_by_line_and_wraps_between_words() -> None:
    fields = "".join(f"\nfield{number}\n  Field required" for number in range(5))
    job = Job("q", "1", "failed", {"last_error": f"app.Invalid: 5 validation errors for the card{fields}"})
    detail = JobDetail(job, None, job_error(job))
    lines = "\n".join(job_lines(detail, now=0.0, show_secrets=False, width=40)).split("\n")
    begin = lines.index("Error:        app.Invalid: 5 validation")
    assert lines[begin + 1 : begin + 4] == [
        f"{'':14}errors for the card",
        f"{'':14}field0",
        f"{'':16}Field required",
    ]
    assert lines[begin + 8 : begin + 10] == [f"{'':14}… 4 more lines, --full", f"{'':14}shows them"]
    whole = "\n".join(job_lines(detail, now=0.0, show_secrets=False, full=True))
    assert whole.count("Field required") == 5


def test_a_line_of_source_is_cut_at_the_width() -> None:
    lines = list(
        job_lines(
            _detail(IN_LIBRARIES.replace("json.loads(text)", "x" * 90)), now=0.0, show_secrets=False, width=60
        )
    )
    source = [line for line in lines if "xxx" in line]
    assert source == [f"        return {'x' * 44}…"]
