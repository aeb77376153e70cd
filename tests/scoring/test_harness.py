from __future__ import annotations

import shutil
from dataclasses import replace

import pytest
from helpers import tiny_model
from helpers.candidate_lm import CandidateLM

from mergesearch.errors import ObjectivesError, ScoringError
from mergesearch.objectives import Objectives
from mergesearch.scoring.engine import Engine
from mergesearch.scoring.harness.loading import load_tasks
from mergesearch.scoring.scorer import Scorer
from mergesearch.tasks.checks import answer_results


@pytest.fixture(scope="module")
def scorer(objectives):
    return Scorer(objectives)


def _scored(scorer, path):
    with Engine(path, scorer._objectives.runtime) as engine:
        return scorer.score(engine, "search")


def _changed(objectives: Objectives, folder, old: str, new: str) -> Objectives:
    text = objectives.to_yaml()
    assert old in text
    return Objectives.from_yaml(text.replace(old, new), folder)


# -- what simple_evaluate gives -------------------------------------------------------------------


@pytest.mark.parametrize("rung", ["search", "validate"])
def test_values_are_those_of_simple_evaluate_to_the_bit(scorer, objectives, q4, rung):
    import lm_eval
    from lm_eval.tasks import TaskManager

    loaded = load_tasks(objectives)
    theirs = lm_eval.simple_evaluate(
        model=CandidateLM(q4),
        tasks=[task.members[0].task for task in loaded],
        samples={task.name: task.indices(task.members[0], rung) for task in loaded},
        apply_chat_template=True,
        bootstrap_iters=200,
        task_manager=TaskManager(include_defaults=False),
    )
    for name, result in scorer.score(q4, rung).items():
        for metric, mine in result.metrics.items():
            assert mine.value == theirs["results"][name][f"{metric},none"]
            stderr = theirs["results"][name][f"{metric}_stderr,none"]
            assert mine.stderr == stderr or stderr == "N/A"
        samples = {sample["doc_id"]: sample for sample in theirs["samples"][name]}
        assert sorted(samples) == [item.item for item in result.items]
        for item in result.items:
            _is_the_same_item(item, samples[item.item])


def _is_the_same_item(mine, theirs):
    if mine.task == "tiny_answer":
        assert mine.text == theirs["resps"][0][0]
        assert mine.metrics["exact"] == theirs["exact"]
    elif mine.task == "tiny_choice":
        assert mine.metrics["acc"] == theirs["acc"]
    else:
        logprob, words = theirs["word_perplexity"]
        assert mine.metrics["word_perplexity"] == logprob / words


def test_scoring_again_gives_the_same_bits(scorer, q4):
    first = scorer.score(q4, "search")
    scorer.score(q4, "validate")
    again = scorer.score(q4, "search")
    for name, result in first.items():
        assert again[name].metrics == result.metrics
        for item, other in zip(result.items, again[name].items, strict=True):
            assert replace(item, seconds=0.0) == replace(other, seconds=0.0)


def test_items_are_disjoint_counted_and_timed(scorer, objectives, q4):
    search = scorer.score(q4, "search")
    validate = scorer.score(q4, "validate")
    for name in search:
        seen = {item.item for item in search[name].items}
        assert not seen & {item.item for item in validate[name].items}
    answers = search["tiny_answer"].items
    assert len(answers) == 20
    assert all(item.tokens_in > 5 and 0 < item.tokens_out <= 12 for item in answers)
    assert all(item.seconds > 0 for item in answers)
    assert search["tiny_choice"].items[0].text is None
    scores = objectives.scores(search)
    assert scores["answers"].n == 40
    assert scores["text"].value == search["tiny_text"].metrics["word_perplexity"].value


def test_progress_counts_items(scorer, q4):
    """Items with several choices count once; chunks of eight items are done in any order."""
    seen = {}
    scorer.score(
        q4,
        "search",
        on_progress=lambda progress: seen.setdefault(progress.task, []).append(progress),
    )
    done = {task: [progress.done for progress in reports] for task, reports in seen.items()}
    assert done["tiny_text"] == [6]
    for task in ("tiny_answer", "tiny_choice"):
        assert len(done[task]) == 3
        assert done[task] == sorted(done[task])
        assert done[task][-1] == 20
    totals = {(progress.task, progress.total) for reports in seen.values() for progress in reports}
    assert totals == {("tiny_answer", 20), ("tiny_choice", 20), ("tiny_text", 6)}


# -- items that cannot be scored ------------------------------------------------------------------


def test_a_failed_item_is_unscored_and_not_a_zero(scorer, q4, monkeypatch):
    (member,) = scorer.questionnaire.tasks["tiny_answer"].members
    before = scorer.score(q4, "search")["tiny_answer"]

    def failing(doc, results):
        if doc["answer"] == member.docs[before.items[3].item]["answer"]:
            raise ValueError("no such thing")
        return answer_results(doc, results)

    monkeypatch.setattr(member.task.config, "process_results", failing)
    after = scorer.score(q4, "search")["tiny_answer"]
    assert (after.n, after.n_unscored) == (19, 1)
    assert after.items[3].unscored == "process_results: ValueError: no such thing"
    assert after.items[3].metrics == {}
    kept = [item.metrics["exact"] for item in after.items if item.unscored is None]
    assert after.metrics["exact"].value == sum(kept) / 19


