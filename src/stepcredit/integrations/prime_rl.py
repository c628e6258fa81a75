"""Credit inside prime-rl: an algorithm class that annotates the traces of a group by any method.

prime-rl has no configuration hook for user code: its table of algorithms is patched in the process of the
orchestrator, which you start by a script of yours in place of its `orchestrator` command:

    # my_orchestrator.py @ orchestrator.toml, whose algorithm is "grpo", the default
    from prime_rl.entrypoints.orchestrator import main
    from stepcredit.integrations.prime_rl import install

    install("gigpo", gamma=0.95)        # in the place of "grpo"
    main()

Columns, steps, what is not judged and what a method's extras become: `stepcredit.integrations.verifiers`. Environments
write `trace.info["stepcredit"]` and `trace.info["turn_rewards"]`.

The hook sees one group at a time: methods that pool over the batch are refused. prime-rl prunes tokens whose advantage
is exactly 0 (`train.filter_zero_advantages`, on by default), judged or not. Switch it off only for a method whose
zeros are news, and not where whole traces may be unjudged: prime-rl takes weights that are all 0 for no weights.
"""

from importlib import import_module
from typing import Any

from stepcredit.errors import StepCreditError, UnknownName
from stepcredit.integrations.verifiers import TraceCredit


def credit_algorithm(method: str, **options: Any) -> type:
    """A `prime_rl.orchestrator.algo.base.Algorithm` that credits groups by a method.

    Args:
        method, options: as `stepcredit.integrations.verifiers.TraceCredit` takes them.

    Raises:
        StepCreditError: the method pools over the tasks of a batch. UnknownName.
    """
    base = import_module("prime_rl.orchestrator.algo.base")
    credit = TraceCredit(method, part_of="prime-rl", **options)

    def __init__(self: Any, config: Any, policy_pool: Any) -> None:
        if getattr(config, "length_penalty", None) is not None:
            raise StepCreditError("credit by a method would lose prime-rl's length_penalty", hint="switch it off")
        base.Algorithm.__init__(self, config, policy_pool)

    async def score_group(self: Any, episodes: list[Any]) -> None:
        traces = [trace for _, trace in base.iter_trainable_traces(episodes)]
        if traces:
            out = credit(traces, group="the group")
            self.stepcredit_stats = dict(out.stats)

    body = {"__init__": __init__, "score_group": score_group, "__doc__": f"Credit by {method}."}
    return type("CreditAlgorithm", (base.Algorithm,), body)


def install(method: str, *, name: str = "grpo", **options: Any) -> type:
    """Put `credit_algorithm` into prime-rl's table of algorithms, and return it.

    Args:
        name: the algorithm whose place it takes; its configuration class stays.

    Raises:
        UnknownName: prime-rl has no algorithm of this name.
    """
    table: dict[str, type] = import_module("prime_rl.orchestrator.algo").ALGORITHM_CLASSES
    if name not in table:
        raise UnknownName("algorithm of prime-rl", name, table)
    table[name] = credit_algorithm(method, **options)
    return table[name]
