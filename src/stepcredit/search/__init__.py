"""Better answers for more calls: one engine (`engine`), one file per search policy (`policies`).

from stepcredit.search import Task, solve

found = dict(solve([Task("What is 17 * 23?\\n")], "best_of_n", {"sampler": client.sampler, "scorer": prm}, n=16))
"""

from stepcredit.search.engine import Search, Task, Writing
from stepcredit.search.run import POLICIES, Found, asolve, solve

__all__ = ["POLICIES", "Found", "Search", "Task", "Writing", "asolve", "solve"]