def test_a_prompt_without_room_is_unscored(folder, tmp_path):
    """Here a model has a shorter context than the runtime settings."""
    _write_installed(tmp_path, folder / "tasks", "long", "answer", "")
    text = (tmp_path / "long.yaml").read_text().replace("max_gen_toks: 12", "max_gen_toks: 1024")
    (tmp_path / "long.yaml").write_text(text)
    small = _one_task(tmp_path, "long", "exact")
    small = replace(small, task_folder=tmp_path, runtime=replace(small.runtime, n_ctx=2048))
    result = _scored(Scorer(small), folder / "q4.gguf")["long"]
    assert (result.n, result.n_unscored) == (0, 12)
    assert "leave no room" in (result.items[0].unscored or "")
    with pytest.raises(ScoringError, match="12 of 12 items could not be scored"):
        small.scores({"long": result})


@pytest.fixture
def installed(monkeypatch, tmp_path):
    """lm-eval's index with a few tasks only: the real one takes seconds to read."""
    from mergesearch.scoring.harness import installed, loading

    absent = tmp_path / "absent.yaml"
    absent.write_text(
        "task: absent\ndataset_path: nobody/nothing-of-this-name\ntest_split: test\n"
        'output_type: multiple_choice\ndoc_to_text: "{{q}}"\ndoc_to_target: 0\n'
    )
    tasks = installed.installed_tasks.__wrapped__  # a test adds to its folder
    monkeypatch.setattr(loading, "installed_tasks", lambda: tasks(tmp_path))


# -- groups, filters, few-shot examples ------------------------------------------------------------

GROUP = """
group: pair
task: [first, second]
aggregate_metric_list: [{metric: acc, aggregation: mean, weight_by_size: true}]
"""
FEW_SHOT = """
fewshot_split: test
fewshot_config: {sampler: first_n}
num_fewshot: 2
"""
FILTERS = """
filter_list:
  - {name: whole, filter: [{function: take_first}]}
  - {name: digits, filter: [{function: regex, regex_pattern: "([0-9]+)"}, {function: take_first}]}
"""


def _write_installed(folder, tasks, name, base, more):
    text = (tasks / f"{base}.yaml").read_text().replace(f"tiny_{base}.jsonl", "DATA")
    text = text.replace(f"task: tiny_{base}", f"task: {name}")
    text = text.replace("DATA", str(tasks / f"tiny_{base}.jsonl"))
    (folder / f"{name}.yaml").write_text(text + more)


def _one_task(folder, task, metric, search=12, validate=8):
    use = f"task: {task}, metric: '{metric}', search_items: {search}, validate_items: {validate}"
    text = f"objectives: {{x: {{reference: 0, tasks: [{{{use}}}]}}}}"
    runtime = "runtime: {n_ctx: 256, n_parallel: 8, chunk_items: 8, threads: 2}"
    return Objectives.from_yaml(f"{text}\n{runtime}\n", folder)


def test_a_group_is_one_task_of_all_its_items(folder, tmp_path, installed, q4):
    for name in ("first", "second"):
        _write_installed(tmp_path, folder / "tasks", name, "choice", "")
    second = tmp_path / "second.yaml"
    second.write_text(second.read_text().replace("{{question}}", "{{question}} Well?"))
    (tmp_path / "pair.yaml").write_text(GROUP)
    scorer = Scorer(_one_task(folder, "pair", "acc"))
    result = scorer.score(q4, "search")["pair"]
    assert result.n == 12
    assert len({item.item for item in result.items}) == 12
    values = [item.metrics["acc"] for item in result.items]
    assert result.metrics["acc"].value == pytest.approx(sum(values) / 12)


def test_few_shot_examples_are_neither_searched_nor_validated(folder, tmp_path, installed, q4):
    _write_installed(tmp_path, folder / "tasks", "shots", "choice", FEW_SHOT)
    scorer = Scorer(_one_task(folder, "shots", "acc"))
    (task,) = scorer.questionnaire.tasks.values()
    (member,) = task.members
    scored = {member.docs[index]["question"] for order in task.order.values() for index in order}
    examples = {example["question"] for example in member.task.sampler.sample(2)}
    assert len(examples) == 2
    assert not examples & scored
    assert scorer.score(q4, "search")["shots"].n == 12
    with pytest.raises(ObjectivesError, match="documents are left for 2 few-shot examples"):
        load_tasks(_one_task(folder, "shots", "acc", 16, 15))


