"""The documentation says what is there: nothing is missing in it, and nothing it names is gone.

The changelog is history, and may name what is gone.
"""

import re
from functools import cache

import pytest

from config.fields import DATABASE_VARIABLES
from config.settings import Settings
from db.schema.sales_tables import flash_sale_events
from db.schema.tables import metadata
from dev import ROOT
from dev.docs import pages
from dev.docs.metric_table import catalogue, deprecated_names, exposed_name
from source.patches import UnreadableBatchError
from source.records.batches import Unreadable
from tests.chaos.cluster_faults import CLUSTER_FAULTS
from tests.chaos.faults import BROKER_FAULTS, FAULTS

PAGES = {path.relative_to(ROOT).as_posix(): path.read_text() for path in pages.PAGES}
PRESENT = {name: text for name, text in PAGES.items() if name != "CHANGELOG.md"}
DECISIONS = [name for name in PAGES if re.match(r"docs/decisions/\d", name)]

each_page = pytest.mark.parametrize("page", PRESENT)

#: Characters of the longest name of a test.
LONGEST_NAME = 70
#: Names in capitals that are set, but are no settings of the app's.
OTHER_VARIABLES = {
    # Of make, the tests and the benchmarks.
    "BROKER", "LOCAL_INFILE", "MARIADBD", "PYTHON",
    # Of the Dockerfile.
    "FROM_SOURCE",
    # Of Faust, and of other programs that the pages start.
    "FAUST_LOOP", "GRAFANA_PASSWORD", "MYSQL_PASSWORD",
    # Of Amazon's library and of proxies; and a login that is not a variable.
    "AWS_ACCESS_KEY_ID", "AWS_REGION", "HTTPS_PROXY", "NO_PROXY", "AWS_MSK_IAM",
    # Not settings, which is why they are warned of.
    "FLUSH_INTERVALL", "KAFKA_SASL_JAAS_CONFIG", "KAFKA_TOPIC", "SASL_JAAS_CONFIG",
    # Names of Kafka's listeners.
    "SASL_PLAINTEXT", "SASL_SSL",
    # Of other libraries.
    "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_TRACES_EXPORTER", "SENTRY_ENVIRONMENT",
    # Of the server and its clients.
    "TIME_ROUND_FRACTIONAL", "TIME_TRUNCATE_FRACTIONAL",
    "VERIFY_CA", "VERIFY_IDENTITY",
    "AUTO_INCREMENT", "CONNECTION_ID", "CURRENT_TIMESTAMP", "GET_LOCK", "JSON_OBJECT",
    "JSON_OBJECTAGG", "JSON_TABLE", "MAX_QUERIES_PER_HOUR", "ROW_NUMBER", "UTC_TIMESTAMP",
}  # fmt: skip


@each_page
def test_what_is_made_from_the_code_is_up_to_date(page):
    assert PRESENT[page] == pages.rewritten(PRESENT[page]), "run `make docs`"


def test_what_is_made_from_the_code_has_its_page():
    made = set(re.findall(r"<!-- made by make docs: (\w+) -->", "".join(PAGES.values())))
    assert made == set(pages.PARTS)


@each_page
def test_settings_that_a_page_names_exist(page):
    named = {
        word
        for code in _code(PRESENT[page])
        for word in re.findall(r"(?<![\w.])([A-Z]+(?:_[A-Z]+)+)(?![\w…])", code)
    }
    ours = {*Settings.model_fields, *(f"{name}_file" for name in Settings.secrets())}
    assert named <= {*map(str.upper, ours), *DATABASE_VARIABLES, *OTHER_VARIABLES}


@each_page
def test_metrics_that_a_page_names_exist(page):
    suffixes = ("", "_bucket", "_sum", "_count")
    names = {*map(exposed_name, catalogue()), *deprecated_names()}
    exist = {name + suffix for name in names for suffix in suffixes}
    named = set(re.findall(r"\b(etl_\w*[a-z])(?![\w…])", PRESENT[page]))
    assert {name.removesuffix("_total") for name in named} <= {
        name.removesuffix("_total") for name in exist
    }


@each_page
def test_commands_that_a_page_names_exist(page):
    unknown = []
    for code in _code(PRESENT[page]):
        for name, rest in re.findall(r"faust -A app ([\w-]+)([^\n#]*)", code):
            unknown += _unknown(name, rest.split())
        for name, action in re.findall(r"^(dead-letters|offsets|breaker|rollup) ([a-z|]+)", code):
            unknown += _unknown(name, [action])
    assert unknown == []


def _unknown(name, words):
    """What is not known of a call of a command."""
    if name == "worker":
        return []  # Faust's own
    if name not in _commands():
        return [name]
    parameters = _commands()[name]["parameters"]
    options = {option for one in parameters for option in one["names"]}
    actions = next((set(one["choices"]) for one in parameters if one["names"] == ["ACTION"]), set())
    return [
        (name, word)
        for position, word in enumerate(words)
        if (word.startswith("--") and word not in options)
        or (position == 0 and actions and not actions.issuperset(word.split("|")))
    ]


@cache
def _commands():
    return pages.list_commands()


@each_page
def test_routes_that_a_page_names_are_listed(page):
    listed = set(re.findall(r"^\| `(/\S*)` \|", PAGES["docs/web.md"], re.MULTILINE))
    named = {word for code in _code(PRESENT[page]) for word in re.findall(r"^/(?:[a-z]+/)+$", code)}
    assert named <= listed


