import numpy as np
import pytest
from train_rig import config, quiet, torch

from stepcredit.envs import text
from stepcredit.train import model as models
from stepcredit.train import warmup
from stepcredit.train.attempts import attempts, by_sibling
from stepcredit.train.config import Experience, Size, Warmup
from stepcredit.train.experience import Lessons
from stepcredit.train.rollouts import Again, Player
from stepcredit.train.run import _trainer, check
from stepcredit.train.sampling import generator
from stepcredit.train.transcript import Transcript
from stepcredit.train.watch import Watch

pytestmark = quiet

ROOMS = text.get("key_door_rooms")(size=2, horizon=8)
DEMOS = warmup.demonstrations(ROOMS, Warmup(demonstrations=40, noise=0.2), 20, 0)


@pytest.fixture(scope="module")
def words():
    return models.tokenizer_of(warmup.texts(DEMOS), 320)


@pytest.fixture(scope="module")
def policy(words):
    model = models.build(Size(layers=2, width=32, heads=2), words, seed=0, longest=256)
    data = warmup.examples(DEMOS, Transcript(words), 256, lambda first: "")
    warmup.imitate(model, data, Warmup(steps=25, batch_size=8, learning_rate=0.01), pad=words.pad_token_id, seed=0)
    return model


def player(words, **given):
    limits = {"most_turns": 8, "most_tokens": 256, "turn_tokens": 6, "seconds": None}
    return Player(ROOMS.episode, Transcript(words), **{**limits, **given})


def played(policy, words, n=6, **given):
    tasks = [(task, 0) for task in range(n)]
    return player(words, **given).play(policy, tasks, temperature=1.0, generator=generator([1], "cpu"))


@pytest.mark.parametrize(
    "given", ["Key at a1.\n> go east\n", "12 34\n\n  ünïcode ☃", "You are at b2. The door is open."]
)
def test_every_text_comes_back_from_its_tokens(words, given):
    assert words.decode(words(given)["input_ids"]) == given


def test_digits_stay_apart_and_words_of_the_world_are_one_token(words):
    assert len(words("1234")["input_ids"]) == 4
    assert len(words(" go east\n")["input_ids"]) == 3


def test_the_mask_of_a_rollout_is_1_on_the_actions_alone(policy, words):
    for one in played(policy, words):
        assert len(one.ids) == len(one.mask) == len(one.logps)
        assert one.prompt == words(f"{one.first}\n>")["input_ids"]
        at = 0
        for turn in one.turns:
            n = len(turn.ids)
            assert one.ids[at : at + n] == turn.ids
            assert one.mask[at : at + n] == [1] * n
            assert words.decode(turn.ids).replace("<eos>", "").partition("\n")[0].strip() == turn.action
            at += n
            if turn is not one.turns[-1]:
                over = "" if "\n" in words.decode(turn.ids) else "\n"
                said = words(f"{over}{turn.observation}\n>", add_special_tokens=False)["input_ids"]
                assert one.ids[at : at + len(said)] == said
                assert one.mask[at : at + len(said)] == [0] * len(said)
                at += len(said)
        assert at == len(one.ids)


def test_a_demonstration_reads_as_a_rollout_does_and_only_its_actions_are_learned(words):
    ids, mask = warmup.examples(DEMOS[:1], Transcript(words), 256, lambda first: "")[0]
    run = DEMOS[0]
    told = "".join(f" {s.action}\n{s.observation}\n>" for s in run.steps[:-1]) + f" {run.steps[-1].action}\n"
    assert words.decode(ids) == f"{run.task}\n>{told}"
    learned = words.decode([i for i, m in zip(ids, mask, strict=True) if m])
    assert learned == "".join(f" {s.action}\n" for s in run.steps)


def test_what_the_world_counts_is_what_the_rollout_tells(policy, words):
    for one in played(policy, words):
        episode = ROOMS.episode()
        episode.reset(seed=one.task)
        for turn in one.turns:
            assert episode.state == turn.state
            observation, reward, *_, info = episode.step(turn.action)
            assert (observation, reward, info["valid"]) == (turn.observation, turn.reward, turn.valid)
        assert (one.outcome, one.final_state) == (episode.outcome, episode.state)


@pytest.mark.parametrize("temperature", [1.0, 0.6])
def test_sampling_and_training_give_a_token_the_same_log_probability(policy, words, tmp_path, temperature):
    settings = config(tmp_path, rl={"temperature": temperature, "tasks_per_step": 4})
    world, taken = check(settings)
    trainer = _trainer(settings, world, policy, words, taken, None, Watch(None), tmp_path)
    rollouts = trainer.player.play(
        policy, [(t, 0) for t in range(6)], temperature=temperature, generator=generator([1], "cpu")
    )
    checked = 0
    for one in rollouts:
        ids = torch.tensor([one.prompt + one.ids])
        with torch.no_grad():
            logps = trainer._get_per_token_logps_and_entropies(policy, ids, torch.ones_like(ids), len(one.ids))[0][0]
        own = np.array(one.mask) == 1
        np.testing.assert_allclose(np.array(one.logps)[own], logps.numpy()[own], atol=1e-4)
        checked += own.sum()
    assert checked > 50


