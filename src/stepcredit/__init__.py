"""stepcredit: which step of an LLM agent's run earned the outcome.

import stepcredit as sc

batch = sc.read("rollouts.jsonl")
credit = sc.assign(batch, "gigpo", gamma=0.95)
credit.advantages()          # one list per row, one number per sampled token, None = not judged
"""

from stepcredit.credit import Credit, Result, assign, on_columns
from stepcredit.credit.compare import Comparison, compare
from stepcredit.credit.selection import Selected, Selection, select
from stepcredit.data import (
    Batch,
    Layout,
    Message,
    Rollout,
    Step,
    Tokens,
    ToolCall,
    Tree,
    from_arrays,
    read,
    scatter,
    stream,
    write,
)
from stepcredit.errors import (
    DataError,
    LayoutError,
    MissingColumn,
    MissingExtra,
    StepCreditError,
    UnknownName,
)
from stepcredit.evidence.run import gather
from stepcredit.lint import check
from stepcredit.systems import cite

__version__ = "0.1.0"

__all__ = [
    "Batch",
    "Comparison",
    "Credit",
    "DataError",
    "Layout",
    "LayoutError",
    "Message",
    "MissingColumn",
    "MissingExtra",
    "Result",
    "Rollout",
    "Selected",
    "Selection",
    "Step",
    "StepCreditError",
    "Tokens",
    "ToolCall",
    "Tree",
    "UnknownName",
    "__version__",
    "assign",
    "check",
    "cite",
    "compare",
    "from_arrays",
    "gather",
    "on_columns",
    "read",
    "scatter",
    "select",
    "stream",
    "write",
]
