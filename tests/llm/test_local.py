"""A real model, asked through the local engine, against one forward pass a text."""

import numpy as np
import pytest

from stepcredit.errors import StepCreditError
from stepcredit.llm import local
from stepcredit.llm.tiny import data

CHAINS = data(9, seed=5)
PREFIXES = [f"{c.task}\n" for c in CHAINS]
TEXTS = ["\n".join(c.steps[: 1 + i % 3]) for i, c in enumerate(CHAINS)]


def alone(engine, torch, prefix, text):
    """(log-softmax [tokens, vocabulary], ids, last hidden states [tokens, width]) by one unpadded forward pass."""
    words = engine.tokenizer
    before, ids = words(prefix)["input_ids"], words(text)["input_ids"]
    with torch.no_grad():
        out = engine.model(input_ids=torch.tensor([before + ids]), output_hidden_states=True)
    logp = out.logits[0].log_softmax(-1).double().numpy()
    return logp[len(before) - 1 : -1], ids, out.hidden_states[-1][0, len(before) :].double().numpy()


def test_forced_log_probs_equal_a_forward_pass_of_each_text_alone(engine, torch):
    for size in (1, 4, 100):
        engine.batch_size = size
        for got, prefix, text in zip(engine.forcer(PREFIXES, TEXTS), PREFIXES, TEXTS, strict=True):
            logp, ids, _ = alone(engine, torch, prefix, text)
            np.testing.assert_allclose(got, logp[np.arange(len(ids)), ids], atol=1e-4)
            assert got.dtype == np.float64


def test_models_that_count_positions_from_the_start_are_read_alike(transformers, torch, engine):
    torch.manual_seed(0)
    config = transformers.GPT2Config(
        vocab_size=99, n_embd=32, n_layer=2, n_head=2, n_positions=64, bos_token_id=None, eos_token_id=1
    )
    other = local.Local(transformers.GPT2LMHeadModel(config).eval(), engine.tokenizer)
    with torch.no_grad():  # else positions hardly show
        other.model.transformer.wpe.weight.mul_(50)
    for got, prefix, text in zip(other.forcer(PREFIXES, TEXTS), PREFIXES, TEXTS, strict=True):
        logp, ids, _ = alone(other, torch, prefix, text)
        np.testing.assert_allclose(got, logp[np.arange(len(ids)), ids], atol=1e-4)
    for prefix, (sample,) in zip(PREFIXES, other.sampler(PREFIXES, max_tokens=6), strict=True):
        ids = other.tokenizer.convert_tokens_to_ids(sample.tokens)
        before = other.tokenizer(prefix)["input_ids"]
        with torch.no_grad():
            logp = other.model(input_ids=torch.tensor([before + ids])).logits[0].log_softmax(-1)
        want = [float(logp[len(before) - 1 + t, i]) for t, i in enumerate(ids)]
        np.testing.assert_allclose(sample.logp, want, atol=1e-4)


def test_a_token_of_no_chance_is_never_drawn(torch):
    logits = torch.log(torch.tensor([[0.0, 0.5, 0.0, 0.5, 0.0]]))
    for chance, want in ((0.0, 1), (0.49, 1), (0.5, 3), (1 - 1e-16, 3)):
        assert local._draw(torch, logits, torch.tensor([chance], dtype=torch.float64)).tolist() == [want]


def test_entropies_and_hidden_states_do_too(engine, torch):
    spread, states = engine.entropies(PREFIXES, TEXTS), engine.hidden_states(PREFIXES, TEXTS)
    for h, z, prefix, text in zip(spread, states, PREFIXES, TEXTS, strict=True):
        logp, _, hidden = alone(engine, torch, prefix, text)
        np.testing.assert_allclose(h, -(np.exp(logp) * logp).sum(1), atol=1e-4)
        np.testing.assert_allclose(z, hidden, atol=1e-4)


def test_entropies_over_the_likeliest_tokens_alone(engine, torch):
    logp, _, _ = alone(engine, torch, PREFIXES[0], TEXTS[0])
    top = np.sort(logp, 1)[:, :-4:-1]
    (got,) = engine.top_entropies(3)(PREFIXES[:1], TEXTS[:1])
    np.testing.assert_allclose(got, -(np.exp(top) * top).sum(1), atol=1e-4)
    p = np.exp(top) / np.exp(top).sum(1, keepdims=True)
    (got,) = engine.top_entropies(3, renormalize=True)(PREFIXES[:1], TEXTS[:1])
    np.testing.assert_allclose(got, -(p * np.log(p)).sum(1), atol=1e-4)
    (whole,) = engine.top_entropies(1000)(PREFIXES[:1], TEXTS[:1])
    np.testing.assert_allclose(whole, engine.entropies(PREFIXES[:1], TEXTS[:1])[0], atol=1e-4)