def test_the_same_seed_draws_the_same_and_greedy_needs_none(policy, words):
    assert [a.ids for a in played(policy, words)] == [b.ids for b in played(policy, words)]
    greedy = [
        player(words).play(policy, [(0, 0)] * n, temperature=0.0, generator=generator([n], "cpu"))[0].ids
        for n in (1, 3)
    ]
    assert greedy[0] == greedy[1]


def test_a_transcript_without_room_for_another_turn_ends_the_rollout_as_cut(policy, words):
    longest = len(words(f"{ROOMS.episode().reset(seed=0)[0]}\n>")["input_ids"]) + 30
    rollouts = played(policy, words, most_tokens=longest)
    assert all(len(one.prompt) + len(one.ids) <= longest for one in rollouts)
    assert any(one.cut and len(one.turns) < 8 for one in rollouts)
    assert all(one.outcome is not None for one in rollouts)


def test_a_retry_has_the_tokens_of_the_first_attempt_up_to_its_pivot(policy, words):
    mine = player(words, forks=True)
    first = mine.play(policy, [(t, 0) for t in range(4)], temperature=1.0, generator=generator([1], "cpu"))
    old = next(one for one in first if len(one.turns) > 3)
    (new,) = mine.again(policy, [Again(old, 2)], temperature=1.0, generator=generator([5], "cpu"))
    at = old.turns[2].before
    assert (new.ids[:at], new.mask[:at], new.logps[:at]) == (old.ids[:at], old.mask[:at], old.logps[:at])
    assert new.pivot == 2
    assert new.turns[2].state == old.turns[2].state
    assert [t.action for t in new.turns[:2]] == [t.action for t in old.turns[:2]]
    episode = ROOMS.episode()
    episode.reset(seed=new.task)
    for turn in new.turns:
        assert episode.state == turn.state
        episode.step(turn.action)
    ids = torch.tensor([new.prompt + new.ids])
    with torch.no_grad():
        logp = policy(ids).logits[0, :-1].log_softmax(-1).gather(-1, ids[0, 1:, None])[:, 0].numpy()
    own = np.array(new.mask) == 1
    np.testing.assert_allclose(logp[len(new.prompt) - 1 :][own], np.array(new.logps)[own], atol=1e-4)


def test_the_pivot_is_where_a_failure_left_a_success_of_its_task(policy, words):
    mine = player(words, forks=True)
    rollouts = attempts(mine, policy, [0, 1], 8, seed=[0], temperature=1.0, pivots=lambda groups: [[-1] * 4] * 2)
    assert [one.task for one in rollouts] == [0] * 8 + [1] * 8
    good = rollouts[0]
    bad = mine.again(policy, [Again(good, len(good.turns) - 1)], temperature=1.0, generator=generator([2], "cpu"))[0]
    good.outcome, bad.outcome = 1.0, 0.0
    bad.turns[-1].action = "go nowhere"
    assert by_sibling([[good, bad]]) == [[-1, len(good.turns) - 1]]
    good.outcome = 0.0
    assert by_sibling([[good, bad]]) == [[-1, -1]]


def test_what_was_tried_again_is_named_in_both_rows(policy, words):
    mine = player(words, forks=True)
    rollouts = attempts(mine, policy, [3], 4, seed=[0], temperature=1.0, pivots=lambda groups: [[1, -1]])
    assert [one.pivot for one in rollouts] == [1, -1, 1, -1]
    assert rollouts[0].ids[: rollouts[0].turns[1].before] == rollouts[2].ids[: rollouts[2].turns[1].before]


def test_lessons_of_the_task_most_alike_come_before_the_prompt(tmp_path):
    lessons = Lessons(Experience(lessons=1))
    assert lessons("Key at a1, goal at d2.") == ""
    lessons.teach("Key at a1, goal at d2.", ["go east", "take key"])
    lessons.teach("Find the red cup and put it into the sink.", ["go sink"])
    assert lessons("Key at a1, goal at c1.").splitlines()[1].startswith("- go east, take key. Task: Key at a1")
    assert "go sink" in lessons("Find the blue cup and put it into the oven.")
    lessons.save(tmp_path)
    again = Lessons(Experience(lessons=1))
    again.load(tmp_path)
    assert again("Key at a1, goal at c1.") == lessons("Key at a1, goal at c1.")
