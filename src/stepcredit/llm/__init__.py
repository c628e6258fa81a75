"""The only door to models.

Plans ask (`requests`), `drive` runs them. Whom they ask: servers (`client`, with `budget` and `store`), transformers on
this machine (`local`), stand-ins (`scripted`; `tabular`, whose every value is known; `tiny`, a small real model). Any
of them can be served over HTTP (`server`). PyTorch, transformers and aiohttp are loaded by what needs them.
"""
