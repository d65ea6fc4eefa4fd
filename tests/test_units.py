from __future__ import annotations

import pytest

from batchspawner.errors import OptionsError
from batchspawner.units import memory, native_duration, native_memory, seconds


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90", 5400),
        ("12:30", 750),
        ("12:00:00", 43200),
        ("1-12", 129600),
        ("1-02:30", 95400),
        ("1-02:30:05", 95405),
        ("1d 12h", 129600),
        ("90m", 5400),
        ("2 hours", 7200),
        (" 45 min ", 2700),
    ],
)
def test_a_duration_is_read_in_the_forms_that_people_write(text, expected):
    assert seconds("runtime", text) == expected


@pytest.mark.parametrize(
    "text", ["", "soon", "1:2:3:4", "-5", "1.5h", "12:00:00:00", "h", "1d2s", "9" * 5000]
)
def test_a_duration_that_cannot_be_read_is_refused_by_name(text):
    with pytest.raises(OptionsError, match=r"runtime: .* is not allowed; write a time such as"):
        seconds("runtime", text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("4gb", 4 * 1024**3),
        ("4G", 4 * 1024**3),
        ("4 GiB", 4 * 1024**3),
        ("512m", 512 * 1024**2),
        ("1.5T", 3 * 1024**4 // 2),
        ("100kB", 102400),
        ("100b", 100),
    ],
)
def test_memory_is_read_in_the_forms_that_people_write(text, expected):
    assert memory("memory", text) == expected


@pytest.mark.parametrize(
    "text", ["", "4000", "lots", "G", "4 giga", "-4G", "4G4", "1e3M", "1" * 400 + "G"]
)
def test_memory_that_cannot_be_read_is_refused_by_name(text):
    with pytest.raises(OptionsError, match=r"memory: .* is not allowed; write an amount such as"):
        memory("memory", text)


@pytest.mark.parametrize(
    ("text", "unit", "expected"),
    [
        ("4gb", "M", "4096M"),
        ("4G", "mb", "4096mb"),
        ("4G", "M", "4G"),
        ("4gb", "mb", "4gb"),
        ("4GB", "MB", "4GB"),
        ("1.5G", "M", "1536M"),
        ("4000", "M", "4000"),
        ("1500k", "MB", "2MB"),
    ],
)
def test_memory_is_written_as_the_scheduler_wants_it(text, unit, expected):
    assert native_memory("req_memory", text, unit) == expected


def test_an_expression_is_only_memory_where_the_scheduler_computes_it():
    text = "2 * 1024"
    assert native_memory("req_memory", text, "MB", expressions=True) == text
    with pytest.raises(OptionsError):
        native_memory("req_memory", text, "MB")
    with pytest.raises(OptionsError):
        native_memory("req_memory", "lots", "MB", expressions=True)


@pytest.mark.parametrize(
    ("text", "form", "expected"),
    [
        ("1-02:30:00", "H:M:S", "26:30:00"),
        ("12:00:00", "H:M:S", "12:00:00"),
        ("08:00:00", "H:M:S", "08:00:00"),
        ("3-05:10:10", "D-H:M:S", "3-05:10:10"),
        ("3-05:10:10", "H:M:S", "77:10:10"),
        ("1d 12h", "D-H:M:S", "36:00:00"),
        ("12:00:00", "H:M", "12:00"),
        ("12:00:01", "H:M", "12:01"),
        ("1d", "S", "86400"),
        ("12:00", "H:M:S", "12:00"),
        ("12:00", "H:M", "12:00"),
        ("12:00", "S", "720"),
        ("3600", "H:M:S", "3600"),
        ("UNLIMITED", "H:M:S", "UNLIMITED"),
    ],
)
def test_a_duration_is_written_as_the_scheduler_wants_it(text, form, expected):
    assert native_duration("req_runtime", text, form) == expected