@each_page
def test_make_targets_that_a_page_names_exist(page):
    lines = re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE)
    named = {
        target
        for code in _code(PRESENT[page])
        for target in re.findall(r"(?:^|[`&;|] ?|\s{2,})make ([a-z-]+)", code, re.MULTILINE)
    }
    assert named <= set(lines)


def test_every_table_and_column_has_its_line_and_no_other():
    sections = re.split(r"^## ", PAGES["docs/tables.md"], flags=re.MULTILINE)[1:]
    written = {section.split()[0]: _columns(section) for section in sections}
    exist = {table.name: set(table.columns.keys()) for table in metadata.sorted_tables}
    # Those of an event are declared, and told, in one place.
    exist[flash_sale_events.name] = set()
    assert written == exist


def _columns(section):
    lines = re.findall(r"^\| (`.*?) \|", section, re.MULTILINE)
    return {name for line in lines for name in re.findall(r"`(\w+)`", line)}


@each_page
def test_tests_that_a_page_names_are_there(page):
    missing = []
    for path, name in re.findall(r"`(?:(tests/[\w/]+\.py)::)?(test_\w+)`", PRESENT[page]):
        if not any(f"def {name}(" in text for at, text in _tests().items() if path in ("", at)):
            missing.append((path, name))
    assert missing == []


def test_names_of_tests_are_short():
    found = {name for text in _tests().values() for name in re.findall(r"def (test_\w+)\(", text)}
    assert {name for name in found if len(name) > LONGEST_NAME} == set()


@cache
def _tests():
    paths = (ROOT / "tests").rglob("test_*.py")
    return {path.relative_to(ROOT).as_posix(): path.read_text() for path in paths}


@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_links_to_and_the_files_it_names_are_there(page):
    folder = (ROOT / page).parent
    missing = []
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)", PAGES[page]):
        found = folder / target if target else ROOT / page
        if not found.exists() or (anchor and anchor not in _anchors(found.read_text())):
            missing.append((target, anchor))
    if page in PRESENT:
        named = [word for code in _code(PAGES[page]) for word in re.findall(_PATH, code)]
        missing += [name for name in named if not _exists(name, folder)]
    assert missing == []


#: A file or folder of ours in inline code.
_PATH = r"^(?:[\w.-]+/)+(?:[\w.-]+\.\w+)?$|^[\w-]+\.(?:py|toml|lock|txt)$"


def _exists(name, folder):
    made = name.startswith((".venv/", ".local/"))
    return made or any((at / name).exists() for at in (ROOT, folder))


def _anchors(text):
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_page_can_be_reached_from_the_readme():
    reached, todo = set(), ["README.md"]
    while todo:
        page = todo.pop()
        if page in reached:
            continue
        reached.add(page)
        for target in re.findall(r"\]\((?!https?:)([^)#]+\.md)", PAGES.get(page, "")):
            todo.append(((ROOT / page).parent / target).resolve().relative_to(ROOT).as_posix())
    assert reached == set(PAGES)


@pytest.mark.parametrize("page", DECISIONS)
def test_a_decision_is_a_page_with_its_reason(page):
    headings = re.findall(r"^## (.*)$", PAGES[page], re.MULTILINE)
    assert headings == ["Context", "Decision", "Measured", "What would change it"]
    assert len(PAGES[page].splitlines()) <= 60
    heading = re.match(r"# (\d+)\. (.*)\n", PAGES[page])
    assert heading
    line = f"| {heading[1]} | [{heading[2]}]({page.rpartition('/')[2]}) |"
    assert line in PAGES["docs/decisions/README.md"]


def test_readme_and_architecture_have_one_picture():
    pictures = [
        re.findall(r"^```mermaid\n.*?^```", PAGES[page], re.MULTILINE | re.DOTALL)
        for page in ("README.md", "docs/architecture.md")
    ]
    assert len(pictures[0]) == 1
    assert pictures[0] == pictures[1]


def test_the_architecture_fits_two_screens():
    assert len(PAGES["docs/architecture.md"].splitlines()) <= 95


def test_every_invariant_has_its_test():
    section = PAGES["docs/guarantees.md"].partition("## Invariants")[2].partition("\n## ")[0]
    invariants = re.findall(r"^\| \d+ \| .*", section, re.MULTILINE)
    assert len(invariants) > 10
    assert [one for one in invariants if not re.search(r"`tests/[\w/]+\.py::test_\w+`", one)] == []


def test_the_campaign_that_is_shown_has_every_fault():
    faults = {
        fault.__name__.replace("_", " ") for fault in (*FAULTS, *BROKER_FAULTS, *CLUSTER_FAULTS)
    }
    shown = re.findall(r"^\| ([a-z ]+) \| \d+ \| \d+ \|", PAGES["docs/guarantees.md"], re.MULTILINE)
    assert set(shown) == {*faults, "all"}


def test_unreadable_batchs_message_is_the_documented_one():
    said = str(
        UnreadableBatchError("flash_sale_events", 0, Unreadable(10, 20, "its checksum is wrong"))
    )
    assert said in " ".join(PAGES["docs/topics.md"].split())


def _code(text):
    """What stands in a page as code: each fenced or indented block, each span."""
    fenced = re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    rest = re.sub(r"^```\w*\n.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    indented = re.findall(r"^ {4}(.*)$", rest, re.MULTILINE)
    return [*fenced, *indented, *re.findall(r"`([^`\n]+)`", rest)]
