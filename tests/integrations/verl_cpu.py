"""verl's whole trainer without a GPU: a platform, a server of tokens, an agent loop.

verl itself loads this in each of its processes, through VERL_USE_EXTERNAL_MODULES.
"""

import sys
from contextlib import nullcontext
from uuid import uuid4

import torch
from verl.plugin.platform.platform_cuda import PlatformCUDA
from verl.plugin.platform.platform_manager import PlatformRegistry

from stepcredit.integrations._after_import import after_import


class Module:
    """torch.cpu, and nothing done where torch.cuda can do more."""

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(torch.cpu, name, lambda *_, **__: 0)

    def get_device_name(self, *_):
        return "cpu"

    def mem_get_info(self, *_):
        return 1 << 33, 1 << 34

    def get_rng_state(self, *_):
        return torch.get_rng_state()

    def set_rng_state(self, state, *_):
        torch.set_rng_state(state)


@PlatformRegistry.register(platform="cpu_for_tests")
class Platform(PlatformCUDA):
    """Ray counts GPUs that are not there; everything runs on the CPU, by gloo."""

    device_name = vendor_name = "cpu"

    @property
    def device_module(self):
        return Module()

    def is_available(self):
        return True

    def is_platform_available(self, use_smi_check=False):
        return True

    def current_device(self):
        return torch.device("cpu")

    def device_count(self):
        return 1

    def communication_backend_name(self):
        return "gloo"

    def get_device_capability(self, device_index=0):
        return None, None

    def is_ipc_supported(self):
        return False

    def nvtx_range(self, msg):
        return nullcontext()

    def nothing(self, *_, **__):
        pass

    set_device = synchronize = set_allocator_settings = empty_cache = nothing
    manual_seed = manual_seed_all = lambda self, seed: torch.manual_seed(seed)


def one_backend(module):
    """gloo under every name."""
    begin, group = module.init_process_group, module.new_group
    module.init_process_group = lambda backend=None, **kwargs: begin(backend="gloo", **kwargs)
    module.new_group = lambda *args, **kwargs: group(*args, **{**kwargs, "backend": "gloo"})


class Server:
    """Samples tokens from the policy with transformers, in the place of vLLM."""

    def __init__(self, path):
        from transformers import AutoModelForCausalLM

        torch.set_num_threads(1)
        self.model, self.step = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32).eval(), 0

    def load(self, weights, step):
        missing, _ = self.model.load_state_dict(weights, strict=False)
        assert set(missing) <= {"lm_head.weight"}, missing
        self.step = step or 0

    @torch.no_grad()
    def generate(self, request_id, prompt_ids, sampling_params, **_):
        from verl.workers.rollout.replica import TokenOutput

        logits = self.model(torch.tensor([list(prompt_ids)])).logits[0, -1]
        token = int(torch.multinomial(logits.softmax(-1), 1))
        return TokenOutput(token_ids=[token], stop_reason="completed", extra_fields={"global_steps": self.step})

    async def wake_up(self, *_, **__): ...
    async def sleep(self, *_, **__): ...


def add_replica(module):
    import ray

    class Replica(module.RolloutReplica):
        async def launch_servers(self):
            server = ray.remote(Server).options(name=f"tokens_{self.replica_rank}")
            self.servers = [server.remote(self.model_config.path)]
            self._server_handle, self._server_address = self.servers[0], "tokens"

    module.RolloutReplicaRegistry.register("vllm", lambda: Replica)


def add_adapter(module):
    import ray

    class Adapter(module.BaseRollout):
        """Brings new weights from the actor to the server."""

        async def resume(self, tags): ...
        async def release(self): ...
        async def update_weights(self, weights, wire_format="named_tensors", global_steps=None, **_):
            state = {name: tensor.detach().float().clone() async for name, tensor in each(weights)}
            await ray.get_actor("tokens_0").load.remote(state, global_steps)

    sys.modules[__name__].Adapter = Adapter
    module._ROLLOUT_REGISTRY[("vllm", "async")] = f"{__name__}.Adapter"


async def each(values):
    if hasattr(values, "__aiter__"):
        async for value in values:
            yield value
    else:
        for value in values:
            yield value


def add_loop(module):
    class TwoDoors(module.AgentLoopBase):
        """Two turns of one token: a multiple of three opens the first door; behind it, another wins."""

        async def run(self, sampling_params, **kwargs):
            ids = prompt = self.tokenizer.encode(kwargs["raw_prompt"][0]["content"], add_special_tokens=False)
            mask, states, open_ = [], [], True
            for turn in range(2):
                states.append("start" if turn == 0 else "open" if open_ else "shut")
                out = await self.server_manager.generate(
                    request_id=uuid4().hex, prompt_ids=ids, sampling_params=sampling_params
                )
                open_ = open_ and out.token_ids[0] % 3 == 0
                reply = [] if turn else self.tokenizer.encode("a" if open_ else "b", add_special_tokens=False)
                ids = [*ids, *out.token_ids, *reply]
                mask += [1] + [0] * len(reply)
            return module.AgentLoopOutput(
                prompt_ids=prompt,
                response_ids=ids[len(prompt) :],
                response_mask=mask,
                num_turns=4,
                metrics=module.AgentLoopMetrics(),
                reward_score=float(open_),
                extra_fields={**out.extra_fields, "stepcredit": {"state": states}, "reward_extra_info": {}},
            )

    sys.modules[__name__].TwoDoors = TwoDoors


one_backend(torch.distributed)
after_import("verl.workers.rollout.replica", add_replica)
after_import("verl.workers.rollout.base", add_adapter)
after_import("verl.experimental.agent_loop.agent_loop", add_loop)
