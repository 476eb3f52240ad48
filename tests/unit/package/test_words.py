"""The rules of `python -m tests.words`."""

import pytest

from tests import words


def python(tmp_path, docstring, head="def f():"):
    path = tmp_path / "module.py"
    path.write_text(f"{head}\n    '''{docstring}'''\n")
    return [finding.rule for finding in words.findings([path])]


@pytest.mark.parametrize("first", ["Return", "Wait until", "Add"])
def test_a_function_may_begin_with_a_verb(tmp_path, first):
    assert python(tmp_path, f"{first} the model.") == []


@pytest.mark.parametrize("first", ["The", "Returns", "Bytes", "`load`:", "8"])
def test_a_function_begins_with_nothing_else(tmp_path, first):
    assert python(tmp_path, f"{first} the model.") == ["verb"]


@pytest.mark.parametrize("decorator", ["property", "functools.cached_property", "pytest.fixture(autouse=True)"])
def test_properties_and_fixtures_may_begin_with_a_noun(tmp_path, decorator):
    assert python(tmp_path, "The model.", f"@{decorator}\ndef f():") == []
    assert python(tmp_path, "What runs.", f"@{decorator}\ndef f():") == ["opening"]


@pytest.mark.parametrize("docstring", ["A running model.", "Calls of one model.", "Processes of a GPU.", "Watches."])
def test_a_class_may_begin_with_a_noun_that_is_a_verb_as_well(tmp_path, docstring):
    assert python(tmp_path, docstring, "class C:") == []


@pytest.mark.parametrize("docstring", ["Remove a model.", "Fetches pictures.", "Carries it.", "Held by one thread."])
def test_a_class_does_not_begin_with_a_verb(tmp_path, docstring):
    assert python(tmp_path, docstring, "class C:") == ["noun"]


@pytest.mark.parametrize("head", ["def f():", "async def f():", "class C:"])
@pytest.mark.parametrize("first", words.OPENINGS)
def test_nothing_begins_with_a_clause(tmp_path, head, first):
    assert "opening" in python(tmp_path, f"{first} runs.", head)


def test_a_module_does_not_begin_with_a_clause(tmp_path):
    path = tmp_path / "module.py"
    path.write_text('"""How it runs."""\n')
    assert [str(finding) for finding in words.findings([path])] == [f'{path}:1: opening: begins with "How"']


def test_sentences_of_the_first_paragraph_are_counted_one_by_one(tmp_path):
    sentence = " ".join(["Return", *["word"] * 24])
    assert python(tmp_path, f"{sentence}. {sentence} `{'code ' * 9}`.") == ["length"]
    assert python(tmp_path, f"{sentence}. {sentence}.\n\n    {sentence} {sentence}.") == []


def test_clause_words_are_counted_without_code(tmp_path):
    assert python(tmp_path, "Return what runs, which is `whose`.") == []
    assert python(tmp_path, "Return what runs.\n\n    Who asks, and which model.") == ["clauses"]
    assert python(tmp_path, "Return the model of whoever asks.") == ["clauses"]


def test_private_words_are_found_anywhere_and_in_names(tmp_path):
    path = tmp_path / "module.py"
    path.write_text("_drowsy = 1  # a Nap, told by it\nsnap = napkin = 2\n")
    assert [finding.what for finding in words.findings([path])] == [
        '"Nap": write "freed memory"',
        '"drowsy": write "about to sleep"',
        '"told by": write "reported by"',
    ]


def test_comments_of_scripts_are_read(tmp_path):
    path = tmp_path / "row.ts"
    path.write_text("/** The row. */\n// What is free\n/**\n * Whether it runs.\n */\n")
    assert [(finding.line, finding.rule) for finding in words.findings([path])] == [(3, "opening")]


def test_sentences_of_markdown_are_counted_without_tables_and_code(tmp_path):
    long, fence = "word " * 41, "`" * 3
    path = tmp_path / "page.md"
    path.write_text(f"# {long}\n\n{fence}\n{long}\n{fence}\n\n| {long} |\n\n    {long}\n\n- {'word ' * 30}\n- {long}\n")
    assert [(finding.line, finding.rule) for finding in words.findings([path])] == [(12, "length")]


def test_findings_are_printed_with_a_table_by_rule(tmp_path, capsys):
    (tmp_path / "a.py").write_text("'''Of a.'''\n")
    (tmp_path / "b.md").write_text("The drowsy model.\n")
    assert words.main([str(tmp_path)]) == 1
    assert capsys.readouterr().out.splitlines()[2:] == ["opening        1", "private        1"]
    assert words.main([str(tmp_path / "c.py")]) == 2


def test_the_whole_tree_keeps_the_rules():
    assert [str(finding) for finding in words.findings(words.CHECKOUT / root for root in words.ROOTS)] == []
