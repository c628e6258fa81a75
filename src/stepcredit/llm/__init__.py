"""The only door to models: a local engine (`local`), a small real model for tests and demonstrations (`tiny`).

PyTorch and transformers are loaded by what needs them, when it is called.
"""