def test_metrics_of_several_filters_have_full_names(folder, tmp_path, installed, q4):
    text = (folder / "tasks" / "answer.yaml").read_text()
    text = text.replace("task: tiny_answer", "task: filtered").replace("exact,", "exact_match,")
    text = text.replace("process_results: !function mergesearch.tasks.checks.answer_results", "")
    text = text.replace("tiny_answer.jsonl", str(folder / "tasks" / "tiny_answer.jsonl"))
    (tmp_path / "filtered.yaml").write_text(text + FILTERS)
    with pytest.raises(ObjectivesError) as caught:
        load_tasks(_one_task(folder, "filtered", "exact_match"))
    assert "expected: exact_match,whole, exact_match,digits" in str(caught.value)
    scorer = Scorer(_one_task(folder, "filtered", "exact_match,digits"))
    result = scorer.score(q4, "search")["filtered"]
    assert set(result.metrics) == {"exact_match,whole", "exact_match,digits"}


SAMPLED = """
repeats: 3
filter_list:
  - {name: first, filter: [{function: take_first}]}
"""


def _sampled(folder, tmp_path):
    text = (folder / "tasks" / "answer.yaml").read_text().replace("tiny_answer", "sampled", 1)
    text = text.replace("do_sample: false", "do_sample: true, temperature: 2.0, top_p: 0.95")
    text = text.replace("tiny_answer.jsonl", str(folder / "tasks" / "tiny_answer.jsonl"))
    (tmp_path / "sampled.yaml").write_text(text + SAMPLED)
    return Scorer(replace(_one_task(folder, "sampled", "exact"), task_folder=tmp_path))


def test_sampled_answers_are_the_same_every_time_and_differ_between_repeats(folder, tmp_path, q4):
    scorer = _sampled(folder, tmp_path)
    first = scorer.score(q4, "search")["sampled"].items
    (items,) = scorer.questionnaire._items.values()
    answers = [item.requests[0].resps for item in items["sampled"]]
    assert {len(answer) for answer in answers} == {3}
    assert sum(len(set(answer)) == 3 for answer in answers) > 6
    assert all(item.tokens_out > 12 for item in first)  # of all three answers
    again = Scorer(scorer._objectives).score(q4, "search")["sampled"].items
    assert [item.text for item in first] == [item.text for item in again]


# -- wrong objectives -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("metric: exact", "metric: exactly", "unknown metric 'exactly'\n  expected: exact, "),
        ("search_items: 20", "search_items: 30", "40 items are requested, but the task has 32"),
    ],
)
def test_wrong_objectives_are_refused(objectives, folder, old, new, message):
    with pytest.raises(ObjectivesError) as caught:
        load_tasks(_changed(objectives, folder, old, new))
    assert message in str(caught.value)
    assert str(caught.value).startswith("objectives.answers.tasks.0: ")


def test_unknown_tasks_are_refused(objectives, folder, installed):
    with pytest.raises(ObjectivesError, match="unknown task 'tiny_answers'") as caught:
        load_tasks(_changed(objectives, folder, "task: tiny_answer", "task: tiny_answers"))
    assert "tiny_answer, tiny_choice" in str(caught.value)


def test_data_that_are_not_here_are_not_fetched(objectives, folder, installed):
    with pytest.raises(ObjectivesError, match="data of absent are not on this machine") as error:
        load_tasks(_changed(objectives, folder, "task: tiny_answer", "task: absent"))
    assert "HF_HUB_OFFLINE=0" in str(error.value)


def test_a_model_without_a_chat_template_is_said_so(objectives, tmp_path, scorer):
    weights = tiny_model.random_weights(layers=1)
    path = tiny_model.write_gguf(tmp_path / "x.gguf", weights, quantized=False, template="")
    with pytest.raises(ScoringError, match="no chat template"):
        _scored(scorer, path)
    plain = Scorer(replace(objectives, apply_chat_template=False))
    assert _scored(plain, path)["tiny_choice"].n == 20


def test_templates_of_tasks_run_in_a_sandbox(objectives, folder, tmp_path):
    shutil.copytree(folder / "tasks", tmp_path / "tasks")
    path = tmp_path / "tasks" / "answer.yaml"
    path.write_text(
        path.read_text().replace(
            "{{question}}", "{{question.__class__.__mro__[1].__subclasses__()}}"
        )
    )
    with pytest.raises(ObjectivesError, match="SecurityError: access to attribute '__class__'"):
        Scorer(replace(objectives, task_folder=tmp_path / "tasks"))


def test_too_little_memory_is_said_before_the_first_candidate(objectives, folder, monkeypatch):
    monkeypatch.setattr("mergesearch.scoring.engine.available_memory", lambda: 5_000_000)
    scorer = Scorer(objectives)
    # 3 layers of 2 heads, keys and values of 64 f16 each: 1536 bytes a token. Two workers have
    # caches of 256 tokens: 786,432 bytes a sequence, and 0.9 of 5 MB is free for them.
    with pytest.raises(ObjectivesError, match=r"takes 0\.0 GB in 2 decoders") as caught:
        _scored(scorer, folder / "q4.gguf")
    assert "n_parallel: 4" in str(caught.value)
    monkeypatch.setattr("mergesearch.scoring.engine.available_memory", lambda: 8_000_000)
    _scored(scorer, folder / "q4.gguf")
    monkeypatch.setattr("mergesearch.scoring.engine.available_memory", lambda: 5_000_000)
    _scored(scorer, folder / "q4.gguf")  # a study is not to end on what changed since
