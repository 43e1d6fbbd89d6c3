"""The case table: what is accepted, and that every fault is named."""

from __future__ import annotations

from pathlib import Path, PurePosixPath, PureWindowsPath

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from wsi_pipeline.cli.inputs import CaseRow, read_cases
from wsi_pipeline.errors import CaseTableError
from wsi_pipeline.stages.declared import Declared
from wsi_pipeline.stages.resources import share_folder

HEADER = "case_id slide_id path"


def write(folder: Path, *lines: str) -> Path:
    """Table in which a blank stands for a tab."""
    path = folder / "cases.tsv"
    path.write_text("\n".join(line.replace(" ", "\t") for line in lines) + "\n", encoding="utf-8")
    return path


def faults_of(path: Path, *, check_files: bool = False) -> list[str]:
    with pytest.raises(CaseTableError) as fault:
        read_cases(path, check_files=check_files)
    first, *faults = str(fault.value).split("\n")
    assert first == f"{path}:"
    return [line.removeprefix("  - ") for line in faults]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Folder with two files that stand for slides."""
    for name in ("a.svs", "b.svs"):
        (tmp_path / name).touch()
    return tmp_path


def test_a_good_table_is_read(table: Path) -> None:
    (table / "elsewhere").mkdir()
    absolute = table / "elsewhere" / "c.svs"
    absolute.touch()
    path = write(
        table,
        "case_id slide_id path block section mpp primary_site stain",
        "one 1A a.svs A vertical 0.25 breast PAS",
        "one 1B b.svs",
        f"2 B12-3_x.y {absolute}   0.5",
    )
    assert read_cases(path) == (
        CaseRow(table / "a.svs", Declared("1A", "one", "A", "vertical", "breast", "PAS"), 0.25),
        CaseRow(table / "b.svs", Declared("1B", "one", "", "auto", "", "H&E"), None),
        CaseRow(absolute, Declared("B12-3_x.y", "2", "", "auto", "", "H&E"), 0.5),
    )


def test_paths_are_taken_from_the_folder_of_the_table(
    table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(table, HEADER, "c s a.svs")
    monkeypatch.chdir(table.parent)
    (row,) = read_cases(Path(table.name) / "cases.tsv")
    assert row.path == table / "a.svs"


def test_columns_may_stand_in_any_order(table: Path) -> None:
    (row,) = read_cases(write(table, "path mpp slide_id case_id", "a.svs 1 s c"))
    assert row == CaseRow(table / "a.svs", Declared("s", "c"), 1.0)


def test_the_example_that_comes_with_the_workflow_is_in_order() -> None:
    assert read_cases(share_folder() / "workflows" / "cases.tsv", check_files=False)


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_files_of_other_systems_are_read(table: Path, newline: str, mark: bytes) -> None:
    path = table / "cases.tsv"
    text = newline.join(["case_id\tslide_id\tpath", "c\ts\ta.svs", ""])
    path.write_bytes(mark + text.encode())
    assert [row.declared.slide_id for row in read_cases(path)] == ["s"]


def test_what_spreadsheets_add_is_left_out(table: Path) -> None:
    """Quotes around a cell, empty columns on the right, lines of tabs only, blanks."""
    path = table / "cases.tsv"
    path.write_text(
        "case_id\tslide_id\tpath\tblock\t\t\n"
        '"c"\t s \ta.svs\t"the ""deep"" one"\t\t\n'
        "\t\t\t\t\t\n"
        "c\tt\tb.svs\n"
    )
    one, two = read_cases(path)
    assert one.declared == Declared("s", "c", 'the "deep" one')
    assert two.declared == Declared("t", "c")


def test_comments_and_blank_lines_are_left_out(table: Path) -> None:
    lines = ["# cohort of spring", "", HEADER, "# first", "c s a.svs", "   ", "c t b.svs"]
    assert len(read_cases(write(table, *lines))) == 2


def test_lines_are_counted_as_an_editor_counts_them(table: Path) -> None:
    lines = ["# cohort", "", HEADER, "", "# first", "c s a.svs", "", "c S none.svs", "c ../t a.svs"]
    faults = faults_of(write(table, *lines), check_files=True)
    assert [fault.partition(":")[0] for fault in faults] == ["line 9", "line 8", "line 8"]
    assert "is used on line 6 already" in faults[1]


def test_a_sign_that_only_some_call_a_line_break_breaks_no_line(table: Path) -> None:
    path = table / "cases.tsv"
    path.write_text(
        "case_id\tslide_id\tpath\tblock\nc\ts\ta.svs\tA\u2028B\x0bC\nc\ts\tb.svs\n",
        encoding="utf-8",
    )
    assert "line 3: slide_id 's' is used on line 2" in faults_of(path)[0]


def test_every_fault_is_named_at_once(table: Path) -> None:
    path = write(
        table,
        "case_id slide_id path mpp section colour primary_site",
        "one s1 a.svs 0.25 vertical red breast",
        "one S1 none.svs  oblique  colon",
        "../two x/y a.svs 9",
        " s4 ",
        "five s5 a.svs 1 auto   8 9",
    )
    text = "\n".join(faults_of(path, check_files=True))
    for part in (
        "unknown column 'colour' (there are: case_id, slide_id, path,",
        "line 3: slide_id 'S1' is used on line 2 already",
        f"line 3: no file {table / 'none.svs'}",
        "line 3: column 'section': 'oblique' is not one of",
        "line 4: column 'case_id': '../two' does not match",
        "line 4: column 'slide_id': 'x/y' does not match",
        "line 4: column 'mpp': 9.0 is greater than the maximum of 4",
        "line 5: column 'case_id' is empty",
        "line 5: column 'path' is empty",
        "line 6: 9 cells for 7 columns",
        "case 'one' has several primary sites (breast, colon)",
    ):
        assert part in text


@pytest.mark.parametrize(
    ("lines", "fault"),
    [
        ((HEADER, "c s a.svs", "c s b.svs"), "line 3: slide_id 's' is used on line 2 already"),
        ((HEADER, "c aB a.svs", "d Ab b.svs"), "line 3: slide_id 'Ab' is used on line 2 already"),
        ((HEADER, "c s missing.svs"), "line 2: no file"),
        ((HEADER, f"c s {'x' * 300}"), "line 2: no file"),
        ((HEADER, "c ../s a.svs"), "line 2: column 'slide_id': '../s' does not match"),
        ((HEADER, "c .. a.svs"), "line 2: column 'slide_id': '..' does not match"),
        ((HEADER, "c a/b a.svs"), "line 2: column 'slide_id': 'a/b' does not match"),
        ((HEADER, "c  a.svs"), "line 2: column 'slide_id' is empty"),
        ((HEADER, "a/b s a.svs"), "line 2: column 'case_id': 'a/b' does not match"),
        ((HEADER, f"c {'x' * 101} a.svs"), "line 2: column 'slide_id'"),
        (("case_id slide_id", "c s"), "column 'path' is missing"),
        (("slide_id path", "s a.svs"), "column 'case_id' is missing"),
        ((f"{HEADER} MPP", "c s a.svs 1"), "unknown column 'MPP'"),
        ((f"{HEADER} colour", "c s a.svs"), "unknown column 'colour'"),
        ((f"{HEADER} mpp mpp", "c s a.svs 1 1"), "column 'mpp' is there twice"),
        ((HEADER, "c s a.svs 5"), "line 2: 4 cells for 3 columns"),
        ((f"{HEADER} section", "c s a.svs oblique"), "line 2: column 'section': 'oblique'"),
        (
            (f"{HEADER} primary_site", "c s a.svs breast", "c t a.svs lung"),
            "case 'c' has several primary sites (breast, lung)",
        ),
        ((HEADER, "case s a.svs", "Case t a.svs"), "cases Case, case differ in letter case only"),
        *(
            ((f"{HEADER} mpp", f"c s a.svs {mpp}"), f"line 2: column 'mpp': '{mpp}' is not of type")
            for mpp in ("0,25", "small", "nan", "inf", "-inf")
        ),
        *(
            ((f"{HEADER} mpp", f"c s a.svs {mpp}"), f"line 2: column 'mpp': {float(mpp)} is")
            for mpp in ("0", "-1", "0.05", "9")
        ),
    ],
)
def test_one_fault_is_named_once(table: Path, lines: tuple[str, ...], fault: str) -> None:
    (named,) = faults_of(write(table, *lines), check_files=True)
    assert named.startswith(fault)


def test_what_is_missing_in_the_header_is_not_said_of_every_row(table: Path) -> None:
    rows = (f"s{number} a.svs" for number in range(50))
    assert faults_of(write(table, "slide_id path", *rows)) == ["column 'case_id' is missing"]


def test_one_site_may_be_left_to_one_slide_of_the_case(table: Path) -> None:
    path = write(table, f"{HEADER} primary_site", "c s a.svs breast", "c t b.svs")
    assert [row.declared.primary_site for row in read_cases(path)] == ["breast", ""]


@pytest.mark.parametrize("text", ["", "\n\n", "# nothing yet\n", "case_id\tslide_id\tpath\n"])
def test_a_table_without_slides_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "cases.tsv").write_text(text)
    with pytest.raises(CaseTableError, match="holds no slides"):
        read_cases(tmp_path / "cases.tsv")


def test_commas_are_not_tabs(table: Path) -> None:
    faults = faults_of(write(table, "case_id,slide_id,path", "c,s,a.svs"))
    assert "unknown column 'case_id,slide_id,path'" in faults[0]
    assert "column 'path' is missing" in faults


@pytest.mark.parametrize("content", [b"case_id\tslide_id\tpath\nc\ts\t\xe9.svs\n", None])
def test_a_table_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "cases.tsv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CaseTableError, match=r"cases\.tsv cannot be read"):
        read_cases(path)


@pytest.mark.parametrize("cell", ['"open', '"a"b'])
def test_quotes_that_do_not_close_are_named(tmp_path: Path, cell: str) -> None:
    path = write(tmp_path, "# first", HEADER, f"c s {cell}")
    with pytest.raises(CaseTableError, match="line 3 of the case table"):
        read_cases(path, check_files=False)


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=20))
@example("..")
@example("CON")
@example("a\x00b")
@example("a:b")
@example("\N{ARABIC-INDIC DIGIT FOUR}")
@example("a\n")
@example('"a/b"')
def test_any_id_is_refused_or_safe_as_part_of_a_path(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    path = tmp_path_factory.getbasetemp() / "any_id.tsv"
    path.write_text(f"case_id\tslide_id\tpath\nc\t{text}\tx.svs\n", encoding="utf-8", newline="")
    try:
        rows = read_cases(path, check_files=False)
    except CaseTableError:
        return
    for row in rows:
        name = row.declared.slide_id
        assert name.isascii()
        assert name not in ("", ".", "..")
        assert PurePosixPath(name).parts == PureWindowsPath(name).parts == (name,)
        assert not set(name) & set(" '\"$`;&|<>*?{}\\:")


def test_braces_in_a_path_are_refused(table: Path) -> None:
    (fault,) = faults_of(write(table, HEADER, "c s {a}.svs"))[:1]
    assert "holds braces" in fault