def test_another_layer_can_be_read(engine, torch):
    engine.layer = 0
    got = engine.hidden_states(["1"], ["+2"])[0]
    ids = torch.tensor(engine.tokenizer("+2")["input_ids"])
    np.testing.assert_allclose(got, engine.model.get_input_embeddings()(ids).detach().numpy(), atol=1e-6)


def test_samples_have_the_log_probs_that_forcing_gives(engine):
    samples = engine.sampler(PREFIXES, n=3, max_tokens=30)
    flat = [(p, s) for p, row in zip(PREFIXES, samples, strict=True) for s in row if s.text]
    forced = engine.forcer([p for p, _ in flat], [s.text for _, s in flat])
    spread = engine.entropies([p for p, _ in flat], [s.text for _, s in flat])
    assert any(s.finished for _, s in flat)
    for (_, sample), logp, entropy in zip(flat, forced, spread, strict=True):
        assert "".join(sample.tokens) == sample.text
        np.testing.assert_allclose(sample.logp, logp, atol=1e-4)
        np.testing.assert_allclose(sample.entropy, entropy, atol=1e-4)


def test_log_probs_are_the_models_at_any_temperature(engine):
    (sample,) = engine.sampler(PREFIXES[:1], temperature=3.0, max_tokens=8)[0]
    np.testing.assert_allclose(sample.logp, engine.forcer(PREFIXES[:1], [sample.text])[0], atol=1e-4)


def test_temperature_zero_takes_the_likeliest_token(engine, torch):
    (one,), (two,) = engine.sampler([PREFIXES[0]] * 2, temperature=0, max_tokens=30)
    assert one.text == two.text and one.finished
    logp, ids, _ = alone(engine, torch, PREFIXES[0], one.text)
    assert logp.argmax(1).tolist() == ids


def test_draws_follow_the_distribution(engine, torch):
    logp, _, _ = alone(engine, torch, "3+4=?\n3+4", "=")
    n = 2000
    engine.batch_size = 500
    first = engine.sampler(["3+4=?\n3+4="], n=n, max_tokens=1, temperature=2.0, seed=3)[0]
    tempered = np.exp(alone(engine, torch, "3+4=?\n3+4=", "7")[0][0] / 2)
    tempered /= tempered.sum()
    digits = engine.tokenizer.convert_tokens_to_ids(list("0123456789"))
    seen = np.array([sum(s.text == d for s in first) for d in "0123456789"]) / n
    sd = np.sqrt(tempered[digits] * (1 - tempered[digits]) / n)
    assert (np.abs(seen - tempered[digits]) <= 4 * sd + 1e-9).all()
    assert (seen > 0).sum() > 3 and np.isfinite(logp).all()


def test_samples_do_not_depend_on_the_batch_size_and_calls_draw_anew(tiny_model):
    texts = []
    for size in (1, 3, 50):
        engine = local.load(tiny_model, batch_size=size, seed=4)
        one, two = (engine.sampler(PREFIXES, n=2, temperature=2.0, max_tokens=10) for _ in range(2))
        texts.append([[s.text for row in call for s in row] for call in (one, two)])
    assert texts[0] == texts[1] == texts[2]
    assert texts[0][0] != texts[0][1]
    fixed = [engine.sampler(PREFIXES, temperature=2.0, max_tokens=10, seed=1) for _ in range(2)]
    assert [r[0].text for r in fixed[0]] == [r[0].text for r in fixed[1]]
    other = local.load(tiny_model, seed=5).sampler(PREFIXES, n=2, temperature=2.0, max_tokens=10)
    assert [s.text for row in other for s in row] != texts[0][0]


