"""From a config to a trained agent: a model, a warm start, reinforcement learning by any credit method on TRL.

    run.train("config.yaml")            # as `stepcredit train config.yaml`; docs/guides/training.md

Only `config` and `transcript` do without torch, transformers and TRL.
"""