def test_a_stop_string_and_what_comes_after_it_are_left_out(engine):
    whole = engine.sampler(PREFIXES[:1], temperature=0, max_tokens=30)[0][0]
    line = engine.sampler(PREFIXES[:1], temperature=0, max_tokens=30, stop=["\n", "#"])[0][0]
    assert line.text == whole.text.split("\n")[0] and line.finished
    assert len(line.tokens) == len(line.logp) == len(line.entropy) == len(line.text)
    longer = engine.sampler(PREFIXES[:1], temperature=0, max_tokens=30, stop=["\n#"])[0][0]
    assert longer.text == whole.text.rsplit("\n#", 1)[0]
    at_once = engine.sampler(PREFIXES[:1], temperature=0, stop=[whole.text[0]])[0][0]
    assert at_once.text == "" and at_once.tokens == () and at_once.logp.size == 0


def test_the_limit_leaves_a_sample_unfinished(engine):
    (sample,) = engine.sampler(PREFIXES[:1], max_tokens=3)[0]
    assert not sample.finished and len(sample.tokens) == 3


def test_the_largest_log_probs_are_kept_with_their_texts(engine, torch):
    engine.top = 4
    (sample,) = engine.sampler(PREFIXES[:1], max_tokens=4)[0]
    logp, _, _ = alone(engine, torch, PREFIXES[0], sample.text)
    assert len(sample.top_logp) == len(sample.top_tokens) == 4
    for row, values, texts in zip(logp, sample.top_logp, sample.top_tokens, strict=True):
        np.testing.assert_allclose(values, np.sort(row)[::-1][:4], atol=1e-4)
        assert engine.tokenizer.convert_tokens_to_ids(texts[0]) == row.argmax()
    plain = local.Local(engine.model, engine.tokenizer).sampler(PREFIXES[:1], max_tokens=2)[0][0]
    assert plain.top_logp == () and plain.top_tokens == ()


def test_embeddings_have_length_one(engine):
    points = engine.embedder(["3+4=?", "7", "3+4=?"])
    np.testing.assert_allclose((points**2).sum(1), 1, atol=1e-6)
    np.testing.assert_allclose(points[0], points[2], atol=1e-5)
    assert np.abs(points[0] - points[1]).max() > 0.01
    assert engine.embedder([]).shape == (0, points.shape[1])
    with pytest.raises(StepCreditError, match="empty text"):
        engine.embedder([""])


def test_nothing_and_empty_texts(engine):
    assert engine.forcer([], []) == [] and engine.sampler([]) == []
    assert engine.forcer(["1"], [""])[0].shape == (0,)
    assert engine.hidden_states(["1"], [""])[0].shape == (0, 64)
    with pytest.raises(StepCreditError, match="nothing to go on from"):
        engine.forcer([""], ["1"])
    with pytest.raises(StepCreditError, match="nothing to go on from"):
        engine.sampler([""])
    with pytest.raises(StepCreditError, match="longer than the 512"):
        engine.forcer(["1" * 600], ["1"])


def test_a_start_token_goes_before_every_text(engine, torch):
    from tokenizers.processors import TemplateProcessing

    end = engine.tokenizer.eos_token_id
    engine.tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="<eos> $A", special_tokens=[("<eos>", end)]
    )
    started = local.Local(engine.model, engine.tokenizer)
    with torch.no_grad():
        ids = torch.tensor([[end, *engine.tokenizer("12", add_special_tokens=False)["input_ids"]]])
        logp = engine.model(input_ids=ids).logits[0].log_softmax(-1)
    want = [float(logp[t, ids[0, t + 1]]) for t in range(2)]
    np.testing.assert_allclose(started.forcer([""], ["12"])[0], want, atol=1e-4)


def test_the_models_mode_is_as_it_was_and_no_gradient_is_kept(engine):
    engine.model.train()
    engine.forcer(["1"], ["2"])
    assert engine.model.training
    engine.sampler(["1"], max_tokens=1)
    assert all(p.grad is None for p in engine.model.parameters())


def test_pieces_are_the_texts_of_tokens(engine):
    assert engine.pieces("#4\n") == ["#", "4", "\n"]


def test_what_is_no_model_folder_says_so(tmp_path, transformers):
    with pytest.raises(StepCreditError, match="no model can be loaded"):
        local.load(tmp_path)


def test_pickled_weights_are_refused(tiny_model, tmp_path, torch):
    import shutil

    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        shutil.copy(tiny_model / name, tmp_path / name)
    torch.save(local.load(tiny_model).model.state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(StepCreditError, match="no model can be loaded"):
        local.load(tmp_path)
